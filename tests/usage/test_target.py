"""What several sources ask for is asked once: the images of task definitions."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import partial
from threading import Event, Thread
from typing import Any, cast

import pytest

from ecr_cleaner.aws.session import Aws
from ecr_cleaner.core.errors import ApiError, ScanError
from ecr_cleaner.core.locations import Location
from ecr_cleaner.core.settings import Settings
from ecr_cleaner.core.walk import Found
from ecr_cleaner.usage.ecs import Ecs
from ecr_cleaner.usage.rows import (
    EVENTBRIDGE_PIPES,
    EVENTBRIDGE_RULES,
    EVENTBRIDGE_SCHEDULER,
    STEP_FUNCTIONS,
)
from ecr_cleaner.usage.scan import scan
from ecr_cleaner.usage.shared.target import Shared, Target, in_each
from ecr_cleaner.usage.source import UsageSource
from ecr_cleaner.workers import Workers
from fakes.aws_api import Parameters, account, error
from fakes.scripted import DENIED, HOST, THROTTLED, Scripted

PREFIX = "arn:aws:ecs:eu-west-1:123456789012"
CLUSTER = f"{PREFIX}:cluster/main"
DEFINITION = f"{PREFIX}:task-definition/report:3"
IMAGE = f"{HOST}/app:1"
UNKNOWN = error("ClientException", "Unable to describe task definition.")
SOURCES: tuple[UsageSource, ...] = (
    Ecs(),
    EVENTBRIDGE_RULES,
    EVENTBRIDGE_SCHEDULER,
    EVENTBRIDGE_PIPES,
    STEP_FUNCTIONS,
)
FOR_SOME_DAY = SOURCES[1:]  # they run a task definition on some later occasion


def images(found: dict[str, Found]) -> dict[str, tuple[str | None, ...]]:
    """Return the tags that each task definition refers to."""
    return {name: tuple(one.tag for one in found[name].references) for name in found}


def described(*images: str) -> dict[str, Any]:
    return {"taskDefinition": {"containerDefinitions": [{"image": image} for image in images]}}


def ecs(definition: Any) -> Scripted:
    service = {
        "serviceArn": f"{PREFIX}:service/main/web",
        "clusterArn": CLUSTER,
        "taskDefinition": DEFINITION,
    }
    return Scripted(
        "ecs",
        ListClusters={"clusterArns": [CLUSTER]},
        ListServices={"serviceArns": [service["serviceArn"]]},
        ListTasks={},
        DescribeServices={"services": [service]},
        ListServiceDeployments={},
        ListTaskDefinitions={"taskDefinitionArns": [DEFINITION]},
        DescribeTaskDefinition=definition,
    )


def others() -> list[Scripted]:
    """Return every other service that names the task definition, each once."""
    target = {"Arn": CLUSTER, "EcsParameters": {"TaskDefinitionArn": DEFINITION}}
    state = {"Type": "Task", "Parameters": {"TaskDefinition": DEFINITION}}
    machine = "arn:aws:states:eu-west-1:123456789012:stateMachine:one"
    return [
        Scripted(
            "events",
            ListEventBuses={"EventBuses": [{"Name": "default"}]},
            ListRules={"Rules": [{"Name": "rule", "Arn": "arn:rule"}]},
            ListTargetsByRule={"Targets": [{"Id": "1"} | target]},
        ),
        Scripted(
            "scheduler",
            ListSchedules={
                "Schedules": [
                    {
                        "Name": "schedule",
                        "GroupName": "default",
                        "Arn": "arn:schedule",
                        "Target": {"Arn": CLUSTER},
                    }
                ]
            },
            GetSchedule={"Target": target},
        ),
        Scripted(
            "pipes",
            ListPipes={"Pipes": [{"Name": "pipe", "Arn": "arn:pipe", "Target": CLUSTER}]},
            DescribePipe={
                "TargetParameters": {"EcsTaskParameters": {"TaskDefinitionArn": DEFINITION}}
            },
        ),
        Scripted(
            "stepfunctions",
            ListStateMachines={"stateMachines": [{"stateMachineArn": machine}]},
            ListStateMachineVersions={},
            DescribeStateMachine={"definition": json.dumps({"States": {"One": state}})},
        ),
    ]


def test_definition_is_described_once_though_every_source_names_it() -> None:
    tasks = ecs(described(IMAGE))
    with account(tasks, *others()) as one:
        readings = scan(one, SOURCES).readings

    assert {reading.source: len(reading.usages) for reading in readings} == {
        "ecs": 2,
        "eventbridge-rules": 1,
        "eventbridge-scheduler": 1,
        "eventbridge-pipes": 1,
        "step-functions": 1,
    }
    assert len(tasks.asked("DescribeTaskDefinition")) == 1


def test_every_scan_describes_anew() -> None:
    tasks = ecs(described(IMAGE))
    with account(tasks) as first, account(tasks) as second:
        scan(first, [Ecs()])
        scan(second, [Ecs()])

    assert len(tasks.asked("DescribeTaskDefinition")) == 2


def test_definition_that_is_being_described_is_waited_for_and_not_described_again() -> None:
    second_asks = Event()
    answers: list[Any] = []

    def describe(_: Parameters) -> dict[str, Any]:
        second.start()
        assert second_asks.wait(timeout=60)
        return described(IMAGE)

    def names() -> Iterator[str]:
        yield DEFINITION
        second_asks.set()

    tasks = Scripted("ecs", DescribeTaskDefinition=describe)
    with account(tasks) as one:
        definitions = one.task_definitions
        second = Thread(target=lambda: answers.append(images(definitions.found(names()))))
        answers.append(images(definitions.found([DEFINITION])))
        second.join()

    assert answers == [{DEFINITION: ("1",)}] * 2
    assert len(tasks.asked("DescribeTaskDefinition")) == 1


def test_definition_that_is_gone_is_nothing_to_one_and_an_error_to_the_other() -> None:
    """Whoever asks first: the one description serves both."""
    for lenient_first in (True, False):
        tasks = ecs(UNKNOWN)
        with account(tasks) as one:
            definitions = one.task_definitions
            if lenient_first:
                assert images(definitions.found_if_any([DEFINITION])) == {DEFINITION: ()}
            with pytest.raises(ApiError, match="Unable to describe task definition"):
                definitions.found([DEFINITION])
            assert images(definitions.found_if_any([DEFINITION])) == {DEFINITION: ()}

        assert len(tasks.asked("DescribeTaskDefinition")) == 1


@pytest.mark.parametrize("source", FOR_SOME_DAY, ids=lambda source: str(source.name))
def test_gone_definition_is_nothing_to_whoever_would_run_it_some_day(source: UsageSource) -> None:
    with account(ecs(UNKNOWN), *others()) as one:
        (reading,) = scan(one, [source]).readings

    assert reading.fields() == {"state": "scanned", "usages": 0}


def test_gone_definition_ends_the_scan_of_services() -> None:
    with (
        account(ecs(UNKNOWN)) as one,
        pytest.raises(ScanError, match="usage source ecs could not be read in full"),
    ):
        scan(one, [Ecs()])


@pytest.mark.parametrize("source", SOURCES, ids=lambda source: str(source.name))
@pytest.mark.parametrize("fault", [DENIED, THROTTLED, error("ClientException", "Not now")])
def test_definition_that_fails_otherwise_ends_the_scan(
    source: UsageSource, fault: Exception
) -> None:
    with account(ecs(fault), *others()) as one, pytest.raises(ScanError) as failure:
        scan(one, [source])

    assert failure.value.fields["source"] == source.name
    assert failure.value.fields["operation"] == "DescribeTaskDefinition"
    denied = "ecs:DescribeTaskDefinition" if fault is DENIED else None
    assert failure.value.fields.get("missing_action") == denied


@pytest.mark.parametrize(
    ("name", "asked"),
    [
        ("report", "report"),
        ("report:3", "report:3"),
        (f"{PREFIX}:task-definition/report", "report"),
        (f"{PREFIX}:task-definition/report:3", f"{PREFIX}:task-definition/report:3"),
        ("arn:aws-cn:ecs:cn-north-1:123456789012:task-definition/a_b-C1", "a_b-C1"),
    ],
)
def test_latest_revision_is_asked_for_by_the_family(name: str, asked: str) -> None:
    tasks = ecs(described(IMAGE))
    with account(tasks) as one:
        assert images(one.task_definitions.found([name])) == {name: ("1",)}

    assert tasks.asked("DescribeTaskDefinition") == [{"taskDefinition": asked}]


@pytest.mark.parametrize(
    ("answer", "tags"),
    [
        (described(), ()),
        ({"taskDefinition": {}}, ()),
        (described(f"{HOST}/app:a", "", f"{HOST}/app:b"), ("a", "b")),
        ({"taskDefinition": {"containerDefinitions": [{"name": "no image"}]}}, ()),
    ],
)
def test_images_are_those_of_all_containers_that_have_one(
    answer: dict[str, Any], tags: tuple[str, ...]
) -> None:
    with account(ecs(answer)) as one:
        assert images(one.task_definitions.found([DEFINITION])) == {DEFINITION: tags}


def test_nothing_asked_is_nothing_called() -> None:
    tasks = ecs(described(IMAGE))
    with account(tasks) as one:
        assert one.task_definitions.found([]) == one.task_definitions.found_if_any([]) == {}

    assert tasks.calls == []


# -- The memory of many targets ----------------------------------------------------------------


class AwsOfClients:
    """Clients of one account and region, as far as their number."""

    def __init__(self, clients: int) -> None:
        self.clients = clients
        self.closed = 0

    def close(self) -> None:
        self.closed += 1


@pytest.mark.parametrize(
    ("clients", "targets", "collections"),
    [(1, 299, 0), (1, 300, 1), (1, 599, 1), (27, 11, 0), (27, 12, 1), (27, 24, 2), (300, 3, 3)],
)
def test_memory_of_closed_clients_is_freed_when_there_are_many(
    monkeypatch: pytest.MonkeyPatch, clients: int, targets: int, collections: int
) -> None:
    collected: list[int] = []
    monkeypatch.setattr("gc.collect", lambda: collected.append(1))
    there = Location("123456789012", "us-east-1")
    made = [AwsOfClients(clients) for _ in range(targets)]

    def opened(aws: AwsOfClients) -> Target:
        return Target(cast("Aws", aws), Settings(), there, shared=Shared(cast("Aws", aws)))

    with Workers(2) as workers:
        in_each([partial(opened, one) for one in made], lambda number, _: number, workers)

    assert len(collected) == collections
    assert {one.closed for one in made} == {1}


def test_clients_of_the_registry_stay_open() -> None:
    aws = AwsOfClients(300)
    here = Location("123456789012", "eu-west-1")
    with Target(cast("Aws", aws), Settings(), here, here, Shared(cast("Aws", aws))) as home:
        assert home.clients == 0
    assert aws.closed == 0
