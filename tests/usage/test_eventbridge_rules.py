"""Which images EventBridge rules would run: the ECS targets of every rule on every bus."""

from __future__ import annotations

from typing import Any

import pytest

from ecr_cleaner.core.errors import ApiError
from ecr_cleaner.usage.rows import EVENTBRIDGE_RULES
from fakes.aws_api import Parameters, error, found, tags
from fakes.scripted import DENIED, HOST, THROTTLED, Scripted, any_task_definition, by, ecs

CLUSTER = "arn:aws:ecs:eu-west-1:123456789012:cluster/main"
DEFINITION = "arn:aws:ecs:eu-west-1:123456789012:task-definition/"
GONE = error("ResourceNotFoundException")
UNKNOWN = error("ClientException", "Unable to describe task definition.")


def rule(name: str, **more: Any) -> dict[str, Any]:
    return {"Name": name, "Arn": f"arn:aws:events:eu-west-1:123456789012:rule/{name}", **more}


def ecs_target(definition: str) -> dict[str, Any]:
    return {"Id": definition, "Arn": CLUSTER, "EcsParameters": {"TaskDefinitionArn": definition}}


def events(**lines: Any) -> Scripted:
    """Return EventBridge with the default bus and nothing on it but what these lines say."""
    nothing: dict[str, Any] = {
        "ListEventBuses": {"EventBuses": [{"Name": "default"}]},
        "ListRules": {},
        "ListTargetsByRule": {},
    }
    return Scripted("events", **(nothing | lines))


def one_rule(definition: str) -> Scripted:
    targets = {"Targets": [ecs_target(definition)]}
    return events(ListRules={"Rules": [rule("nightly")]}, ListTargetsByRule=targets)


def test_account_without_rules_uses_nothing_and_asks_ecs_nothing() -> None:
    api, tasks = events(), ecs()

    assert found(EVENTBRIDGE_RULES, api, tasks) == []
    assert api.actions == ["events:ListEventBuses", "events:ListRules"]
    assert tasks.calls == []


def test_account_without_any_bus_uses_nothing() -> None:
    api = events(ListEventBuses={"EventBuses": []})

    assert found(EVENTBRIDGE_RULES, api, ecs()) == []


def test_rule_uses_the_images_of_its_task_definition() -> None:
    api, tasks = one_rule(f"{DEFINITION}report:3"), ecs()

    (usage,) = found(EVENTBRIDGE_RULES, api, tasks)

    assert (usage.reference.repository, usage.reference.tag) == ("app", "report-3")
    assert usage.consumer == rule("nightly")["Arn"]
    assert usage.source == "eventbridge-rules"
    assert api.actions == ["events:ListEventBuses", "events:ListRules", "events:ListTargetsByRule"]
    assert tasks.actions == ["ecs:DescribeTaskDefinition"]


@pytest.mark.parametrize("without_revision", [f"{DEFINITION}report", "report"])
def test_target_without_a_revision_means_the_latest_of_the_family(without_revision: str) -> None:
    """DescribeTaskDefinition is documented to take a family for that, but no ARN without one."""
    tasks = ecs()

    assert tags(found(EVENTBRIDGE_RULES, one_rule(without_revision), tasks)) == {"report"}
    assert tasks.asked("DescribeTaskDefinition") == [{"taskDefinition": "report"}]


def test_all_containers_of_all_ecs_targets_count_and_other_targets_do_not() -> None:
    queue = {"Id": "queue", "Arn": "arn:aws:sqs:eu-west-1:123456789012:jobs"}
    batch = {
        "Id": "batch",
        "Arn": "arn:aws:batch:eu-west-1:123456789012:job-queue/q",
        "BatchParameters": {"JobDefinition": "job", "JobName": "job"},
    }
    first, second = ecs_target(f"{DEFINITION}a:1"), ecs_target(f"{DEFINITION}b:1")
    api = events(
        ListRules={"Rules": [rule("nightly")]},
        ListTargetsByRule={"Targets": [queue, first, batch, second]},
    )

    def two_containers(parameters: Parameters) -> dict[str, Any]:
        name = parameters["taskDefinition"].rpartition("/")[2][0]
        images = [{"image": f"{HOST}/app:{name}{number}"} for number in (1, 2)]
        return {"taskDefinition": {"containerDefinitions": images}}

    assert tags(found(EVENTBRIDGE_RULES, api, ecs(two_containers))) == {"a1", "a2", "b1", "b2"}


@pytest.mark.parametrize(
    "shape",
    [
        {"State": "DISABLED", "ScheduleExpression": "rate(1 day)"},
        {"State": "ENABLED", "EventPattern": "{}"},
        {"State": "ENABLED_WITH_ALL_CLOUDTRAIL_MANAGEMENT_EVENTS"},
        {"ManagedBy": "scheduler.amazonaws.com"},
    ],
)
def test_rule_counts_in_any_state(shape: dict[str, str]) -> None:
    api = one_rule(f"{DEFINITION}report:3").line("ListRules", {"Rules": [rule("one", **shape)]})

    assert tags(found(EVENTBRIDGE_RULES, api, ecs())) == {"report-3"}


def test_all_buses_rules_and_targets_are_read_page_by_page_also_behind_an_empty_one() -> None:
    buses = [[{"Name": "default"}], [], [{"Name": "orders"}]]
    rules = {"default": [["a"], [], ["b"]], "orders": [["c"]]}
    targets: dict[str, list[list[str]]] = {"a": [["a:1"], [], ["a:2"]], "b": [["b:1"]]}
    targets["c"] = [[], ["c:1"]]
    api = events(
        ListEventBuses=[{"EventBuses": page} for page in buses],
        ListRules=by(
            "EventBusName",
            {
                bus: [{"Rules": [rule(name) for name in page]} for page in pages]
                for bus, pages in rules.items()
            },
        ),
        ListTargetsByRule=by(
            "Rule",
            {
                name: [{"Targets": list(map(ecs_target, page))} if page else {} for page in pages]
                for name, pages in targets.items()
            },
        ),
    )

    assert tags(found(EVENTBRIDGE_RULES, api, ecs())) == {"a-1", "a-2", "b-1", "c-1"}
    asked = api.asked("ListTargetsByRule")
    assert {(one["EventBusName"], one["Rule"]) for one in asked} == {
        ("default", "a"),
        ("default", "b"),
        ("orders", "c"),
    }
    for operation in ("ListEventBuses", "ListRules", "ListTargetsByRule"):
        assert {one["Limit"] for one in api.asked(operation)} == {100}


def test_bus_that_vanished_is_skipped_and_the_others_count() -> None:
    api = events(
        ListEventBuses={"EventBuses": [{"Name": "gone"}, {"Name": "there"}]},
        ListRules=by("EventBusName", {"gone": GONE, "there": {"Rules": [rule("one")]}}),
        ListTargetsByRule={"Targets": [ecs_target(f"{DEFINITION}report:3")]},
    )

    assert tags(found(EVENTBRIDGE_RULES, api, ecs())) == {"report-3"}


def test_rule_that_vanished_is_skipped_and_the_others_count() -> None:
    api = events(
        ListRules={"Rules": [rule("gone"), rule("there")]},
        ListTargetsByRule=by(
            "Rule", {"gone": GONE, "there": {"Targets": [ecs_target(f"{DEFINITION}report:3")]}}
        ),
    )

    assert tags(found(EVENTBRIDGE_RULES, api, ecs())) == {"report-3"}


def test_task_definition_that_is_gone_runs_nothing() -> None:
    targets = [ecs_target(DEFINITION + name) for name in ("gone:1", "there:1")]
    api = events(ListRules={"Rules": [rule("one")]}, ListTargetsByRule={"Targets": targets})

    def answer(parameters: Parameters) -> Any:
        return (
            UNKNOWN if "gone" in parameters["taskDefinition"] else any_task_definition(parameters)
        )

    assert tags(found(EVENTBRIDGE_RULES, api, ecs(answer))) == {"there-1"}


@pytest.mark.parametrize(
    "line", [error("ClientException", "Invalid revision number."), DENIED, THROTTLED]
)
def test_task_definition_that_fails_otherwise_is_an_error(line: Exception) -> None:
    with pytest.raises(ApiError, match="ecs DescribeTaskDefinition failed with"):
        found(EVENTBRIDGE_RULES, one_rule(f"{DEFINITION}report:3"), ecs(line))


def test_definition_is_described_once_however_many_rules_name_it() -> None:
    rules = {"Rules": [rule(f"rule-{number}") for number in range(30)]}
    api, tasks = one_rule(f"{DEFINITION}report:3").line("ListRules", rules), ecs()

    assert len({usage.consumer for usage in found(EVENTBRIDGE_RULES, api, tasks)}) == 30
    assert len(tasks.asked("DescribeTaskDefinition")) == 1


def test_page_that_fails_behind_others_is_an_error() -> None:
    api = one_rule(f"{DEFINITION}report:3").line("ListRules", [{"Rules": [rule("one")]}, THROTTLED])

    with pytest.raises(ApiError, match="events ListRules failed with ThrottlingException"):
        found(EVENTBRIDGE_RULES, api, ecs())
