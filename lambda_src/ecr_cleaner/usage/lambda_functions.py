"""Lambda functions of package type Image, in every published version."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import chain
from typing import Any

from ecr_cleaner.core.errors import IncompleteAnswerError
from ecr_cleaner.core.model import Usage
from ecr_cleaner.usage.shared.references import usages_of
from ecr_cleaner.usage.shared.target import Target


class Lambda:
    """``$LATEST`` and all versions: an alias may point at any of them, at two at a time.

    The image runs by the digest that Lambda resolved (``ResolvedImageUri``); the reference as
    written (``ImageUri``) counts as well, since the next update of the function takes that.
    Source: https://docs.aws.amazon.com/lambda/latest/api/API_FunctionCodeLocation.html
    """

    name = "lambda"
    service = "lambda"

    def usages(self, target: Target) -> Iterable[Usage]:
        """Yield the images of each version, one call a version."""
        versions = target.api("lambda").each(
            "ListFunctions", "Functions", FunctionVersion="ALL", MaxItems=50
        )
        of_images = [version for version in versions if version.get("PackageType") != "Zip"]
        return chain.from_iterable(target.workers.map(lambda one: _usages(target, one), of_images))


def _usages(target: Target, version: Mapping[str, Any]) -> list[Usage]:
    answer = target.api("lambda").find(
        "GetFunction",
        "ResourceNotFoundException",
        FunctionName=version["FunctionName"],
        Qualifier=version["Version"],
    )
    if answer is None:
        return []
    code = answer["Code"]
    images = [code.get("ImageUri"), code.get("ResolvedImageUri")]
    if not any(images) and version.get("PackageType") == "Image":
        raise IncompleteAnswerError(f"GetFunction told no image for {version['FunctionArn']}")
    return list(usages_of("lambda", version["FunctionArn"], images))
