"""One repository, from its listing to its sweep."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from structlog.typing import FilteringBoundLogger

from ecr_cleaner.aws.registry import EcrRegistry
from ecr_cleaner.core.applied_plan import AppliedPlan, ends_of
from ecr_cleaner.core.approval import Restricted, restricted
from ecr_cleaner.core.errors import OutOfTimeError
from ecr_cleaner.core.graph import Graph, can_be_read, may_have_children
from ecr_cleaner.core.model import Image, Plan, Repository
from ecr_cleaner.core.plan_document import (
    PlannedRepository,
    State,
    planned_images,
    policy_fields,
)
from ecr_cleaner.core.policy import Policy, policy_for, raised_keep_days
from ecr_cleaner.core.settings import Settings
from ecr_cleaner.core.summary import Result
from ecr_cleaner.deadline import Deadline
from ecr_cleaner.report.repository_report import RepositoryReport
from ecr_cleaner.run.elsewhere import Elsewhere
from ecr_cleaner.run.fresh_usage import FreshUsage
from ecr_cleaner.run.guard_checks import GuardChecks, Seen
from ecr_cleaner.run.judging import Judging
from ecr_cleaner.run.live_plan import LivePlan
from ecr_cleaner.run.memory import Memory
from ecr_cleaner.run.plans import PlanSink
from ecr_cleaner.run.sweeper import Sweeper
from ecr_cleaner.run.trends import Trends

_NO_TIME = "the run was out of time"


@dataclass(frozen=True, slots=True)
class RepositoryCleaner:
    """Judges, reports and sweeps repositories, several at a time."""

    registry: EcrRegistry
    usage: FreshUsage
    guards: GuardChecks
    memory: Memory
    plans: PlanSink
    trends: Trends
    applied: AppliedPlan | None
    elsewhere: Elsewhere
    sweeper: Sweeper
    settings: Settings
    log: FilteringBoundLogger
    deadline: Deadline

    def clean(self, repository: Repository) -> Result:
        """Return the result. The failure of one repository does not stop the others."""
        if self.deadline.is_near():
            self.plans.add(PlannedRepository(repository.name, State.UNVISITED, _NO_TIME))
            return Result(unvisited=True, repository=repository.name)
        result = Result(repository=repository.name)
        report = RepositoryReport(self.log, repository.name, self.deadline.now())
        try:
            self._clean(repository, report, result)
        except OutOfTimeError:
            result.unvisited = True
            self.plans.add(PlannedRepository(repository.name, State.UNVISITED, _NO_TIME))
        except Exception as error:  # noqa: BLE001 - reported, and the run ends as failed
            report.failure(error)
            result.error = error
            why = str(error) or repr(error)
            self.plans.add(PlannedRepository(repository.name, State.FAILED, why))
        else:
            report.done(result.tally)
        return result

    def _clean(self, repository: Repository, report: RepositoryReport, result: Result) -> None:
        policy = policy_for(repository, self.settings)
        listed_at = self.deadline.now()
        images = self.registry.images(repository)
        live, plan = self._judge(repository, images, policy)
        report.doubtful(filter(None, [raised_keep_days(repository, self.settings)]))
        if plan.steps:
            seen = Seen(self.usage.in_use, self.usage.clusters, self.usage.replication)
            checked = self.guards.check(repository, policy, seen)
            result.guards = checked.guards
            report.doubtful(checked.warnings)
        may_sweep = self.memory.is_whole and not (self.settings.dry_run or result.guards)
        sweeping = bool(plan.steps) and may_sweep
        if sweeping and live.renew():
            plan = live.current()
        broken = tuple(self.usage.in_use.of(repository).broken(images))
        result.tally.count_plan(plan, broken)
        near = self.trends.near_misses(plan)
        result.tally.near_misses = len(near) if self.trends.compared else None
        self.plans.add(
            PlannedRepository(
                repository.name,
                policy=policy_fields(policy),
                guards=tuple(result.guards),
                broken=broken,
            ),
            planned_images(plan),
        )
        sweeping = sweeping and self.plans.may_sweep
        report.broken(broken)
        report.near_misses(near)
        approved = self._approved(repository, plan, report, result)
        if approved:
            plan = approved.plan
            sweeping = sweeping and bool(plan.steps)
        report.plan(plan, result.guards, sweeping=sweeping)
        outcome = self.sweeper.sweep(plan, listed_at, live) if sweeping else None
        if outcome:
            result.tally.count_outcome(outcome)
            result.error = outcome.error
            report.outcome(outcome)
        if self.applied and approved:
            wanted = self.applied.approved.images[repository.name]
            dry_run = self.settings.dry_run
            ends = ends_of(wanted, approved, result.guards, outcome, dry_run=dry_run)
            self.applied.note(repository.name, ends)

    def _approved(
        self, repository: Repository, plan: Plan, report: RepositoryReport, result: Result
    ) -> Restricted | None:
        """Return the plan without what was not approved; None if the run applies no plan."""
        if not self.applied:
            return None
        images = self.applied.approved.images[repository.name]
        approved = restricted(plan, images)
        report.not_applied(approved, images)
        result.tally.count_stays(one.value for one in approved.stays.values())
        return approved

    def _judge(
        self, repository: Repository, images: Sequence[Image], policy: Policy
    ) -> tuple[LivePlan, Plan]:
        """Judge without manifests first, and read them only if something would be removed.

        Without manifests, judging removes at least as much: unknown children get no protection
        from their index.
        """
        scans = self.usage.scans
        graph = Graph.build(images, {})
        unread = [one for one in images if may_have_children(one) and can_be_read(one)]
        judging = Judging(
            repository, policy, self.usage, self.memory, self.elsewhere, self.deadline
        )
        moment = judging.moment()
        if unread and judging.foresees_removal(graph, moment):
            children = self.registry.children(repository, unread)
            vanished = {one.digest for one in unread} - children.keys()
            there = [one for one in images if one.digest not in vanished]
            graph = Graph.build(there, children)
        # Use the same moment, or an image could turn old after we decided not to read manifests.
        plan = judging.plan(graph, moment)

        def judge_again() -> Plan:
            return judging.plan(graph, judging.moment())

        return LivePlan(self.usage, plan, scans, judge_again), plan
