"""Amazon Inspector's word that an image runs, on ECS or EKS: extra protection, no permission."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import Any

from ecr_cleaner.core.errors import IncompleteAnswerError
from ecr_cleaner.core.model import ImageReference, Registry, Usage
from ecr_cleaner.usage.shared.target import Target

_IMAGE_ARN = re.compile(
    r"arn:[^:]+:ecr:(?P<region>[^:]+):(?P<account>[0-9]{12}):"
    r"repository/(?P<repository>.+)/(?P<digest>sha256:[a-f0-9]{64})"
)


class Inspector:
    """Images that run now, or did within the days that images are kept anyway.

    Source: https://docs.aws.amazon.com/inspector/v2/APIReference/API_EcrContainerImageMetadata.html
    """

    name = "inspector"
    service = "inspector2"
    everywhere = False
    what = (
        "only if `INSPECTOR_COVERAGE` is `true`: what Amazon Inspector saw running on ECS or EKS, "
        "now or within the days of the age"
    )

    def usages(self, target: Target) -> Iterable[Usage]:
        """Yield what Inspector's coverage says to be in use; two listings, filtered by AWS."""
        since = target.deadline.now() - timedelta(days=target.settings.keep_days)
        in_use: tuple[dict[str, Any], ...] = (
            {"ecrImageInUseCount": [{"lowerInclusive": 1}]},
            {"ecrImageLastInUseAt": [{"startInclusive": since}]},
        )
        answers = target.workers.map(lambda wanted: _covered(target, wanted), in_use)
        digests = {one["resourceId"]: one for answer in answers for one in answer}
        for arn in digests:
            yield Usage(_reference(arn), f"inspector coverage of {arn}", self.name)


def _covered(target: Target, wanted: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    images = [{"comparison": "EQUALS", "value": "AWS_ECR_CONTAINER_IMAGE"}]
    listing = target.api("inspector2").each(
        "ListCoverage",
        "coveredResources",
        filterCriteria={"resourceType": images, **wanted},
        maxResults=200,
    )
    return list(listing)


def _reference(arn: str) -> ImageReference:
    match = _IMAGE_ARN.fullmatch(arn)
    if not match:
        raise IncompleteAnswerError(f"ListCoverage named an image that is not understood: {arn}")
    registry = Registry(match["account"], match["region"])
    return ImageReference(registry, match["repository"], digest=match["digest"])
