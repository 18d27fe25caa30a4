"""What state machines run, as far as their definitions say it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from ecr_cleaner.core.errors import ApiError
from ecr_cleaner.core.model import Registry
from ecr_cleaner.usage.rows import STEP_FUNCTIONS
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
    usages = found(STEP_FUNCTIONS, api, tasks or ecs())
    assert {one.source for one in usages} <= {"step-functions"}
    return {(one.consumer, one.reference.tag) for one in usages}


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


def test_definition_that_is_not_json_is_read_as_text() -> None:
    assert uses(machines(one=f'{{"image": "{HOST}/app:v1"')) == {(arn("one"), "v1")}
