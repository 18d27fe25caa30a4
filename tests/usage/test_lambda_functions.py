"""What Lambda runs: every version of every function that is made from an image."""

from __future__ import annotations

from typing import Any

import pytest

from ecr_cleaner.core.errors import IncompleteAnswerError
from ecr_cleaner.core.model import Usage
from ecr_cleaner.usage.lambda_functions import Lambda
from fakes.aws_api import FakeApi, Parameters, error, found

HOST = "123456789012.dkr.ecr.eu-west-1.amazonaws.com"
PREFIX = "arn:aws:lambda:eu-west-1:123456789012:function"
DIGEST = "sha256:" + "a" * 64

Code = dict[str, str]


def resolved(tag: str, digest: str = DIGEST) -> Code:
    return {
        "ImageUri": f"{HOST}/app:{tag}",
        "ResolvedImageUri": f"{HOST}/app@{digest}",
        "RepositoryType": "ECR",
    }


def version(name: str, number: str = "$LATEST", kind: str | None = "Image") -> dict[str, Any]:
    told = {"PackageType": kind} if kind else {}
    arn = f"{PREFIX}:{name}:{number}"
    return {"FunctionName": name, "FunctionArn": arn, "Version": number, **told}


def api_with(codes: dict[str, Code], *pages: list[dict[str, Any]]) -> FakeApi:
    """Return Lambda with these pages of versions; ``codes`` by ``function:version``."""

    def get_function(parameters: Parameters) -> Any:
        return {"Code": codes[f"{parameters['FunctionName']}:{parameters['Qualifier']}"]}

    api = FakeApi("lambda").pages("ListFunctions", "Functions", *pages)
    return api.on("GetFunction", get_function)


def references(usages: list[Usage]) -> set[tuple[str, str | None, str | None]]:
    return {(use.consumer, use.reference.tag, use.reference.digest) for use in usages}


def test_no_functions_use_nothing() -> None:
    assert found(Lambda(), api_with({}, [])) == []


def test_function_uses_what_was_resolved_and_what_was_written() -> None:
    api = api_with({"f:$LATEST": resolved("v1")}, [version("f")])
    usages = found(Lambda(), api)

    consumer = f"{PREFIX}:f:$LATEST"
    assert references(usages) == {(consumer, "v1", None), (consumer, None, DIGEST)}
    assert {usage.source for usage in usages} == {"lambda"}
    assert {usage.reference.repository for usage in usages} == {"app"}


def test_every_version_counts_whatever_it_is_called() -> None:
    numbers = ("$LATEST", "1", "3", "$LATEST.PUBLISHED")
    codes = {f"f:{number}": resolved(f"tag-{place}") for place, number in enumerate(numbers)}
    api = api_with(codes, [version("f", number) for number in numbers])

    tags = {usage.reference.tag for usage in found(Lambda(), api)} - {None}
    assert tags == {"tag-0", "tag-1", "tag-2", "tag-3"}
    (listing,) = api.asked("ListFunctions")
    assert listing["FunctionVersion"] == "ALL"


def test_functions_from_zip_archives_are_not_asked_for() -> None:
    api = api_with({"f:1": resolved("v1")}, [version("z", kind="Zip"), version("f", "1")])

    assert len(found(Lambda(), api)) == 2
    assert api.asked("GetFunction") == [{"FunctionName": "f", "Qualifier": "1"}]


def test_function_of_untold_package_type_is_asked_for_and_may_hold_no_image() -> None:
    codes = {"image:1": resolved("v1"), "zip:1": {"RepositoryType": "S3", "Location": "somewhere"}}
    api = api_with(codes, [version("image", "1", None), version("zip", "1", None)])

    assert {usage.consumer for usage in found(Lambda(), api)} == {f"{PREFIX}:image:1"}


@pytest.mark.parametrize("field", ["ImageUri", "ResolvedImageUri"])
def test_one_of_the_two_is_enough(field: str) -> None:
    api = api_with({"f:1": {field: resolved("v1")[field]}}, [version("f", "1")])

    assert len(found(Lambda(), api)) == 1


def test_image_function_whose_image_is_not_told_is_an_error() -> None:
    api = api_with({"f:1": {"RepositoryType": "ECR"}}, [version("f", "1")])

    missing = f"GetFunction returned no image of {PREFIX}:f:1"
    with pytest.raises(IncompleteAnswerError, match=missing):
        found(Lambda(), api)


def test_all_pages_are_read_also_behind_an_empty_one() -> None:
    codes = {f"f{n}:1": resolved(f"v{n}") for n in range(3)}
    pages = [[version("f0", "1")], [], [version("f1", "1"), version("f2", "1")], []]

    tags = {usage.reference.tag for usage in found(Lambda(), api_with(codes, *pages))} - {None}
    assert tags == {"v0", "v1", "v2"}


def test_function_that_vanished_is_skipped() -> None:
    api = api_with({}, [version("gone", "1"), version("there", "1")])

    def get_function(parameters: Parameters) -> Any:
        if parameters["FunctionName"] == "gone":
            return error("ResourceNotFoundException")
        return {"Code": resolved("v1")}

    api.on("GetFunction", get_function)
    assert {usage.consumer for usage in found(Lambda(), api)} == {f"{PREFIX}:there:1"}
