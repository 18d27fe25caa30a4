"""The newest revisions of every ECS task-definition family.

People and pipelines run families by hand, so a family may be in use though it has no task now.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from itertools import islice

from ecr_cleaner.usage.shared.target import Target

# If families have few revisions, one listing of all revisions is the fastest: a page of it holds
# the newest of up to a hundred families. If they have hundreds, one listing per family is faster.
REVISIONS_LISTED = 5_000
REVISIONS_A_PAGE = 100


def newest_revisions(target: Target) -> list[str]:
    """Return the ARNs of as many ACTIVE revisions of each family as the settings say.

    Source: https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_ListTaskDefinitions.html
    """
    count = target.settings.task_definition_revisions
    if not count:
        return []
    listed = list(islice(_revisions(target), REVISIONS_LISTED + 1))
    if len(listed) <= REVISIONS_LISTED:
        return list(_newest_of_each(listed, count))
    families = target.api("ecs").each(
        "ListTaskDefinitionFamilies", "families", status="ACTIVE", maxResults=100
    )
    newest = target.workers.map(
        lambda family: list(
            islice(_revisions(target, min(count, REVISIONS_A_PAGE), familyPrefix=family), count)
        ),
        list(families),
    )
    return [arn for arns in newest for arn in arns]


def previous_revision(target: Target, definition: str) -> str | None:
    """Return the newest ACTIVE revision of the same family that is older than this one."""
    family, _, number = definition.rpartition("/")[2].partition(":")
    revision = int(number)
    for arn in _revisions(target, familyPrefix=family):
        if int(arn.rpartition(":")[2]) < revision:
            return arn
    return None


def _revisions(target: Target, page: int = REVISIONS_A_PAGE, **parameters: str) -> Iterator[str]:
    """Yield revisions from the newest to the oldest, within each family."""
    return target.api("ecs").each(
        "ListTaskDefinitions",
        "taskDefinitionArns",
        status="ACTIVE",
        sort="DESC",
        maxResults=page,
        **parameters,
    )


def _newest_of_each(arns: Iterable[str], count: int) -> Iterator[str]:
    seen: dict[str, int] = defaultdict(int)
    for arn in arns:
        family = arn.rpartition(":")[0]
        seen[family] += 1
        if seen[family] <= count:
            yield arn
