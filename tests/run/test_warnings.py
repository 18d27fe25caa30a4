"""What a run warns about, and what it skips, because it was probably not meant."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta

import pytest

from core.worlds import ago
from ecr_cleaner.core.errors import OutOfTimeError
from ecr_cleaner.core.settings import RepositoryRule, Settings
from ecr_cleaner.workers import Workers
from fakes.ecr import Call
from run.test_cleaner import SOMETHING_IN_USE, StubSource, World

DOUBTFUL = "Setting may not do what was meant"


@pytest.fixture
def world() -> Iterator[World]:
    with Workers(2) as workers:
        made = World(workers)
        made.create("app")
        made.push("app", "old")
        yield made


def test_repository_with_a_misspelled_tag_is_skipped_and_the_others_are_cleaned(
    world: World,
) -> None:
    world.create("precious", boxcleanerkeepdays="365")
    world.push("precious", "old")
    summary = world.run()

    (line,) = world.events("Repository is skipped: a tag looks misspelled")
    assert (line["repository"], line["tag"]) == ("precious", "boxcleanerkeepdays")
    assert (line["log_level"], summary["repositories"]) == ("warning", 1)
    assert (len(world.ecr.digests("precious")), len(world.ecr.digests("app"))) == (1, 0)


NOTHING = "so there is nothing to judge; check the account, the region and the tags"


@pytest.mark.parametrize(
    ("repositories", "matching", "why"),
    [
        ({"app": "false", "web": "True"}, (), "no repository of this registry has the tag"),
        ({}, (), "this registry has no repositories, "),
        (
            {"app": "true", "web": "false"},
            ("w*",),
            "no repository of this registry that REPOSITORY_FILTER matches has the tag",
        ),
    ],
    ids=["none opted in", "none there", "none that matches"],
)
def test_run_with_nothing_to_judge_is_warned_about(
    world: World, repositories: dict[str, str], matching: tuple[str, ...], why: str
) -> None:
    world.ecr.repositories.clear()
    for name, value in repositories.items():
        world.create(name, BoxCleanerEnabled=value)

    assert world.run(Settings(repository_filter=matching))["repositories"] == 0

    (line,) = world.events(DOUBTFUL)
    assert line["why"].startswith(why)
    assert line["why"].endswith(NOTHING)


def test_rule_that_matches_no_repository_is_warned_about(world: World) -> None:
    world.run(Settings(rules=(RepositoryRule(("ap",)), RepositoryRule(("app",)))))
    (line,) = world.events(DOUBTFUL)
    assert line["why"] == "entry 1 of REPOSITORY_RULES matches no repository: ap"


def test_tag_below_the_floor_is_raised_and_warned_about(world: World) -> None:
    world.create("sandbox", BoxCleanerKeepDays="0")
    world.push("sandbox", "young", pushed_at=ago(6))
    world.run(Settings(dry_run=False, min_keep_days=7))

    (line,) = world.events(DOUBTFUL)
    assert line["repository"] == "sandbox"
    assert line["why"].startswith("tag BoxCleanerKeepDays is 0, but MIN_KEEP_DAYS is 7")
    assert len(world.ecr.digests("sandbox")) == 1


def test_deleted_role_in_a_policy_is_warned_about_and_does_not_guard(world: World) -> None:
    world.ecr.registry_policy = json.dumps(
        {
            "Statement": {
                "Effect": "Allow",
                "Action": "ecr:BatchGetImage",
                "Principal": {"AWS": "AROAEXAMPLEID1234567"},
            }
        }
    )
    world.run()
    (line,) = world.events(DOUBTFUL)
    assert "AROAEXAMPLEID1234567, a deleted role or user" in line["why"]
    assert world.ecr.digests("app") == set()


@pytest.mark.parametrize(("seconds", "warnings"), [(180, 0), (181, 1)])
def test_scan_that_takes_longer_than_it_may_age_is_warned_about_and_cleans_all_the_same(
    world: World, seconds: int, warnings: int
) -> None:
    def slow(_: int) -> list[object]:
        world.now += timedelta(seconds=seconds)
        return [SOMETHING_IN_USE]

    world.source = StubSource(slow)  # type: ignore[arg-type]
    for number in range(250):
        world.push("app", f"old-{number}")
    summary = world.run()

    assert len(world.events("Scan takes longer than it may age")) == warnings
    assert (summary["complete"], summary["removed"]) == (True, 251)


def test_the_log_begins_with_the_settings_and_each_source(world: World) -> None:
    world.run()
    started, targets, scanned, *_ = world.log.lines
    assert (started["event"], started["settings"]["dry_run"]) == ("Run started", False)
    assert (targets["event"], targets["targets"]) == ("Accounts and regions to scan", 1)
    assert (scanned["event"], scanned["source"]) == ("Usage source scanned", "stub")


def test_run_whose_first_scan_has_no_time_fails_and_removes_nothing(world: World) -> None:
    def no_time(_: int) -> list[object]:
        raise OutOfTimeError("no time left to call ecs")

    world.source = StubSource(no_time)  # type: ignore[arg-type]
    with pytest.raises(OutOfTimeError, match="not finished: stub"):
        world.run()
    assert world.ecr.mutations() == []


def test_repository_for_which_there_is_no_time_is_left_for_the_next_run(world: World) -> None:
    world.create("second")
    world.push("second", "old")

    def no_time(call: Call) -> None:
        if call.operation == "DescribeImages" and call.parameters["repositoryName"] == "second":
            raise OutOfTimeError("no time left to call ecr")

    world.ecr.before = no_time
    summary = world.run()
    assert (summary["repositories_unvisited"], summary["complete"]) == (1, False)
    assert (summary["errors"], len(world.ecr.digests("second"))) == ([], 1)


# What vanished between being listed and being read.


def test_index_that_vanished_before_it_was_read_is_skipped(world: World) -> None:
    child = world.push("app", "child")
    index = world.push("app", "index", [child.digest])

    def vanish(call: Call) -> None:
        if call.operation == "BatchGetImage":
            world.ecr.repositories["app"].images.pop(index.digest, None)

    world.ecr.before = vanish
    summary = world.run()
    assert (summary["complete"], summary["images"], summary["removed"]) == (True, 2, 2)


def test_repository_that_vanished_before_its_manifests_were_read_is_skipped(world: World) -> None:
    world.create("gone")
    child = world.push("gone", "child")
    world.push("gone", "index", [child.digest])

    def vanish(call: Call) -> None:
        if call.operation == "BatchGetImage":
            world.ecr.repositories.pop("gone", None)

    world.ecr.before = vanish
    assert world.run()["complete"]


def test_index_without_manifests_is_removed_like_an_image(world: World) -> None:
    index = "application/vnd.oci.image.index.v1+json"
    world.push("app", "empty", media_type=index, manifest='{"manifests": null}')
    assert world.run()["removed"] == 2
