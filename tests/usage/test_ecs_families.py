"""The newest revisions of each task-definition family: what people and pipelines may run."""

from __future__ import annotations

from operator import itemgetter
from typing import Any

import pytest

from ecr_cleaner.core.errors import ApiError
from ecr_cleaner.core.model import Usage
from ecr_cleaner.core.settings import Settings
from ecr_cleaner.usage.ecs import Ecs
from fakes.aws_api import Parameters, error, found
from fakes.scripted import DENIED, THROTTLED, Scripted, any_task_definition

DEFINITION = "arn:aws:ecs:eu-west-1:123456789012:task-definition/"
OPERATIONS = ["ListTaskDefinitionFamilies", "ListTaskDefinitions", "DescribeTaskDefinition"]


def arns(family: str, newest: int, oldest: int = 1) -> list[str]:
    """Return a family's revisions as ECS lists them in descending order."""
    return [f"{DEFINITION}{family}:{number}" for number in range(newest, oldest - 1, -1)]


def ecs(
    families: Any = (), revisions: Any = None, definition: Any = any_task_definition
) -> Scripted:
    """Return ECS with these families and no cluster; each has 150 revisions."""
    pages = families if isinstance(families, list) else [list(families)]

    def listed(parameters: Parameters) -> dict[str, Any]:
        asked = [parameters.get("familyPrefix")]
        every = sorted((one for page in pages for one in page), reverse=True)
        names = asked if asked[0] else every
        found = [arn for name in names for arn in arns(str(name), 150)]
        return {"taskDefinitionArns": found[: parameters["maxResults"]] if asked[0] else found}

    return Scripted(
        "ecs",
        ListClusters={},
        ListTaskDefinitionFamilies=[{"families": page} for page in pages],
        ListTaskDefinitions=revisions or listed,
        DescribeTaskDefinition=definition,
    )


@pytest.fixture
def many(monkeypatch: pytest.MonkeyPatch) -> None:
    """As where there are too many revisions for one listing: then each family is asked for."""
    monkeypatch.setattr("ecr_cleaner.usage.shared.ecs_families.REVISIONS_LISTED", 0)


def keeping(revisions: int) -> Settings:
    return Settings(task_definition_revisions=revisions)


def tags(usages: list[Usage]) -> list[str | None]:
    return [usage.reference.tag for usage in usages]


def test_account_without_families_uses_nothing() -> None:
    api = ecs()

    assert found(Ecs(), api) == []
    assert api.actions == ["ecs:ListClusters", "ecs:ListTaskDefinitions"]


def test_newest_revision_of_each_family_is_in_use() -> None:
    api = ecs(("web", "report"))

    usages = found(Ecs(), api)

    assert tags(usages) == ["web-150", "report-150"]
    assert [(one.source, one.consumer) for one in usages] == [
        ("ecs", f"{DEFINITION}web:150"),
        ("ecs", f"{DEFINITION}report:150"),
    ]
    assert api.asked("ListTaskDefinitions") == [
        {"status": "ACTIVE", "sort": "DESC", "maxResults": 100}
    ]
    assert api.asked("ListTaskDefinitionFamilies") == []


@pytest.mark.usefixtures("many")
def test_where_there_are_many_revisions_each_family_is_asked_for_its_newest() -> None:
    api = ecs(("web", "report"))

    assert tags(found(Ecs(), api)) == ["web-150", "report-150"]
    newest = {"status": "ACTIVE", "sort": "DESC", "maxResults": 1}
    _, *asked = api.asked("ListTaskDefinitions")
    assert sorted(asked, key=itemgetter("familyPrefix")) == [
        {"familyPrefix": "report", **newest},
        {"familyPrefix": "web", **newest},
    ]


@pytest.mark.parametrize("count", [1, 2, 99, 100])
def test_as_many_revisions_count_as_the_setting_says(count: int) -> None:
    usages = found(Ecs(), ecs(("web",)), settings=keeping(count))

    assert tags(usages) == [f"web-{number}" for number in range(150, 150 - count, -1)]


@pytest.mark.usefixtures("many")
@pytest.mark.parametrize("count", [1, 2, 99, 100])
def test_as_many_revisions_are_asked_for_as_the_setting_says(count: int) -> None:
    api = ecs(("web",))

    usages = found(Ecs(), api, settings=keeping(count))

    assert tags(usages) == [f"web-{number}" for number in range(150, 150 - count, -1)]
    assert api.asked("ListTaskDefinitions")[-1]["maxResults"] == count


def test_family_with_fewer_revisions_is_no_error() -> None:
    api = ecs(("web",), {"taskDefinitionArns": arns("web", 2)})

    assert tags(found(Ecs(), api, settings=keeping(10))) == ["web-2", "web-1"]


def test_none_switches_it_off_without_a_call() -> None:
    api = ecs(("web",))

    assert found(Ecs(), api, settings=keeping(0)) == []
    assert api.actions == ["ecs:ListClusters"]


@pytest.mark.usefixtures("many")
def test_all_families_are_read_page_by_page_also_behind_an_empty_one() -> None:
    api = ecs([["a"], [], ["b"]])

    assert tags(found(Ecs(), api)) == ["a-150", "b-150"]
    (first, *_) = api.asked("ListTaskDefinitionFamilies")
    assert first == {"status": "ACTIVE", "maxResults": 100}


def test_revisions_are_read_behind_an_empty_page() -> None:
    listed = arns("web", 4)
    pages = [{"taskDefinitionArns": page} for page in ([], listed[:1], listed[1:2], listed[2:])]

    usages = found(Ecs(), ecs(("web",), pages), settings=keeping(2))

    assert tags(usages) == ["web-4", "web-3"]


def test_revision_that_vanished_is_skipped_and_the_others_count() -> None:
    def answer(parameters: Parameters) -> Any:
        if "gone" in parameters["taskDefinition"]:
            return error("ClientException", "Unable to describe task definition.")
        return any_task_definition(parameters)

    assert tags(found(Ecs(), ecs(("gone", "web"), definition=answer))) == ["web-150"]


@pytest.mark.usefixtures("many")
@pytest.mark.parametrize("fault", [DENIED, THROTTLED, error("ClientException", "Malformed")])
@pytest.mark.parametrize("operation", OPERATIONS)
def test_operation_that_fails_is_an_error_that_names_it(operation: str, fault: Exception) -> None:
    api = ecs(("web",)).line(operation, fault)

    with pytest.raises(ApiError, match=f"ecs {operation} failed with") as failure:
        found(Ecs(), api)

    assert failure.value.action == (f"ecs:{operation}" if fault is DENIED else None)
