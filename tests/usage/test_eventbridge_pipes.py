"""Which images EventBridge Pipes would run: those that end in an ECS task."""

from __future__ import annotations

import json
from typing import Any

import pytest

from ecr_cleaner.core.errors import ApiError
from ecr_cleaner.usage.rows import EVENTBRIDGE_PIPES
from fakes.aws_api import error, found, tags
from fakes.scripted import DENIED, HOST, THROTTLED, Scripted, by, ecs

CLUSTER = "arn:aws:ecs:eu-west-1:123456789012:cluster/main"
DEFINITION = "arn:aws:ecs:eu-west-1:123456789012:task-definition/"


def pipe(name: str, target: str = CLUSTER, **more: Any) -> dict[str, Any]:
    arn = f"arn:aws:pipes:eu-west-1:123456789012:pipe/{name}"
    return {"Name": name, "Arn": arn, "Target": target, **more}


def runs(definition: str) -> dict[str, Any]:
    return {"TargetParameters": {"EcsTaskParameters": {"TaskDefinitionArn": definition}}}


def pipes(*listed: dict[str, Any], **lines: Any) -> Scripted:
    listing: dict[str, Any] = {"ListPipes": {"Pipes": list(listed)}}
    return Scripted("pipes", **(listing | lines))


def test_account_without_pipes_uses_nothing() -> None:
    api = pipes()

    assert found(EVENTBRIDGE_PIPES, api, ecs()) == []
    assert api.actions == ["pipes:ListPipes"]


def test_pipe_uses_the_images_of_its_task_definition() -> None:
    api, tasks = pipes(pipe("orders"), DescribePipe=runs(f"{DEFINITION}report:3")), ecs()

    (usage,) = found(EVENTBRIDGE_PIPES, api, tasks)

    assert (usage.reference.repository, usage.reference.tag) == ("app", "report-3")
    assert (usage.source, usage.consumer) == ("eventbridge-pipes", pipe("orders")["Arn"])
    assert api.actions == ["pipes:DescribePipe", "pipes:ListPipes"]
    assert tasks.actions == ["ecs:DescribeTaskDefinition"]


@pytest.mark.parametrize("state", ["RUNNING", "STOPPED", "CREATE_FAILED", "START_FAILED"])
def test_pipe_counts_in_any_state(state: str) -> None:
    api = pipes(pipe("orders", CurrentState=state), DescribePipe=runs("report:3"))

    assert tags(found(EVENTBRIDGE_PIPES, api, ecs())) == {"report-3"}


def test_target_without_a_revision_means_the_latest_of_the_family() -> None:
    api, tasks = pipes(pipe("orders"), DescribePipe=runs(f"{DEFINITION}report")), ecs()

    assert tags(found(EVENTBRIDGE_PIPES, api, tasks)) == {"report"}
    assert tasks.asked("DescribeTaskDefinition") == [{"taskDefinition": "report"}]


@pytest.mark.parametrize(
    "shape",
    [
        runs("$.detail.taskDefinition"),
        {},
        {"TargetParameters": {}},
        {"TargetParameters": {"InputTemplate": "{}"}},
    ],
    ids=["json-path", "no-parameters", "empty", "other-parameters"],
)
def test_pipe_that_names_no_task_definition_uses_nothing(shape: dict[str, Any]) -> None:
    tasks = ecs()

    assert found(EVENTBRIDGE_PIPES, pipes(pipe("orders"), DescribePipe=shape), tasks) == []
    assert tasks.calls == []


def test_pipe_to_anything_else_is_described_for_its_input() -> None:
    template = json.dumps({"image": f"{HOST}/app:v1", "body": "<$.body>"})
    api = pipes(
        pipe("queue", "arn:aws:sqs:eu-west-1:123456789012:jobs"),
        DescribePipe={"TargetParameters": {"InputTemplate": template}},
    )

    assert tags(found(EVENTBRIDGE_PIPES, api, ecs())) == {"v1"}


def test_all_pages_are_read_also_behind_an_empty_one() -> None:
    pages = [{"Pipes": [pipe("a")]}, {"Pipes": []}, {"Pipes": [pipe("b")]}]
    api = pipes(ListPipes=pages, DescribePipe=by("Name", {"a": runs("a:1"), "b": runs("b:1")}))

    assert tags(found(EVENTBRIDGE_PIPES, api, ecs())) == {"a-1", "b-1"}
    assert {one["Limit"] for one in api.asked("ListPipes")} == {100}


def test_pipe_that_vanished_is_skipped_and_the_others_count() -> None:
    answers = {"gone": error("NotFoundException"), "there": runs("report:3")}
    api = pipes(pipe("gone"), pipe("there"), DescribePipe=by("Name", answers))

    assert tags(found(EVENTBRIDGE_PIPES, api, ecs())) == {"report-3"}


def test_task_definition_that_is_gone_runs_nothing() -> None:
    unknown = error("ClientException", "Unable to describe task definition.")

    assert (
        found(EVENTBRIDGE_PIPES, pipes(pipe("one"), DescribePipe=runs("gone")), ecs(unknown)) == []
    )


@pytest.mark.parametrize("fault", [DENIED, THROTTLED])
def test_task_definition_that_cannot_be_described_is_an_error(fault: Exception) -> None:
    with pytest.raises(ApiError, match="ecs DescribeTaskDefinition failed with"):
        found(EVENTBRIDGE_PIPES, pipes(pipe("one"), DescribePipe=runs("report:3")), ecs(fault))
