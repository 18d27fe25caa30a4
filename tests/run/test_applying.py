"""Plan, approve, apply: in whole runs, with a world that moves in between."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from typing import Any, cast

import pytest

from core.worlds import usage
from ecr_cleaner.aws.session import Aws
from ecr_cleaner.core.applied_plan import AppliedPlan
from ecr_cleaner.core.approval import PlanRefusedError, approved_by
from ecr_cleaner.core.model import Registry
from ecr_cleaner.core.plan_document import PlanError
from ecr_cleaner.core.settings import Settings
from ecr_cleaner.core.trend import NO_PAST, Past
from ecr_cleaner.deadline import Deadline
from ecr_cleaner.run.applying import Applier
from ecr_cleaner.run.plan_places import stored_plan
from ecr_cleaner.run.plans import NoPlan, Plans, PlanSink
from ecr_cleaner.workers import Workers
from fakes.small_services import FakeEc2, FakeSts
from run.test_cleaner import SOMETHING_IN_USE, StubAws, StubSource, World
from run.test_plans import DRY, PLAN

REAL = replace(DRY, dry_run=False, plans=None)


@pytest.fixture(scope="module")
def workers() -> Iterator[Workers]:
    with Workers(4) as made:
        yield made


@pytest.fixture
def world(workers: Workers) -> World:
    made = World(workers)
    made.create("app")
    return made


def aws_of(world: World) -> Aws:
    others: dict[str, Any] = {"s3": world.s3, "sqs": world.sqs, "sts": FakeSts(), "ec2": FakeEc2()}
    return cast("Aws", StubAws(world.ecr, world.workers, Deadline(world.clock), others))


def apply(
    world: World,
    settings: Settings = REAL,
    registry: Registry | None = None,
    plans: PlanSink | None = None,
) -> Any:
    aws = aws_of(world)
    with stored_plan(aws, PLAN) as parts:
        approved = approved_by(parts)
    if registry:
        approved = replace(approved, header=replace(approved.header, registry=registry))
    log = world.log.logger()
    applied = AppliedPlan(PLAN, approved)
    return Applier(aws, settings, log, [world.source], plans or NoPlan(), applied).run()


class Pages(Plans):
    """Keeps what the page is made of."""

    def finish(self, past: Past = NO_PAST, applied: AppliedPlan | None = None) -> list[str]:
        problems = super().finish(past, applied)
        self.text = "".join(self.page())
        return problems


def became(world: World, settings: Settings = REAL) -> dict[str, str]:
    """Apply the plan; return what its page says of each image, by tag."""
    with closing(Pages("applying")) as plans:
        apply(world, settings, plans=plans)
        text = plans.text
    assert f"<code>{PLAN}</code>" in text
    assert "<h1>Applied ECR plan of " in text
    table = text.partition("<caption>Images of the plan</caption>")[2].partition("</table>")[0]
    rows = [re.findall(r"<td[^>]*>(.*?)</td>", row) for row in table.split("<tr")]
    return {re.sub("<.*?>", "", row[1]): row[4] for row in rows if row}


def stays(world: World) -> dict[str, str]:
    return {one["digest"]: one["stays"] for one in world.events("Image of the plan stays")}


def test_what_the_plan_removes_is_removed_and_no_more(world: World) -> None:
    old = world.push("app", "old", tags=["v1"])
    world.run(DRY)
    new = world.push("app", "since", tags=["v2"])
    world.create("later")
    later = world.push("later", "image")
    summary = apply(world)
    assert summary["removed"] == 1
    assert world.ecr.digests("app") == {new.digest}
    assert world.ecr.digests("later") == {later.digest}
    (removed,) = world.events("Found unused image, removing")
    assert removed["digest"] == old.digest
    assert stays(world) == {}


def test_applying_twice_does_nothing_twice(world: World) -> None:
    old = world.push("app", "old", tags=["v1"])
    world.run(DRY)
    assert apply(world)["removed"] == 1
    again = apply(world)
    assert (again["removed"], again["complete"]) == (0, True)
    assert stays(world) == {old.digest: "already_gone"}


def test_what_came_into_use_or_changed_stays_and_is_told(world: World) -> None:
    used = world.push("app", "used", tags=["v1"])
    tagged = world.push("app", "tagged", tags=["v2"])
    old = world.push("app", "old", tags=["v3"])
    world.run(DRY)
    world.ecr.repositories["app"].images[tagged.digest].tags.append("stable")
    world.source = StubSource(lambda _: [SOMETHING_IN_USE, usage("app", "arn:service", tag="v1")])
    assert apply(world)["removed"] == 1
    assert world.ecr.digests("app") == {used.digest, tagged.digest}
    assert old.digest not in world.ecr.digests("app")
    assert stays(world) == {used.digest: "kept_now", tagged.digest: "changed_since_plan"}
    (line,) = [one for one in world.events("Image of the plan stays") if one["reason"] == "in_use"]
    assert line["because"] == ("arn:service",)


def test_page_says_what_became_of_each_image_of_the_plan(world: World) -> None:
    world.create("closed")
    world.push("closed", "unjudged", tags=["unjudged"])
    world.push("app", "used", tags=["used"])
    world.push("app", "old", tags=["old"])
    tagged = world.push("app", "tagged", tags=["tagged"])
    world.run(DRY)
    world.ecr.repositories["app"].images[tagged.digest].tags.append("stable")
    world.ecr.repositories["closed"].resource_tags.clear()
    world.source = StubSource(lambda _: [SOMETHING_IN_USE, usage("app", "arn:one", tag="used")])
    world.push("app", "since", tags=["since"])
    stay = {
        "used": "kept now",
        "tagged": "changed since the plan",
        "unjudged": "in a repository that was not judged",
    }
    assert became(world, replace(REAL, dry_run=True)) == stay | {"old": "would be removed"}
    assert became(world) == stay | {"old": "removed"}
    assert became(world) == stay | {"old": "already gone"}


def test_applying_in_a_dry_run_only_reports(world: World) -> None:
    old = world.push("app", "old", tags=["v1"])
    world.run(DRY)
    assert apply(world, replace(REAL, dry_run=True))["removed"] == 0
    assert world.ecr.digests("app") == {old.digest}
    assert [one["digest"] for one in world.events("Found unused image, should be removed")] == [
        old.digest,
        old.digest,
    ]


def test_plan_of_another_registry_is_refused_before_anything_is_removed(world: World) -> None:
    old = world.push("app", "old", tags=["v1"])
    world.run(DRY)
    with pytest.raises(PlanRefusedError, match="of the registry of 1 in a"):
        apply(world, registry=Registry("1", "a"))
    assert world.ecr.digests("app") == {old.digest}


def test_repository_of_the_plan_that_is_no_longer_judged_is_told(world: World) -> None:
    old = world.push("app", "old", tags=["v1"])
    world.run(DRY)
    world.ecr.repositories["app"].resource_tags.clear()
    assert apply(world)["removed"] == 0
    assert world.ecr.digests("app") == {old.digest}
    whys = [one["why"] for one in world.events("Setting may not do what was meant")]
    assert "the repository app of the plan is not judged: it is not opted in, or gone" in whys


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, f"the plan {PLAN} cannot be read: s3 GetObject failed with NoSuchKey"),
        (b"", "the plan is not whole"),
        (b"\x1f\x8bdamaged", "the plan is damaged"),
        (b"{}\n", "is not the header"),
    ],
)
def test_plan_that_cannot_be_read_is_refused(
    world: World, content: bytes | None, message: str
) -> None:
    world.s3.objects = {} if content is None else {PLAN: content}
    with pytest.raises(PlanError, match=message):
        apply(world)


@pytest.mark.parametrize(
    ("where", "message"),
    [
        ("plans/night.html", "plans/night.html is the page of a plan; name the plan itself"),
        ("", "no plan is named"),
    ],
)
def test_what_is_not_the_address_of_a_plan_is_refused(
    world: World, where: str, message: str
) -> None:
    with pytest.raises(PlanError, match=message), stored_plan(aws_of(world), where):
        pass


def test_plan_that_was_cut_off_is_refused(world: World) -> None:
    world.push("app", "old", tags=["v1"])
    world.run(DRY)
    world.s3.objects[PLAN] = world.s3.objects[PLAN][:-20]
    with pytest.raises(PlanError, match=r"damaged|not whole"):
        apply(world)
