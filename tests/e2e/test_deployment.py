"""From an empty machine to a cleaned account and back, with nothing pretended that can be real.

The fixtures are the steps, each built on the one before; the tests say what holds after each.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from e2e import account
from e2e.account import Account
from e2e.invocation import Invocation
from e2e.stack import REGION, Machine
from e2e.summary import Measurements
from ecr_cleaner.report import events
from terraform_support import Terraform
from world import World

IMAGE = "module.ecr_cleaner.terraform_data.image[0]"
FUNCTION = "module.ecr_cleaner.aws_lambda_function.this"
LIFECYCLE = "module.ecr_cleaner.aws_ecr_lifecycle_policy.this[0]"

# The first test waits for everything to be fetched, built and deployed.
pytestmark = pytest.mark.timeout(600)

# What boto3 and structlog need, and the program itself: nothing else may ship.
SHIPPED = {
    *("boto3", "botocore", "dateutil", "jmespath", "s3transfer", "six.py", "urllib3"),
    *("structlog", "ecr_cleaner", "__pycache__"),
}


@dataclass(frozen=True)
class Step:
    """What was seen after a configuration was applied and its function had run."""

    plan: dict[str, str]
    runs: list[Invocation]
    images: dict[str, set[str]]
    archived: set[str]


@pytest.fixture(scope="module")
def world(machine: Machine) -> World:
    return World(region=REGION, endpoint_url=machine.aws.endpoint)


@pytest.fixture(scope="module")
def filled(world: World) -> Account:
    return account.fill(world)


@pytest.fixture(scope="module")
def untouched(world: World, filled: Account) -> dict[str, set[str]]:
    """Return what each repository holds before the first run."""
    assert filled.everything
    return account.digests(world)


@pytest.fixture(scope="module")
def before(machine: Machine, filled: Account) -> dict[str, list[str]]:
    """Return what is in the account before anything is deployed."""
    assert filled.everything
    return machine.inventory()


@pytest.fixture(scope="module")
def terraform(machine: Machine, before: dict[str, list[str]]) -> Iterator[Terraform]:
    """Return Terraform, which at the end destroys what is left where a step failed."""
    made = machine.terraform()
    yield made
    if machine.inventory() != before:
        made.destroy()


@pytest.fixture(scope="module")
def dry(
    machine: Machine,
    terraform: Terraform,
    world: World,
    untouched: dict[str, set[str]],
    measurements: Measurements,
) -> Step:
    """Deploy the example as it is, and let its schedule come twice."""
    assert untouched
    terraform.apply()
    plan = terraform.plan()
    image = terraform.outputs()["image_uri"]
    measurements.add_image(machine.docker, machine.compressed_layers(image), image)
    # From here on only the registry has it.
    machine.docker.forget(image)
    with machine.function() as function:
        runs = [function.invoke(machine.event()) for _ in range(2)]
        measurements.add_runs(function, runs)
    return Step(plan, runs, account.digests(world), account.archived(world))


@pytest.fixture(scope="module")
def disobedient(machine: Machine, world: World, dry: Step) -> Step:
    """Have the dry run's function told to delete, by whoever may change its settings."""
    with machine.function(DRY_RUN="false") as function:
        runs = [function.invoke(machine.event())]
    return Step(dry.plan, runs, account.digests(world), account.archived(world))


@pytest.fixture(scope="module")
def rebuild(terraform: Terraform, disobedient: Step) -> dict[str, str]:
    """Return the plan after a change in the sources, which is taken back."""
    assert disobedient.runs
    source = terraform.directory.parent.parent / "lambda_src" / "ecr_cleaner" / "__init__.py"
    written = source.read_text()
    source.write_text(written + "\n# changed\n")
    plan = terraform.plan()
    source.write_text(written)
    return plan


@pytest.fixture(scope="module")
def real(machine: Machine, terraform: Terraform, world: World, rebuild: dict[str, str]) -> Step:
    """Deploy it again, no longer as a dry run."""
    assert rebuild
    terraform.variables["dry_run"] = False
    terraform.apply()
    plan = terraform.plan()
    with machine.function() as function:
        runs = [function.invoke(machine.event())]
    return Step(plan, runs, account.digests(world), account.archived(world))


@pytest.fixture(scope="module")
def destroyed(machine: Machine, terraform: Terraform, real: Step) -> dict[str, list[str]]:
    """Return what is in the account after everything was destroyed."""
    assert real.runs
    terraform.destroy()
    return machine.inventory()


def judged(run: Invocation, event: str) -> dict[str, set[str]]:
    """Return the digests that the lines of one event name, by what is done with them."""
    found: dict[str, set[str]] = {}
    for line in run.events(event):
        found.setdefault(line["action"], set()).add(line["digest"])
    return found


# -- The image ---------------------------------------------------------------------------------


@pytest.mark.usefixtures("dry")
def test_image_ships_the_program_and_what_it_needs_and_nothing_else(
    machine: Machine, terraform: Terraform
) -> None:
    image = machine.pull(terraform.outputs()["image_uri"])
    listed = machine.docker.run("run", "--rm", "--entrypoint", "ls", image, "-1", "/var/task")

    found = {name for name in listed.split() if not name.endswith(".dist-info")}
    assert found <= SHIPPED
    assert found >= SHIPPED - {"__pycache__"}


def test_changed_source_plans_the_rebuild_and_nothing_else(rebuild: dict[str, str]) -> None:
    assert rebuild == {IMAGE: "replace", FUNCTION: "update", LIFECYCLE: "replace"}


# -- The dry run -------------------------------------------------------------------------------


def test_nothing_is_left_to_apply_after_the_first_deployment(dry: Step) -> None:
    assert dry.plan == {}


def test_each_run_of_the_schedule_reports_what_would_go(dry: Step, filled: Account) -> None:
    for run in dry.runs:
        assert judged(run, events.WOULD_REMOVE) == {
            "archive": filled.archived,
            "delete": filled.deleted,
        }
        assert judged(run, events.REMOVING) == {}


def test_it_reports_who_uses_what_is_old(dry: Step, filled: Account) -> None:
    (first, *_) = dry.runs
    consumers = {line["digest"]: line["because"] for line in first.events(events.OLD_IN_USE)}

    assert consumers.keys() == filled.in_use
    assert all(consumers.values())


def test_its_answer_is_the_summary_that_it_logs(dry: Step, filled: Account) -> None:
    for run in dry.runs:
        (line,) = run.events(events.RUN_DONE)
        assert run.summary == {name: line[name] for name in run.summary}
        assert run.summary["dry_run"] is True
        assert run.summary["complete"] is True
        assert run.summary["images"] == len(filled.everything)
        assert run.summary["removable"] == len(filled.archived | filled.deleted)
        assert run.summary["removed"] == 0


def test_dry_run_changes_nothing(
    dry: Step, filled: Account, untouched: dict[str, set[str]]
) -> None:
    assert dry.images == untouched
    assert dry.archived == filled.deleted


def test_iam_keeps_a_dry_run_dry_whatever_the_function_is_told(
    disobedient: Step, filled: Account, untouched: dict[str, set[str]]
) -> None:
    (run,) = disobedient.runs

    assert run.answer["errorType"] == "RunFailedError"
    assert "not authorized to perform" in json.dumps(run.lines)
    assert disobedient.images == untouched
    assert disobedient.archived == filled.deleted


# -- The real run ------------------------------------------------------------------------------


def test_nothing_is_left_to_apply_after_the_second_deployment(real: Step) -> None:
    assert real.plan == {}


def test_it_archives_and_deletes_what_the_dry_run_named(
    real: Step, filled: Account, untouched: dict[str, set[str]]
) -> None:
    (run,) = real.runs

    assert judged(run, events.REMOVING) == {"archive": filled.archived, "delete": filled.deleted}
    assert real.archived == filled.archived
    assert real.images == {
        repository: digests - filled.deleted for repository, digests in untouched.items()
    }


def test_its_summary_counts_what_was_done(real: Step, filled: Account) -> None:
    (run,) = real.runs

    assert run.summary["dry_run"] is False
    assert run.summary["complete"] is True
    assert run.summary["removed"] == len(filled.archived | filled.deleted)
    assert run.summary["failed"] == 0


# -- The end -----------------------------------------------------------------------------------


def test_destroy_leaves_nothing_behind(
    destroyed: dict[str, list[str]], before: dict[str, list[str]], terraform: Terraform
) -> None:
    assert destroyed == before
    assert json.loads(terraform.state() or "{}").get("resources", []) == []
