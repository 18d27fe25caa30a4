"""Usages of those that name a task definition and run it some day: rules, schedules, pipes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from ecr_cleaner.model import Usage
from ecr_cleaner.usage._references import usages_of
from ecr_cleaner.usage.account import Account


@dataclass(frozen=True, slots=True)
class Target:
    """A consumer with the task definition it names: an ARN or a family.

    Without a revision, that means the latest ACTIVE one, and so it does to DescribeTaskDefinition.
    """

    consumer: str
    task_definition: str


def usages_of_targets(
    source: str, account: Account, targets: Iterable[Target | None]
) -> Iterator[Usage]:
    """Yield the images that each target would run; one whose definition is gone runs nothing."""
    named = [target for target in targets if target]
    images = account.task_definitions.images_if_any(target.task_definition for target in named)
    for target in named:
        yield from usages_of(source, target.consumer, images[target.task_definition])
