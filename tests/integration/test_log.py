"""Log lines, which saved queries and alarms depend on."""

from __future__ import annotations

from collections import Counter
from datetime import datetime, timedelta
from typing import Any

import pytest

from integration import full_world
from integration.full_world import FullWorld
from integration.program import REQUEST_ID, Program, Run, fails
from world import OPTED_IN, World

OLD = 90
SIZE = 12_345_678


def verdict_of(run: Run, digest: str) -> dict[str, Any]:
    (line,) = [line for line in run.lines if line.get("digest") == digest]
    return line


# -- Every line --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "dry_run"),
    [({}, True), ({"DRY_RUN": "false"}, False), ({"LOG_LEVEL": "DEBUG"}, True)],
)
def test_every_line_has_timestamp_level_event_request_id_and_mode(
    program: Program, full: FullWorld, settings: dict[str, str], *, dry_run: bool
) -> None:
    run = program.run(**settings)

    assert len(run.lines) > len(full.unused)
    for line in run.lines:
        assert datetime.fromisoformat(line["timestamp"]).utcoffset() == timedelta(0)
        assert line["level"] in {"debug", "info", "warning", "error"}
        assert line["event"]
        assert (line["request_id"], line["dry_run"]) == (REQUEST_ID, dry_run)
        assert line["mode"] == ("dry_run" if dry_run else "clean")


@pytest.mark.parametrize(
    ("level", "levels"),
    [
        ("DEBUG", {"debug", "info", "warning", "error"}),
        ("INFO", {"info", "warning", "error"}),
        ("WARNING", {"warning", "error"}),
        ("ERROR", {"error"}),
    ],
)
def test_log_level_is_the_minimum_level_that_is_written(
    world: World, program: Program, full: FullWorld, level: str, levels: set[str]
) -> None:
    assert full.unused
    world.image(full_world.REPOSITORIES[0])
    program.on("ecr:BatchDeleteImage", fails("ServerException"))
    run = program.delete(LOG_LEVEL=level)

    assert {line["level"] for line in run.lines} == levels
    assert "ServerException" in run.failure


# -- Verdicts ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "event"),
    [
        ({}, "Found unused image, should be removed"),
        ({"DRY_RUN": "false"}, "Found unused image, removing"),
    ],
)
def test_line_of_an_unused_image_has_every_field(
    world: World, program: Program, full: FullWorld, settings: dict[str, str], event: str
) -> None:
    assert full.used
    name = full_world.REPOSITORIES[0]
    digest = world.image(name, "v1", "build-9", days_old=OLD, size_bytes=SIZE)
    stored = world.stored(name, digest)
    run = program.run(**settings)

    line = verdict_of(run, digest)
    pushed = datetime.fromisoformat(line.pop("pushed_at"))
    assert pushed.utcoffset() == timedelta(0)
    assert pushed.timestamp() == pytest.approx(stored.image_pushed_at)
    del line["timestamp"]
    assert line == {
        "event": event,
        "level": "info",
        "request_id": REQUEST_ID,
        "dry_run": not settings,
        "mode": "clean" if settings else "dry_run",
        "repository": name,
        "digest": digest,
        "tags": ["v1", "build-9"],
        "age_days": OLD,
        "size_bytes": SIZE,
        "action": "delete",
        "reason": "unused",
        "because": [],
    }


def test_line_of_an_old_image_in_use_names_its_consumers(program: Program, full: FullWorld) -> None:
    name = full_world.REPOSITORIES[0]
    digest = full.of("ecs")
    run = program.run()

    line = verdict_of(run, digest)
    assert line["event"] == "Found old image in use"
    assert (line["reason"], line["repository"], line["tags"]) == ("in_use", name, ["ecs"])
    assert line["age_days"] == OLD
    prefix = "arn:aws:ecs:eu-west-1:123456789012"
    assert f"{prefix}:service/main/web" in line["because"]
    assert {line["reason"] for line in run.events("Found old image in use")} == {"in_use"}


def test_line_of_a_child_of_an_index_in_use_names_the_consumer(
    world: World, program: Program, full: FullWorld
) -> None:
    assert full.used
    name = full_world.REPOSITORIES[0]
    child = world.image(name, days_old=OLD)
    index = world.index(name, [child], days_old=OLD)
    world.app_runner("by-child", world.uri(name, digest=child))
    line = verdict_of(program.run(), index)

    assert (line["event"], line["reason"]) == ("Found old image in use", "family_in_use")
    assert "by-child" in line["because"][0]


def test_young_image_is_logged_at_debug_level_only(
    world: World, program: Program, full: FullWorld
) -> None:
    assert full.used
    young = world.image(full_world.REPOSITORIES[0], days_old=1)

    assert young not in {line.get("digest") for line in program.run().lines}
    line = verdict_of(program.run(LOG_LEVEL="DEBUG"), young)
    assert (line["event"], line["level"], line["reason"]) == ("Keeping image", "debug", "too_young")


# -- Numbers -----------------------------------------------------------------------------------

NUMBERS = (
    "images",
    "removable",
    "removable_bytes",
    "removed",
    "removed_bytes",
    "already_gone",
    "failed",
    "left",
)


@pytest.mark.parametrize("dry_run", ["true", "false"])
def test_summary_is_the_last_line_and_the_result_and_sums_up_the_repositories(
    program: Program, full: FullWorld, dry_run: str
) -> None:
    run = program.run(DRY_RUN=dry_run)
    last = run.lines[-1]
    repositories = run.events("Repository finished")

    assert last["event"] == "Run finished"
    bound = {"timestamp", "level", "event", "request_id"}
    assert {name: last[name] for name in last.keys() - bound} == run.summary
    assert {line["repository"] for line in repositories} == set(full_world.REPOSITORIES)
    for number in NUMBERS:
        assert run.summary[number] == sum(line[number] for line in repositories), number
    kept: Counter[str] = sum((Counter(line["kept"]) for line in repositories), Counter())
    assert run.summary["kept"] == kept == {"in_use": len(full.used)}
    assert run.summary["images"] == len(full.all)
    assert run.summary["removable"] == len(full.unused)
    assert run.summary["removed"] == (len(full.unused) if dry_run == "false" else 0)
    assert run.summary["duration_seconds"] >= 0


def test_failed_run_writes_its_summary_before_the_error(program: Program, full: FullWorld) -> None:
    program.on("ecr:BatchDeleteImage", fails("ServerException", "try later"))
    run = program.delete()

    assert full.unused
    assert [line["event"] for line in run.lines[-2:]] == ["Run finished", "Run failed"]
    summary, failure = run.lines[-2:]
    assert (summary["complete"], failure["level"]) == (False, "error")
    assert summary["failed"] + summary["left"] == len(full.unused)
    assert failure["error"] == run.failure
    assert all("try later" in error for error in summary["errors"])


# -- Dry runs ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "warned"),
    [
        (None, False),
        ("true", False),
        ("", False),
        ("False", True),
        ("FALSE", True),
        ("0", True),
        ("no", True),
        (" false", True),
        ("false\n", True),
        ("nonsense", False),
    ],
)
def test_any_value_but_false_is_a_dry_run_that_changes_nothing(
    world: World, program: Program, full: FullWorld, value: str | None, *, warned: bool
) -> None:
    run = program.run(**({} if value is None else {"DRY_RUN": value}))

    assert run.mutations == []
    assert full_world.everything(world) == full.all
    assert run.summary["dry_run"] is True
    assert len(run.events("Found unused image, should be removed")) == len(full.unused)
    warnings = [line for line in run.lines if line["level"] == "warning"]
    assert [repr(value) in line["why"] for line in warnings] == [True] * warned


def test_dry_run_announces_what_the_real_run_does(
    world: World, program: Program, full: FullWorld
) -> None:
    told = {
        line["digest"] for line in program.run().events("Found unused image, should be removed")
    }
    before = full_world.everything(world)
    program.delete()

    assert before - full_world.everything(world) == told == full.unused


# -- Bad settings and tags ---------------------------------------------------------------------

BAD_NUMBERS = ("abc", "365d", "-1", "", " 30", "3.5", "1e3", "99999999999", "٣")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("DEFAULT_KEEP_DAYS", value) for value in BAD_NUMBERS),
        ("KEEP_COUNT", "many"),
        ("KEEP_PULLED_DAYS", ""),
        ("MAX_DELETIONS", "0"),
        ("LOG_LEVEL", "info"),
        ("ACTION", "Delete"),
        ("REPOSITORY_RULES", "{}"),
        ("KEEP_TAG_PATTERNS", "v*,,"),
    ],
)
@pytest.mark.usefixtures("world")
def test_bad_setting_stops_the_run_before_any_call(program: Program, name: str, value: str) -> None:
    run = program.delete(**{name: value})

    assert run.calls == []
    assert run.failure.startswith(f"{name} is {value!r}, but must be ")
    (line,) = run.lines
    assert (line["event"], line["level"], line["error"]) == ("Run failed", "error", run.failure)
    assert (line["request_id"], line["dry_run"]) == (REQUEST_ID, False)


@pytest.mark.parametrize("value", ["abc", "365d", "-1", ""])
@pytest.mark.parametrize("tag", ["BoxCleanerKeepDays", "BoxCleanerKeepCount"])
def test_bad_tag_skips_its_repository_and_the_run_ends_in_an_error(
    world: World, program: Program, full: FullWorld, tag: str, value: str
) -> None:
    bad = world.repository("bad", {**OPTED_IN, tag: value})
    unused = world.image(bad, days_old=OLD)
    run = program.delete()

    assert world.digests(bad) == {unused}
    assert full_world.everything(world) == set(full.used)
    assert tag in run.failure
    (line,) = run.events("Repository failed")
    assert line["repository"] == bad
    assert line["error"].startswith(f"tag {tag} of bad is {value!r}, but must be ")
