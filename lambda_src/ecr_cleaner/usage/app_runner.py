"""App Runner services with an image from ECR."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import chain

from ecr_cleaner.model import Usage
from ecr_cleaner.usage._references import usages_of
from ecr_cleaner.usage.account import Account


class AppRunner:
    """Every service, paused and failed ones too; those built from source code hold no image.

    Source: https://docs.aws.amazon.com/apprunner/latest/api/API_ImageRepository.html
    """

    name = "app-runner"
    service = "apprunner"

    def usages(self, account: Account) -> Iterable[Usage]:
        """Yield the image of each service."""
        listed = account.aws.api("apprunner").each(
            "ListServices", "ServiceSummaryList", MaxResults=20
        )
        arns = [service["ServiceArn"] for service in listed]
        return chain.from_iterable(account.aws.workers.map(lambda arn: _usages(account, arn), arns))


def _usages(account: Account, arn: str) -> list[Usage]:
    answer = account.aws.api("apprunner").find(
        "DescribeService", "ResourceNotFoundException", ServiceArn=arn
    )
    if answer is None:
        return []
    repository = answer["Service"]["SourceConfiguration"].get("ImageRepository", {})
    return list(usages_of("app-runner", arn, [repository.get("ImageIdentifier")]))
