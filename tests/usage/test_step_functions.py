"""What state machines run, as far as their definitions say it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from ecr_cleaner.core.errors import ApiError
from ecr_cleaner.core.model import ImageReference, Registry
from ecr_cleaner.usage.shared.definitions import references, texts
from ecr_cleaner.usage.step_functions import StepFunctions
from fakes.aws_api import Parameters, error, found
from fakes.scripted import DENIED, HOST, THROTTLED, Scripted, by

REGISTRY = Registry("123456789012", "eu-west-1")
DIGEST = "sha256:" + "a" * 64
GONE = error("StateMachineDoesNotExist")
NO_TASK_DEFINITION = error("ClientException", "Unable to describe task definition.")
TASKS = "arn:aws:ecs:eu-west-1:123456789012:task-definition/"


def arn(name: str) -> str:
    return f"arn:aws:states:eu-west-1:123456789012:stateMachine:{name}"


def task(**arguments: Any) -> dict[str, Any]:
    state = {"Type": "Task", "Resource": "arn:aws:states:::ecs:runTask.sync", "End": True}
    return {"StartAt": "Run", "States": {"Run": state | {"Parameters": arguments}}}


def machines(**definitions: Any) -> Scripted:
    """Return Step Functions with a definition for each machine, or for each of its versions."""
    all_versions = {
        name: one if isinstance(one, list) else [one] for name, one in definitions.items()
    }
    said: dict[str, Any] = {}
    versions: dict[str, Any] = {}
    for name, (latest, *published) in all_versions.items():
        numbered = [(f"{arn(name)}:{number}", one) for number, one in enumerate(published, 1)]
        said |= dict([(arn(name), latest), *numbered])
        versions[arn(name)] = [
            {"stateMachineVersions": [{"stateMachineVersionArn": one}]} for one, _ in numbered
        ] or {}

    def described(parameters: Parameters) -> Any:
        definition = said[parameters["stateMachineArn"]]
        text = definition if isinstance(definition, str) else json.dumps(definition)
        return {"stateMachineArn": parameters["stateMachineArn"], "definition": text}

    listed = [{"stateMachines": [{"stateMachineArn": arn(name)}]} for name in definitions]
    return Scripted(
        "stepfunctions",
        ListStateMachines=listed or {},
        ListStateMachineVersions=by("stateMachineArn", versions),
        DescribeStateMachine=described,
    )


def ecs(**families: Any) -> Scripted:
    """Return ECS with the task definitions of these names, revision or not."""

    def described(parameters: Parameters) -> Any:
        name = parameters["taskDefinition"].rpartition("/")[2]
        image = families.get(name.replace(":", "_"))
        if image is None:
            raise NO_TASK_DEFINITION
        return {"taskDefinition": {"containerDefinitions": [{"image": image}]}}

    return Scripted("ecs", DescribeTaskDefinition=described)


def uses(api: Scripted, tasks: Scripted | None = None) -> set[tuple[str, str | None]]:
    usages = found(StepFunctions(), api, tasks or ecs())
    assert {one.source for one in usages} <= {"step-functions"}
    return {(one.consumer, one.reference.tag) for one in usages}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (f"{HOST}/app:v1", ImageReference(REGISTRY, "app", tag="v1")),
        (f" {HOST}/team/app ", ImageReference(REGISTRY, "team/app", tag="latest")),
        (f"{HOST}/app:v1@{DIGEST}", ImageReference(REGISTRY, "app", digest=DIGEST)),
        ("123456789012.dkr-ecr.eu-west-1.on.aws/app:v1", ImageReference(REGISTRY, "app", "v1")),
        (f"docker run {HOST}/app:v1 --all", ImageReference(REGISTRY, "app")),
        (f"docker run {HOST}/app@{DIGEST} --all", ImageReference(REGISTRY, "app", digest=DIGEST)),
        (f"{{% '{HOST}/app:' & $version %}}", ImageReference(REGISTRY, "app")),
        (f"{{% '{HOST}/app' & ':' & $version %}}", ImageReference(REGISTRY, "app")),
        (f"States.Format('{HOST}/app:{{}}', $.tag)", ImageReference(REGISTRY, "app")),
        (f'{{"image": "{HOST}/app:v1"}}', ImageReference(REGISTRY, "app")),
    ],
    ids=[
        "tag",
        "no-tag",
        "digest",
        "dual-stack",
        "command",
        "command-with-digest",
        "jsonata-tag",
        "jsonata-colon",
        "format",
        "json-in-json",
    ],
)
def test_reference_is_found_in_a_string(text: str, expected: ImageReference) -> None:
    assert list(references([text, text])) == [expected]


@pytest.mark.parametrize(
    "text",
    ["", "$.image", HOST, f"https://{HOST}", "busybox:latest", "public.ecr.aws/nginx/nginx:1"],
)
def test_string_without_a_reference_has_none(text: str) -> None:
    assert list(references([text])) == []


def test_several_references_in_one_string_are_all_found() -> None:
    text = f"pull {HOST}/a:1 && pull {HOST}/b:2"

    assert [one.repository for one in references([text])] == ["a", "b"]


def test_strings_are_found_at_any_depth_with_their_field() -> None:
    document = {"a": [{"b": "one"}, "two", 3, None, True], "c": {"d": {"e": "three"}}}

    assert list(texts(document)) == [("b", "one"), ("a", "two"), ("e", "three")]


def test_no_state_machines_use_nothing() -> None:
    api = machines()

    assert uses(api) == set()
    assert api.actions == ["states:ListStateMachines"]


def test_state_machines_of_all_pages_use_the_images_that_they_name() -> None:
    api = machines(
        one=task(AlgorithmSpecification={"TrainingImage": f"{HOST}/train:v1"}),
        two=task(AppSpecification={"ImageUri": f"{HOST}/process:v2"}),
    )

    assert uses(api) == {(arn("one"), "v1"), (arn("two"), "v2")}
    assert api.asked("ListStateMachines")[0] == {"maxResults": 1000}


def test_every_published_version_uses_its_own_images() -> None:
    versions = [task(Image=f"{HOST}/app:{tag}") for tag in ("new", "v1", "v2")]
    api = machines(one=versions)

    assert uses(api) == {(arn("one"), "new"), (f"{arn('one')}:1", "v1"), (f"{arn('one')}:2", "v2")}
    assert api.actions == [
        "states:DescribeStateMachine",
        "states:ListStateMachineVersions",
        "states:ListStateMachines",
    ]


@pytest.mark.parametrize(
    ("name", "family"),
    [
        (f"{TASKS}app:7", "app_7"),
        (f"{TASKS}app", "app"),
        ("app:7", "app_7"),
        ("app", "app"),
        (f"{{% $production ? '{TASKS}app:7' : $other %}}", "app_7"),
    ],
    ids=["arn", "arn-latest", "name", "family", "expression"],
)
def test_task_definition_is_followed_to_its_images(name: str, family: str) -> None:
    api = machines(one=task(TaskDefinition=name))
    tasks = ecs(**{family: f"{HOST}/app:behind"})

    assert uses(api, tasks) == {(arn("one"), "behind")}
    assert tasks.actions == ["ecs:DescribeTaskDefinition"]


def test_task_definition_arn_counts_in_whatever_field_it_stands() -> None:
    api = machines(one=task(Overrides={"Next": [f"{TASKS}app:7"]}))

    assert uses(api, ecs(app_7=f"{HOST}/app:behind")) == {(arn("one"), "behind")}


def test_task_definition_that_several_name_is_described_once() -> None:
    api = machines(one=task(TaskDefinition="app:7"), two=task(TaskDefinition="app:7"))
    tasks = ecs(app_7=f"{HOST}/app:behind")

    assert uses(api, tasks) == {(arn("one"), "behind"), (arn("two"), "behind")}
    assert len(tasks.calls) == 1


@pytest.mark.parametrize(
    "name",
    [
        "$.taskDefinition",
        "{% $states.input.task %}",
        "arn:aws:ecs:eu-west-1:999999999999:task-definition/app:7",
        "arn:aws:ecs:us-east-1:123456789012:task-definition/app:7",
    ],
    ids=["path", "expression", "other-account", "other-region"],
)
def test_task_definition_that_cannot_be_known_here_is_not_asked_for(name: str) -> None:
    tasks = ecs()

    assert uses(machines(one=task(TaskDefinition=name)), tasks) == set()
    assert tasks.calls == []


def test_task_definition_that_does_not_exist_breaks_its_state_machine_only() -> None:
    api = machines(one=task(TaskDefinition="gone:1"), two=task(TaskDefinition="app:7"))

    assert uses(api, ecs(app_7=f"{HOST}/app:behind")) == {(arn("two"), "behind")}


@pytest.mark.parametrize("fault", [DENIED, THROTTLED, error("ClientException", "Something else.")])
def test_task_definition_that_cannot_be_described_is_an_error(fault: Exception) -> None:
    api = machines(one=task(TaskDefinition="app:7"))
    tasks = ecs().line("DescribeTaskDefinition", fault)

    with pytest.raises(ApiError, match="ecs DescribeTaskDefinition failed with"):
        uses(api, tasks)


def test_state_machine_that_vanished_is_skipped() -> None:
    api = machines(gone=task(), stays=task())
    stays = {"definition": json.dumps(task(Image=f"{HOST}/app:v1"))}
    answers = {arn("gone"): GONE, arn("stays"): stays}
    api.line("ListStateMachineVersions", by("stateMachineArn", answers | {arn("stays"): {}}))
    api.line("DescribeStateMachine", by("stateMachineArn", answers))

    assert uses(api) == {(arn("stays"), "v1")}


def test_version_that_vanished_is_skipped() -> None:
    api = machines(one=[task(Image=f"{HOST}/app:new"), task()])
    latest = {"definition": json.dumps(task(Image=f"{HOST}/app:new"))}
    answers = {arn("one"): latest, f"{arn('one')}:1": GONE}
    api.line("DescribeStateMachine", by("stateMachineArn", answers))

    assert uses(api) == {(arn("one"), "new")}


def test_definition_that_is_not_json_is_an_error() -> None:
    with pytest.raises(json.JSONDecodeError):
        uses(machines(one="{"))


@pytest.mark.parametrize("fault", [DENIED, THROTTLED, error("KmsAccessDeniedException")])
@pytest.mark.parametrize(
    "operation", ["ListStateMachines", "ListStateMachineVersions", "DescribeStateMachine"]
)
def test_operation_that_fails_is_an_error_that_names_it(operation: str, fault: Exception) -> None:
    api = machines(one=task(Image=f"{HOST}/app:v1")).line(operation, fault)

    with pytest.raises(ApiError, match=f"stepfunctions {operation} failed with") as failure:
        uses(api)

    if fault is DENIED:
        assert failure.value.action == f"states:{operation}"
