"""What the steps after the first one have in common."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from structlog.typing import FilteringBoundLogger

from ecr_cleaner.aws.session import Aws
from ecr_cleaner.core.fan_out import Frozen
from ecr_cleaner.core.settings import Settings
from ecr_cleaner.run.cleaner import Cleaner
from ecr_cleaner.run.plans import PlanSink
from ecr_cleaner.run.run_objects import RunObjects
from ecr_cleaner.usage.source import UsageSource


class LaterStep(Cleaner):
    """A step that knows what the first one froze, and the documents of the run."""

    def __init__(  # noqa: PLR0913, PLR0917 - the documents beside what a run needs
        self,
        aws: Aws,
        settings: Settings,
        log: FilteringBoundLogger,
        sources: Sequence[UsageSource],
        frozen: Frozen,
        objects: RunObjects,
        plans: PlanSink | None = None,
    ) -> None:
        super().__init__(aws, settings, log, sources, plans)
        self._frozen = frozen
        self._objects = objects

    @property
    def _max_age(self) -> timedelta:
        """How long ago what a step judges by may have begun."""
        return timedelta(minutes=self._settings.max_scan_age_minutes)
