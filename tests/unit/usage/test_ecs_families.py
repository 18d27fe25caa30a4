"""The newest revisions of each task-definition family: what people and pipelines may run."""

from __future__ import annotations

from typing import Any

import pytest

from ecr_cleaner.errors import ApiError
from ecr_cleaner.model import Usage
from ecr_cleaner.settings import Settings
from ecr_cleaner.usage.ecs_families import EcsFamilies
from fakes.aws_api import Parameters, error, found
from fakes.scripted import DENIED, HOST, THROTTLED, Scripted

DEFINITION = "arn:aws:ecs:eu-west-1:123456789012:task-definition/"
OPERATIONS = ["ListTaskDefinitionFamilies", "ListTaskDefinitions", "DescribeTaskDefinition"]


def arns(family: str, newest: int, oldest: int = 1) -> list[str]:
    """Return a family's revisions as ECS lists them in descending order."""
    return [f"{DEFINITION}{family}:{number}" for number in range(newest, oldest - 1, -1)]


def describe(parameters: Parameters) -> dict[str, Any]:
    """Describe any task definition: its image has the definition's name and revision as its tag."""
    tag = parameters["taskDefinition"].rpartition("/")[2].replace(":", "-")
    return {"taskDefinition": {"containerDefinitions": [{"image": f"{HOST}/app:{tag}"}]}}


def ecs(families: Any = (), revisions: Any = None, definition: Any = describe) -> Scripted:
    """Return ECS with these families; ``revisions`` answers a listing of one family."""
    pages = families if isinstance(families, list) else [list(families)]

    def of_family(parameters: Parameters) -> dict[str, Any]:
        listed = arns(parameters["familyPrefix"], 150)
        return {"taskDefinitionArns": listed[: parameters["maxResults"]]}

    return Scripted(
        "ecs",
        ListTaskDefinitionFamilies=[{"families": page} for page in pages],
        ListTaskDefinitions=revisions or of_family,
        DescribeTaskDefinition=definition,
    )


def keeping(revisions: int) -> Settings:
    return Settings(task_definition_revisions=revisions)


def tags(usages: list[Usage]) -> list[str | None]:
    return [usage.reference.tag for usage in usages]


def test_account_without_families_uses_nothing() -> None:
    api = ecs()

    assert found(EcsFamilies(), api) == []
    assert api.actions == ["ecs:ListTaskDefinitionFamilies"]


def test_newest_revision_of_each_family_is_in_use() -> None:
    api = ecs(("web", "report"))

    usages = found(EcsFamilies(), api)

    assert tags(usages) == ["web-150", "report-150"]
    assert [(one.source, one.consumer) for one in usages] == [
        ("ecs-task-definitions", f"{DEFINITION}web:150"),
        ("ecs-task-definitions", f"{DEFINITION}report:150"),
    ]
    assert api.actions == sorted(f"ecs:{operation}" for operation in OPERATIONS)


@pytest.mark.parametrize("count", [1, 2, 99, 100])
def test_as_many_revisions_count_as_the_setting_says(count: int) -> None:
    api = ecs(("web",))

    usages = found(EcsFamilies(), api, settings=keeping(count))

    assert tags(usages) == [f"web-{number}" for number in range(150, 150 - count, -1)]
    assert api.asked("ListTaskDefinitions") == [
        {"familyPrefix": "web", "status": "ACTIVE", "sort": "DESC", "maxResults": count}
    ]


def test_family_with_fewer_revisions_is_no_error() -> None:
    api = ecs(("web",), {"taskDefinitionArns": arns("web", 2)})

    assert tags(found(EcsFamilies(), api, settings=keeping(10))) == ["web-2", "web-1"]


def test_none_switches_the_source_off_without_a_call() -> None:
    api = ecs(("web",))

    assert found(EcsFamilies(), api, settings=keeping(0)) == []
    assert api.calls == []


def test_all_families_are_read_page_by_page_also_behind_an_empty_one() -> None:
    api = ecs([["a"], [], ["b"]])

    assert tags(found(EcsFamilies(), api)) == ["a-150", "b-150"]
    (first, *_) = api.asked("ListTaskDefinitionFamilies")
    assert first == {"status": "ACTIVE", "maxResults": 100}


def test_revisions_are_read_behind_an_empty_page_and_no_further_than_needed() -> None:
    listed = arns("web", 4)
    pages = [{"taskDefinitionArns": page} for page in ([], listed[:1], listed[1:2], listed[2:])]
    api = ecs(("web",), pages)

    assert tags(found(EcsFamilies(), api, settings=keeping(2))) == ["web-4", "web-3"]
    assert len(api.asked("ListTaskDefinitions")) == 3


def test_family_whose_revisions_all_vanished_uses_nothing() -> None:
    assert found(EcsFamilies(), ecs(("gone",), {"taskDefinitionArns": []})) == []


def test_revision_that_vanished_is_skipped_and_the_others_count() -> None:
    def answer(parameters: Parameters) -> Any:
        if "gone" in parameters["taskDefinition"]:
            return error("ClientException", "Unable to describe task definition.")
        return describe(parameters)

    assert tags(found(EcsFamilies(), ecs(("gone", "web"), definition=answer))) == ["web-150"]


@pytest.mark.parametrize("fault", [DENIED, THROTTLED, error("ClientException", "Malformed")])
@pytest.mark.parametrize("operation", OPERATIONS)
def test_operation_that_fails_is_an_error_that_names_it(operation: str, fault: Exception) -> None:
    api = ecs(("web",)).line(operation, fault)

    with pytest.raises(ApiError, match=f"ecs {operation} failed with") as failure:
        found(EcsFamilies(), api)

    assert failure.value.action == (f"ecs:{operation}" if fault is DENIED else None)
