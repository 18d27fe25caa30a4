"""Deploy the module, run the function and destroy everything, with as many real parts as possible.

The fixtures are the steps, each based on the one before. The tests check the state after each step.
Terraform runs as users run it until the first deployment is done. Later commands share one process
of the provider for each account, which makes them faster: see `terraform_provider.py`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from e2e import account
from e2e.account import Account
from e2e.invocation import Invocation
from e2e.stack import MEMBER, REGION, Machine
from e2e.summary import Measurements
from ecr_cleaner.report import events
from terraform_support import Terraform
from world import World

IMAGE = "module.ecr_cleaner.terraform_data.image[0]"
FUNCTION = "module.ecr_cleaner.aws_lambda_function.this"
LIFECYCLE = "module.ecr_cleaner.aws_ecr_lifecycle_policy.this[0]"

# The first test waits until everything is downloaded, built and deployed.
pytestmark = pytest.mark.timeout(600)

# The program, and what boto3 and structlog need. Nothing else may ship.
SHIPPED = {
    *("boto3", "botocore", "dateutil", "jmespath", "s3transfer", "six.py", "urllib3"),
    *("structlog", "ecr_cleaner", "__pycache__"),
}


@dataclass(frozen=True)
class Step:
    """The state after a configuration was applied and its function has run."""

    plan: dict[str, str]
    runs: list[Invocation]
    images: dict[str, set[str]]
    archived: set[str]


@pytest.fixture(scope="module")
def world(machine: Machine) -> World:
    return World(region=REGION, endpoint_url=machine.aws.endpoint)


@pytest.fixture(scope="module")
def member(world: World) -> World:
    """Return the member account."""
    return world.elsewhere(REGION, MEMBER)


@pytest.fixture(scope="module")
def filled(world: World, member: World) -> Account:
    return account.fill(world, member)


@pytest.fixture(scope="module")
def untouched(world: World, filled: Account) -> dict[str, set[str]]:
    """Return the digests in each repository before the first run."""
    assert filled.everything
    return account.digests(world)


@pytest.fixture(scope="module")
def before(machine: Machine, filled: Account) -> dict[str, list[str]]:
    """Return the resources of the account before the deployment."""
    assert filled.everything
    return machine.inventory()


@pytest.fixture(scope="module")
def terraform(machine: Machine, before: dict[str, list[str]]) -> Iterator[Terraform]:
    """Return Terraform; after the tests, destroy what is left if a step failed."""
    made = machine.terraform()
    yield made
    if machine.inventory() != before:
        made.destroy()


@pytest.fixture(scope="module")
def scan_role(machine: Machine, terraform: Terraform) -> Iterator[Terraform]:
    """Deploy the example as a dry run, and the role in the member account."""
    terraform.apply()
    made = machine.terraform_of_member(terraform.outputs()["role_arn"])
    with machine.shared_provider(terraform), machine.shared_provider(made):
        made.apply()
        yield made
        if resources(made):
            made.destroy()


@pytest.fixture(scope="module")
def dry(
    machine: Machine,
    terraform: Terraform,
    scan_role: Terraform,
    world: World,
    untouched: dict[str, set[str]],
    measurements: Measurements,
) -> Step:
    """Invoke the function twice."""
    assert untouched
    plan = terraform.plan() | scan_role.plan()
    image = terraform.outputs()["image_uri"]
    measurements.add_image(machine.docker, machine.compressed_layers(image), image)
    # From now on, only the registry has the image.
    machine.docker.forget(image)
    with machine.function() as function:
        runs = [function.invoke(machine.event()) for _ in range(2)]
        measurements.add_runs(function, runs)
    return Step(plan, runs, account.digests(world), account.archived(world))


@pytest.fixture(scope="module")
def disobedient(machine: Machine, world: World, dry: Step) -> Step:
    """Run the function of the dry run with a changed DRY_RUN setting."""
    with machine.function(DRY_RUN="false") as function:
        runs = [function.invoke(machine.event())]
    return Step(dry.plan, runs, account.digests(world), account.archived(world))


@pytest.fixture(scope="module")
def rebuild(terraform: Terraform, disobedient: Step) -> dict[str, str]:
    """Return the plan after a change of the sources, then revert the change."""
    assert disobedient.runs
    source = terraform.directory.parent.parent / "lambda_src" / "ecr_cleaner" / "__init__.py"
    written = source.read_text()
    source.write_text(written + "\n# changed\n")
    plan = terraform.plan()
    source.write_text(written)
    return plan


@pytest.fixture(scope="module")
def real(machine: Machine, terraform: Terraform, world: World, rebuild: dict[str, str]) -> Step:
    """Deploy again with dry_run = false, and invoke the function."""
    assert rebuild
    terraform.variables["dry_run"] = False
    terraform.apply()
    plan = terraform.plan()
    with machine.function() as function:
        runs = [function.invoke(machine.event())]
    return Step(plan, runs, account.digests(world), account.archived(world))


@pytest.fixture(scope="module")
def destroyed(
    machine: Machine, terraform: Terraform, scan_role: Terraform, real: Step
) -> dict[str, list[str]]:
    """Return the resources of the account after everything was destroyed."""
    assert real.runs
    scan_role.destroy()
    terraform.destroy()
    return machine.inventory()


def resources(terraform: Terraform) -> list[object]:
    """Return the resources in the state."""
    return list(json.loads(terraform.state() or "{}").get("resources", []))


def judged(run: Invocation, event: str) -> dict[str, set[str]]:
    """Return the digests in the log lines of one event, by action."""
    found: dict[str, set[str]] = {}
    for line in run.events(event):
        found.setdefault(line["action"], set()).add(line["digest"])
    return found


# -- The image ---------------------------------------------------------------------------------


@pytest.mark.usefixtures("dry")
def test_image_contains_only_the_program_and_its_requirements(
    machine: Machine, terraform: Terraform
) -> None:
    image = machine.pull(terraform.outputs()["image_uri"])
    listed = machine.docker.run("run", "--rm", "--entrypoint", "ls", image, "-1", "/var/task")

    found = {name for name in listed.split() if not name.endswith(".dist-info")}
    assert found <= SHIPPED
    assert found >= SHIPPED - {"__pycache__"}


def test_changed_source_plans_only_the_rebuild(rebuild: dict[str, str]) -> None:
    assert rebuild == {IMAGE: "replace", FUNCTION: "update", LIFECYCLE: "replace"}


# -- The dry run -------------------------------------------------------------------------------


def test_plan_is_empty_after_the_first_deployment(dry: Step) -> None:
    assert dry.plan == {}


def test_each_dry_run_reports_what_it_would_remove(dry: Step, filled: Account) -> None:
    for run in dry.runs:
        assert judged(run, events.WOULD_REMOVE) == {
            "archive": filled.archived,
            "delete": filled.deleted,
        }
        assert judged(run, events.REMOVING) == {}


def test_dry_run_reports_the_consumers_of_old_images(dry: Step, filled: Account) -> None:
    (first, *_) = dry.runs
    consumers = {line["digest"]: line["because"] for line in first.events(events.OLD_IN_USE)}

    assert consumers.keys() == filled.in_use
    assert all(consumers.values())


def test_image_that_only_the_member_account_uses_is_kept_and_says_so(
    dry: Step, real: Step, filled: Account
) -> None:
    (first, *_) = dry.runs
    consumers = {line["digest"]: line["because"] for line in first.events(events.OLD_IN_USE)}

    assert {arn.split(":")[4] for arn in consumers[filled.in_use_elsewhere]} == {MEMBER}
    assert first.summary["targets"] == 2
    assert filled.in_use_elsewhere in real.images[account.SANDBOX]


def test_function_returns_the_summary_that_it_logs(dry: Step, filled: Account) -> None:
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


def test_iam_denies_deletions_if_only_the_setting_is_changed(
    disobedient: Step, filled: Account, untouched: dict[str, set[str]]
) -> None:
    (run,) = disobedient.runs

    assert run.answer["errorType"] == "RunFailedError"
    assert "not authorized to perform" in json.dumps(run.lines)
    assert disobedient.images == untouched
    assert disobedient.archived == filled.deleted


# -- The real run ------------------------------------------------------------------------------


def test_plan_is_empty_after_the_second_deployment(real: Step) -> None:
    assert real.plan == {}


def test_real_run_removes_what_the_dry_run_reported(
    real: Step, filled: Account, untouched: dict[str, set[str]]
) -> None:
    (run,) = real.runs

    assert judged(run, events.REMOVING) == {"archive": filled.archived, "delete": filled.deleted}
    assert real.archived == filled.archived
    assert real.images == {
        repository: digests - filled.deleted for repository, digests in untouched.items()
    }


def test_summary_counts_what_was_removed(real: Step, filled: Account) -> None:
    (run,) = real.runs

    assert run.summary["dry_run"] is False
    assert run.summary["complete"] is True
    assert run.summary["removed"] == len(filled.archived | filled.deleted)
    assert run.summary["failed"] == 0


# -- Destroy -----------------------------------------------------------------------------------


def test_destroy_leaves_nothing_behind(
    destroyed: dict[str, list[str]],
    before: dict[str, list[str]],
    terraform: Terraform,
    member: World,
) -> None:
    assert destroyed == before
    assert member.client("iam").list_roles()["Roles"] == []
    assert resources(terraform) == []
