"""Answers that never change, from one run to the next: a help that no run depends on."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path

import pytest

from core.worlds import NOW, usage
from ecr_cleaner.core.answer_cache import AnswerCache
from ecr_cleaner.core.errors import IncompleteAnswerError, ScanError
from ecr_cleaner.core.ledger import day_of
from ecr_cleaner.core.model import Usage
from ecr_cleaner.core.settings import Settings
from ecr_cleaner.core.walk import Found
from ecr_cleaner.run import stored_answers
from ecr_cleaner.run.stored_answers import program_version
from ecr_cleaner.usage.shared.target import Target
from ecr_cleaner.workers import Workers
from run.test_cleaner import StubSource, World

LEDGER = "s3://memory/ledger"
ANSWERS = f"{LEDGER}.answers"
WATCHING = Settings(ledger=LEDGER)
DELETING = replace(WATCHING, dry_run=False)
IN_USE = usage("app", "arn:service", tag="v1")


@dataclass
class AskingSource(StubSource):
    """A source that asks AWS for what is not known, and counts that. Its list is always made."""

    asked: int = 0
    keys: list[str] = field(default_factory=lambda: ["arn:1", "arn:2"])

    def usages(self, target: Target) -> Iterable[Usage]:
        for key in self.keys:
            found = target.answers.found(key)
            if found is None:
                self.asked += 1
                found = Found({IN_USE.reference: None})
                target.answers.remember(key, found)
            yield from (Usage(one, key, self.name) for one in found.references)


@pytest.fixture(scope="module")
def workers() -> Iterator[Workers]:
    with Workers(4) as made:
        yield made


@pytest.fixture
def source() -> AskingSource:
    return AskingSource(lambda _: [])


@pytest.fixture
def world(workers: Workers, source: AskingSource) -> World:
    made = World(workers)
    made.source = source
    made.create("app")
    made.push("app", "used", tags=["v1"])
    return made


def asked(world: World, source: AskingSource, settings: Settings = WATCHING) -> int:
    """Run on the next day; return how much was asked. The run must be complete and right."""
    before = source.asked
    world.now += timedelta(days=1)
    summary = world.run(settings)
    assert (summary["complete"], summary["kept"]) == (True, {"in_use": 1})
    return source.asked - before


def failures(world: World) -> list[str]:
    return [line["why"] for line in world.events("Cached answers could not be read or written")]


def test_a_second_run_asks_for_what_is_new(world: World, source: AskingSource) -> None:
    assert asked(world, source) == 2
    source.keys.append("arn:3")
    assert asked(world, source) == 1
    told = [
        (one["cache"], one["answers"], one["damaged"])
        for one in world.events("Cached answers read")
    ]
    assert told == [(ANSWERS, 2, 0)]
    assert failures(world) == []


def test_a_cache_never_replaces_a_list(world: World, source: AskingSource) -> None:
    """What is known of a thing that is not listed any more is not in use."""
    asked(world, source)
    source.keys.clear()
    summary = world.run(replace(DELETING, keep_used_days=0, expect_no_usage=True))
    assert (summary["kept"], summary["removed"]) == ({}, 1)


def test_the_second_scan_of_a_run_asks_for_what_is_new(world: World, source: AskingSource) -> None:
    world.push("app", "old")
    assert world.run(DELETING)["removed"] == 1
    assert source.asked == 2


def test_without_a_ledger_every_scan_asks_for_all(world: World, source: AskingSource) -> None:
    world.push("app", "old")
    assert world.run(Settings(dry_run=False))["removed"] == 1
    assert source.asked == 4
    assert world.s3.objects == {}


def test_a_ledger_in_a_file_has_its_answers_beside_it(
    world: World, source: AskingSource, tmp_path: Path
) -> None:
    settings = Settings(ledger=str(tmp_path / "ledger"))
    assert asked(world, source, settings) == 2
    assert (tmp_path / "ledger.answers").exists()
    assert asked(world, source, settings) == 0


@pytest.mark.parametrize(
    "content",
    [b"", b"damaged", AnswerCache("1", day_of(NOW)).stored()[:9]],
    ids=["nothing", "text", "cut off"],
)
def test_a_damaged_cache_is_asked_for_again_and_written_over(
    world: World, source: AskingSource, content: bytes
) -> None:
    world.s3.objects[ANSWERS] = content
    assert asked(world, source) == 2
    (why,) = failures(world)
    assert why.endswith("; what would be known from it is asked for")
    assert asked(world, source) == 0


def test_another_program_asks_for_all(
    world: World, source: AskingSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked(world, source)
    monkeypatch.setattr(stored_answers, "program_version", lambda: "another")
    assert asked(world, source) == 2
    assert asked(world, source) == 0


def test_a_program_that_does_not_know_its_version_uses_no_cache(
    world: World, source: AskingSource, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    asked(world, source)
    stored = world.s3.objects[ANSWERS]
    monkeypatch.setattr(stored_answers, "_PACKAGE", tmp_path)
    assert asked(world, source) == 2
    assert "the version of the program is unknown" in failures(world)[0]
    assert world.s3.objects[ANSWERS] == stored


@pytest.mark.parametrize("code", ["AccessDenied", "SlowDown", "NoSuchBucket"])
def test_a_cache_that_cannot_be_read_is_left_alone(
    world: World, source: AskingSource, code: str
) -> None:
    asked(world, source)
    stored = world.s3.objects[ANSWERS]
    world.s3.error[f"GetObject {ANSWERS}"] = code
    assert asked(world, source) == 2
    (why,) = failures(world)
    assert f"s3 GetObject failed with {code}" in why
    assert world.s3.objects[ANSWERS] == stored


def test_a_cache_that_cannot_be_written_fails_no_run(world: World, source: AskingSource) -> None:
    world.s3.error[f"PutObject {ANSWERS}"] = "AccessDenied"
    assert asked(world, source) == 2
    assert "missing IAM action: s3:PutObject" in failures(world)[0]
    assert asked(world, source) == 2


def test_of_two_runs_at_once_one_leaves_its_answers(world: World, source: AskingSource) -> None:
    def another_run() -> None:
        world.s3.objects.setdefault(ANSWERS, b"of another run")

    world.s3.before = another_run
    assert asked(world, source) == 2
    assert world.s3.objects[ANSWERS] == b"of another run"
    assert failures(world) == []


def test_a_cache_is_written_only_if_something_is_new(world: World, source: AskingSource) -> None:
    asked(world, source)
    written = world.s3.objects[ANSWERS]
    writes = world.s3.writes
    world.run(WATCHING)
    assert (world.s3.objects[ANSWERS], world.s3.writes) == (written, writes + 2)


def test_a_scan_that_fails_writes_no_answers(world: World) -> None:
    def fail(_: int) -> Iterable[Usage]:
        raise IncompleteAnswerError("a page is missing")

    world.source = StubSource(fail)
    with pytest.raises(ScanError):
        world.run(WATCHING)
    assert ANSWERS not in world.s3.objects


def test_the_version_changes_with_every_file_of_the_program(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "core").mkdir()
    (tmp_path / "core/walk.py").write_text("found = 1")
    (tmp_path / "handler.py").write_text("")
    monkeypatch.setattr(stored_answers, "_PACKAGE", tmp_path)
    versions = [program_version()]
    (tmp_path / "core/walk.py").write_text("found = 2")
    versions.append(program_version())
    (tmp_path / "core/walk.py").rename(tmp_path / "walk.py")
    versions.append(program_version())
    monkeypatch.setattr(stored_answers, "version", lambda _: "another SDK")
    versions.append(program_version())
    assert len(set(versions)) == 4
