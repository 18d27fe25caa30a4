"""The story of a run: scan, judge, report, sweep."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any

from structlog.typing import FilteringBoundLogger

from ecr_cleaner.aws import Aws
from ecr_cleaner.guarding import Guards
from ecr_cleaner.model import Repository
from ecr_cleaner.policy import is_opted_in, opt_in_looks_meant
from ecr_cleaner.registry import EcrRegistry
from ecr_cleaner.report import RunReporter
from ecr_cleaner.repository_cleaner import RepositoryCleaner
from ecr_cleaner.settings import Settings
from ecr_cleaner.sweeper import Budget, Sweeper
from ecr_cleaner.tally import Result
from ecr_cleaner.turns import in_turn
from ecr_cleaner.usage import UsageSource, check_waived, scan, sources_for
from ecr_cleaner.watch import UsageWatch

# The listing of a repository is held in memory while it is cleaned: this many of them, whatever
# the size of the account.
REPOSITORIES_AT_ONCE = 4

# With fewer seconds left than this nothing new is begun; it is for what is under way by then.
RESERVE = 60


class Cleaner:
    """One run over one account and region."""

    def __init__(  # noqa: PLR0913 - the parts that a run is made of, each of them replaceable
        self,
        aws: Aws,
        settings: Settings,
        log: FilteringBoundLogger,
        clock: Callable[[], datetime],
        *,
        sources: Sequence[UsageSource] | None = None,
        seconds_left: Callable[[], float] = lambda: math.inf,
    ) -> None:
        self._aws = aws
        self._settings = settings
        self._log = log
        self._clock = clock
        self._sources = sources_for(settings) if sources is None else sources
        self._seconds_left = seconds_left
        self._registry = EcrRegistry(aws.api("ecr"), aws.workers)

    def run(self) -> dict[str, Any]:
        """Clean every opted-in repository and return the summary of the run.

        Raise CleanerError at once where it is unknown what is in use, which repositories there
        are, or which guards stand; raise RunFailedError at the end where something failed.
        """
        check_waived(self._settings, self._sources)
        report = RunReporter(self._log, self._settings, self._clock)
        usage, (repositories, chosen, guards) = self._aws.workers.both(self._scan, self._survey)
        report.coverage(usage.coverage)
        report.not_opted_in(filter(opt_in_looks_meant, repositories))
        report.missing_repositories(repositories, usage.in_use)
        return report.finish(self._clean(chosen, usage, guards) if guards else [])

    def _scan(self) -> UsageWatch:
        max_age = timedelta(seconds=self._settings.rescan_after_seconds)
        return UsageWatch(
            lambda: scan(self._aws, self._settings, self._sources),
            self._clock,
            max_age,
            lambda took: self._seconds_left() > took.total_seconds() + RESERVE,
        )

    def _survey(self) -> tuple[list[Repository], list[Repository], Guards | None]:
        """Return all repositories, those that are opted in and, where there are any, the guards."""
        repositories = self._registry.repositories()
        chosen = [repository for repository in repositories if is_opted_in(repository)]
        guards = Guards(self._aws, self._registry, self._settings) if chosen else None
        return repositories, chosen, guards

    def _out_of_time(self) -> bool:
        return self._seconds_left() < RESERVE

    def _clean(
        self, chosen: Sequence[Repository], usage: UsageWatch, guards: Guards
    ) -> list[Result]:
        workers = self._aws.workers
        budget = Budget(self._settings.max_deletions)
        cleaner = RepositoryCleaner(
            registry=self._registry,
            usage=usage,
            guards=guards,
            sweeper=Sweeper(self._registry, workers, budget, self._clock, self._out_of_time),
            settings=self._settings,
            log=self._log,
            clock=self._clock,
            out_of_time=self._out_of_time,
        )
        turns = in_turn(chosen, self._clock())
        return workers.map(cleaner.clean, turns, at_once=REPOSITORIES_AT_ONCE)
