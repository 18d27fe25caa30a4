"""A run that applies a plan which somebody approved."""

from __future__ import annotations

from collections.abc import Sequence

from structlog.typing import FilteringBoundLogger

from ecr_cleaner.aws.session import Aws
from ecr_cleaner.core.applied_plan import AppliedPlan
from ecr_cleaner.core.model import Repository
from ecr_cleaner.core.settings import Settings
from ecr_cleaner.core.summary import Result
from ecr_cleaner.run.cleaner import Cleaner
from ecr_cleaner.run.plans import PlanSink
from ecr_cleaner.usage.source import UsageSource


class Applier(Cleaner):
    """Removes what the plan removes and a fresh judgement still does, and nothing else."""

    def __init__(  # noqa: PLR0913, PLR0917 - the plan beside what a run needs
        self,
        aws: Aws,
        settings: Settings,
        log: FilteringBoundLogger,
        sources: Sequence[UsageSource],
        plans: PlanSink,
        applied: AppliedPlan,
    ) -> None:
        super().__init__(aws, settings, log, sources, plans)
        self.applied = applied
        self._approved = applied.approved

    def _clean(
        self, chosen: Sequence[Repository], repositories: Sequence[Repository]
    ) -> list[Result]:
        for one in repositories[:1]:
            self._approved.check_registry(one.registry)
        judged = {one.name for one in chosen}
        self._report.doubtful(
            f"the repository {name} of the plan is not judged: it is not opted in, or gone"
            for name in sorted(self._approved.images.keys() - judged)
        )
        wanted = [one for one in chosen if one.name in self._approved.images]
        return super()._clean(wanted, repositories)
