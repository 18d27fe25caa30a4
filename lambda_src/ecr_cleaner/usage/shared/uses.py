"""From what the walk found to usages."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from ecr_cleaner.core.model import Usage
from ecr_cleaner.core.walk import Found, TaskDefinition
from ecr_cleaner.usage.shared.target import Target


def usages_of(
    target: Target, source: str, named: Iterable[tuple[str, Found]], *, starts_tasks: bool = False
) -> Iterator[Usage]:
    """Yield the usages of each consumer, with the images of the task definitions that it names.

    Whoever names a task definition starts it some day; one that does not exist runs nothing.
    """
    consumers = [
        (consumer, found, _startable(target, consumer, found)) for consumer, found in named
    ]
    asked = (name for _, _, names in consumers for name in names) if starts_tasks else ()
    behind = target.task_definitions.found_if_any(asked)
    for consumer, found, names in consumers:
        parts = [found, *(behind[name] for name in names if name in behind)]
        for reference in dict.fromkeys(one for part in parts for one in part.references):
            yield Usage(reference, consumer, source)


def _startable(target: Target, consumer: str, found: Found) -> list[str]:
    """Return the names of task definitions that can be described from here."""
    account = next(iter(consumer.split(":")[4:5]), "")
    return [one.name for one in found.task_definitions if _is_here(one, target.region, account)]


def _is_here(one: TaskDefinition, region: str, account: str) -> bool:
    """Return whether this may be in the consumer's account and the target's region."""
    is_other_account = account.isdigit() and one.account not in {None, account}
    return one.region in {None, region} and not is_other_account
