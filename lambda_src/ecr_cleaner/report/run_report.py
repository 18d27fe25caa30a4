"""Log lines about the run as a whole."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime
from typing import Any

from structlog.typing import FilteringBoundLogger

from ecr_cleaner.core.approval import Approved
from ecr_cleaner.core.approval_request import ApprovalRequest
from ecr_cleaner.core.in_use import CONSUMERS_NAMED, Broken
from ecr_cleaner.core.locations import Location
from ecr_cleaner.core.model import ClusterReading, Repository
from ecr_cleaner.core.policy import ENABLED_TAG, TAGS
from ecr_cleaner.core.settings import Settings
from ecr_cleaner.core.summary import Summary
from ecr_cleaner.report import events
from ecr_cleaner.report.approval_message import command
from ecr_cleaner.report.lines import log_error
from ecr_cleaner.report.repository_report import RepositoryReport

# Even with 34 regions each, fewer than the 256 KiB that CloudWatch takes for one line.
_ACCOUNTS_A_LINE = 400


class RunReport:
    """Writes about the run: its settings, what was scanned, and the summary."""

    def __init__(self, log: FilteringBoundLogger, settings: Settings) -> None:
        self._log = log
        self._settings = settings

    def started(self) -> None:
        """Write the settings of the run."""
        self._log.info(events.RUN_STARTED, settings=self._settings.fields())

    def targets(self, locations: Sequence[Location], left_out: Mapping[str, str]) -> None:
        """Write which accounts and regions are scanned: one line for up to 400 accounts."""
        regions: dict[str, list[str]] = {}
        for one in locations:
            regions.setdefault(one.account, []).append(one.region)
        named = [(account, " ".join(names)) for account, names in regions.items()]
        more = {"left_out": dict(left_out)} if left_out else {}
        for start in range(0, len(named), _ACCOUNTS_A_LINE):
            accounts = dict(named[start : start + _ACCOUNTS_A_LINE])
            self._log.info(events.TARGETS, targets=len(locations), accounts=accounts, **more)
            more = {}

    def scanned(self, source: str, *, again: bool, **fields: Any) -> None:
        """Write what a usage source found; repeated scans are for debugging."""
        level = logging.DEBUG if again else logging.INFO
        self._log.log(level, events.SOURCE_SCANNED, source=source, **fields)

    def target_scanned(self, target: Location | None) -> None:
        """Write that all sources of one account and region were read; a shell shows how many."""
        self._log.debug(events.TARGET_SCANNED, target=str(target))

    def doubtful(self, sentences: Iterable[str]) -> None:
        """Warn of settings that are valid but may not do what was meant."""
        for sentence in sentences:
            self._log.warning(events.SETTING_DOUBTFUL, why=sentence)

    def pull_times(self, own: str | None, others: Iterable[str]) -> None:
        """Write whether our reading counts as pulls, and warn of pulls that do not count."""
        if own:
            self._log.info(events.OWN_PULLS, why=own)
        for sentence in others:
            self._log.warning(events.PULL_TIMES, why=sentence)

    def events_left(self, sentences: Iterable[str]) -> None:
        """Warn of events that were not taken up, or not deleted."""
        for sentence in sentences:
            self._log.warning(events.EVENTS_LEFT, why=sentence)

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

    def unseen(self, definitions: Mapping[str, Sequence[str]]) -> None:
        """Warn of ECS task definitions that could not be looked up, by ARN with their consumers."""
        for definition, consumers in definitions.items():
            self._log.warning(
                events.DEFINITION_UNSEEN,
                task_definition=definition,
                consumers=list(dict.fromkeys(consumers))[:CONSUMERS_NAMED],
                why="its images are unknown and do not count as in use; add the account to "
                "SCAN_ACCOUNTS or the region to SCAN_REGIONS",
            )

    def remembers(self, where: str | None, since: date | None, images: int) -> None:
        """Write what is remembered of earlier runs."""
        if since:
            self._log.info(events.LEDGER_READ, ledger=where, since=since.isoformat(), images=images)
        elif where is None:
            self._log.info(
                events.NO_LEDGER,
                why="LEDGER is not set: what was in use until yesterday is judged as unused",
            )

    def unwritten(self, error: Exception) -> None:
        """Write that what was in use today will not be remembered."""
        log_error(self._log, events.LEDGER_FAILED, error)

    def plan(self, stored: Sequence[str], problems: Iterable[str]) -> None:
        """Write where the plan is, and what of it could not be written."""
        if stored:
            self._log.info(events.PLAN_WRITTEN, plan=stored[0], others=stored[1:])
        for problem in problems:
            self._log.error(events.PLAN_FAILED, error=problem)

    def waits(self, request: ApprovalRequest, topic: str | None) -> None:
        """Write that the run only planned, and how its plan is applied."""
        self._log.info(
            events.PLAN_WAITS,
            images=request.gain.images,
            size_bytes=request.gain.size_bytes,
            topic=topic,
            apply=command(request, self._settings),
            why="APPROVAL is true: the run only planned, and removes nothing until a plan is "
            "applied",
        )

    def not_asked(self, problem: str) -> None:
        """Write that nobody was told of the plan."""
        self._log.error(events.NOT_ASKED, error=problem)

    def applying(self, plan: str, approved: Approved) -> None:
        """Write which plan is applied, and how much of the registry it removes."""
        self._log.info(
            events.APPLYING,
            plan=plan,
            time=approved.header.time.isoformat(),
            images=sum(map(len, approved.images.values())),
            repositories=len(approved.images),
        )

    def earlier_plan_failed(self, where: str, why: str) -> None:
        """Warn that it is unknown whether an earlier plan removes what is needed now."""
        why = f"{why}; near misses are unknown"
        self._log.warning(events.EARLIER_PLAN_FAILED, plan=where, why=why)

    def trend_failed(self, where: str, why: str) -> None:
        """Warn that the numbers of earlier runs, or those of this one, are lost for the page."""
        why = f"{why}; only the page of the plan depends on it"
        self._log.warning(events.TREND_FAILED, trend=where, why=why)

    def answers_known(self, where: str, answers: int, damaged: int) -> None:
        """Write how many answers are known from earlier scans."""
        self._log.info(events.ANSWERS_READ, cache=where, answers=answers, damaged=damaged)

    def answers_failed(self, where: str, sentence: str) -> None:
        """Warn that answers that are known are asked for again, in this run or in the next."""
        self._log.warning(events.ANSWERS_FAILED, cache=where, why=sentence)

    def not_opted_in(self, repositories: Iterable[Repository]) -> None:
        """Warn of repositories whose owner probably meant to opt in."""
        for repository in repositories:
            self._log.warning(
                events.NOT_OPTED_IN,
                repository=repository.name,
                tag=ENABLED_TAG,
                value=repository.tags[ENABLED_TAG],
            )

    def misspelled(self, repositories: Mapping[str, Sequence[str]]) -> None:
        """Warn of repositories that are skipped, by name with the tags that look misspelled."""
        for name, tags in repositories.items():
            for tag in tags:
                self._log.warning(
                    events.REPOSITORY_SKIPPED,
                    repository=name,
                    tag=tag,
                    why=f"tags that look like {', '.join(TAGS)} and are none of them may be meant "
                    "to keep images; correct or remove the tag",
                )

    def missing_repositories(self, missing: Mapping[str, Sequence[Broken]], now: datetime) -> None:
        """Warn of references to repositories that do not exist."""
        for name, broken in missing.items():
            RepositoryReport(self._log, name, now).broken(broken)

    def step_done(self, **fields: Any) -> None:
        """Write that one step of a run is done."""
        self._log.info(events.STEP_DONE, **fields)

    def finished(self, summary: Summary) -> None:
        """Write the summary, and a warning if the run reached a limit."""
        self._warn_of_bound(summary)
        self._warn_of_no_time(summary)
        self._warn_of_slow_scan(summary)
        self._log.info(events.RUN_DONE, **summary.fields())

    def _warn_of_bound(self, summary: Summary) -> None:
        most = self._settings.max_deletions
        if summary.total.removable > most:
            self._log.warning(
                events.TOO_MANY,
                removable=summary.total.removable,
                max_deletions=most,
                why="one run removes at most MAX_DELETIONS images; the next run continues, or "
                "applying the same plan again; raise the setting if this number is right",
            )

    def _warn_of_slow_scan(self, summary: Summary) -> None:
        most = self._settings.rescan_after_seconds
        if summary.facts.slowest_scan_seconds > most > 0:
            self._log.warning(
                events.SLOW_SCAN,
                seconds=round(summary.facts.slowest_scan_seconds, 3),
                rescan_after_seconds=most,
                why="usage may change during a scan; raise the memory of the function, or raise "
                "RESCAN_AFTER_SECONDS if this is expected",
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
