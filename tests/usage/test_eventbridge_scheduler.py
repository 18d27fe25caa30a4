"""Which images EventBridge Scheduler would run: through its ECS target or the universal one."""

from __future__ import annotations

import json
from typing import Any

import pytest

from ecr_cleaner.core.errors import ApiError
from ecr_cleaner.usage.rows import EVENTBRIDGE_SCHEDULER
from fakes.aws_api import error, found, tags
from fakes.scripted import DENIED, HOST, THROTTLED, Scripted, by, ecs

CLUSTER = "arn:aws:ecs:eu-west-1:123456789012:cluster/main"
UNIVERSAL = "arn:aws:scheduler:::aws-sdk:"
DEFINITION = "arn:aws:ecs:eu-west-1:123456789012:task-definition/"
QUEUE = "arn:aws:sqs:eu-west-1:123456789012:jobs"


def listed(name: str, target: str = CLUSTER, group: str = "default") -> dict[str, Any]:
    arn = f"arn:aws:scheduler:eu-west-1:123456789012:schedule/{group}/{name}"
    return {"Name": name, "GroupName": group, "Arn": arn, "Target": {"Arn": target}}


def ecs_target(definition: str) -> dict[str, Any]:
    return {"Target": {"Arn": CLUSTER, "EcsParameters": {"TaskDefinitionArn": definition}}}


def universal_target(api_action: str, **given: Any) -> dict[str, Any]:
    return {"Target": {"Arn": UNIVERSAL + api_action, "Input": json.dumps(given)}}


def scheduler(*schedules: dict[str, Any], **lines: Any) -> Scripted:
    listing: dict[str, Any] = {"ListSchedules": {"Schedules": list(schedules)}}
    return Scripted("scheduler", **(listing | lines))


def test_account_without_schedules_uses_nothing() -> None:
    api = scheduler()

    assert found(EVENTBRIDGE_SCHEDULER, api, ecs()) == []
    assert api.actions == ["scheduler:ListSchedules"]


def test_schedule_uses_the_images_of_its_task_definition() -> None:
    api, tasks = (
        scheduler(listed("nightly"), GetSchedule=ecs_target(f"{DEFINITION}report:3")),
        ecs(),
    )

    (usage,) = found(EVENTBRIDGE_SCHEDULER, api, tasks)

    assert (usage.reference.repository, usage.reference.tag) == ("app", "report-3")
    assert (usage.source, usage.consumer) == ("eventbridge-scheduler", listed("nightly")["Arn"])
    assert api.actions == ["scheduler:GetSchedule", "scheduler:ListSchedules"]
    assert tasks.actions == ["ecs:DescribeTaskDefinition"]


def test_disabled_schedule_counts() -> None:
    schedule = listed("off") | {"State": "DISABLED"}
    api = scheduler(schedule, GetSchedule=ecs_target("report") | {"State": "DISABLED"})

    assert tags(found(EVENTBRIDGE_SCHEDULER, api, ecs())) == {"report"}


def test_target_without_a_revision_means_the_latest_of_the_family() -> None:
    api, tasks = scheduler(listed("nightly"), GetSchedule=ecs_target(f"{DEFINITION}report")), ecs()

    assert tags(found(EVENTBRIDGE_SCHEDULER, api, tasks)) == {"report"}
    assert tasks.asked("DescribeTaskDefinition") == [{"taskDefinition": "report"}]


@pytest.mark.parametrize("parameter", ["TaskDefinition", "taskDefinition"])
@pytest.mark.parametrize("partition", ["aws", "aws-cn", "aws-us-gov"])
def test_universal_target_that_runs_a_task_counts(parameter: str, partition: str) -> None:
    target = universal_target("ecs:runTask", Cluster="main", **{parameter: "report:3"})
    target["Target"]["Arn"] = f"arn:{partition}:scheduler:::aws-sdk:ecs:runTask"
    api = scheduler(listed("nightly", target["Target"]["Arn"]), GetSchedule=target)

    assert tags(found(EVENTBRIDGE_SCHEDULER, api, ecs())) == {"report-3"}


@pytest.mark.parametrize("api_action", ["ecs:startTask", "ecs:updateService", "ecs:createService"])
def test_universal_target_that_takes_a_task_definition_otherwise_counts(api_action: str) -> None:
    target = universal_target(api_action, TaskDefinition="report:3")
    api = scheduler(listed("nightly", UNIVERSAL + api_action), GetSchedule=target)

    assert tags(found(EVENTBRIDGE_SCHEDULER, api, ecs())) == {"report-3"}


@pytest.mark.parametrize(
    "target",
    [
        universal_target("ecs:updateService", Service="web", DesiredCount=0),
        universal_target("ecs:runTask"),
        {"Target": {"Arn": f"{UNIVERSAL}ecs:runTask"}},
    ],
    ids=["to-zero", "empty-input", "no-input"],
)
def test_universal_target_that_names_no_task_definition_uses_nothing(
    target: dict[str, Any],
) -> None:
    api = scheduler(listed("one", target["Target"]["Arn"]), GetSchedule=target)

    assert found(EVENTBRIDGE_SCHEDULER, api, ecs()) == []


def test_input_that_is_not_json_is_read_as_text() -> None:
    arn = f"{UNIVERSAL}ecs:runTask"
    api = scheduler(
        listed("one", arn), GetSchedule={"Target": {"Arn": arn, "Input": f'{{"a": "{HOST}/app:v1"'}}
    )

    assert tags(found(EVENTBRIDGE_SCHEDULER, api, ecs())) == {"v1"}


def test_schedule_of_anything_else_is_described_for_its_input() -> None:
    """The issue in public reports: a processing job, started with an image in the input."""
    processing = f"{UNIVERSAL}sagemaker:createProcessingJob"
    job = json.dumps({"AppSpecification": {"ImageUri": f"{HOST}/ml:monitoring"}})
    answers = {
        "queue": {"Target": {"Arn": QUEUE}},
        "monitoring": {"Target": {"Arn": processing, "Input": job}},
    }
    api = scheduler(
        listed("queue", QUEUE), listed("monitoring", processing), GetSchedule=by("Name", answers)
    )

    assert tags(found(EVENTBRIDGE_SCHEDULER, api, ecs())) == {"monitoring"}


def test_schedule_that_was_given_another_target_since_it_was_listed_uses_nothing() -> None:
    api = scheduler(listed("one"), GetSchedule={"Target": {"Arn": QUEUE}})

    assert found(EVENTBRIDGE_SCHEDULER, api, ecs()) == []


def test_all_pages_and_groups_are_read_also_behind_an_empty_page() -> None:
    pages = [
        {"Schedules": [listed("a")]},
        {"Schedules": []},
        {"Schedules": [listed("a", group="second"), listed("b", group="second")]},
    ]
    api = scheduler(
        ListSchedules=pages,
        GetSchedule=lambda asked: ecs_target(f"{asked['GroupName']}_{asked['Name']}:1"),
    )

    assert tags(found(EVENTBRIDGE_SCHEDULER, api, ecs())) == {
        "default_a-1",
        "second_a-1",
        "second_b-1",
    }
    assert {one["MaxResults"] for one in api.asked("ListSchedules")} == {100}


def test_schedule_that_vanished_is_skipped_and_the_others_count() -> None:
    answers = {"gone": error("ResourceNotFoundException"), "there": ecs_target("report:3")}
    api = scheduler(listed("gone"), listed("there"), GetSchedule=by("Name", answers))

    assert tags(found(EVENTBRIDGE_SCHEDULER, api, ecs())) == {"report-3"}


def test_task_definition_that_is_gone_runs_nothing() -> None:
    unknown = error("ClientException", "Unable to describe task definition.")
    api = scheduler(listed("one"), GetSchedule=ecs_target("gone"))

    assert found(EVENTBRIDGE_SCHEDULER, api, ecs(unknown)) == []


@pytest.mark.parametrize("fault", [DENIED, THROTTLED])
def test_task_definition_that_cannot_be_described_is_an_error(fault: Exception) -> None:
    api = scheduler(listed("one"), GetSchedule=ecs_target("report:3"))

    with pytest.raises(ApiError, match="ecs DescribeTaskDefinition failed with"):
        found(EVENTBRIDGE_SCHEDULER, api, ecs(fault))
