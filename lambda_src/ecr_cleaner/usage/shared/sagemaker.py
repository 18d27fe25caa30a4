"""How all kinds of things in SageMaker are read: listed, then described by name, one by one."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import chain
from typing import Any

from ecr_cleaner.aws.api import Answer, Api
from ecr_cleaner.core.errors import ApiError
from ecr_cleaner.core.model import Usage
from ecr_cleaner.usage.shared.references import usages_of
from ecr_cleaner.usage.shared.target import Target

# Most operations answer ValidationException for what does not exist, with one of these sentences,
# though the model promises ResourceNotFound (https://github.com/aws/aws-sdk/issues/165).
_GONE = re.compile(
    r" failed with (?:ResourceNotFound:|ValidationException: (?:"
    r"Could not find |Requested resource not found|Cannot find Model Package|"
    r"ModelPackage \S+ does not exist))"
)


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of thing: how it is listed and described, and where its images stand.

    ``parameter`` names it to the describe operation; ``member`` holds that name in the listing,
    ``consumer`` its ARN.
    """

    list_operation: str
    list_key: str
    describe_operation: str
    parameter: str
    member: str
    consumer: str
    images: Callable[[Answer], Iterable[str | None]]
    filters: Mapping[str, str] = field(default_factory=dict)


def usages(target: Target, source: str, kinds: Iterable[Kind]) -> Iterator[Usage]:
    """Yield the usages of all things of these kinds."""
    read = target.workers.map(lambda kind: _usages(target, source, kind), kinds)
    return chain.from_iterable(read)


def _usages(target: Target, source: str, kind: Kind) -> list[Usage]:
    api = target.api("sagemaker")
    listed = list(api.each(kind.list_operation, kind.list_key, MaxResults=100, **kind.filters))
    described = target.workers.map(
        lambda one: find(api, kind.describe_operation, **{kind.parameter: one[kind.member]}), listed
    )
    return [
        usage
        for one, answer in zip(listed, described, strict=True)
        if answer is not None
        for usage in usages_of(source, one[kind.consumer], kind.images(answer))
    ]


def find(api: Api, operation: str, **parameters: Any) -> Answer | None:
    """Return the answer, or None where the thing has vanished."""
    try:
        return api.call(operation, **parameters)
    except ApiError as error:
        if _GONE.search(str(error)):
            return None
        raise
