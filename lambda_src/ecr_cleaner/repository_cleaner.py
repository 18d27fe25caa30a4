"""One repository from its listing to its sweep."""

from __future__ import annotations

from collections.abc import Callable, Container, Sequence
from dataclasses import dataclass
from datetime import datetime
from threading import Lock

from structlog.typing import FilteringBoundLogger

from ecr_cleaner.graph import Graph, can_be_read, may_have_children
from ecr_cleaner.guarding import Guards
from ecr_cleaner.inuse import RepositoryUse
from ecr_cleaner.model import Image, Plan, Repository
from ecr_cleaner.policy import Policy, policy_for
from ecr_cleaner.registry import EcrRegistry
from ecr_cleaner.report import Reporter
from ecr_cleaner.retention import Moment, judge, would_remove
from ecr_cleaner.settings import Settings
from ecr_cleaner.sweeper import Sweeper
from ecr_cleaner.tally import Result
from ecr_cleaner.watch import UsageWatch


class StandingPlan:
    """The plan of one repository, judged again whenever what is in use was scanned again.

    ``scans`` is how many scans there had been when the judgement began.
    """

    def __init__(
        self, usage: UsageWatch, plan: Plan, scans: int, judge_again: Callable[[], Plan]
    ) -> None:
        self._usage = usage
        self._plan = plan
        self._scans = scans
        self._judge_again = judge_again
        self._lock = Lock()

    def renew(self) -> bool:
        """Make sure that what is in use is known anew; False: there is no time left for that."""
        return self._usage.renew()

    def current(self) -> Plan:
        """Return the plan by the newest scan, whichever repository asked for it."""
        with self._lock:
            scans = self._usage.scans
            if scans > self._scans:
                self._plan = self._judge_again()
                self._scans = scans
            return self._plan

    def removable(self) -> Container[str]:
        """Return the digests that may still go."""
        return self.current().leaders.keys()

    def scanned_since(self, time: datetime) -> bool:
        """Tell whether what is in use is known better than what was listed then."""
        return self._usage.ended_at > time


@dataclass(frozen=True, slots=True)
class RepositoryCleaner:
    """Judges, reports and sweeps one repository after the other, or several at a time."""

    registry: EcrRegistry
    usage: UsageWatch
    guards: Guards
    sweeper: Sweeper
    settings: Settings
    log: FilteringBoundLogger
    clock: Callable[[], datetime]
    out_of_time: Callable[[], bool]

    def clean(self, repository: Repository) -> Result:
        """Return what it came to: one repository's failure does not stop the others."""
        if self.out_of_time():
            return Result(unvisited=True)
        result = Result()
        reporter = Reporter(self.log, repository.name, self.clock())
        try:
            self._clean(repository, reporter, result)
        except Exception as error:  # noqa: BLE001 - reported, and the run ends as failed
            reporter.failure(error)
            result.error = error
        else:
            reporter.done(result.tally)
        return result

    def _clean(self, repository: Repository, reporter: Reporter, result: Result) -> None:
        policy = policy_for(repository, self.settings)
        listed_at = self.clock()
        images = self.registry.images(repository)
        scans = self.usage.scans
        graph, plan = self._judge(repository, images, policy)
        if plan.steps:
            result.guards = self.guards.before(repository, policy, self.usage.in_use)
        sweeping = bool(plan.steps) and not (self.settings.dry_run or result.guards)
        standing = StandingPlan(
            self.usage, plan, scans, lambda: self._verdicts(repository, graph, policy)
        )
        if sweeping and standing.renew():
            plan = standing.current()
        broken = tuple(self.usage.in_use.of(repository).broken(images))
        result.tally.count_plan(plan, broken)
        reporter.broken(broken)
        reporter.plan(plan, result.guards, sweeping=sweeping)
        if sweeping:
            outcome = self.sweeper.sweep(plan, listed_at, standing)
            result.tally.count_outcome(outcome)
            result.error = outcome.error
            reporter.outcome(outcome)

    def _judge(
        self, repository: Repository, images: Sequence[Image], policy: Policy
    ) -> tuple[Graph, Plan]:
        """Judge without manifests first: only where something would go are they worth reading.

        What goes by that judgement is never less than by the full one: children that are not
        known as such are protected by nothing but their own usage and age.
        """
        graph = Graph.build(images, {})
        unread = [one for one in images if may_have_children(one) and can_be_read(one)]
        use, moment = self._by_now(repository)
        if unread and would_remove(graph, policy, use, moment):
            graph = Graph.build(images, self.registry.children(repository, unread))
        # By the same moment: what grew old since then was foreseen to stay, and no manifest read.
        return graph, judge(repository, graph, policy, use, moment)

    def _verdicts(self, repository: Repository, graph: Graph, policy: Policy) -> Plan:
        use, moment = self._by_now(repository)
        return judge(repository, graph, policy, use, moment)

    def _by_now(self, repository: Repository) -> tuple[RepositoryUse, Moment]:
        return self.usage.in_use.of(repository), Moment(self.usage.began, self.clock())
