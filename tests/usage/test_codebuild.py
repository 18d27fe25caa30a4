"""What CodeBuild builds in."""

from __future__ import annotations

from typing import Any

import pytest

from ecr_cleaner.core.errors import ApiError, IncompleteAnswerError
from ecr_cleaner.usage.rows import CODEBUILD
from fakes.aws_api import Parameters, found
from fakes.scripted import HOST, THROTTLED, Scripted


def arn(name: str) -> str:
    return f"arn:aws:codebuild:eu-west-1:123456789012:project/{name}"


def project(name: str, image: str) -> dict[str, Any]:
    return {"name": name, "arn": arn(name), "environment": {"image": image}}


def codebuild(images: dict[str, str], *pages: list[str]) -> Scripted:
    """Return CodeBuild with these pages of projects, of which some may have vanished since."""

    def described(parameters: Parameters) -> dict[str, Any]:
        names = parameters["names"]
        known = [project(name, images[name]) for name in names if name in images]
        unknown = [name for name in names if name not in images]
        # AWS returns an empty list here, but its model of the service allows none.
        return {
            key: some for key, some in (("projects", known), ("projectsNotFound", unknown)) if some
        }

    listed = [{"projects": page} if page else {} for page in pages]
    return Scripted("codebuild", ListProjects=listed, BatchGetProjects=described)


def test_no_projects_use_nothing() -> None:
    api = codebuild({}, [])

    assert found(CODEBUILD, api) == []
    assert api.actions == ["codebuild:ListProjects"]


def test_project_uses_its_build_environment() -> None:
    (usage,) = found(CODEBUILD, codebuild({"one": f"{HOST}/build@sha256:{'a' * 64}"}, ["one"]))

    assert (usage.reference.repository, usage.reference.digest) == ("build", f"sha256:{'a' * 64}")
    assert (usage.source, usage.consumer) == ("codebuild", arn("one"))


@pytest.mark.parametrize(
    "image", ["aws/codebuild/amazonlinux2-x86_64-standard:5.0", "docker.io/library/python:3.13"]
)
def test_image_of_aws_or_of_elsewhere_is_no_usage(image: str) -> None:
    assert found(CODEBUILD, codebuild({"one": image}, ["one"])) == []


def test_projects_of_all_pages_are_described_a_hundred_at_a_time() -> None:
    names = [f"p{number}" for number in range(250)]
    images = {name: f"{HOST}/build:{name}" for name in names}
    api = codebuild(images, names[:100], [], names[100:200], names[200:])

    assert {one.reference.tag for one in found(CODEBUILD, api)} == set(names)
    assert sorted(len(asked["names"]) for asked in api.asked("BatchGetProjects")) == [50, 100, 100]
    assert api.actions == ["codebuild:BatchGetProjects", "codebuild:ListProjects"]


def test_project_that_vanished_is_skipped() -> None:
    api = codebuild({"stays": f"{HOST}/build:v1"}, ["gone", "stays"])

    assert [one.consumer for one in found(CODEBUILD, api)] == [arn("stays")]


def test_project_that_is_neither_described_nor_gone_is_an_error() -> None:
    api = codebuild({}, ["one", "two"])
    api.line("BatchGetProjects", {"projects": [project("one", f"{HOST}/build:v1")]})

    with pytest.raises(IncompleteAnswerError, match="described only 1 of 2 projects"):
        found(CODEBUILD, api)


def test_second_page_that_fails_is_an_error() -> None:
    api = codebuild({}, []).line("ListProjects", [{"projects": ["one"]}, THROTTLED])

    with pytest.raises(ApiError, match="ListProjects failed with ThrottlingException"):
        found(CODEBUILD, api)
