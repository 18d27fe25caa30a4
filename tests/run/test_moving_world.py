"""Changes during a run: no image that is needed may be removed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any

import pytest

from core.worlds import NOW, ago, plan_of, usage
from ecr_cleaner.core.errors import RunFailedError
from ecr_cleaner.core.model import Action
from ecr_cleaner.core.settings import Settings
from ecr_cleaner.deadline import Deadline
from ecr_cleaner.run.fresh_usage import FreshUsage
from ecr_cleaner.run.live_plan import LivePlan
from ecr_cleaner.usage.scan import Scan
from ecr_cleaner.workers import Workers
from fakes.ecr import SILENT, Call, FakeEcr
from run.test_cleaner import SOMETHING_IN_USE, StubSource, World


@pytest.fixture
def world() -> Iterator[World]:
    """A registry that is swept by one thread, so that batches run one after the other."""
    with Workers(1) as workers:
        made = World(workers)
        made.create("app")
        yield made


def minutes_pass_with_each_batch(world: World, minutes: int) -> None:
    def before(call: Call) -> None:
        if call.operation == "BatchDeleteImage":
            world.now += timedelta(minutes=minutes)

    world.ecr.before = before


def failed(world: World) -> dict[str, Any]:
    with pytest.raises(RunFailedError):
        world.run()
    (summary,) = world.events("Run finished")
    return summary


class Ticking(World):
    """A world whose clock advances by a millisecond at each reading."""

    def clock(self) -> datetime:
        self.now += timedelta(milliseconds=1)
        return self.now


@pytest.mark.parametrize("action", [Action.DELETE, Action.ARCHIVE])
@pytest.mark.parametrize("milliseconds", range(25))
def test_child_that_turns_old_during_the_judgement_is_kept_with_its_index(
    action: Action, milliseconds: int
) -> None:
    """The forecast finds it too young; judged old later, its index would be unread."""
    old_soon = NOW - timedelta(days=30) + timedelta(milliseconds=milliseconds)
    with Workers(1) as workers:
        world = Ticking(workers)
        world.create("app")
        child = world.push("app", "child", pushed_at=old_soon)
        pushed_at = old_soon + timedelta(minutes=5)
        world.push("app", "index", [child.digest], tags=["v1"], pushed_at=pushed_at)
        world.uses(usage("app", tag="v1"))
        world.run(Settings(dry_run=False, action=action))

    assert world.ecr.mutations() == []


def test_image_that_comes_into_use_during_a_long_sweep_is_kept(world: World) -> None:
    taken = [world.push("app", f"i{number:04}") for number in range(1000)][-1]
    start = world.now
    running = [usage("app", digest=taken.digest)]
    world.source = StubSource(
        lambda _: [SOMETHING_IN_USE, *running * (world.now - start >= timedelta(minutes=3))]
    )
    minutes_pass_with_each_batch(world, 1)

    summary = world.run()

    assert taken.digest in world.ecr.digests("app")
    assert summary["left"] == 1
    assert world.events("Images left for the next run")[0]["reason"] == "came_into_use"


def test_tag_that_moved_during_a_second_scan_is_seen(world: World) -> None:
    old = world.push("app", "old")
    new = world.push("app", "new", tags=["prod"], pushed_at=ago(1))

    def scan(number: int) -> list[Any]:
        if number == 2:
            world.now += timedelta(seconds=30)
            new.tags.clear()
            old.tags.append("prod")
        return [SOMETHING_IN_USE, usage("app", tag="prod")]

    world.source = StubSource(scan)
    world.run(Settings(dry_run=False, rescan_after_seconds=0))

    assert old.digest in world.ecr.digests("app")


def test_tag_that_moved_between_a_listing_and_the_end_of_a_scan_is_seen(world: World) -> None:
    """The scan may have begun before the listing, so it may not have seen the listed tags."""
    minute = timedelta(minutes=1)

    def scan() -> Scan:
        world.now += minute
        return Scan(())

    began = world.now
    usage_watch = FreshUsage(scan, Deadline(world.clock), max_age=2 * minute)
    usage_watch.begin()
    world.now += 2 * minute
    assert usage_watch.renew()
    plan = plan_of()
    standing = LivePlan(usage_watch, plan, usage_watch.scans, lambda: plan)

    assert standing.scanned_since(began + 3.5 * minute)
    assert not standing.scanned_since(began + 4 * minute)


def test_image_that_was_pulled_since_the_listing_is_kept(world: World) -> None:
    taken = [world.push("app", f"i{number:04}") for number in range(300)][-1]

    def before(call: Call) -> None:
        if call.operation == "BatchDeleteImage":
            world.now += timedelta(minutes=2)
            taken.pulled_at = world.now

    world.ecr.before = before
    world.run()

    assert taken.digest in world.ecr.digests("app")


def test_no_scan_is_started_that_would_outlast_the_run(world: World) -> None:
    world.push("app", "old")
    deadline = world.now + timedelta(seconds=500)

    def scan(_: int) -> list[Any]:
        world.now += timedelta(seconds=300)
        return [SOMETHING_IN_USE]

    world.source = StubSource(scan)
    summary = world.run(seconds_left=lambda: timedelta.total_seconds(deadline - world.now))

    assert (summary["complete"], summary["left"], summary["removed"]) == (False, 1, 0)
    assert world.now < deadline


@pytest.mark.parametrize("status", ["ARCHIVED", "ACTIVATING"])
def test_tagged_children_of_an_unreadable_index_are_kept(world: World, status: str) -> None:
    child = world.push("app", "child", tags=["1.0-amd64"])
    world.push("app", "index", [child.digest], tags=["1.0"], status=status, archived_at=ago(20))

    world.run()

    assert world.ecr.mutations() == []


# -- What was deleted is counted, whatever came after --------------------------------------------


def answers(world: World, **changed: Any) -> None:
    """Change the answers of operations by functions of the parameters and the answer."""

    def call(operation: str, answer: Any, given: Mapping[str, Any]) -> dict[str, Any]:
        told = FakeEcr._call(world.ecr, operation, answer, given)  # noqa: SLF001
        change = changed.get(operation, lambda _, same: same)
        return dict(change(given, told))

    world.ecr._call = call  # type: ignore[method-assign]  # noqa: SLF001


def test_digest_listed_on_two_pages_has_the_tags_of_both(world: World) -> None:
    twice = world.push("app", "twice", tags=["prod"])

    def two_pages(_: dict[str, Any], told: dict[str, Any]) -> dict[str, Any]:
        (detail,) = told["imageDetails"]
        return told | {"imageDetails": [detail, detail | {"imageTags": ["old"]}]}

    answers(world, DescribeImages=two_pages)
    world.uses(usage("app", tag="prod"))
    world.run()

    assert world.ecr.digests("app") == {twice.digest}


def test_failure_without_a_digest_does_not_lose_the_count(world: World) -> None:
    world.push("app", "old")
    odd = {"failures": [{"imageId": {"imageTag": "x"}, "failureCode": "KmsError"}]}
    answers(world, BatchDeleteImage=lambda _, told: told | odd)

    assert world.run()["removed"] == 1


def test_unexpected_answer_does_not_lose_the_count(world: World) -> None:
    for number in range(250):
        world.push("app", f"i{number}")
    minutes_pass_with_each_batch(world, 2)

    def thawing(given: dict[str, Any], told: dict[str, Any]) -> dict[str, Any]:
        if "imageIds" in given:
            told["imageDetails"][0]["imageStatus"] = "THAWING"
        return told

    answers(world, DescribeImages=thawing)
    summary = failed(world)

    assert summary["removed"] == 250 - len(world.ecr.digests("app"))
    assert summary["removed"] > 0
    (error,) = summary["errors"]
    assert "the status THAWING of sha256:" in error


def test_failed_lookup_does_not_lose_the_count(world: World) -> None:
    silent, *_ = [world.push("app", f"i{number}") for number in range(10)]
    world.ecr.refuse("BatchDeleteImage", silent.digest, SILENT)
    world.ecr.fail("DescribeImages", "ThrottlingException", nth=2)
    summary = failed(world)

    assert (summary["removed"], summary["failed"]) == (9, 1)


@pytest.mark.parametrize("dry_run", [True, False])
def test_more_images_than_a_run_may_remove_name_the_setting(world: World, *, dry_run: bool) -> None:
    for number in range(5):
        world.push("app", f"i{number}")
    world.run(Settings(dry_run=dry_run, max_deletions=2))

    (line,) = world.events("More is removable than a run may remove")
    assert (line["removable"], line["max_deletions"]) == (5, 2)
    assert "MAX_DELETIONS" in line["why"]
