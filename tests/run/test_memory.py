"""What earlier runs saw in use, and what ran between them, in whole runs."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from core.worlds import HOST, NOW, ago, sha, usage
from ecr_cleaner.core.errors import ApiError, LedgerError, RunFailedError
from ecr_cleaner.core.ledger import Ledger, Use, day_of
from ecr_cleaner.core.model import Image, ImageReference, Registry, Usage
from ecr_cleaner.core.settings import RepositoryRule, Settings
from ecr_cleaner.run.ledger_file import LedgerFile
from ecr_cleaner.run.memory import READER_FOR
from ecr_cleaner.workers import Workers
from fakes.ecr import Call
from fakes.small_services import FakeSqs
from run.test_cleaner import SOMETHING_IN_USE, StubSource, World

LEDGER = "s3://memory/ledger"
QUEUE = "https://sqs.eu-west-1.amazonaws.com/111122223333/events"
WATCHING = Settings(ledger=LEDGER, event_queue=QUEUE)
DELETING = replace(WATCHING, dry_run=False)


@pytest.fixture(scope="module")
def workers() -> Iterator[Workers]:
    with Workers(4) as made:
        yield made


@pytest.fixture
def world(workers: Workers) -> World:
    made = World(workers)
    made.create("app")
    return made


def a_night_later(world: World, nights: int = 1) -> None:
    world.now += timedelta(days=nights)


def used_the_night_before(world: World) -> str:
    """Let a run see an image in use by its tag, which then moves to another image."""
    old = world.push("app", "old", tags=["live"])
    world.uses(usage("app", "arn:function", tag="live"))
    world.run(WATCHING)
    world.push("app", "new", tags=["live"])
    a_night_later(world)
    return old.digest


def test_what_was_in_use_by_a_tag_stays_after_the_tag_has_moved(world: World) -> None:
    old = used_the_night_before(world)
    summary = world.run(replace(DELETING, log_level="DEBUG"))
    assert summary["kept"] == {"in_use": 1, "recently_used": 1}
    assert summary["remembers_since"] == "2026-03-01"
    (kept,) = [one for one in world.events("Keeping image") if one["digest"] == old]
    assert (kept["reason"], list(kept["because"])) == (
        "recently_used",
        ["arn:function", "2026-03-01"],
    )


def remembered(world: World, repository: str, digest: str, *tags: str) -> Use | None:
    ledger = Ledger.read(world.s3.objects[LEDGER])
    return ledger.last_use(repository, Image(digest, tags))


def test_signature_of_an_image_in_another_registry_stays_for_a_rollback(world: World) -> None:
    about = sha("far")
    signature = world.push("app", "signature", tags=[about.replace(":", "-") + ".sig"])
    other = Registry("999988887777", "eu-west-1")
    world.uses(Usage(ImageReference(other, "app", digest=about), "arn:pod", "stub"))
    world.run(WATCHING)
    world.uses()
    a_night_later(world)

    world.run(DELETING)
    assert world.ecr.digests("app") == {signature.digest}

    a_night_later(world, nights=15)
    world.run(DELETING)
    assert world.ecr.digests("app") == set()


def test_what_only_the_second_scan_saw_is_remembered_for_every_repository(world: World) -> None:
    """Repository ``other`` has nothing to remove, so no plan is made of it after that scan."""
    world.create("other")
    brief = world.push("other", "brief", tags=["v1"], pushed_at=ago(20))
    world.push("app", "old")
    beginning = usage("other", "arn:task", tag="v1")
    world.source = StubSource(lambda scan: [SOMETHING_IN_USE, *([beginning] if scan > 1 else [])])
    world.run(DELETING)
    world.uses()
    a_night_later(world, 12)
    assert world.run(DELETING)["kept"] == {"recently_used": 1}
    assert world.ecr.digests("other") == {brief.digest}


def test_usage_in_a_repository_that_is_not_opted_in_is_remembered(world: World) -> None:
    world.ecr.create("later")
    image = world.push("later", "image", tags=["v1"])
    world.uses(usage("later", "arn:function", tag="v1"))
    world.run(WATCHING)
    assert remembered(world, "later", image.digest, "v1") == Use("arn:function", day_of(NOW))


def test_a_judgement_and_the_one_before_it_are_of_the_same_day(world: World) -> None:
    """The first decides whether manifests are read, without which an index has no children."""
    child = world.push("app", "child", tags=["child"])
    index = world.push("app", "index", [child.digest], tags=["index"])
    world.uses(usage("app", "arn:function", tag="index"))
    world.run(WATCHING)
    world.uses(usage("app", digest=child.digest))
    world.now = NOW.replace(hour=0, minute=0, second=0) + timedelta(days=14)

    def midnight(call: Call) -> None:
        if call.operation == "BatchGetImage":
            world.now += timedelta(days=1)

    world.ecr.before = midnight
    world.run(DELETING)
    assert index.digest in world.ecr.digests("app")


def test_a_function_that_moved_to_another_image_can_go_back_for_some_days(world: World) -> None:
    """Both by digest, as Lambda resolves it, and the image before is 200 days old."""
    before = world.push("app", "before", tags=["v1"], pushed_at=ago(200))
    world.push("app", "unused", tags=["v0"], pushed_at=ago(200))
    world.uses(usage("app", "arn:function", digest=before.digest))
    world.run(WATCHING)
    after = world.push("app", "after", tags=["v2"])
    world.uses(usage("app", "arn:function", digest=after.digest))
    a_night_later(world)
    world.run(DELETING)
    assert world.ecr.digests("app") == {before.digest, after.digest}


def test_it_stays_for_so_many_days_and_no_longer(world: World) -> None:
    old = used_the_night_before(world)
    a_night_later(world, 13)
    world.run(DELETING)
    assert old in world.ecr.digests("app")
    a_night_later(world)
    world.run(DELETING)
    assert old not in world.ecr.digests("app")


def test_a_rule_has_days_of_its_own(world: World) -> None:
    """They may be more than those of the other repositories, and more than 35."""
    old = used_the_night_before(world)
    longer = replace(DELETING, rules=(RepositoryRule(("app",), keep_used_days=60),))
    for nights in (58, 1):
        a_night_later(world, nights)
        world.run(longer)
        assert old in world.ecr.digests("app")
    a_night_later(world)
    world.run(longer)
    assert old not in world.ecr.digests("app")


def test_a_rule_may_forget_at_once(world: World) -> None:
    old = used_the_night_before(world)
    rules = (RepositoryRule(("other",)), RepositoryRule(("*",), keep_used_days=0))
    world.run(replace(DELETING, rules=rules))
    assert old not in world.ecr.digests("app")


def test_without_days_nothing_is_kept_and_all_is_remembered(world: World) -> None:
    old = used_the_night_before(world)
    world.run(Settings(ledger=LEDGER, keep_used_days=0))
    assert Ledger.read(world.s3.objects[LEDGER]).images == 2
    world.run(replace(DELETING, keep_used_days=0))
    assert old not in world.ecr.digests("app")


def test_without_a_ledger_nothing_is_remembered_and_the_run_says_so(world: World) -> None:
    world.push("app", "old")
    summary = world.run(Settings(dry_run=False))
    assert (summary["removed"], summary["remembers_since"]) == (1, None)
    assert len(world.events("Nothing is remembered")) == 1
    assert world.s3.objects == {}


def test_an_absent_ledger_is_begun_and_the_log_says_since_when_it_remembers(world: World) -> None:
    world.run(WATCHING)
    a_night_later(world)
    world.run(WATCHING)
    told = [(one["ledger"], one["since"]) for one in world.events("Ledger read")]
    assert told == [(LEDGER, "2026-03-01")] * 2


@pytest.mark.parametrize("operation", ["GetObject", "PutObject"])
def test_a_ledger_that_cannot_be_read_or_written_stops_the_run(
    world: World, operation: str
) -> None:
    world.push("app", "old")
    world.s3.error[operation] = "AccessDenied"
    with pytest.raises(LedgerError, match=f"missing IAM action: s3:{operation}") as error:
        world.run(DELETING)
    assert error.value.fields["missing_action"] == f"s3:{operation}"
    assert world.ecr.mutations() == []


def test_a_bucket_that_does_not_exist_is_not_an_absent_ledger(world: World) -> None:
    world.push("app", "old")
    world.s3.error["GetObject"] = "NoSuchBucket"
    with pytest.raises(LedgerError, match="NoSuchBucket"):
        world.run(DELETING)
    assert world.ecr.mutations() == []


def test_a_damaged_ledger_stops_the_run_and_stays_as_it_is(world: World) -> None:
    world.push("app", "old")
    world.s3.objects[LEDGER] = b"damaged"
    with pytest.raises(LedgerError, match=f"the ledger {LEDGER} cannot be read: it is damaged"):
        world.run(DELETING)
    assert (world.ecr.mutations(), world.s3.objects[LEDGER]) == ([], b"damaged")


def test_a_ledger_that_cannot_be_written_in_the_end_fails_the_run(world: World) -> None:
    world.push("app", "old")

    def refuse(call: Call) -> None:
        if call.operation == "BatchDeleteImage":
            world.s3.error["PutObject"] = "AccessDenied"

    world.ecr.before = refuse
    with pytest.raises(RunFailedError, match=f"the ledger {LEDGER} cannot be written"):
        world.run(DELETING)
    assert len(world.events("Ledger could not be written")) == 1
    (summary,) = world.events("Run finished")
    assert (summary["removed"], summary["complete"]) == (1, False)


def test_two_runs_at_once_do_not_lose_what_the_other_saw(world: World) -> None:
    mine = world.push("app", "mine")
    theirs = world.push("app", "theirs")
    world.uses(usage("app", digest=mine.digest))

    def another_run() -> None:
        world.s3.before = lambda: None
        other = Ledger(day_of(NOW))
        other.record(theirs.digest, Use("arn:other", day_of(NOW)))
        world.s3.objects[LEDGER] = other.stored()

    world.s3.before = another_run
    world.run(WATCHING)
    world.uses()
    assert world.run(DELETING)["kept"] == {"recently_used": 2}


def test_a_ledger_that_others_write_all_the_time_stops_the_run(world: World) -> None:
    days = iter(range(1000))

    def another_run() -> None:
        other = Ledger(day_of(ago(next(days))))
        world.s3.objects[LEDGER] = other.stored()

    world.s3.before = another_run
    with pytest.raises(LedgerError, match="other runs write it all the time"):
        world.run(DELETING)


def test_a_dry_run_writes_the_ledger_and_changes_nothing_in_ecr(world: World) -> None:
    world.push("app", "old")
    world.run(replace(WATCHING, event_queue=None))
    assert world.s3.writes == 2
    assert world.ecr.mutations() == []


def test_a_ledger_is_kept_in_a_file(world: World, tmp_path: Path) -> None:
    settings = Settings(ledger=str(tmp_path / "ledger"))
    used = world.push("app", "used")
    world.uses(usage("app", digest=used.digest))
    world.run(settings)
    world.uses()
    assert world.run(replace(settings, dry_run=False))["kept"] == {"recently_used": 1}


def test_a_file_is_written_only_over_the_version_that_was_read(tmp_path: Path) -> None:
    file = LedgerFile(str(tmp_path / "ledger"))
    assert file.read() is None
    first = file.write(b"1", None)
    assert first
    assert file.write(b"2", None) is None
    assert file.write(b"2", "another") is None
    second = file.write(b"2", first)
    assert file.read() == (b"2", second)
    assert file.write(b"3", first) is None


# Between the runs.


def event(image: str, digest: str | None = None, **more: Any) -> str:
    container = {"image": image, "name": "app"} | ({"imageDigest": digest} if digest else {})
    detail = {"taskArn": "arn:task", "lastStatus": "RUNNING", "containers": [container]}
    return json.dumps(
        {
            "detail-type": "ECS Task State Change",
            "time": "2026-02-28T12:00:00Z",
            "resources": ["arn:task"],
            "detail": detail,
        }
        | more
    )


def test_what_ran_at_noon_is_kept_with_the_day(world: World) -> None:
    by_digest = world.push("app", "by-digest")
    by_tag = world.push("app", "by-tag", tags=["job"])
    world.push("app", "old")
    world.sqs.send(event(f"{HOST}/app:moved", by_digest.digest))
    world.sqs.send(event(f"{HOST}/app:job"))
    summary = world.run(replace(DELETING, log_level="DEBUG"))
    assert world.ecr.digests("app") == {by_digest.digest, by_tag.digest}
    assert summary["kept"] == {"recently_used": 2}
    kept = {one["digest"]: list(one["because"]) for one in world.events("Keeping image")}
    because = ["arn:task", "2026-02-28"]
    assert kept == {by_digest.digest: because, by_tag.digest: because}
    assert world.sqs.messages == {}


def test_the_image_that_ran_by_a_tag_stays_after_the_tag_has_moved(world: World) -> None:
    ran = world.push("app", "ran", tags=["job"])
    world.sqs.send(event(f"{HOST}/app:job"))
    world.run(WATCHING)
    world.push("app", "new", tags=["job"])
    world.run(DELETING)
    assert ran.digest in world.ecr.digests("app")


def test_events_of_other_registries_do_not_count(world: World) -> None:
    image = world.push("app", "image", tags=["job"])
    elsewhere = HOST.replace("eu-west-1", "eu-west-2")
    world.sqs.send(event(f"{elsewhere}/app:job", image.digest))
    assert world.run(DELETING)["removed"] == 1


def test_many_events_are_read_and_deleted(world: World) -> None:
    for number in range(95):
        world.sqs.send(event(f"{HOST}/app:v{number}"))
    world.run(WATCHING)
    assert world.sqs.messages == {}


@pytest.mark.parametrize(
    "body",
    ["", "not JSON", "[]", "{}", '{"time": "2026-02-28T12:00:00Z"}', event("x", time="noon")],
)
def test_a_message_that_is_not_an_event_fails_the_run_and_nothing_is_removed(
    world: World, body: str
) -> None:
    world.push("app", "old")
    image = world.push("app", "image")
    world.sqs.send(body)
    world.sqs.send(event(f"{HOST}/app:job", image.digest))
    with pytest.raises(RunFailedError, match="1 messages in EVENT_QUEUE are not events"):
        world.run(DELETING)
    assert world.ecr.mutations() == []
    (warning,) = world.events("Events are left in the queue")
    assert "1 messages in EVENT_QUEUE are not events" in warning["why"]
    assert list(world.sqs.messages.values()) == [body]
    assert remembered(world, "app", image.digest) is not None


@pytest.mark.parametrize("time", ["0001-01-01T00:00:00+23:00", "1960-01-01", "2200-01-01"])
def test_an_event_of_an_impossible_day_is_not_an_event(world: World, time: str) -> None:
    world.sqs.send(event(f"{HOST}/app:job", time=time))
    with pytest.raises(RunFailedError, match="1 messages in EVENT_QUEUE are not events"):
        world.run(WATCHING)


def test_a_queue_that_cannot_be_read_stops_the_run(world: World) -> None:
    world.push("app", "old")
    world.sqs.error["ReceiveMessage"] = "AccessDenied"
    with pytest.raises(Exception, match="missing IAM action: sqs:ReceiveMessage"):
        world.run(DELETING)
    assert world.ecr.mutations() == []


def test_events_are_deleted_only_after_the_ledger_holds_them(world: World) -> None:
    image = world.push("app", "image")
    world.sqs.send(event(f"{HOST}/app:job", image.digest))
    world.s3.error["PutObject"] = "SlowDown"
    with pytest.raises(LedgerError):
        world.run(WATCHING)
    assert len(world.sqs.messages) == 1
    world.s3.error.clear()
    assert world.run(DELETING)["kept"] == {"recently_used": 1}


def test_events_that_cannot_be_deleted_are_read_again(world: World) -> None:
    world.sqs.send(event(f"{HOST}/app:job"))
    world.sqs.error["DeleteMessageBatch"] = "AccessDenied"
    assert world.run(WATCHING)["complete"] is True
    (warning,) = world.events("Events are left in the queue")
    assert "1 events stay in EVENT_QUEUE" in warning["why"]
    assert len(world.sqs.messages) == 1


def test_while_events_are_unread_nothing_is_removed(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ecr_cleaner.aws.event_queue.MOST_MESSAGES", 8)
    world.push("app", "old")
    for number in range(200):
        world.sqs.send(event(f"{HOST}/app:v{number}"))
    assert world.run(DELETING)["removed"] == 0
    assert world.ecr.mutations() == []
    (warning,) = world.events("Events are left in the queue")
    assert "nothing is removed; the next run continues" in warning["why"]


def test_near_the_deadline_no_event_is_taken(world: World) -> None:
    world.sqs.send(event(f"{HOST}/app:job"))
    world.run(WATCHING, seconds_left=lambda: 30)
    assert len(world.sqs.messages) == 1
    assert any(
        "the next run continues" in one["why"]
        for one in world.events("Events are left in the queue")
    )


# Events that are invisible because a run holds them.


def why_events_are_left(world: World) -> str:
    return "; ".join(one["why"] for one in world.events("Events are left in the queue"))


def an_event_that_keeps_an_image(world: World) -> str:
    image = world.push("app", "image")
    world.push("app", "old")
    world.sqs.send(event(f"{HOST}/app:job", image.digest))
    return image.digest


def a_run_that_fails_to_store_its_events(world: World) -> None:
    """Its second write fails: by the first, it became the reader."""

    def fail(operation: str) -> None:
        if operation == "GetQueueAttributes":
            world.s3.error["PutObject"] = "SlowDown"

    world.sqs.before = fail
    with pytest.raises(LedgerError, match="SlowDown"):
        world.run(DELETING)
    world.sqs.before = lambda _: None
    world.s3.error.clear()


def test_after_a_run_that_could_not_store_its_events_nothing_is_removed(world: World) -> None:
    image = an_event_that_keeps_an_image(world)
    a_run_that_fails_to_store_its_events(world)
    assert world.sqs.in_flight() == []
    assert world.run(DELETING)["removed"] == 0
    assert world.ecr.mutations() == []
    assert "may hold events of EVENT_QUEUE until 2026-03-01" in why_events_are_left(world)
    world.now += READER_FOR
    world.run(DELETING)
    assert world.ecr.digests("app") == {image}


def test_after_a_run_that_was_killed_nothing_is_removed_until_its_events_are_visible(
    world: World,
) -> None:
    """It releases nothing, and SQS does not count what it holds yet."""
    image = an_event_that_keeps_an_image(world)
    world.sqs.error["ChangeMessageVisibilityBatch"] = "AccessDenied"
    a_run_that_fails_to_store_its_events(world)
    assert len(world.sqs.in_flight()) == 1
    world.sqs.counts_late = True
    for _ in range(2):
        assert world.run(DELETING)["removed"] == 0
        world.now += (READER_FOR - timedelta(seconds=1)) / 2
    assert world.ecr.mutations() == []
    world.now += timedelta(seconds=1)
    world.run(DELETING)
    assert world.ecr.digests("app") == {image}


def test_a_run_removes_nothing_while_another_one_holds_events(world: World) -> None:
    image = an_event_that_keeps_an_image(world)
    removed: list[int] = []

    def another_run(operation: str) -> None:
        if operation == "GetQueueAttributes":
            world.sqs.before = lambda _: None
            removed.append(world.run(DELETING)["removed"])
            assert world.ecr.mutations() == []

    world.sqs.before = another_run
    assert world.run(DELETING)["removed"] == 1
    assert removed == [0]
    assert world.ecr.digests("app") == {image}


def test_a_run_knows_the_events_that_another_one_stored_since_it_read_the_ledger(
    world: World,
) -> None:
    image = an_event_that_keeps_an_image(world)

    def another_run() -> None:
        world.s3.before = lambda: None
        world.run(WATCHING)
        assert world.sqs.messages == {}

    world.s3.before = another_run
    assert world.run(DELETING)["removed"] == 1
    assert world.ecr.digests("app") == {image}


def test_two_runs_that_begin_at_once_do_not_both_receive(world: World) -> None:
    image = an_event_that_keeps_an_image(world)

    def another_run() -> None:
        world.s3.before = lambda: None
        a_run_that_fails_to_store_its_events(world)

    world.s3.before = another_run
    assert world.run(DELETING)["removed"] == 0
    assert image in world.ecr.digests("app")
    assert len(world.sqs.messages) == 1


def test_a_run_without_a_queue_leaves_the_reader_of_the_events(world: World) -> None:
    an_event_that_keeps_an_image(world)
    a_run_that_fails_to_store_its_events(world)
    world.run(replace(WATCHING, event_queue=None))
    assert world.run(DELETING)["removed"] == 0


def test_a_strange_message_fails_every_run_until_it_is_deleted(world: World) -> None:
    image = an_event_that_keeps_an_image(world)
    world.sqs.send("strange")
    for _ in range(2):
        with pytest.raises(RunFailedError, match="1 messages in EVENT_QUEUE are not events"):
            world.run(DELETING)
        assert world.ecr.mutations() == []
        assert list(world.sqs.messages.values()) == ["strange"]
    world.sqs.messages.clear()
    world.run(DELETING)
    assert world.ecr.digests("app") == {image}


def test_after_a_strange_message_that_was_not_released_nothing_is_removed(world: World) -> None:
    world.push("app", "old")
    world.sqs.send("strange")
    world.sqs.error["ChangeMessageVisibilityBatch"] = "AccessDenied"
    with pytest.raises(RunFailedError):
        world.run(DELETING)
    assert world.run(DELETING)["removed"] == 0
    world.now += READER_FOR
    with pytest.raises(RunFailedError):
        world.run(DELETING)


def test_events_that_another_program_holds_stop_removals(world: World) -> None:
    world.push("app", "old")
    world.sqs.send(event(f"{HOST}/app:held"))
    world.sqs.receive_message(QUEUE, 10, VisibilityTimeout=1000, WaitTimeSeconds=1)
    world.sqs.send(event(f"{HOST}/app:job"))
    assert world.run(DELETING)["removed"] == 0
    assert "1 more events of EVENT_QUEUE are invisible" in why_events_are_left(world)
    world.now += READER_FOR
    assert world.run(DELETING)["removed"] == 1


def test_a_message_that_is_delivered_twice_does_not_hide_another_one(world: World) -> None:
    """The first of two messages is received again, as SQS may do, and the second is held."""
    world.push("app", "old")
    twice, held = (event(f"{HOST}/app:{tag}") for tag in ("twice", "held"))
    for body in (twice, held):
        world.sqs.send(body)
    first, second = world.sqs.messages
    world.sqs.invisible_until[second] = world.now + timedelta(seconds=1000)
    again = iter([None])

    def deliver_again(operation: str) -> None:
        if operation == "ReceiveMessage" and first in world.sqs.in_flight() and next(again, 1) != 1:
            del world.sqs.invisible_until[first]

    world.sqs.before = deliver_again
    assert world.run(DELETING)["removed"] == 0


def test_after_an_answer_was_lost_nothing_is_removed_until_its_events_are_visible(
    world: World,
) -> None:
    image = an_event_that_keeps_an_image(world)
    world.sqs.lost = 1
    assert world.run(DELETING)["removed"] == 0
    assert "was repeated" in why_events_are_left(world)
    assert world.run(DELETING)["removed"] == 0
    world.now += READER_FOR
    world.run(DELETING)
    assert world.ecr.digests("app") == {image}


@pytest.mark.parametrize("operation", ["ReceiveMessage", "GetQueueAttributes"])
def test_what_was_received_is_released_if_receiving_fails(world: World, operation: str) -> None:
    """Receiving fails after a first call, if that is what fails."""
    an_event_that_keeps_an_image(world)

    def fail(begun: str) -> None:
        if begun == operation and world.sqs.in_flight():
            world.sqs.error[operation] = "AccessDenied"

    world.sqs.before = fail
    with pytest.raises(ApiError, match=f"sqs:{operation}"):
        world.run(DELETING)
    assert (len(world.sqs.messages), world.sqs.in_flight()) == (1, [])
    world.sqs.error.clear()
    world.sqs.before = lambda _: None
    assert world.run(DELETING)["removed"] == 0


def test_an_answer_without_the_number_in_flight_stops_the_run(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.push("app", "old")
    monkeypatch.setattr(
        FakeSqs, "get_queue_attributes", lambda *_, **__: {"Attributes": {"other": "0"}}
    )
    with pytest.raises(ApiError, match="holds no number under ApproximateNumberOfMessagesNotVis"):
        world.run(DELETING)
    assert world.ecr.mutations() == []
