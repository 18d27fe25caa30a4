"""The parts of a plan: each share of a run leaves one, and the last step makes one plan of them."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from itertools import groupby, takewhile
from typing import IO, cast

from ecr_cleaner.core.errors import CleanerError
from ecr_cleaner.core.fan_out import Frozen, StepError
from ecr_cleaner.core.plan_document import (
    PlanEnd,
    PlanHeader,
    PlannedImage,
    PlannedRepository,
    PlanPart,
    State,
    read_plan,
)
from ecr_cleaner.run.plans import PlanSink
from ecr_cleaner.run.run_objects import RunObjects, share_name


class PartPlace:
    """Stores the part of one share among the documents of the run."""

    def __init__(self, objects: RunObjects, share: int) -> None:
        self._objects = objects
        self._name = share_name(share, "plan")
        self.where = objects.address(self._name)

    def put(self, name: str, content: IO[bytes], media_type: str) -> str:
        del name, media_type
        self._objects.put(self._name, content)
        return self.where


def part_run(run: str, share: int) -> str:
    """Return the name of the run in the part of a share."""
    return f"{run}-{share}"


def add_part(plans: PlanSink, objects: RunObjects, frozen: Frozen, share: int) -> list[str]:
    """Add the part of one share to the plan, one line at a time; return what failed.

    A repository that the part lacks counts as failed.
    """
    problems: list[str] = []
    try:
        name = share_name(share, "plan")
        content = objects.get(name)
        # Before anything of it is added: only what can be read to its end is whole.
        deque(read_plan(objects.unpacked(name, content)), maxlen=0)
        _add(plans, read_plan(objects.unpacked(name, content)), part_run(frozen.run, share))
    except CleanerError as error:
        problems.append(f"the plan of share {share} is not known: {error}")
    for name in frozen.shares[share].repositories:
        # Of those that were added, this changes nothing.
        problem = f"share {share} left no whole plan of it"
        plans.add(PlannedRepository(name, State.FAILED, problem))
    return problems


def _add(plans: PlanSink, parts: Iterator[PlanPart], run: str) -> None:
    header = next(parts)
    if not isinstance(header, PlanHeader) or header.run != run:
        raise StepError(f"it is not a plan of {run}")
    content = takewhile(lambda one: not isinstance(one, PlanEnd), parts)
    inner = cast("Iterator[PlannedRepository | PlannedImage]", content)
    for _, group in groupby(inner, key=lambda one: one.repository):
        first = cast("PlannedRepository", next(group))
        plans.add(first, cast("Iterator[PlannedImage]", group))  # noqa: B031 - what is left of it
