"""Run one step of a run that Step Functions drives; see core/fan_out.py."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import closing
from typing import Any

from structlog.typing import FilteringBoundLogger

from ecr_cleaner.aws.session import Aws
from ecr_cleaner.core.fan_out import Frozen, Step, StepName, frozen_from
from ecr_cleaner.core.settings import Settings
from ecr_cleaner.report.run_report import RunReport
from ecr_cleaner.run.plan_parts import PartPlace, part_run
from ecr_cleaner.run.plans import NoPlan, Plans
from ecr_cleaner.run.run_objects import FROZEN, RunObjects
from ecr_cleaner.run.step_clean import ShareCleaner
from ecr_cleaner.run.step_gather import Gatherer
from ecr_cleaner.run.step_plan import Planner
from ecr_cleaner.run.step_report import Reporter
from ecr_cleaner.run.step_scan import TargetScanner
from ecr_cleaner.usage.source import UsageSource


class StepRunner:
    """Runs any one step. ``plans`` makes the plan of a run, by the name of the run."""

    def __init__(
        self,
        aws: Aws,
        settings: Settings,
        log: FilteringBoundLogger,
        sources: Sequence[UsageSource],
        plans: Callable[[str], Plans | NoPlan],
    ) -> None:
        self._aws = aws
        self._settings = settings
        self._log = log
        self._sources = sources
        self._plans = plans

    def run(self, step: Step) -> dict[str, Any]:
        """Run the step and return what Step Functions needs of it: little, whatever was found."""
        log = self._log.bind(**step.fields())
        report = RunReport(log, self._settings)
        objects = RunObjects.of(step, self._aws, self._settings)
        began = self._aws.deadline.now()
        if step.name is StepName.PLAN:
            frozen = Planner(self._aws, self._settings, log, self._sources).freeze(step, objects)
            done = {"targets": len(frozen.targets), "shares": len(frozen.shares)}
            answer = {"run": step.run, "round": 1, "confirm": frozen.rounds > 1}
        else:
            frozen = frozen_from(objects.get(FROZEN))
            frozen.check(step, self._settings, self._aws.region)
            done, answer = self._later_step(step, log, frozen, objects)
        seconds = (self._aws.deadline.now() - began).total_seconds()
        report.step_done(**done, duration_seconds=round(seconds, 3))
        return answer

    def _later_step(
        self, step: Step, log: FilteringBoundLogger, frozen: Frozen, objects: RunObjects
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """Run a step after the first; return what is worth a log line, and the answer."""
        needed = (self._aws, self._settings, log, self._sources)
        if step.name is StepName.SCAN and step.target:
            report = RunReport(log, self._settings)
            scanner = TargetScanner(
                self._aws, self._settings, report, self._sources, frozen, objects
            )
            return scanner.scan(step.round, step.target), {}
        if step.name is StepName.GATHER:
            with closing(self._plans(step.run)) as plans:
                gathered = Gatherer(*needed, frozen, objects, plans).gather()
            return {"targets": len(frozen.targets), "rounds": gathered.rounds}, {}
        if step.name is StepName.CLEAN:
            with closing(self._part(step, objects)) as plans:
                result = ShareCleaner(*needed, frozen, objects, plans).clean(step.share)
            return {"repositories": len(result.results)}, {}
        with closing(self._plans(step.run)) as plans:
            reported = Reporter(*needed, frozen, objects, plans).report()
        return {}, {"complete": reported.complete, "removed": reported.removed}

    def _part(self, step: Step, objects: RunObjects) -> Plans | NoPlan:
        """Return the part of the plan that a share leaves. It has no page."""
        if not self._settings.plans:
            return NoPlan()
        place = PartPlace(objects, step.share)
        return Plans(part_run(step.run, step.share), place, lambda: False)
