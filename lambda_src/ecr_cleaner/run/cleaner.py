"""The story of a run: scan, judge, report, sweep."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from structlog.typing import FilteringBoundLogger

from ecr_cleaner.aws.locations import Locations
from ecr_cleaner.aws.registry import EcrRegistry
from ecr_cleaner.aws.session import Aws
from ecr_cleaner.core.applied_plan import AppliedPlan
from ecr_cleaner.core.approval_request import Planned, approval_request
from ecr_cleaner.core.copies import unscanned_replicas
from ecr_cleaner.core.errors import CleanerError, RunFailedError
from ecr_cleaner.core.in_use import Broken, missing_repositories
from ecr_cleaner.core.model import Registry, Repository
from ecr_cleaner.core.plan_document import PlanHeader
from ecr_cleaner.core.policy import (
    is_in_filter,
    is_opted_in,
    misspelled_tags,
    opt_in_looks_meant,
    unmatched_filters,
    unmatched_rules,
    without_opted_in,
)
from ecr_cleaner.core.rotation import rotated
from ecr_cleaner.core.settings import Settings
from ecr_cleaner.core.summary import Facts, Result, Summary, summarize
from ecr_cleaner.core.trend import RunNumbers
from ecr_cleaner.report.run_report import RunReport
from ecr_cleaner.run.approval_requests import ApprovalRequests
from ecr_cleaner.run.elsewhere import Elsewhere
from ecr_cleaner.run.fresh_usage import FreshUsage
from ecr_cleaner.run.guard_checks import GuardChecks
from ecr_cleaner.run.memory import Memory
from ecr_cleaner.run.plans import SUFFIX, NoPlan, PlanSink, plan_name
from ecr_cleaner.run.pull_times import PullTimes
from ecr_cleaner.run.repository import RepositoryCleaner
from ecr_cleaner.run.stored_answers import StoredAnswers
from ecr_cleaner.run.sweeper import Budget, Sweeper
from ecr_cleaner.run.trends import Trends
from ecr_cleaner.usage.copies import CopiesRead, read_copies
from ecr_cleaner.usage.scan import Scan, SourceReading, check_waived, scan
from ecr_cleaner.usage.shared.target import Target, targets_of
from ecr_cleaner.usage.source import UsageSource

# Each of them holds the listing of its repository in memory.
REPOSITORIES_AT_ONCE = 4


class Cleaner:
    """One run over the registry of one account and region.

    ``applied`` is the plan that the run applies; None: it removes all that it judges removable.
    """

    applied: AppliedPlan | None = None

    def __init__(
        self,
        aws: Aws,
        settings: Settings,
        log: FilteringBoundLogger,
        sources: Sequence[UsageSource],
        plans: PlanSink | None = None,
    ) -> None:
        self._aws = aws
        self._settings = settings
        self._log = log
        self._sources = sources
        self._plans = plans or NoPlan()
        self._deadline = aws.deadline
        self._report = RunReport(log, settings)
        self._registry = EcrRegistry(aws)
        self._locations = Locations(aws, settings)
        self._guards = GuardChecks(self._locations, aws.workers, self._registry, settings)
        self._pull_times = PullTimes(aws, self._registry, settings)
        self._memory = Memory(aws, settings)
        self._answers = StoredAnswers(aws, settings, self._report)
        self._trends = Trends(aws, settings, self._report)
        max_age = timedelta(seconds=settings.rescan_after_seconds)
        self._usage = FreshUsage(self._scan, aws.deadline, max_age)

    def run(self) -> dict[str, Any]:
        """Clean every opted-in repository and return the summary of the run.

        Raise CleanerError at once if it is unknown what is or was in use, which repositories exist
        or which guards stand; raise RunFailedError at the end if anything failed.
        """
        began = self._deadline.now()
        self._begin()
        _, repositories = self._aws.workers.both(self._usage.begin, self._survey)
        self._report.coverage(self._usage.coverage)
        self._report.clusters(self._usage.clusters)
        self._remember_events(repositories)
        self._report.pull_times(self._pull_times.own, self._pull_times.warnings)
        chosen, not_matching = self._chosen(repositories)
        missing = missing_repositories(repositories, self._usage.in_use)
        self._report.missing_repositories(missing, began)

        self._begin_plan(began, repositories, missing, self._usage.coverage)
        results = self._clean(chosen, repositories)
        problems = [*self._remember(), *self._finish_plan(self._numbers(began, results))]

        ended = self._deadline.now()
        facts = Facts(
            missing=missing,
            coverage=self._usage.coverage,
            targets=len(self._locations.all),
            remembers_since=self._memory.since,
            not_matching=not_matching,
            problems=problems,
            seconds=(ended - began).total_seconds(),
            slowest_scan_seconds=self._usage.longest.total_seconds(),
        )
        registry = self._locations.home.registry
        summary = self._sum_up(registry, began, facts, results)
        if summary.failure:
            raise RunFailedError(summary.failure)
        return summary.fields()

    def _sum_up(
        self, registry: Registry, began: datetime, facts: Facts, results: Sequence[Result]
    ) -> Summary:
        """Ask for approval if the run waits for it, and write the summary."""
        summary = summarize(results, self._settings, facts)
        planned = Planned(registry, began, self._plans.stored)
        request = approval_request(planned, self._settings, results, summary)
        if request:
            problems = self._requests().send(request)
            summary = summarize(results, self._settings, replace(facts, problems=problems))
        self._report.finished(summary)
        return summary

    def _requests(self) -> ApprovalRequests:
        return ApprovalRequests(self._aws, self._settings, self._report)

    def _begin(self) -> None:
        """Write the settings, and find out which accounts and regions are scanned."""
        check_waived(self._settings, self._sources)
        self._report.started()
        self._report.doubtful(self._settings.warnings)
        self._locations.read()
        self._report.targets(self._locations.all, self._locations.left_out)

    def _chosen(self, repositories: Sequence[Repository]) -> tuple[list[Repository], int]:
        """Return the repositories to judge, and how many opted-in ones the filter leaves out."""
        ours = [one for one in repositories if is_in_filter(one, self._settings)]
        self._report.doubtful(unmatched_filters(self._settings, repositories))
        self._report.doubtful(unmatched_rules(self._settings, ours))
        self._report.doubtful(without_opted_in(self._settings, repositories))
        self._report.not_opted_in(filter(opt_in_looks_meant, ours))
        misspelled = {one.name: tags for one in ours if (tags := misspelled_tags(one))}
        self._report.misspelled(misspelled)
        opted_in = [one for one in ours if is_opted_in(one)]
        not_matching = sum(map(is_opted_in, repositories)) - len(opted_in)
        return [one for one in opted_in if one.name not in misspelled], not_matching

    def _scan(self) -> Scan:
        again = self._usage.scans > 0

        def report_target(target: Target) -> None:
            if not again:
                self._report.target_scanned(target.location)

        def report(reading: SourceReading) -> None:
            self._report.scanned(
                reading.source,
                again=again,
                **reading.fields(),
                **reading.by_target(),
                seconds=round(reading.seconds, 3),
                calls=reading.calls,
            )

        with self._answers.used() as answers:
            home, *others = targets_of(self._locations, self._settings, answers)
            found, (replication, read) = self._aws.workers.both(
                lambda: scan(home(), self._sources, report, others, report_target),
                lambda: self._copies(others),
            )
        if not again:
            self._report.unseen(found.unseen)
            scanned, regions = self._locations.scanned, self._settings.scan_regions
            self._report.doubtful(unscanned_replicas(replication, scanned, regions))
        return replace(
            found,
            copies=read.copies,
            absent_operations=read.absent_operations,
            replication=replication,
        )

    def _copies(self, others: Sequence[Callable[[], Target]]) -> tuple[dict[str, Any], CopiesRead]:
        replication = self._registry.replication()
        registry = self._locations.home.registry
        return replication, read_copies(registry, replication, others, self._aws.workers)

    def _survey(self) -> list[Repository]:
        """Return all repositories; read what else a run needs if any repository opted in."""
        repositories = self._registry.repositories()
        if any(map(is_opted_in, repositories)):
            self._guards.read()
            self._pull_times.read()
            self._memory.read()
            self._trends.read(self._locations.home.registry)
        return repositories

    def _remember_events(self, repositories: Sequence[Repository]) -> None:
        """Take up what ran between the runs, and prove that the ledger can be written.

        A run that cannot write it removes nothing.
        """
        if not any(map(is_opted_in, repositories)):
            return
        registry = self._locations.home.registry
        self._memory.take_usages(self._usage.in_use, registry)
        self._report.events_left(self._memory.take_events(registry))
        self._report.events_left(self._memory.write())
        self._report.remembers(self._memory.where, self._memory.since, self._memory.images)

    def _remember(self) -> list[str]:
        """Write the ledger with all that was found in use; return what failed of remembering."""
        problems = list(self._memory.problems)
        self._memory.take_usages(self._usage.in_use, self._locations.home.registry)
        try:
            self._report.events_left(self._memory.write())
        except CleanerError as error:
            self._report.unwritten(error)
            problems.append(str(error))
        return problems

    def _begin_plan(
        self,
        began: datetime,
        repositories: Sequence[Repository],
        missing: Mapping[str, tuple[Broken, ...]],
        coverage: Mapping[str, Any],
    ) -> None:
        """Begin the plan; a registry without repositories has none."""
        if repositories:
            header = PlanHeader(
                run=self._plans.run,
                time=began,
                registry=self._locations.home.registry,
                dry_run=self._settings.dry_run,
                mode=self._settings.mode,
                settings=self._settings.deciding(),
                coverage=coverage,
                missing=missing,
                price_per_gb_month=self._settings.price_per_gb_month,
            )
            self._plans.begin(header)

    def _numbers(self, began: datetime, results: Sequence[Result]) -> RunNumbers:
        begun = RunNumbers(
            self._plans.run,
            began,
            self._settings.dry_run,
            applied=self.applied is not None,
            waits=self._settings.waits_for_approval,
        )
        return begun.with_results(results, compared=self._trends.compared)

    def _finish_plan(self, numbers: RunNumbers) -> list[str]:
        """Store the plan and its page, and add the run to the trend; return what failed."""
        problems = self._plans.finish(self._trends.past(numbers), self.applied)
        self._report.plan(self._plans.stored, problems)
        if self._plans.stored:
            name = f"{plan_name(numbers.time, self._plans.run)}{SUFFIX}"
            self._trends.add(self._locations.home.registry, numbers, name)
        return problems

    def _clean(
        self, chosen: Sequence[Repository], repositories: Sequence[Repository]
    ) -> list[Result]:
        budget = Budget(self._settings.max_deletions)
        cleaner = RepositoryCleaner(
            registry=self._registry,
            usage=self._usage,
            guards=self._guards,
            memory=self._memory,
            plans=self._plans,
            trends=self._trends,
            applied=self.applied,
            elsewhere=Elsewhere(self._registry, self._aws.workers, repositories),
            sweeper=Sweeper(
                self._registry,
                self._aws.workers,
                budget,
                self._deadline,
                reads_are_pulls=self._pull_times.own_are_recorded,
            ),
            settings=self._settings,
            log=self._log,
            deadline=self._deadline,
        )
        order = rotated(chosen, self._deadline.now())
        return self._aws.workers.map(cleaner.clean, order, at_once=REPOSITORIES_AT_ONCE)
