"""The trend beside the plans, and near misses, in whole runs."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any, cast

import pytest

from core.worlds import NOW, REGISTRY, ago, usage
from ecr_cleaner.aws.api import Api
from ecr_cleaner.aws.session import Aws
from ecr_cleaner.core.errors import RunFailedError
from ecr_cleaner.core.settings import Settings
from ecr_cleaner.core.trend import RunNumbers, Trend, trend_from
from ecr_cleaner.report.run_report import RunReport
from ecr_cleaner.run.plan_places import place_of
from ecr_cleaner.run.plans import SUFFIX, Plans
from ecr_cleaner.run.trends import Trends
from ecr_cleaner.workers import Workers
from fakes.small_services import FakeS3
from run.test_cleaner import World
from run.test_steps import STEPPING, Steps

PLANS = "s3://memory/plans/"
TREND = f"{PLANS}trend-{REGISTRY.account}-{REGISTRY.region}.json"
DRY = Settings(plans=PLANS)
DELETING = replace(DRY, dry_run=False)


class Nights:
    """Runs of the same account, a day after another."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.night = 0

    @property
    def run(self) -> str:
        return f"night-{self.night}"

    @property
    def trend(self) -> Trend:
        return trend_from(self.world.s3.objects[TREND])

    def page(self) -> str:
        (page,) = [
            content.decode()
            for name, content in self.world.s3.objects.items()
            if name.endswith(f"{self.run}.html")
        ]
        return " ".join(page.split())

    def pass_with(self, settings: Settings = DRY) -> dict[str, Any]:
        self.night += 1
        self.world.now = NOW + timedelta(days=self.night)
        place = place_of(cast("Aws", _Aws(self.world)), settings.plans)
        return self.world.run(settings, plans=Plans(self.run, place))


class _Aws:
    def __init__(self, world: World) -> None:
        self._world = world

    def api(self, _: str) -> Any:
        return Api(self._world.s3)


@pytest.fixture
def nights() -> Iterator[Nights]:
    with Workers(4) as workers:
        world = World(workers)
        world.create("app")
        yield Nights(world)


def test_runs_are_side_by_side(nights: Nights) -> None:
    nights.world.push("app", "old", tags=["v1"], size_bytes=7)
    nights.world.push("app", "young", pushed_at=ago(0), size_bytes=5)
    for settings in (DRY, DELETING, DRY):
        nights.pass_with(settings)
    first, second, third = nights.trend.runs
    assert (first.run, first.time, first.dry_run) == ("night-1", NOW + timedelta(days=1), True)
    assert (first.images, first.images_bytes, first.removable_bytes) == (2, 12, 7)
    assert (first.removed, first.near_misses) == (0, None)
    assert (second.removable, second.removed, second.removed_bytes) == (1, 1, 7)
    assert (third.images, third.images_bytes, third.near_misses) == (1, 5, 0)
    assert "There are no numbers of earlier runs" not in nights.page()
    assert "Size by run, upper bounds" in nights.page()


def test_image_that_was_to_be_removed_and_came_into_use_is_named(nights: Nights) -> None:
    old = nights.world.push("app", "old", tags=["v1"])
    nights.pass_with()
    assert "There is no earlier plan to compare with." in nights.page()
    nights.world.uses(usage("app", "arn:service", tag="v1"))
    summary = nights.pass_with(DELETING)
    assert summary["near_misses"] == 1
    (line,) = nights.world.events("Found near miss")
    assert (line["repository"], line["digest"]) == ("app", old.digest)
    assert (line["because"], line["reason"]) == (("arn:service",), "in_use")
    assert line["planned_at"] == "2026-03-02T12:00:00+00:00"
    assert '<td class="time" data-sort="1772452800">2026-03-02 12:00</td>' in nights.page()
    assert nights.trend.runs[-1].near_misses == 1
    nights.pass_with()
    assert nights.trend.runs[-1].near_misses == 0


def test_near_misses_change_no_verdict(nights: Nights) -> None:
    """The same account without an earlier plan is judged alike."""
    nights.world.push("app", "old", tags=["v1"])
    used = nights.world.push("app", "used", tags=["v2"])
    nights.pass_with()
    nights.world.uses(usage("app", "arn:service", tag="v2"))
    nights.pass_with(DELETING)
    assert nights.world.ecr.digests("app") == {used.digest}
    assert len(nights.world.events("Found near miss")) == 1


@pytest.mark.parametrize("content", [b"", b"{}", b'{"schema": 2}', b"\x00\xff"])
def test_damaged_trend_is_begun_again_with_a_warning(nights: Nights, content: bytes) -> None:
    nights.world.push("app", "old")
    nights.world.s3.objects[TREND] = content
    nights.pass_with()
    assert [one.run for one in nights.trend.runs] == ["night-1"]
    (line,) = nights.world.events("Trend could not be read or written")
    assert (line["trend"], line["log_level"]) == (TREND, "warning")
    assert "There is no earlier plan to compare with." in nights.page()
    assert nights.world.events("Run finished")[0]["complete"] is True


@pytest.mark.parametrize("operation", ["GetObject", "PutObject"])
def test_run_without_its_trend_is_complete(nights: Nights, operation: str) -> None:
    nights.world.push("app", "old")
    nights.world.s3.error[f"{operation} {TREND}"] = "AccessDenied"
    nights.pass_with(DELETING)
    assert nights.world.ecr.digests("app") == set()
    lines = nights.world.events("Trend could not be read or written")
    assert "AccessDenied" in lines[0]["why"]
    assert nights.world.events("Run finished")[0]["complete"] is True


@pytest.mark.parametrize(
    ("content", "why"),
    [(None, "NoSuchKey"), (b"\x1f\x8bnot", "the plan is damaged"), (b"", "not whole")],
)
def test_earlier_plan_that_cannot_be_read_is_said(
    nights: Nights, content: bytes | None, why: str
) -> None:
    nights.world.push("app", "old")
    nights.pass_with()
    (plan,) = [name for name in nights.world.s3.objects if name.endswith(".jsonl.gz")]
    if content is None:
        del nights.world.s3.objects[plan]
    else:
        nights.world.s3.objects[plan] = content
    summary = nights.pass_with(DELETING)
    (line,) = nights.world.events("Earlier plan could not be read")
    assert line["plan"] == plan
    assert why in line["why"]
    assert summary["complete"] is True
    assert summary["removed"] == 1
    assert f"Unknown. The earlier plan {plan} could not be read" in nights.page()
    assert nights.trend.runs[-1].near_misses is None


def test_run_that_ends_at_the_same_time_is_not_lost(nights: Nights) -> None:
    nights.world.push("app", "old")
    other = Trend().with_run(RunNumbers("other", NOW, dry_run=True), "")

    class Racing(FakeS3):
        def put_object(self, **parameters: Any) -> dict[str, Any]:  # type: ignore[override]
            if "trend" in parameters["Key"] and TREND not in self.objects:
                self.objects[TREND] = other.to_json()
            return super().put_object(**parameters)

    nights.world.s3 = Racing()
    nights.pass_with()
    assert {one.run for one in nights.trend.runs} == {"other", "night-1"}


def test_trend_that_others_write_all_the_time_is_given_up(nights: Nights) -> None:
    nights.world.push("app", "old")

    class Racing(FakeS3):
        def put_object(self, **parameters: Any) -> dict[str, Any]:  # type: ignore[override]
            if "trend" in parameters["Key"]:
                numbers = RunNumbers(f"other-{self.writes}", NOW, dry_run=True)
                self.objects[TREND] = Trend().with_run(numbers, "").to_json()
                self.writes += 1
            return super().put_object(**parameters)

    nights.world.s3 = Racing()
    nights.pass_with()
    (line,) = nights.world.events("Trend could not be read or written")
    assert line["why"].startswith("other runs write it all the time")


def test_plan_that_is_applied_is_in_the_trend_and_not_compared_with(nights: Nights) -> None:
    """It judged only its own repositories."""
    trend = Trend().with_run(RunNumbers("night", NOW, dry_run=True), "a.jsonl.gz")
    nights.world.s3.objects[TREND] = trend.to_json()
    numbers = RunNumbers("applied", NOW, dry_run=False, applied=True, removed=3)
    aws = cast("Aws", _Aws(nights.world))
    trends = Trends(aws, DRY, RunReport(nights.world.log.logger(), DRY))
    trends.add(REGISTRY, numbers, "b.jsonl.gz")
    assert nights.trend.runs[-1] == numbers
    assert nights.trend.plan == trend.plan


def test_trend_is_beside_plans_in_a_directory(nights: Nights, tmp_path: Path) -> None:
    nights.world.push("app", "old", tags=["v1"])
    settings = Settings(plans=str(tmp_path))
    nights.pass_with(settings)
    nights.world.uses(usage("app", "arn:service", tag="v1"))
    assert nights.pass_with(settings)["near_misses"] == 1
    trend = trend_from((tmp_path / Path(TREND).name).read_bytes())
    assert [one.run for one in trend.runs] == ["night-1", "night-2"]


def test_repositories_of_a_share_without_a_result_are_not_judged(nights: Nights) -> None:
    for number in range(60):
        nights.world.create(f"repository-{number}")
    steps = Steps(nights.world, settings=replace(STEPPING, plans=PLANS, dry_run=True))
    steps.plan()
    steps.scan(1)
    steps.step("gather")
    steps.clean()
    first, second, *_ = json.loads(steps.content("plan.json"))["shares"]
    del steps.objects[steps.name("clean/1.json")]
    with pytest.raises(RunFailedError, match="share 1 left no result"):
        steps.step("report")
    (run,) = trend_from(steps.objects[TREND]).runs
    assert run.unjudged == len(second["repositories"]) > 0
    assert trend_from(steps.objects[TREND]).plan
    assert len(first["repositories"]) + run.unjudged == 61


def test_steps_add_one_run_and_compare_each_share(nights: Nights) -> None:
    world = nights.world
    world.create("web")
    world.push("app", "old", tags=["v1"])
    world.push("web", "old", tags=["v1"])
    steps = Steps(world, settings=replace(STEPPING, plans=PLANS, dry_run=True))
    for run in ("run-1", "run-2"):
        steps.run = run
        steps.plan()
        steps.scan(1)
        steps.step("gather")
        steps.clean()
        steps.step("report")
        steps.source.found["111122223333/eu-west-1"] = lambda: [usage("web", "arn:x", tag="v1")]
        world.now += timedelta(days=1)
    first, second = trend_from(steps.objects[TREND]).runs
    assert (first.run, first.images, first.near_misses) == ("run-1", 2, None)
    assert (second.run, second.removable, second.near_misses) == ("run-2", 1, 1)
    (line,) = world.events("Found near miss")
    assert line["repository"] == "web"
    plan = f"{PLANS}{trend_from(steps.objects[TREND]).plan}"
    page = steps.objects[plan.replace(SUFFIX, ".html")]
    assert b"<p>1. The log names them: <code>Found near miss</code>.</p>" in page
    assert json.loads(steps.content("clean/0.json"))["compared"] is True
