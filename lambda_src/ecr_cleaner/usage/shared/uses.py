"""From what the walk found to usages."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from ecr_cleaner.core.locations import Location, NamedElsewhere
from ecr_cleaner.core.model import Usage
from ecr_cleaner.core.walk import Found, TaskDefinition
from ecr_cleaner.usage.shared.target import Target


def usages_of(
    target: Target, source: str, named: Iterable[tuple[str, Found]], *, starts_tasks: bool = False
) -> Iterator[Usage]:
    """Yield the usages of each consumer, with the images of the task definitions that it names.

    Whoever names a task definition starts it some day; one that does not exist runs nothing. What
    it names in turn counts as well. Those of another account or region are noted in the target:
    they cannot be described from here.
    """
    consumers = list(named)
    behind = _behind(target, source, consumers) if starts_tasks else [[] for _ in consumers]
    for (consumer, found), more in zip(consumers, behind, strict=True):
        parts = [found, *more]
        for reference in dict.fromkeys(one for part in parts for one in part.references):
            yield Usage(reference, consumer, source)


def usages_from_elsewhere(
    target: Target, source: str, named: Sequence[NamedElsewhere]
) -> Iterator[Usage]:
    """Yield the usages of consumers in other targets that name task definitions of this one.

    What such a task definition refers to counts as if the consumer itself named it.
    """
    behind = target.task_definitions.found_if_any(one.definition for one in named)
    found = [(one.consumer, behind[one.definition]) for one in named]
    return usages_of(target, source, found, starts_tasks=True)


def _behind(
    target: Target, source: str, consumers: Sequence[tuple[str, Found]]
) -> list[list[Found]]:
    """Return what the task definitions behind each consumer refer to, link by link."""
    reached: list[dict[str, Found]] = [{} for _ in consumers]
    links = [(number, found) for number, (_, found) in enumerate(consumers)]
    while links:
        asked = dict.fromkeys(
            (number, name)
            for number, found in links
            for name in _described_here(target, source, consumers[number][0], found)
            if name not in reached[number]
        )
        answers = target.task_definitions.found_if_any(name for _, name in asked)
        links = [(number, answers[name]) for number, name in asked]
        for number, name in asked:
            reached[number][name] = answers[name]
    return [list(one.values()) for one in reached]


def _described_here(target: Target, source: str, consumer: str, found: Found) -> list[str]:
    """Return the names of task definitions that this target describes; note the others."""
    names: list[str] = []
    for one in found.task_definitions:
        location = _location_of(one, target.location)
        if location == target.location:
            names.append(one.name)
        else:
            arn = _arn(one, location)
            target.named_elsewhere[NamedElsewhere(source, consumer, arn, location)] = None
    return names


def _location_of(one: TaskDefinition, here: Location) -> Location:
    """Return where a task definition is; an account or region that is not written out is ours."""
    return replace(here, account=one.account or here.account, region=one.region or here.region)


def _arn(one: TaskDefinition, location: Location) -> str:
    is_arn = one.name.startswith("arn:")
    return one.name if is_arn else location.arn("ecs", f"task-definition/{one.name}")
