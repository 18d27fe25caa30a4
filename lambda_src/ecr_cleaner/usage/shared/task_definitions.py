"""Usages of those that name a task definition and run it some day: rules, schedules, pipes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from ecr_cleaner.core.model import Usage
from ecr_cleaner.usage.shared.references import usages_of
from ecr_cleaner.usage.shared.target import Target


@dataclass(frozen=True, slots=True)
class TaskStarter:
    """A consumer with the task definition it names: an ARN or a family.

    Without a revision, that means the latest ACTIVE one, and so it does to DescribeTaskDefinition.
    """

    consumer: str
    task_definition: str


def usages_of_starters(
    source: str, target: Target, starters: Iterable[TaskStarter | None]
) -> Iterator[Usage]:
    """Yield the images that each target would run; one whose definition is gone runs nothing."""
    named = [starter for starter in starters if starter]
    images = target.task_definitions.images_if_any(starter.task_definition for starter in named)
    for starter in named:
        yield from usages_of(source, starter.consumer, images[starter.task_definition])
