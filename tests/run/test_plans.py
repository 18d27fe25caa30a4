"""The plan that a run writes, in whole runs."""

from __future__ import annotations

import gzip
import io
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import IO, Any, cast

import pytest

from core.worlds import NOW, REGISTRY, ago, usage
from ecr_cleaner.aws.api import Api
from ecr_cleaner.aws.session import Aws
from ecr_cleaner.core.errors import RunFailedError
from ecr_cleaner.core.model import Action, Guard, Reason
from ecr_cleaner.core.plan_document import (
    PlanEnd,
    PlanError,
    PlanHeader,
    PlannedImage,
    PlannedRepository,
    PlanPart,
    State,
    read_plan,
)
from ecr_cleaner.core.settings import Settings
from ecr_cleaner.run.plan_places import PlanDirectory, place_of
from ecr_cleaner.run.plans import SUFFIX, NoPlan, Plans
from ecr_cleaner.workers import Workers
from fakes.ecr import Call
from fakes.small_services import FakeS3, client_error
from run.test_cleaner import World

PLANS = "s3://memory/plans/"
PLAN = f"{PLANS}2026-03-01T120000Z-run-1{SUFFIX}"
TREND = f"{PLANS}trend-111122223333-eu-west-1.json"
DRY = Settings(plans=PLANS)
DELETING = replace(DRY, dry_run=False)


@pytest.fixture(scope="module")
def workers() -> Iterator[Workers]:
    with Workers(4) as made:
        yield made


@pytest.fixture
def world(workers: Workers) -> World:
    made = World(workers)
    made.create("app")
    return made


def parts_of(content: bytes) -> list[PlanPart]:
    return list(read_plan(io.BytesIO(gzip.decompress(content))))


def plan(world: World) -> list[PlanPart]:
    return parts_of(world.s3.objects[PLAN])


def images(world: World) -> dict[str, PlannedImage]:
    return {one.digest: one for one in plan(world) if isinstance(one, PlannedImage)}


def repositories(world: World) -> dict[str, PlannedRepository]:
    return {one.repository: one for one in plan(world) if isinstance(one, PlannedRepository)}


@pytest.mark.parametrize("settings", [DRY, DELETING])
def test_plan_holds_every_verdict_of_a_dry_run_and_of_a_real_one(
    world: World, settings: Settings
) -> None:
    old = world.push("app", "old", tags=["v1"], size_bytes=7, pulled_at=ago(60))
    used = world.push("app", "used", tags=["v2"])
    world.uses(usage("app", "arn:service", tag="v2"))
    world.run(settings)
    header, repository, *_, end = plan(world)
    assert isinstance(header, PlanHeader)
    assert (header.run, header.time, header.registry) == ("run-1", NOW, REGISTRY)
    assert header.dry_run is settings.dry_run
    assert header.settings == settings.deciding() == DRY.deciding()
    assert header.coverage["stub"]["state"] == "scanned"
    assert header.missing["elsewhere"][0].name == "v1"
    assert isinstance(repository, PlannedRepository)
    assert (repository.repository, repository.state) == ("app", State.JUDGED)
    assert repository.policy["keep_days"] == 30
    assert end == PlanEnd(1, 2)
    assert images(world) == {
        old.digest: PlannedImage(
            *("app", old.digest, ("v1",), ago(100), ago(60), 7),
            *(Action.DELETE, Reason.UNUSED),
        ),
        used.digest: PlannedImage(
            *("app", used.digest, ("v2",), ago(100), None, used.size_bytes),
            *(Action.KEEP, Reason.IN_USE, ("arn:service",)),
        ),
    }
    (written,) = world.events("Plan written")
    assert written["plan"] == PLAN


def test_guards_and_broken_references_are_in_the_plan(world: World) -> None:
    world.push("app", "old")
    world.uses(usage("app", "arn:service", tag="gone"))
    everyone = '{"Statement": [{"Principal": "*", "Action": "ecr:*"}]}'
    world.ecr.repositories["app"].policy = everyone
    world.run(DRY)
    found = repositories(world)["app"]
    assert [one.guard for one in found.guards] == [Guard.CROSS_ACCOUNT_PULL]
    assert [(one.name, one.consumers) for one in found.broken] == [("gone", ("arn:service",))]


def test_repository_that_failed_or_was_not_visited_is_in_the_plan(world: World) -> None:
    world.push("app", "old")
    world.create("bad", BoxCleanerKeepDays="many")
    with pytest.raises(RunFailedError):
        world.run(DELETING)
    assert repositories(world)["bad"].state is State.FAILED
    assert "BoxCleanerKeepDays" in repositories(world)["bad"].problem
    assert repositories(world)["app"].state is State.JUDGED
    world.run(DRY, seconds_left=lambda: 50)
    assert {one.state for one in repositories(world).values()} == {State.UNVISITED}


def test_repository_whose_sweep_failed_is_in_the_plan_as_it_was_judged(world: World) -> None:
    old = world.push("app", "old")
    world.ecr.fail("BatchDeleteImage", "ServerException")
    with pytest.raises(RunFailedError):
        world.run(DELETING)
    assert repositories(world)["app"].state is State.JUDGED
    assert not images(world)[old.digest].is_kept


def test_nothing_is_removed_before_a_plan_could_be_begun(world: World) -> None:
    world.push("app", "old")
    begun: list[bytes] = []

    def look(call: Call) -> None:
        if call.operation == "BatchDeleteImage":
            begun.append(world.s3.objects[PLAN])

    world.ecr.before = look
    world.run(DELETING)
    assert not world.ecr.digests("app")
    with pytest.raises(PlanError, match="not whole"):
        parts_of(begun[0])


@pytest.mark.parametrize("settings", [DRY, DELETING])
def test_plan_that_cannot_be_written_prevents_removals_but_no_report(
    world: World, settings: Settings
) -> None:
    old = world.push("app", "old")
    world.s3.error["PutObject"] = "AccessDenied"
    with pytest.raises(RunFailedError, match=f"the plan {PLANS} cannot be written: s3 PutObject"):
        world.run(settings)
    assert world.ecr.digests("app") == {old.digest}
    (found,) = world.events("Found unused image, should be removed")
    assert found["digest"] == old.digest
    (line,) = world.events("Plan could not be written")
    assert line["error"].endswith("nothing is removed without a plan")
    assert len(world.events("Run finished")) == 1


def test_plan_that_cannot_be_stored_at_the_end_fails_the_run(world: World) -> None:
    world.push("app", "old")

    def lose(call: Call) -> None:
        if call.operation == "BatchDeleteImage":
            world.s3.error["PutObject"] = "SlowDown"

    world.ecr.before = lose
    with pytest.raises(RunFailedError, match="SlowDown"):
        world.run(DELETING)
    assert len(world.events("Run finished")) == 1


def test_without_the_setting_and_without_repositories_there_is_no_plan(
    world: World, workers: Workers
) -> None:
    world.push("app", "old")
    world.run(Settings())
    empty = World(workers)
    empty.run(DRY)
    assert world.s3.objects == empty.s3.objects == {}
    assert not world.events("Plan written")


def test_plan_goes_to_a_directory(world: World, tmp_path: Path) -> None:
    world.push("app", "old")
    world.run(Settings(plans=str(tmp_path / "new" / "plans")))
    (line,) = world.events("Plan written")
    path = Path(line["plan"])
    assert path.parent == tmp_path / "new" / "plans"
    assert len(parts_of(path.read_bytes())) == 4
    assert not list(path.parent.glob("*.new"))
    (page,) = line["others"]
    assert Path(page).name == path.name.replace(SUFFIX, ".html")


def test_page_lies_beside_the_plan_unless_time_is_short(world: World) -> None:
    old = world.push("app", "old")
    world.run(DRY)
    page = world.s3.objects[PLAN.replace(SUFFIX, ".html")].decode()
    assert page.startswith("<!DOCTYPE html>")
    assert old.digest in page
    world.s3.objects.clear()
    aws = SimpleNamespace(api=lambda _: Api(world.s3))
    plans = Plans("run-1", place_of(cast("Aws", aws), PLANS), lambda: False)
    world.run(DRY, plans=plans)
    assert list(world.s3.objects) == [PLAN, TREND]


def test_page_that_cannot_be_made_fails_the_run_with_a_summary(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever the error: the images that were removed are reported."""

    def fail(*_: object) -> None:
        raise OverflowError("too large")

    world.push("app", "old")
    monkeypatch.setattr("ecr_cleaner.run.plans.write_page", fail)
    with pytest.raises(RunFailedError, match="cannot be written: too large"):
        world.run(replace(DRY, dry_run=False))
    (finished,) = world.events("Run finished")
    assert finished["removed"] == 1


def test_page_that_cannot_be_stored_fails_the_run(world: World) -> None:
    world.push("app", "old")

    class Failing(FakeS3):
        def put_object(self, **parameters: Any) -> dict[str, Any]:  # type: ignore[override]
            if parameters["Key"].endswith(".html"):
                raise client_error("PutObject", "SlowDown")
            return super().put_object(**parameters)

    world.s3 = Failing()
    with pytest.raises(RunFailedError, match="SlowDown"):
        world.run(DRY)
    assert list(world.s3.objects) == [PLAN, TREND]


def test_name_of_the_run_cannot_leave_the_directory(tmp_path: Path) -> None:
    plans = Plans("../../run", PlanDirectory(str(tmp_path)))
    plans.begin(PlanHeader("../../run", NOW, REGISTRY, dry_run=True))
    assert plans.finish() == []
    assert {str(Path(one).parent) for one in plans.stored} == {str(tmp_path)}
    plans.close()


def test_repository_is_not_swept_if_its_verdicts_could_not_be_written(world: World) -> None:
    """A full disk: nothing is removed that the plan does not hold."""
    kept = world.push("app", "old")

    class FullDisk(Plans):
        def add(self, *_: object) -> None:
            with self._problems_noted("; nothing more is removed"):
                raise OSError(28, "No space left on device")

    plans = FullDisk("run-1")
    with pytest.raises(RunFailedError, match="No space left on device; nothing more is removed"):
        world.run(Settings(dry_run=False), plans=plans)
    assert world.ecr.digests("app") == {kept.digest}
    plans.close()


def test_images_are_written_one_at_a_time(tmp_path: Path) -> None:
    """However many there are: each is dropped before many more are asked for."""
    alive = 0
    most = 0

    class Counted(PlannedImage):
        def __init__(self, digest: str) -> None:
            nonlocal alive, most
            alive += 1
            most = max(most, alive)
            super().__init__("app", digest, (), None, None, 1, Action.KEEP, Reason.TOO_YOUNG)

        def __del__(self) -> None:
            nonlocal alive
            alive -= 1

    plans = Plans("run", PlanDirectory(str(tmp_path)))
    plans.begin(PlanHeader("run", NOW, REGISTRY, dry_run=True))
    plans.add(PlannedRepository("app"), (Counted(f"sha256:{n}") for n in range(1000)))
    assert plans.finish() == []
    assert most <= 2
    assert sum(isinstance(one, PlannedImage) for one in plans.parts()) == 1000
    plans.close()


def test_no_plan_accepts_everything() -> None:
    none = NoPlan()
    none.begin(PlanHeader("run", NOW, REGISTRY, dry_run=True))
    none.add(PlannedRepository("app"))
    assert (none.finish(), none.may_sweep, none.stored) == ([], True, ())
    none.close()


def test_places_store_what_they_are_given(tmp_path: Path) -> None:
    content: IO[bytes] = io.BytesIO(b"content")
    assert Path(PlanDirectory(str(tmp_path)).put("a", content, "text/html")).read_bytes() == (
        b"content"
    )
