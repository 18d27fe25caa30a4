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

    A published version never changes, so one that an earlier scan asked for is not asked again.
    A function that was deleted and created again counts its versions from 1, so the revision, the
    hash and the time that the listing returns must be the same too. ``$LATEST`` is always asked
    for. Source: https://docs.aws.amazon.com/lambda/latest/dg/configuration-versions.html
    """

    name = "lambda"
    service = "lambda"
    everywhere = True
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
    key = _key(version)
    known = target.answers.found(key) if key else None
    if known is not None:
        return _both(find(version), known)
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
    found = find(answer)
    if key and code.get("ResolvedImageUri") and _is_lasting(answer, key):
        target.answers.remember(key, found)
    return found


def _key(version: Answer) -> str | None:
    """Return what identifies a published version and its content.

    None for ``$LATEST``, which changes, or if the answer lacks a part of it.
    """
    names = ("FunctionArn", "Version", "RevisionId", "CodeSha256", "LastModified")
    parts = [str(version.get(name, "")) for name in names]
    return " ".join(parts) if all(parts) and version["Version"].isdecimal() else None


def _is_lasting(answer: Answer, key: str) -> bool:
    """Return whether the answer is about this key and will not change.

    What belongs to the function and not to its version, such as its tags, may change.
    """
    configuration = answer.get("Configuration", {})
    rest = find({name: answer[name] for name in answer if name not in {"Configuration", "Code"}})
    return (
        _key(configuration) == key
        and configuration.get("State", "Active") in {"Active", "Inactive"}
        and not (rest.references or rest.task_definitions)
    )


def _both(one: Found, other: Found) -> Found:
    return Found(one.references | other.references, one.task_definitions | other.task_definitions)
