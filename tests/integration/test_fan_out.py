"""Runs in steps: the real state machine with the real handler, in accounts and regions."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from integration.state_machine import (
    BUCKET,
    MEMBER,
    OLD,
    OWN,
    REPOSITORY,
    TARGETS,
    ManyTargets,
    StateMachine,
    make_bucket,
    started,
    use,
)
from integration.test_accounts_and_regions import (
    ADMINISTRATOR,
    THERE,
    covers,
    credentials_of_member,
    function_that_starts,
    join,
    old_revision,
)
from world import REGION, World


@pytest.fixture(scope="module")
def empty_world() -> Iterator[World]:
    """With moto's own Step Functions, which the other tests replace."""
    with started() as world:
        yield world


@pytest.fixture
def machine(world: World) -> StateMachine:
    make_bucket(world)
    return StateMachine(world)


@pytest.fixture
def many(machine: StateMachine) -> ManyTargets:
    return ManyTargets.fill(machine.world)


def scans(machine: StateMachine, number: int) -> list[str]:
    """Return the targets that were scanned in one round, in order."""
    targets = [one["target"] for one in machine.events if one.get("round") == number]
    return [f"{one['account']}/{one['region']}" for one in targets]


def reasons(machine: StateMachine) -> dict[str, str]:
    """Return where the consumer is that keeps each old image, by digest."""
    found: dict[str, str] = {}
    for line in machine.log("Found old image in use"):
        _, _, _, region, account, *_ = line["because"][0].split(":")
        found[line["digest"]] = f"{account}/{region}"
    return found


def test_three_accounts_and_four_regions_are_scanned_twice_and_only_the_unused_image_is_removed(
    machine: StateMachine, many: ManyTargets
) -> None:
    ended = machine.start()
    assert ended["status"] == "SUCCEEDED", ended
    assert json.loads(ended["output"]) == {"complete": True, "removed": 1}
    assert machine.steps() == ["plan", *["scan"] * 24, "gather", "clean", "report"]
    assert sorted(scans(machine, 1)) == sorted(scans(machine, 2)) == sorted(TARGETS)
    assert many.images == set(many.used.values())
    # Each target has a consumer of an image of its own, the last one as well.
    assert reasons(machine) == {digest: target for target, digest in many.used.items()}
    (summary,) = machine.log("Run finished")
    assert (summary["removed"], summary["targets"], summary["failed"]) == (1, 12, 0)
    (plan,) = machine.log("Plan written")
    assert plan["plan"].startswith(f"s3://{BUCKET}/plans/")
    assert plan["plan"].endswith("-run-1.jsonl.gz")


# -- With fewer accounts and regions -------------------------------------------------------------


@pytest.fixture
def two(machine: StateMachine) -> StateMachine:
    machine.environ |= {"SCAN_REGIONS": f"{REGION},{THERE}", "SCAN_ACCOUNTS": MEMBER}
    return machine


@pytest.fixture
def image(two: StateMachine) -> str:
    """An old image that nothing here uses, beside one in use and one that nothing uses."""
    world = two.world
    name = world.repository(REPOSITORY)
    cluster = world.cluster("main")
    used = world.image(name, "live", days_old=OLD)
    world.service(cluster, "web", world.task_definition("web", world.uri(name, digest=used)))
    world.image(name, "unused", days_old=OLD)
    return world.image(name, "v1", days_old=OLD)


def test_an_old_task_definition_of_the_member_that_a_function_here_names_keeps_its_image(
    two: StateMachine, image: str
) -> None:
    two.environ |= {"TASK_DEFINITION_REVISIONS": "0"}
    uri = two.world.uri(REPOSITORY, tag="v1")
    definition = old_revision(uri, THERE, **credentials_of_member())
    function_that_starts(definition, REGION)
    ended = two.start()
    assert ended["status"] == "SUCCEEDED", ended
    assert image in two.world.digests(REPOSITORY)
    described = [one for one in two.calls if one.action == "ecs:DescribeTaskDefinition"]
    assert sum(one.parameters["taskDefinition"] == definition for one in described) == 1


def test_an_image_that_only_the_administrator_of_inspector_sees_in_use_is_kept(
    two: StateMachine, image: str
) -> None:
    join(two.world)
    two.answers["inspector2:ListCoverage"] = covers(two.world, image)
    two.environ |= ADMINISTRATOR | {"SCAN_ACCOUNTS": "", "SCAN_REGIONS": REGION}
    ended = two.start()
    assert ended["status"] == "SUCCEEDED", ended
    assert image in two.world.digests(REPOSITORY)
    (coverage,) = two.log("Coverage")
    administrator = coverage["sources"]["inspector"]["administrator"]
    assert administrator == {"account": MEMBER, "images": 1}


def test_the_plan_of_a_run_in_steps_is_approved_and_applied(two: StateMachine, image: str) -> None:
    use(two.world, f"{OWN}/{THERE}", "v1")
    two.environ["APPROVAL"] = "true"
    before = two.world.digests(REPOSITORY)
    ended = two.start()
    assert ended["status"] == "SUCCEEDED", ended
    assert two.world.digests(REPOSITORY) == before
    (written,) = two.log("Plan written")
    assert two.call({"apply": written["plan"]})["removed"] == 1
    assert image in two.world.digests(REPOSITORY)
    assert len(two.world.digests(REPOSITORY)) == len(before) - 1


def test_a_dry_run_scans_each_target_once_and_changes_nothing_but_its_documents(
    two: StateMachine, image: str
) -> None:
    two.environ["DRY_RUN"] = "true"
    before = two.world.digests(REPOSITORY)
    ended = two.start()
    assert ended["status"] == "SUCCEEDED", ended
    assert two.steps() == ["plan", *["scan"] * 4, "gather", "clean", "report"]
    changing = {one.action for one in two.calls if not one.reads}
    own = {"s3:PutObject", "lambda:Invoke", "states:StartExecution", "sts:AssumeRole"}
    assert changing <= own
    assert image in before
    assert two.world.digests(REPOSITORY) == before
