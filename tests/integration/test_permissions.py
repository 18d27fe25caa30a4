"""``permissions.json`` is what the program calls, no more and no less; IAM is enforced to see."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

import pytest
from moto.core import enable_iam_authentication

from ecr_cleaner.usage.sources import SOURCES
from integration import full_world
from integration.full_world import FullWorld
from integration.program import PACKAGE, Program, Run, as_role
from world import World, role_for

pytestmark = pytest.mark.usefixtures("many_revisions")

PERMISSIONS = json.loads((PACKAGE / "ecr_cleaner" / "permissions.json").read_text())
USAGE = {action for actions in PERMISSIONS["usage"].values() for action in actions}
WAIVABLE_GUARDS = {action for actions in PERMISSIONS["guards"].values() for action in actions}
PULL_TIMES = set(PERMISSIONS["pull-times"]["list"])
# Where there is one region, no cache in another one is asked for.
COPIES = {"ecr:DescribeRegistry"}
READING = USAGE | WAIVABLE_GUARDS | PULL_TIMES | COPIES | set(PERMISSIONS["read"])
DELETING = READING | set(PERMISSIONS["delete"])
ARCHIVING = READING | set(PERMISSIONS["archive"])
ARCHIVE = {"DRY_RUN": "false", "ACTION": "archive"}
DELETE = {"DRY_RUN": "false"}


def actions_of(run: Run) -> set[str]:
    """Return the actions that were called, but for the one that needs no permission."""
    return {call.action for call in run.calls} - {"sts:GetCallerIdentity"}


def run_as_one_who_may(
    world: World, program: Program, actions: Iterable[str], **settings: str
) -> Run:
    """Run with the credentials of a role to which IAM allows these actions only."""
    iam = world.client("iam")
    role = role_for(iam, "cleaner", "lambda.amazonaws.com")
    statement = {"Effect": "Allow", "Action": sorted(actions), "Resource": "*"}
    policy = {"Version": "2012-10-17", "Statement": [statement]}
    iam.put_role_policy(RoleName="cleaner", PolicyName="cleaner", PolicyDocument=json.dumps(policy))
    program.environ |= as_role(world.client("sts"), role)
    with enable_iam_authentication():
        return program.run(**settings)


# -- The list itself ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "expected"), [({}, READING), (DELETE, DELETING), (ARCHIVE, ARCHIVING)]
)
def test_list_equals_what_is_called(
    world: World, settings: dict[str, str], expected: set[str]
) -> None:
    full_world.fill(world)

    assert actions_of(Program().run(**settings)) == expected


@pytest.mark.parametrize("source", PERMISSIONS["usage"])
def test_entry_of_a_source_equals_what_that_source_calls(
    world: World, program: Program, source: str
) -> None:
    full = full_world.fill(world, [source])
    run = program.run(**full_world.only(source))

    expected = set(PERMISSIONS["usage"][source])
    others = (WAIVABLE_GUARDS | PULL_TIMES | COPIES | set(PERMISSIONS["read"])) - expected
    assert actions_of(run) - others == expected
    kept = {line["digest"] for line in run.events("Found old image in use")}
    assert kept == set(full.used)


def test_each_source_has_its_own_entry_and_each_entry_its_source() -> None:
    names = sorted(source.name for source in SOURCES)

    assert sorted(PERMISSIONS["usage"]) == names
    assert sorted(full_world.CONSUMERS) == names


def test_lists_are_sorted_and_know_nothing_twice() -> None:
    def lists(value: Any) -> list[list[str]]:
        nested = value.values() if isinstance(value, dict) else ()
        return [value] if isinstance(value, list) else [x for one in nested for x in lists(one)]

    for actions in lists(PERMISSIONS):
        assert actions == sorted(set(actions))


# -- As IAM judges it --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("actions", "settings", "removed"),
    [(READING, {}, False), (DELETING, DELETE, True), (ARCHIVING, ARCHIVE, True)],
)
def test_role_with_the_listed_actions_suffices(
    world: World,
    actions: set[str],
    settings: dict[str, str],
    removed: bool,  # a table
) -> None:
    full = full_world.fill(world)
    run = run_as_one_who_may(world, Program(), actions, **settings)

    assert run.summary["complete"] is True
    assert run.summary["removable"] == len(full.unused)
    assert run.summary["removed"] == (len(full.unused) if removed else 0)


@pytest.mark.parametrize("action", sorted(DELETING - PULL_TIMES))
def test_without_any_one_action_nothing_is_deleted_and_the_error_names_it(
    world: World, program: Program, action: str
) -> None:
    owners = (name for name, actions in PERMISSIONS["usage"].items() if action in actions)
    source = next(owners, "app-runner")
    full = full_world.fill(world, [source])
    settings = DELETE | full_world.only(source)
    run = run_as_one_who_may(world, program, DELETING - {action}, **settings)

    assert full_world.everything(world) == full.all
    assert f"missing IAM action: {action}" in run.failure
    assert action in {line.get("missing_action") for line in run.lines}


def test_without_the_action_to_archive_nothing_is_archived_and_the_error_names_it(
    world: World, program: Program, full: FullWorld
) -> None:
    assert full.unused
    run = run_as_one_who_may(world, program, READING, **ARCHIVE)

    assert run.events("Run finished")[0]["removed"] == 0
    assert "missing IAM action: ecr:UpdateImageStorageClass" in run.failure


def test_without_any_permission_the_run_fails(
    world: World, program: Program, full: FullWorld
) -> None:
    run = run_as_one_who_may(world, program, ["s3:ListBucket"], **DELETE)

    assert "missing IAM action: " in run.failure
    assert full_world.everything(world) == full.all
