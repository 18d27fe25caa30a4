"""The real state machine on moto's interpreter of Step Functions, with the real handler."""

from __future__ import annotations

import io
import json
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from moto import mock_aws
from moto.core.config import default_user_config
from moto.stepfunctions.parser.utils import TMP_THREADS

from ecr_cleaner.handler import lambda_handler
from integration.aws_as_it_is import aws_as_it_is
from integration.full_world import FIRST, only
from integration.program import Ask, Call, Context, Parameters, fails, json_lines, recorded, says
from integration.test_accounts_and_regions import (
    ADMINISTRATOR,
    MEMBER,
    THERE,
    covers,
    credentials_of_member,
    function_that_starts,
    join,
    old_revision,
    task_definition,
)
from world import REGION, World

DEFINITION = Path(__file__).parents[2] / "terraform/fan_out.asl.json"
BUCKET = "ecr-cleaner-123456789012-eu-west-1"
FUNCTION = f"arn:aws:lambda:{REGION}:123456789012:function:ecr-cleaner"
SECONDS_FOR_A_RUN = 120
OLD = 90


@dataclass
class StateMachine:
    """Runs the definition of the module; every task calls the real handler."""

    world: World
    answers: dict[str, Any] = field(default_factory=dict)
    environ: dict[str, str] = field(default_factory=dict)
    calls: list[Call] = field(default_factory=list)
    events: list[dict[str, Any]] = field(default_factory=list)
    output: io.StringIO = field(default_factory=io.StringIO)

    def start(self, run: str = "run-1") -> dict[str, Any]:
        """Start an execution and return what became of it."""
        steps = self.world.client("stepfunctions")
        values = {
            "name": "ecr-cleaner",
            "partition": "aws",
            "function_arn": FUNCTION,
            "bucket": BUCKET,
            "prefix": "runs/",
            # moto is not thread-safe.
            "scans_at_once": "1",
            "shares_at_once": "1",
        }
        definition = re.sub(r"\$\{(\w+)\}", lambda name: values[name[1]], DEFINITION.read_text())
        role = "arn:aws:iam::123456789012:role/steps"
        machine = steps.create_state_machine(name=run, definition=definition, roleArn=role)
        known = len(TMP_THREADS)
        with self._in_use():
            started = steps.start_execution(stateMachineArn=machine["stateMachineArn"], name=run)
            TMP_THREADS[known].join(SECONDS_FOR_A_RUN)
        found: dict[str, Any] = steps.describe_execution(executionArn=started["executionArn"])
        return found

    def call(self, event: dict[str, Any]) -> dict[str, Any]:
        """Call the function without the state machine."""
        with self._in_use():
            answer: dict[str, Any] = lambda_handler(event, Context())
        return answer

    @contextmanager
    def _in_use(self) -> Iterator[None]:
        answers = self.answers | {"lambda:Invoke": self._invoke}
        environ = mock.patch.dict(os.environ, self.environ)
        with recorded(self.calls, answers), redirect_stdout(self.output), environ:
            yield

    def log(self, event: str) -> list[dict[str, Any]]:
        return [one for one in json_lines(self.output.getvalue()) if one["event"] == event]

    def steps(self) -> list[str]:
        return [one["step"] for one in self.events]

    def _invoke(self, parameters: Parameters, _: Ask) -> dict[str, Any]:
        assert parameters["FunctionName"] == FUNCTION
        event = json.loads(parameters["Payload"])
        self.events.append(event)
        try:
            answer, failed = lambda_handler(event, Context()), {}
        except Exception as error:  # noqa: BLE001  # as Lambda does
            answer = {"errorType": type(error).__name__, "errorMessage": str(error)}
            failed = {"FunctionError": "Unhandled"}
        payload = io.BytesIO(json.dumps(answer).encode())
        return {"StatusCode": 200, "Payload": payload, **failed}


@pytest.fixture(scope="module")
def empty_world() -> Iterator[World]:
    """With moto's own Step Functions, which the other tests replace."""
    everywhere = mock.patch("ecr_cleaner.aws.availability.host_exists", return_value=True)
    with everywhere, aws_as_it_is(), mock_aws():
        yield World()


@pytest.fixture
def machine(world: World, monkeypatch: pytest.MonkeyPatch) -> StateMachine:
    monkeypatch.setitem(default_user_config, "stepfunctions", {"execute_state_machine": True})
    place = {"LocationConstraint": REGION}
    world.client("s3").create_bucket(Bucket=BUCKET, CreateBucketConfiguration=place)
    environ = only(*FIRST) | {
        "DRY_RUN": "false",
        "SCAN_REGIONS": f"{REGION},{THERE}",
        "SCAN_ACCOUNTS": MEMBER,
        "RUNS": f"s3://{BUCKET}/runs/",
        "LEDGER": f"s3://{BUCKET}/ledger",
        "PLANS": f"s3://{BUCKET}/plans/",
    }
    rules = {"ecr:DescribePullThroughCacheRules": says(pullThroughCacheRules=[])}
    return StateMachine(world, dict(rules), environ)


@pytest.fixture
def image(world: World) -> str:
    """An old image that nothing here uses, beside one in use and one that nothing uses."""
    name = world.repository("team/app")
    cluster = world.cluster("main")
    used = world.image(name, "live", days_old=OLD)
    world.service(cluster, "web", world.task_definition("web", world.uri(name, digest=used)))
    world.image(name, "unused", days_old=OLD)
    return world.image(name, "v1", days_old=OLD)


def used_by_the_member(world: World) -> None:
    task_definition(THERE, world.uri("team/app", tag="v1"), **credentials_of_member())


def test_two_accounts_and_two_regions_are_scanned_twice_and_the_unused_image_is_removed(
    world: World, machine: StateMachine, image: str
) -> None:
    used_by_the_member(world)
    ended = machine.start()
    assert ended["status"] == "SUCCEEDED", ended
    assert json.loads(ended["output"]) == {"complete": True, "removed": 1}
    scans = ["scan"] * 8
    assert machine.steps() == ["plan", *scans, "gather", "clean", "report"]
    assert image in world.digests("team/app")
    (summary,) = machine.log("Run finished")
    assert (summary["removed"], summary["targets"], summary["failed"]) == (1, 4, 0)
    (plan,) = machine.log("Plan written")
    assert plan["plan"].startswith(f"s3://{BUCKET}/plans/")
    assert plan["plan"].endswith("-run-1.jsonl.gz")
    (kept,) = [one for one in machine.log("Found old image in use") if one["digest"] == image]
    assert kept["because"][0].split(":")[3:5] == [THERE, MEMBER]


def test_an_old_task_definition_of_the_member_that_a_function_here_names_keeps_its_image(
    world: World, machine: StateMachine, image: str
) -> None:
    machine.environ |= {"TASK_DEFINITION_REVISIONS": "0"}
    uri = world.uri("team/app", tag="v1")
    definition = old_revision(uri, THERE, **credentials_of_member())
    function_that_starts(definition, REGION)
    ended = machine.start()
    assert ended["status"] == "SUCCEEDED", ended
    assert image in world.digests("team/app")
    described = [one for one in machine.calls if one.action == "ecs:DescribeTaskDefinition"]
    assert sum(one.parameters["taskDefinition"] == definition for one in described) == 1


def test_an_image_that_only_the_administrator_of_inspector_sees_in_use_is_kept(
    world: World, machine: StateMachine, image: str
) -> None:
    join(world)
    machine.answers["inspector2:ListCoverage"] = covers(world, image)
    machine.environ |= ADMINISTRATOR | {"SCAN_ACCOUNTS": "", "SCAN_REGIONS": REGION}
    ended = machine.start()
    assert ended["status"] == "SUCCEEDED", ended
    assert image in world.digests("team/app")
    (coverage,) = machine.log("Coverage")
    administrator = coverage["sources"]["inspector"]["administrator"]
    assert administrator == {"account": MEMBER, "images": 1}


def test_a_dry_run_scans_once_and_changes_nothing_but_its_documents(
    world: World, machine: StateMachine, image: str
) -> None:
    machine.environ["DRY_RUN"] = "true"
    ended = machine.start()
    assert ended["status"] == "SUCCEEDED", ended
    assert machine.steps() == ["plan", *["scan"] * 4, "gather", "clean", "report"]
    changing = {one.action for one in machine.calls if not one.reads}
    own = {"s3:PutObject", "lambda:Invoke", "states:StartExecution", "sts:AssumeRole"}
    assert changing <= own
    assert image in world.digests("team/app")


def test_the_plan_of_a_run_in_steps_is_approved_and_applied(
    world: World, machine: StateMachine, image: str
) -> None:
    used_by_the_member(world)
    machine.environ["APPROVAL"] = "true"
    before = world.digests("team/app")
    ended = machine.start()
    assert ended["status"] == "SUCCEEDED", ended
    assert world.digests("team/app") == before
    (written,) = machine.log("Plan written")
    assert machine.call({"apply": written["plan"]})["removed"] == 1
    assert image in world.digests("team/app")
    assert len(world.digests("team/app")) == len(before) - 1


def test_a_member_account_that_cannot_be_read_fails_the_execution_and_removes_nothing(
    world: World, machine: StateMachine, image: str
) -> None:
    machine.answers["sts:AssumeRole"] = fails("AccessDenied")
    # One list of regions is enough to plan: the role is assumed only to scan.
    before = world.digests("team/app")
    ended = machine.start()
    assert ended["status"] == "FAILED", ended
    assert f"scan 1 of {MEMBER}/" in ended["cause"]
    assert machine.steps()[-2:] == ["gather", "report"]
    assert world.digests("team/app") == before
    assert image in before


def test_a_document_that_gets_lost_fails_the_execution_and_removes_nothing(
    world: World, machine: StateMachine, image: str
) -> None:
    lost = f"runs/run-1/scan-2/{MEMBER}/{THERE}.jsonl.gz"

    def lose(parameters: Parameters, ask: Ask) -> dict[str, Any]:
        return {"ETag": '"lost"'} if parameters["Key"] == lost else ask(parameters)

    machine.answers["s3:PutObject"] = lose
    before = world.digests("team/app")
    ended = machine.start()
    assert ended["status"] == "FAILED", ended
    assert f"scan 2 of {MEMBER}/{THERE} is not believed" in ended["cause"]
    assert world.digests("team/app") == before
    assert image in before
