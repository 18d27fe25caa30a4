"""The newest revisions of every ECS task-definition family.

A family that people or pipelines run by hand is in use although nothing of it runs now.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice

from ecr_cleaner.model import Usage
from ecr_cleaner.usage._references import usages_of
from ecr_cleaner.usage.account import Account


class EcsFamilies:
    """As many ACTIVE revisions of each family as ``TASK_DEFINITION_REVISIONS`` says; 0: none.

    Source: https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_ListTaskDefinitions.html
    """

    name = "ecs-task-definitions"
    service = "ecs"

    def usages(self, account: Account) -> Iterable[Usage]:
        """Yield the images of the newest revisions of each family."""
        if not account.settings.task_definition_revisions:
            return
        families = account.aws.api("ecs").each(
            "ListTaskDefinitionFamilies", "families", status="ACTIVE", maxResults=100
        )
        newest = account.aws.workers.map(lambda family: _newest(account, family), list(families))
        arns = [arn for listed in newest for arn in listed]
        for arn, images in account.task_definitions.images_if_any(arns).items():
            yield from usages_of(self.name, arn, images)


def _newest(account: Account, family: str) -> list[str]:
    """List one page: revisions come newest first."""
    count = account.settings.task_definition_revisions
    listed = account.aws.api("ecs").each(
        "ListTaskDefinitions",
        "taskDefinitionArns",
        familyPrefix=family,
        status="ACTIVE",
        sort="DESC",
        maxResults=min(count, 100),
    )
    return list(islice(listed, count))
