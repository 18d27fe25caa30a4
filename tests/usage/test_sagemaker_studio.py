"""What apps in SageMaker Studio can be started from."""

from __future__ import annotations

from typing import Any

from ecr_cleaner.usage.rows_sagemaker import SAGEMAKER_STUDIO
from fakes.aws_api import Parameters, error, found
from fakes.scripted import HOST, Scripted, by

GONE = error("ResourceNotFound")
ACTIONS = [
    "sagemaker:DescribeImageVersion",
    "sagemaker:ListImageVersions",
    "sagemaker:ListImages",
]


def arn(name: str, number: int) -> str:
    return f"arn:aws:sagemaker:eu-west-1:123456789012:image-version/{name}/{number}"


def versions(name: str, *numbers: int) -> dict[str, Any]:
    listed = [{"ImageVersionArn": arn(name, one), "Version": one} for one in numbers]
    return {"ImageVersions": listed}


def studio(**counts: int) -> Scripted:
    """Return SageMaker with so many versions of each image, each on a page of its own."""

    def described(parameters: Parameters) -> dict[str, Any]:
        version = f"{parameters['ImageName']}-{parameters['Version']}"
        return {
            "BaseImage": f"{HOST}/base:{version}",
            "ContainerImage": f"{HOST}/stored@sha256:{'a' * 64}",
        }

    listed: dict[str, Any] = {
        name: [versions(name, number) for number in range(1, count + 1)] or {}
        for name, count in counts.items()
    }
    return Scripted(
        "sagemaker",
        ListImages=[{"Images": [{"ImageName": name}]} for name in counts] or {},
        ListImageVersions=by("ImageName", listed),
        DescribeImageVersion=described,
    )


def uses(api: Scripted) -> set[tuple[str, str, str | None]]:
    usages = found(SAGEMAKER_STUDIO, api)
    assert {one.source for one in usages} <= {"sagemaker-studio"}
    return {(one.consumer, one.reference.repository, one.reference.tag) for one in usages}


def test_no_images_use_nothing() -> None:
    api = studio()

    assert uses(api) == set()
    assert api.actions == ["sagemaker:ListImages"]


def test_every_version_uses_the_image_it_was_made_from_and_the_one_it_is_kept_in() -> None:
    api = studio(a=2, b=1)

    assert uses(api) == {
        (arn("a", 1), "base", "a-1"),
        (arn("a", 1), "stored", None),
        (arn("a", 2), "base", "a-2"),
        (arn("a", 2), "stored", None),
        (arn("b", 1), "base", "b-1"),
        (arn("b", 1), "stored", None),
    }
    assert api.actions == ACTIONS


def test_image_without_versions_uses_nothing() -> None:
    assert uses(studio(a=0)) == set()


def test_image_that_vanished_is_skipped() -> None:
    api = studio(gone=1, stays=1)
    listed = {"gone": GONE, "stays": versions("stays", 1)}
    api.line("ListImageVersions", by("ImageName", listed))

    assert {consumer for consumer, *_ in uses(api)} == {arn("stays", 1)}


def test_version_that_vanished_is_skipped() -> None:
    api = studio(a=2)
    answers = {1: GONE, 2: {"BaseImage": f"{HOST}/base:two"}}
    api.line("DescribeImageVersion", by("Version", answers))

    assert uses(api) == {(arn("a", 2), "base", "two")}


def test_version_that_failed_to_be_created_has_no_image() -> None:
    api = studio(a=1).line("DescribeImageVersion", {"ImageVersionStatus": "CREATE_FAILED"})

    assert uses(api) == set()
