"""Judges one repository, as often as the usages change."""

from __future__ import annotations

from dataclasses import dataclass

from ecr_cleaner.core.graph import Graph
from ecr_cleaner.core.in_use import RepositoryUse
from ecr_cleaner.core.ledger import day_of
from ecr_cleaner.core.model import Action, Plan, Repository
from ecr_cleaner.core.policy import Policy
from ecr_cleaner.core.retention import Known, Moment, judge, would_remove
from ecr_cleaner.deadline import Deadline
from ecr_cleaner.run.elsewhere import Elsewhere
from ecr_cleaner.run.fresh_usage import FreshUsage
from ecr_cleaner.run.memory import Memory


@dataclass(frozen=True, slots=True)
class Judging:
    """One repository with all that decides about its images."""

    repository: Repository
    policy: Policy
    usage: FreshUsage
    memory: Memory
    elsewhere: Elsewhere
    deadline: Deadline

    def moment(self) -> Moment:
        """Return the present moment."""
        return Moment(self.usage.began, self.deadline.now())

    def foresees_removal(self, graph: Graph, moment: Moment) -> bool:
        """Return whether a plan may hold anything to remove."""
        known = self._known(moment, frozenset())
        return would_remove(graph, self.policy, self._use(), moment, known)

    def plan(self, graph: Graph, moment: Moment) -> Plan:
        """Return the plan, and remember what is in use.

        Other repositories are listed only if the plan would remove an artifact whose subject is not
        in this one.
        """
        plan = self._plan(graph, moment, frozenset())
        removed = {v.image.digest for v in plan.verdicts if v.action is not Action.KEEP}
        if not removed.isdisjoint(graph.missing):
            missing = {one for subjects in graph.missing.values() for one in subjects}
            elsewhere = self.elsewhere.those_that_exist(missing)
            plan = self._plan(graph, moment, elsewhere) if elsewhere else plan
        self.memory.remember(plan)
        return plan

    def _plan(self, graph: Graph, moment: Moment, elsewhere: frozenset[str]) -> Plan:
        known = self._known(moment, elsewhere)
        return judge(self.repository, graph, self.policy, self._use(), moment, known)

    def _use(self) -> RepositoryUse:
        return self.usage.in_use.of(self.repository)

    def _known(self, moment: Moment, elsewhere: frozenset[str]) -> Known:
        today, days = day_of(moment.now), self.policy.keep_used_days
        return Known(
            last_use=lambda one: self.memory.last_use(self.repository.name, one, today, days),
            users_of=self.usage.in_use.users_of,
            elsewhere=elsewhere,
        )
