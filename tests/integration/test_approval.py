"""Plan, ask, apply: the message reaches a queue that a topic on moto sends to."""

from __future__ import annotations

import json
import shlex
from typing import Any

import pytest
from botocore.exceptions import ClientError
from botocore.parsers import ResponseParserError
from moto.core import enable_iam_authentication

from integration import full_world
from integration.program import Program, Run
from integration.test_plans import PLANS, as_module, bucket
from world import World

__all__ = ["bucket"]  # a fixture

pytestmark = pytest.mark.usefixtures("many_revisions", "bucket")

FUNCTION = {"AWS_LAMBDA_FUNCTION_NAME": "ecr-cleaner"}


@pytest.fixture
def topic(world: World) -> str:
    """A topic with a queue that gets its messages."""
    sns, sqs = world.client("sns"), world.client("sqs")
    arn: str = sns.create_topic(Name="approvals")["TopicArn"]
    url = sqs.create_queue(QueueName="inbox")["QueueUrl"]
    attributes = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]
    sns.subscribe(TopicArn=arn, Protocol="sqs", Endpoint=attributes["QueueArn"])
    return arn


def received(world: World) -> list[dict[str, Any]]:
    """Return what reached the queue."""
    sqs = world.client("sqs")
    url = sqs.get_queue_url(QueueName="inbox")["QueueUrl"]
    answer = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10)
    return [json.loads(one["Body"]) for one in answer.get("Messages", ())]


def waiting(world: World, topic: str) -> Program:
    """Return the program as a function that waits for approval, with the role of the module."""
    program = Program()
    program.environ |= PLANS | FUNCTION | {"APPROVAL": "true", "APPROVAL_TOPIC_ARN": topic}
    program.environ |= as_module(world, "plans/")
    return program


def planned(program: Program) -> Run:
    with enable_iam_authentication():
        return program.run()


def test_message_has_the_call_that_applies_the_plan(world: World, topic: str) -> None:
    full = full_world.fill(world)
    program = waiting(world, topic)
    assert planned(program).error is None
    (message,) = received(world)
    text = message["Message"]

    number = len(full.unused)
    assert message["Subject"].startswith(f"ecr-cleaner: {number} images to remove in ")
    assert f"Applying it removes {number} images of " in text
    page = next(line.strip() for line in text.splitlines() if line.endswith(".html"))
    _, _, name, key = page.split("/", 3)
    content = world.client("s3").get_object(Bucket=name, Key=key)["Body"].read()
    assert content.startswith(b"<!DOCTYPE html>")

    (call,) = [line for line in text.splitlines() if line.startswith("  aws lambda invoke ")]
    words = shlex.split(call)
    assert words[words.index("--function-name") + 1] == "ecr-cleaner"
    with enable_iam_authentication():
        applied = program.run(json.loads(words[words.index("--payload") + 1]))
    assert applied.summary["removed"] == number
    assert full_world.everything(world) == set(full.used)
    assert received(world) == []

    assert planned(program).summary["removable"] == 0
    assert received(world) == []


def denied(*_: object) -> dict[str, Any]:
    """Answer as SNS does; moto's answer is not XML."""
    message = "User: cleaner is not authorized to perform: SNS:Publish on resource: approvals"
    raise ClientError({"Error": {"Code": "AuthorizationError", "Message": message}}, "Publish")


def garbled(*_: object) -> dict[str, Any]:
    raise ResponseParserError("a page of a proxy")


def deleted(world: World, topic: str) -> None:
    world.client("sns").delete_topic(TopicArn=topic)


@pytest.mark.parametrize(
    ("fault", "told"),
    [
        (denied, "sns Publish failed with AuthorizationError: User: cleaner is not authorized"),
        (denied, "missing IAM action: sns:Publish"),
        (garbled, "ResponseParserError('a page of a proxy')"),
        (deleted, "sns Publish failed with NotFound"),
    ],
)
def test_message_that_cannot_be_sent_fails_the_run_but_not_the_plan(
    world: World, topic: str, fault: Any, told: str
) -> None:
    full = full_world.fill(world, ["ecs"])
    program = waiting(world, topic)
    program.environ |= full_world.only("ecs")
    if fault is deleted:
        deleted(world, topic)
    else:
        program.on("sns:Publish", fault)
    run = planned(program)

    assert run.failure.startswith(f"no message could be sent to APPROVAL_TOPIC_ARN, {topic}: ")
    assert told in run.failure
    (finished,) = run.events("Run finished")
    assert finished["errors"] == [run.failure]
    (written,) = run.events("Plan written")
    assert f"can be applied: {written['plan']}" in run.failure
    with enable_iam_authentication():
        assert program.run({"apply": written["plan"]}).summary["removed"] == len(full.unused)
