"""Log lines about the run as a whole."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from structlog.typing import FilteringBoundLogger

from ecr_cleaner.core.in_use import Broken
from ecr_cleaner.core.model import ClusterReading, Repository
from ecr_cleaner.core.policy import ENABLED_TAG
from ecr_cleaner.core.settings import Settings
from ecr_cleaner.core.summary import Summary
from ecr_cleaner.report import events
from ecr_cleaner.report.repository_report import RepositoryReport


class RunReport:
    """Writes about the run: its settings, what was scanned, and the summary."""

    def __init__(self, log: FilteringBoundLogger, settings: Settings) -> None:
        self._log = log
        self._settings = settings

    def started(self) -> None:
        """Warn of settings that are valid but may not do what was meant."""
        for sentence in self._settings.warnings:
            self._log.warning(events.SETTING_DOUBTFUL, why=sentence)

    def coverage(self, sources: Mapping[str, Any]) -> None:
        """Write, before anything is judged, which usage sources were scanned."""
        waived = list(self._settings.waived_guards)
        self._log.info(events.COVERAGE, sources=sources, waived_guards=waived)

    def clusters(self, readings: Iterable[ClusterReading]) -> None:
        """Write which Kubernetes clusters were read in full; warn of each of the others."""
        for one in readings:
            named = {"source": one.source, "cluster": one.cluster}
            if one.problem:
                self._log.warning(events.CLUSTER_NOT_READ, **named, why=one.problem, fix=one.fix)
            else:
                self._log.info(events.CLUSTER_READ, **named)

    def not_opted_in(self, repositories: Iterable[Repository]) -> None:
        """Warn of repositories whose owner probably meant to opt in."""
        for repository in repositories:
            self._log.warning(
                events.NOT_OPTED_IN,
                repository=repository.name,
                tag=ENABLED_TAG,
                value=repository.tags[ENABLED_TAG],
            )

    def missing_repositories(self, missing: Mapping[str, Sequence[Broken]], now: datetime) -> None:
        """Warn of references to repositories that do not exist."""
        for name, broken in missing.items():
            RepositoryReport(self._log, name, now).broken(broken)

    def finished(self, summary: Summary) -> None:
        """Write the summary, and a warning if the run reached a limit."""
        self._warn_of_bound(summary)
        self._warn_of_no_time(summary)
        self._log.info(events.RUN_DONE, **summary.fields())

    def _warn_of_bound(self, summary: Summary) -> None:
        most = self._settings.max_deletions
        if summary.total.removable > most:
            self._log.warning(
                events.TOO_MANY,
                removable=summary.total.removable,
                max_deletions=most,
                why="one run removes at most MAX_DELETIONS images, the next run continues; raise "
                "the setting if this number is right",
            )

    def _warn_of_no_time(self, summary: Summary) -> None:
        """No repository was visited: not an error, but if it repeats, nothing is ever cleaned."""
        if summary.repositories and summary.unvisited == summary.repositories:
            self._log.warning(
                events.NONE_VISITED,
                repositories=summary.repositories,
                why="the scan took all the time of the run; raise the timeout or the memory of the "
                "function",
            )
