"""App Runner services with an image from ECR."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import chain

from ecr_cleaner.core.model import Usage
from ecr_cleaner.usage.shared.references import usages_of
from ecr_cleaner.usage.shared.target import Target


class AppRunner:
    """Every service, paused and failed ones too; those built from source code hold no image.

    Source: https://docs.aws.amazon.com/apprunner/latest/api/API_ImageRepository.html
    """

    name = "app-runner"
    service = "apprunner"

    def usages(self, target: Target) -> Iterable[Usage]:
        """Yield the image of each service."""
        listed = target.api("apprunner").each("ListServices", "ServiceSummaryList", MaxResults=20)
        arns = [service["ServiceArn"] for service in listed]
        return chain.from_iterable(target.workers.map(lambda arn: _usages(target, arn), arns))


def _usages(target: Target, arn: str) -> list[Usage]:
    answer = target.api("apprunner").find(
        "DescribeService", "ResourceNotFoundException", ServiceArn=arn
    )
    if answer is None:
        return []
    repository = answer["Service"]["SourceConfiguration"].get("ImageRepository", {})
    return list(usages_of("app-runner", arn, [repository.get("ImageIdentifier")]))
