"""Runs that wait for approval: whom they tell, and what happens if that fails."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from ecr_cleaner.core.errors import RunFailedError
from ecr_cleaner.core.settings import Purpose, Settings
from ecr_cleaner.workers import Workers
from run.test_applying import apply
from run.test_cleaner import World
from run.test_plans import PLAN, PLANS

TOPIC = "arn:aws:sns:eu-west-1:111122223333:approvals"
WAITING = Settings(
    plans=PLANS,
    approval=True,
    approval_topic=TOPIC,
    applying_removes=True,
    function_name="cleaner",
)
EVERYONE = '{"Statement": [{"Principal": "*", "Action": "ecr:*"}]}'


@pytest.fixture(scope="module")
def workers() -> Iterator[Workers]:
    with Workers(4) as made:
        yield made


@pytest.fixture
def world(workers: Workers) -> World:
    made = World(workers)
    made.create("app")
    return made


def test_run_with_something_to_remove_sends_one_message(world: World) -> None:
    old = world.push("app", "old", tags=["v1"])
    world.create("second")
    world.push("second", "other")
    summary = world.run(WAITING)
    assert (summary["complete"], summary["removed"]) == (True, 0)
    ((topic, subject, message),) = world.sns.published
    assert topic == TOPIC
    assert subject.startswith("cleaner: 2 images to remove in 111122223333 eu-west-1, up to ")
    assert f'{{"apply": "{PLAN}"}}' in message
    assert PLAN.replace(".jsonl.gz", ".html") in message
    (line,) = world.events("Plan waits for approval")
    assert (line["images"], line["topic"]) == (2, TOPIC)
    assert line["apply"] in message
    assert old.digest in world.ecr.digests("app")


def test_nothing_to_remove_is_no_message(world: World) -> None:
    world.push("app", "young", pushed_at=world.now)
    world.run(WAITING)
    assert world.sns.published == []
    assert world.events("Plan waits for approval") == []


def test_guards_that_keep_everything_are_no_message(world: World) -> None:
    world.push("app", "old")
    world.ecr.repositories["app"].policy = EVERYONE
    world.run(WAITING)
    assert world.sns.published == []


def test_what_guards_keep_is_named_beside_what_would_be_removed(world: World) -> None:
    world.push("app", "old")
    world.create("free")
    world.push("free", "other")
    world.ecr.repositories["app"].policy = EVERYONE
    world.run(WAITING)
    ((_, _, message),) = world.sns.published
    assert "Applying it removes 1 image of 1 repository" in message
    assert "Guards stand: 1 image of 1 repository" in message


def test_run_that_failed_sends_no_message(world: World) -> None:
    world.push("app", "old")
    world.create("bad", BoxCleanerKeepDays="many")
    with pytest.raises(RunFailedError):
        world.run(WAITING)
    assert world.sns.published == []


def test_without_a_topic_the_log_says_how_to_apply(world: World) -> None:
    world.push("app", "old")
    world.run(replace(WAITING, approval_topic=None))
    assert world.sns.published == []
    (line,) = world.events("Plan waits for approval")
    assert line["topic"] is None
    assert line["apply"].startswith("aws lambda invoke --function-name cleaner ")


def test_message_that_cannot_be_sent_fails_the_run_and_keeps_the_plan(world: World) -> None:
    old = world.push("app", "old", tags=["v1"])
    world.sns.error = "AuthorizationError"
    told = (
        rf"no message could be sent to APPROVAL_TOPIC_ARN, {TOPIC}: sns Publish failed with "
        rf"AuthorizationError: .*sns:Publish\); the plan is stored and can be applied: {PLAN}"
    )
    with pytest.raises(RunFailedError, match=told):
        world.run(WAITING)
    (line,) = world.events("Approval could not be requested")
    assert line["error"].startswith("no message could be sent to APPROVAL_TOPIC_ARN")
    (waits,) = world.events("Plan waits for approval")
    assert waits["topic"] is None
    (finished,) = world.events("Run finished")
    assert finished["complete"] is False
    removing = replace(WAITING, dry_run=False, plans=None)
    assert apply(world, removing)["removed"] == 1
    assert old.digest not in world.ecr.digests("app")


def test_run_that_applies_a_plan_asks_nobody(world: World) -> None:
    world.push("app", "old", tags=["v1"])
    world.run(WAITING)
    world.sns.published.clear()
    from_environ = {"PLANS": PLANS, "APPROVAL": "true", "DRY_RUN": "false"}
    settings = Settings.from_environ(from_environ | {"APPROVAL_TOPIC_ARN": TOPIC}, Purpose.APPLY)
    assert apply(world, settings)["removed"] == 1
    assert world.sns.published == []
