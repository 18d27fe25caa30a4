"""The memory with the real SDK, against moto's S3 and SQS."""

from __future__ import annotations

import gzip
import json

import pytest

from ecr_cleaner.core.ledger import Ledger
from integration.program import Program, Run
from world import World

LEDGER = {"LEDGER": "s3://memory/ledger"}
OLD = 100


@pytest.fixture(autouse=True)
def short_polling(monkeypatch: pytest.MonkeyPatch) -> None:
    """At the end of the queue, moto would wait for another message."""
    monkeypatch.setattr("ecr_cleaner.aws.event_queue._SECONDS_TO_WAIT", 0)


@pytest.fixture
def app(world: World) -> str:
    """A repository that is opted in, in an account where an image of another one is in use."""
    world.image(world.repository("other"), "in-use")
    world.function("other", world.uri("other", "in-use"))
    return world.repository("app")


@pytest.fixture
def bucket(world: World) -> str:
    location = {"LocationConstraint": world.region}
    world.client("s3").create_bucket(Bucket="memory", CreateBucketConfiguration=location)
    return "memory"


@pytest.fixture
def queue(world: World, bucket: str) -> str:
    del bucket
    return str(world.client("sqs").create_queue(QueueName="events")["QueueUrl"])


def event(image: str, digest: str) -> str:
    container = {"image": image, "imageDigest": digest}
    return json.dumps(
        {
            "detail-type": "ECS Task State Change",
            "time": "2126-02-28T12:00:00Z",
            "detail": {"taskArn": "arn:task", "containers": [container]},
        }
    )


def test_what_ran_between_two_runs_is_kept_and_its_event_is_deleted(
    world: World, program: Program, app: str, queue: str
) -> None:
    ran = world.image(app, "ran", days_old=OLD)
    world.image(app, "old", days_old=OLD)
    sqs = world.client("sqs")
    sqs.send_message(QueueUrl=queue, MessageBody=event(world.uri(app, "moved"), ran))
    summary = program.delete(**LEDGER, EVENT_QUEUE=queue).summary

    assert (summary["kept"], summary["removed"]) == (
        {"in_use": 1, "recently_used": 1},
        1,
    )
    left = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["All"])["Attributes"]
    assert left["ApproximateNumberOfMessages"] == "0"
    assert left["ApproximateNumberOfMessagesNotVisible"] == "0"


@pytest.mark.parametrize("body", ["strange", "[]"])
def test_a_strange_message_is_visible_to_the_next_run_which_fails_too(
    world: World, program: Program, app: str, queue: str, body: str
) -> None:
    old = world.image(app, "old", days_old=OLD)
    world.client("sqs").send_message(QueueUrl=queue, MessageBody=body)
    for _ in range(2):
        run = program.delete(**LEDGER, EVENT_QUEUE=queue)
        assert "1 messages in EVENT_QUEUE are not events" in run.failure
        assert in_flight(world, queue) == "0"
    assert old in world.digests(app)


def test_while_another_program_holds_an_event_nothing_is_removed(
    world: World, program: Program, app: str, queue: str
) -> None:
    ran = world.image(app, "ran", days_old=OLD)
    world.image(app, "old", days_old=OLD)
    sqs = world.client("sqs")
    sqs.send_message(QueueUrl=queue, MessageBody=event(world.uri(app, "moved"), ran))
    sqs.receive_message(QueueUrl=queue, VisibilityTimeout=1000)
    assert program.delete(**LEDGER, EVENT_QUEUE=queue).summary["removed"] == 0
    assert in_flight(world, queue) == "1"
    assert ran in world.digests(app)


def in_flight(world: World, queue: str) -> str:
    name = "ApproximateNumberOfMessagesNotVisible"
    answer = world.client("sqs").get_queue_attributes(QueueUrl=queue, AttributeNames=[name])
    return str(answer["Attributes"][name])


def test_the_ledger_is_begun_and_written_over_its_own_version(
    world: World, program: Program, app: str, bucket: str
) -> None:
    world.image(app, "old", days_old=OLD)
    for run in [program.run(**LEDGER), program.run(**LEDGER)]:
        assert run.summary["complete"] is True
        conditions = [{"IfMatch", "IfNoneMatch"} & set(one) for one in run.called("s3:PutObject")]
        assert all(len(condition) == 1 for condition in conditions)
    content = world.client("s3").get_object(Bucket=bucket, Key="ledger")["Body"].read()
    assert Ledger.read(content).since.isoformat() == run.summary["remembers_since"]


def test_a_second_run_describes_only_new_task_definitions(
    world: World, program: Program, app: str, bucket: str
) -> None:
    images = {tag: world.image(app, tag, days_old=OLD) for tag in ("v1", "v2", "old")}
    cluster = world.cluster("prod")
    first = world.task_definition("web", world.uri(app, "v1"))
    world.service(cluster, "web", first)
    assert described(program.run(**LEDGER)) == {first}
    assert described(program.run(**LEDGER)) == set()

    second = world.task_definition("job", world.uri(app, "v2"))
    run = program.delete(**LEDGER)
    assert described(run) == {second}
    assert world.digests(app) == {images["v1"], images["v2"]}
    stored = world.client("s3").get_object(Bucket=bucket, Key="ledger.answers")["Body"].read()
    assert {first, second} <= set(gzip.decompress(stored).decode().split('"'))


def described(run: Run) -> set[str]:
    return {one["taskDefinition"] for one in run.called("ecs:DescribeTaskDefinition")}


def test_a_damaged_cache_changes_nothing_but_the_calls(
    world: World, program: Program, app: str, bucket: str
) -> None:
    used = world.image(app, "v1", days_old=OLD)
    world.image(app, "old", days_old=OLD)
    definition = world.task_definition("web", world.uri(app, "v1"))
    program.run(**LEDGER)
    world.client("s3").put_object(Bucket=bucket, Key="ledger.answers", Body=b"damaged")
    run = program.delete(**LEDGER)
    assert (run.summary["complete"], described(run)) == (True, {definition})
    assert world.digests(app) == {used}
    (warning,) = run.events("Cached answers could not be read or written")
    assert warning["why"].startswith("it is damaged")


def test_without_its_bucket_the_run_fails_and_removes_nothing(
    world: World, program: Program, app: str
) -> None:
    old = world.image(app, "old", days_old=OLD)
    run = program.delete(**LEDGER)

    assert "the ledger s3://memory/ledger cannot be read" in run.failure
    assert old in world.digests(app)
