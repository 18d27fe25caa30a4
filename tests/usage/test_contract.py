"""The contract of all usage sources: what each of them does with any answer and any failure.

The answers come from the SDK's models, so a row that names a wrong operation, key or parameter
fails here, and so does one that overlooks a field.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from botocore.parsers import ResponseParserError

import ecr_cleaner
from ecr_cleaner.core.errors import ApiError, ScanError
from ecr_cleaner.core.settings import Settings
from ecr_cleaner.usage import rows, rows_sagemaker
from ecr_cleaner.usage.scan import SourceReading, scan
from ecr_cleaner.usage.shared.reading import NEVER, Row, Rows, Step
from ecr_cleaner.usage.source import UsageSource
from ecr_cleaner.usage.sources import SOURCES, sources_for
from fakes.aws_api import Parameters, account, error, found
from fakes.scripted import DENIED, HOST, THROTTLED, Scripted
from usage.filled import Filler
from usage.special_worlds import WORLDS

pytestmark = pytest.mark.untraced

PERMISSIONS = json.loads((Path(ecr_cleaner.__path__[0]) / "permissions.json").read_text())
ROWS = [source for source in SOURCES if isinstance(source, Rows)]
EACH_ROW = [
    pytest.param(source, row, id=f"{source.name}-{number}")
    for source in ROWS
    for number, row in enumerate(source.rows)
]
# What makes the rows choose an item.
CHOSEN: Mapping[str, str] = {
    "emr-serverless": "STARTED",
    "braket": "QUEUED",
    "batch": "ENABLED",
    "emr-on-eks": "RUNNING",
    "sagemaker-jobs": "STARTING",
}
NO_TASK_DEFINITION = error("ClientException", "Unable to describe task definition.")


GARBLED = ResponseParserError("Unable to parse response")


@cache
def made(service: str) -> Scripted:
    return Scripted(service)


def scripted(service: str, **lines: Any) -> Scripted:
    """Return the one client of a service, with these lines and no others."""
    api = made(service).reset()
    for operation, line in lines.items():
        api.line(operation, line)
    return api


def no_tasks() -> Scripted:
    """Return ECS as it answers to rows whose answers name task definitions by chance."""
    return scripted("ecs", DescribeTaskDefinition=NO_TASK_DEFINITION)


@cache
def output(service: str, operation: str) -> Any:
    """Return the shape of what an operation answers."""
    return made(service).client.meta.service_model.operation_model(operation).output_shape


def members_of_paging(service: str, operation: str) -> frozenset[str]:
    """Return the members of an answer that lead to the next page."""
    names = output(service, operation).members
    return frozenset(names) & {"nextToken", "NextToken", "Marker", "NextMarker"}


def item(source: Rows, step: Step) -> dict[str, Any]:
    """Return what a step before the last answers: one item with every member of its own."""
    filler = Filler(deepest=3)
    shape = output(source.service, step.operation)
    answer: dict[str, Any] = filler.fill(shape, members_of_paging(source.service, step.operation))
    if step.keep:
        for one in answer[str(step.key)]:
            _choose(one, CHOSEN[source.name])
    return answer


def _choose(one: dict[str, Any], state: str) -> None:
    for name in ("state", "status", "OptimizationJobStatus"):
        if name in one:
            one[name] = state


@dataclass
class World:
    """A service with one item in each step of one row, and nothing in any other row."""

    source: Rows
    row: Row
    api: Scripted
    filler: Filler

    @classmethod
    def of(cls, source: Rows, row: Row) -> World:
        api, filler = scripted(source.service), Filler()
        for other in source.rows:
            api.line(other.steps[0].operation, {})
        *steps, last = row.steps
        for step in steps:
            api.line(step.operation, item(source, step))
        filled = filler.fill(
            output(source.service, last.operation),
            members_of_paging(source.service, last.operation),
        )
        if last.keep:
            for one in filled[str(last.key)]:
                _choose(one, CHOSEN[source.name])
        api.line(last.operation, filled)
        if source is rows.BATCH and row is source.rows[2]:
            api.line("DescribeJobQueues", {"jobQueues": [_for_sagemaker(item(source, steps[0]))]})
        return cls(source, Row(row.consumer, row.steps, row.gone), api, filler)

    def found(self) -> list[Any]:
        """Return the usages of this row alone."""
        alone = replace(self.source, rows=(self.row,))
        return found(alone, self.api, no_tasks())

    def reading(self, rest: Iterable[Row] = ()) -> SourceReading:
        alone = replace(self.source, rows=(self.row, *rest))
        with account(self.api, no_tasks()) as target:
            (reading,) = scan(target, [alone]).readings
        return reading


def _for_sagemaker(answer: dict[str, Any]) -> dict[str, Any]:
    queue: dict[str, Any] = answer["jobQueues"][0]
    return queue | {"jobQueueType": "SAGEMAKER_TRAINING"}


def repositories(usages: Iterable[Any]) -> set[str]:
    return {usage.reference.repository for usage in usages}


def walked(row: Row, filler: Filler, source: Rows) -> set[str]:
    """Return the repositories of the fields that the last step is to be read for: all of them."""
    last = row.steps[-1]
    if last.key is None:
        return set(filler.repositories)
    again = Filler()
    shape = output(source.service, last.operation)
    again.fill(shape, members_of_paging(source.service, last.operation))
    beside = Filler()
    for name, member in shape.members.items():
        if name not in members_of_paging(source.service, last.operation):
            start = len(beside.repositories)
            beside.fill(member, depth=1)
            if name == last.key:
                return set(again.repositories[start : len(beside.repositories)])
    raise AssertionError(last.key)


# -- What is found -------------------------------------------------------------------------------


@pytest.mark.parametrize(("source", "row"), EACH_ROW)
def test_every_string_field_of_what_describes_an_item_is_read(source: Rows, row: Row) -> None:
    world = World.of(source, row)
    expected = walked(row, world.filler, source)

    usages = world.found()

    # A field by which the row chooses holds a state instead of a reference.
    assert len(expected - repositories(usages)) <= (1 if row.steps[-1].keep else 0)
    assert len(expected) > 0
    assert {usage.source for usage in usages} == {source.name}


@pytest.mark.parametrize(("source", "row"), EACH_ROW)
def test_every_page_of_every_listing_is_read(source: Rows, row: Row) -> None:
    """Behind an empty page, too; each page leads to a usage of its own consumer."""
    for step in row.steps:
        world = World.of(source, row)
        if not step.key or step.batch or not world.api.has_pages(step.operation):
            continue
        answers = [item_of(world, step, source) for _ in range(2)]
        pages = [answers[0], *empty_page(world, step), answers[1]]
        world.api.line(step.operation, pages)

        world.found()

        later = [asked for asked in world.api.asked(step.operation) if is_later_page(asked)]
        assert len(later) >= len(pages) - 1


def empty_page(world: World, step: Step) -> list[dict[str, Any]]:
    """Return a page without items, unless the SDK's model says that there is none."""
    shape = output(world.source.service, step.operation).members[str(step.key)]
    return [] if shape.metadata.get("min") else [{str(step.key): []}]


def item_of(world: World, step: Step, source: Rows) -> dict[str, Any]:
    if source is rows.BATCH and step.operation == "DescribeJobQueues":
        queue = item(source, step)["jobQueues"][0]
        is_last = world.row is source.rows[2]
        return {"jobQueues": [queue | ({"jobQueueType": "SAGEMAKER_TRAINING"} if is_last else {})]}
    return item(source, step)


def is_later_page(asked: Parameters) -> bool:
    return bool(asked.keys() & {"nextToken", "NextToken", "Marker", "startingToken"})


@pytest.mark.parametrize("source", ROWS, ids=lambda source: str(source.name))
def test_nothing_listed_is_nothing_used_and_costs_one_call_a_listing(source: Rows) -> None:
    first = {row.steps[0].operation for row in source.rows}
    api = scripted(source.service, **{operation: {} for operation in first})

    assert found(source, api) == []
    assert sorted(operation for operation, _ in api.calls) == sorted(first)


# -- What vanishes, what fails -------------------------------------------------------------------


def later_steps() -> Iterator[Any]:
    for source in ROWS:
        for number, row in enumerate(source.rows):
            for step in row.steps[1:]:
                if not step.batch:
                    yield pytest.param(
                        source, row, step, id=f"{source.name}-{number}-{step.operation}"
                    )


def codes(row: Row) -> list[str]:
    """Return the error codes that mean to a row that an item vanished."""
    pattern = row.gone.pattern
    if "ValidationException" in pattern:
        return ["ResourceNotFound"]
    return re.findall(r"\w+(?:\.\w+)*", pattern.partition("(?:")[2])


@pytest.mark.parametrize(("source", "row", "step"), list(later_steps()))
def test_item_that_vanished_since_it_was_listed_is_skipped(
    source: Rows, row: Row, step: Step
) -> None:
    world = World.of(source, row)
    if row.gone is NEVER:
        # AWS Batch describes finished jobs for days, EMR terminated clusters for months.
        world.api.line(step.operation, error("ClientException", "Job not found"))
        with pytest.raises(ApiError, match=f" {step.operation} failed with ClientException"):
            world.found()
        return
    for code in codes(row):
        world.api.line(step.operation, error(code))
        assert world.found() == []


ANY_BAD_REQUEST = (
    "BadRequestException",
    "ClientException",
    "InvalidParameterValueException",
    "InvalidRequestException",
    "ValidationException",
)


@pytest.mark.parametrize(("source", "row", "step"), list(later_steps()))
def test_code_for_any_bad_request_does_not_say_that_an_item_vanished(
    source: Rows, row: Row, step: Step
) -> None:
    world = World.of(source, row)
    for code in ANY_BAD_REQUEST:
        world.api.line(step.operation, error(code))
        with pytest.raises(ApiError, match=f" {step.operation} failed with {code}"):
            world.found()


@pytest.mark.parametrize(("source", "row", "step"), list(later_steps()))
def test_absent_operation_is_named_and_the_run_goes_on(source: Rows, row: Row, step: Step) -> None:
    world = World.of(source, row)
    world.api.line(step.operation, error("UnsupportedOperationException"))

    reading = world.reading()

    assert reading.fields()["state"] == "scanned"
    assert reading.fields()["absent_operations"] == [step.operation]


IMAGE = f"{HOST}/app:1"
MODEL = "arn:aws:sagemaker:eu-west-1:123456789012:model/m"


@pytest.mark.parametrize(
    ("source", "number", "lines", "absent", "consumer"),
    [
        pytest.param(
            rows_sagemaker.SAGEMAKER,
            0,
            {"ListModels": {"Models": [{"ModelName": IMAGE, "ModelArn": MODEL}]}},
            "DescribeModel",
            MODEL,
            id="by the listing",
        ),
        pytest.param(
            rows.BATCH,
            1,
            {
                "DescribeJobQueues": {"jobQueues": [{"jobQueueArn": "queue"}]},
                "ListJobs": {"jobSummaryList": [{"jobArn": "job", "jobId": "1", "jobName": IMAGE}]},
            },
            "DescribeJobs",
            "job",
            id="in a batch",
        ),
        pytest.param(
            rows.AGENTCORE,
            1,
            {
                "ListHarnesses": {"harnesses": [{"harnessId": "harness-0123456789"}]},
                "ListHarnessVersions": {"harnessVersions": [{"arn": IMAGE, "harnessVersion": "2"}]},
            },
            "GetHarness",
            f"{IMAGE}:2",
            id="by the item before",
        ),
        pytest.param(
            rows.EMR_SERVERLESS,
            0,
            {"ListApplications": {"applications": [{"id": "1", "name": IMAGE}]}},
            "GetApplication",
            "emr-serverless, as listed: no GetApplication here",
            id="by the description alone",
        ),
        pytest.param(
            rows.CODEBUILD,
            0,
            {"ListProjects": {"projects": [IMAGE]}},
            "BatchGetProjects",
            "codebuild, as listed: no BatchGetProjects here",
            id="a name only",
        ),
    ],
)
def test_item_that_cannot_be_described_is_named_by_the_listing_if_it_can_be(
    source: Rows, number: int, lines: dict[str, Any], absent: str, consumer: str
) -> None:
    api = scripted(source.service, **lines)
    api.line(absent, error("UnsupportedOperationException"))
    alone = replace(source, rows=source.rows[number : number + 1])

    assert {usage.consumer for usage in found(alone, api)} == {consumer}


def every_operation() -> Iterator[Any]:
    for source in sources_for(Settings(inspector_coverage=True)):
        for operation in operations_of(source):
            yield pytest.param(source, operation, id=f"{source.name}-{operation}")


def operations_of(source: UsageSource) -> list[str]:
    """Return what a source asks its own service."""
    if isinstance(source, Rows):
        return sorted({step.operation for row in source.rows for step in row.steps})
    actions = PERMISSIONS["usage"] | PERMISSIONS["optional"]
    prefix = made(source.service).client.meta.service_model.signing_name
    own = (action.split(":") for action in actions[source.name])
    return [operation for service, operation in own if service == prefix]


def everything(source: UsageSource) -> tuple[Scripted, Settings]:
    """Return a service in which the source makes each of its calls."""
    if not isinstance(source, Rows):
        api, settings = WORLDS[source.name]()
        return api, settings
    api = scripted(source.service)
    for row in source.rows:
        for step in row.steps:
            api.line(step.operation, item(source, step))
    if source is rows.BATCH:
        queue = item(source, source.rows[1].steps[0])["jobQueues"][0]
        queues = [queue, queue | {"jobQueueType": "SAGEMAKER_TRAINING"}]
        api.line("DescribeJobQueues", {"jobQueues": queues})
    return api, Settings()


@pytest.mark.parametrize(
    "fault", [DENIED, THROTTLED, GARBLED], ids=["denied", "throttled", "garbled"]
)
@pytest.mark.parametrize(("source", "operation"), list(every_operation()))
def test_operation_that_fails_is_an_error_that_names_it(
    source: UsageSource, operation: str, fault: Exception
) -> None:
    api, settings = everything(source)
    api.on(operation, fault)

    tasks = () if source.service == "ecs" else (no_tasks(),)
    with account(api, *tasks, settings=settings) as target, pytest.raises(ScanError) as failure:
        scan(target, [source])

    told = failure.value.fields
    assert told["source"] == source.name
    if fault is GARBLED:
        assert "Unable to parse response" in str(failure.value)
        return
    assert told["operation"] == operation
    prefix = api.client.meta.service_model.signing_name
    assert told.get("missing_action") == (f"{prefix}:{operation}" if fault is DENIED else None)


@pytest.mark.parametrize("code", ["UnsupportedOperation", "UnknownOperationException"])
@pytest.mark.parametrize("source", ROWS, ids=lambda source: str(source.name))
def test_listing_that_is_absent_leaves_the_rest_to_be_read(source: Rows, code: str) -> None:
    first = sorted({row.steps[0].operation for row in source.rows})
    for absent in first:
        api, _ = everything(source)
        api.line(absent, error(code))
        with account(api, no_tasks()) as target:
            (reading,) = scan(target, [source]).readings

        assert reading.fields()["absent_operations"] == [absent]
        rest = [row for row in source.rows if row.steps[0].operation != absent]
        assert bool(reading.usages) is bool(rest)


# What the other sources tolerate as absent: for what was listed there, something else is read.
ABSENT = {
    "ecs": ["DescribeServiceRevisions", "ListServiceDeployments"],
    "ecs-daemons": ["ListDaemons"],
    "sagemaker-monitoring": [
        "DescribeDataQualityJobDefinition",
        "DescribeModelBiasJobDefinition",
        "DescribeModelExplainabilityJobDefinition",
        "DescribeModelQualityJobDefinition",
        "DescribeMonitoringSchedule",
        "ListMonitoringSchedules",
    ],
}


@pytest.mark.parametrize(
    ("source", "operation"),
    [one for one in every_operation() if not isinstance(one.values[0], Rows)],
)
def test_operation_of_another_source_is_absent_or_an_error(
    source: UsageSource, operation: str
) -> None:
    api, settings = everything(source)
    api.line(operation, error("UnsupportedOperationException"))

    with account(api, settings=settings) as target:
        if operation in ABSENT.get(source.name, ()):
            (reading,) = scan(target, [source]).readings
            assert reading.fields()["absent_operations"] == [operation]
        else:
            with pytest.raises(ScanError, match=f" {operation} failed with Unsupported"):
                scan(target, [source])


def test_time_of_the_filler_is_a_time() -> None:
    assert Filler().fill(output("ecs", "DescribeTaskDefinition"))["taskDefinition"][
        "registeredAt"
    ] == datetime.fromtimestamp(0, UTC)


def test_answers_of_the_filler_hold_references_of_this_host() -> None:
    assert Filler().reference() == f"{HOST}/field-0:v1"
