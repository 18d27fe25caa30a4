"""Lambda functions, in every published version."""

from __future__ import annotations

from collections.abc import Iterable

from ecr_cleaner.aws.api import Answer
from ecr_cleaner.core.errors import IncompleteAnswerError
from ecr_cleaner.core.model import Usage
from ecr_cleaner.core.walk import Found, find
from ecr_cleaner.usage.shared.target import Target
from ecr_cleaner.usage.shared.uses import usages_of


class Lambda:
    """``$LATEST`` and all versions: an alias may point at any of them, at two at a time.

    An image runs by the digest that Lambda resolved (``ResolvedImageUri``); the reference as
    written (``ImageUri``) counts as well, since the next update of the function takes that. The
    environment of any function may name the image or the task definition that it starts.
    Source: https://docs.aws.amazon.com/lambda/latest/api/API_FunctionCodeLocation.html
    """

    name = "lambda"
    service = "lambda"
    what = (
        "every function built from an image, `$LATEST` and every published version: the image as "
        "written and the digest that Lambda resolved it to; images and task definitions in the "
        "environment of any function"
    )

    def usages(self, target: Target) -> Iterable[Usage]:
        """Yield the images of each version, one call a version that is built from an image."""
        versions = list(
            target.api("lambda").each(
                "ListFunctions", "Functions", FunctionVersion="ALL", MaxItems=50
            )
        )
        found = target.workers.map(lambda version: _found(target, version), versions)
        named = [(one["FunctionArn"], of) for one, of in zip(versions, found, strict=True)]
        return usages_of(target, self.name, named, starts_tasks=True)


def _found(target: Target, version: Answer) -> Found:
    if version.get("PackageType") == "Zip":
        return find(version)
    answer = target.api("lambda").find(
        "GetFunction",
        "ResourceNotFoundException",
        FunctionName=version["FunctionName"],
        Qualifier=version["Version"],
    )
    if answer is None:
        return Found()
    code = answer["Code"]
    is_told = code.get("ImageUri") or code.get("ResolvedImageUri")
    if not is_told and version.get("PackageType") == "Image":
        raise IncompleteAnswerError(f"GetFunction returned no image of {version['FunctionArn']}")
    return find(answer)
