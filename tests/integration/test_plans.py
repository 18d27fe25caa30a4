"""The plan of a run in S3, as IAM lets the role of the module write it."""

from __future__ import annotations

import gzip
import io
import json
from pathlib import Path

import pytest
from moto.core import enable_iam_authentication

from ecr_cleaner.core.plan_document import PlannedImage, read_plan
from integration import full_world
from integration.program import PACKAGE, Program, as_role
from world import World, role_for

pytestmark = pytest.mark.usefixtures("many_revisions")

PERMISSIONS = json.loads((PACKAGE / "ecr_cleaner" / "permissions.json").read_text())
BUCKET = "memory"
PLANS = {"PLANS": f"s3://{BUCKET}/plans/", "DRY_RUN": "false"}


def allowed(lists: list[list[str]], resource: str = "*") -> dict[str, object]:
    actions = sorted({action for actions in lists for action in actions})
    return {"Effect": "Allow", "Action": actions, "Resource": resource}


def as_module(world: World, prefix: str) -> dict[str, str]:
    """Return the credentials of a role that may clean, write plans below a prefix, and publish."""
    iam = world.client("iam")
    role = role_for(iam, "cleaner", "lambda.amazonaws.com")
    lists = [
        *PERMISSIONS["usage"].values(),
        *PERMISSIONS["guards"].values(),
        *PERMISSIONS["pull-times"].values(),
        PERMISSIONS["read"],
        PERMISSIONS["delete"],
        PERMISSIONS["approval"],
    ]
    plans = allowed([PERMISSIONS["memory"]["plans"]], f"arn:aws:s3:::{BUCKET}/{prefix}*")
    policy = {"Version": "2012-10-17", "Statement": [allowed(lists), plans]}
    iam.put_role_policy(RoleName="cleaner", PolicyName="cleaner", PolicyDocument=json.dumps(policy))
    return as_role(world.client("sts"), role)


@pytest.fixture
def bucket(world: World) -> str:
    location = {"LocationConstraint": "eu-west-1"}
    world.client("s3").create_bucket(Bucket=BUCKET, CreateBucketConfiguration=location)
    return BUCKET


def test_role_of_the_module_may_write_the_plan(world: World, bucket: str) -> None:
    full = full_world.fill(world)
    program = Program()
    program.environ |= as_module(world, "plans/")
    with enable_iam_authentication():
        run = program.run(**PLANS)

    assert run.summary["complete"] is True
    (written,) = run.events("Plan written")
    key = written["plan"].removeprefix(f"s3://{bucket}/")
    content = world.client("s3").get_object(Bucket=bucket, Key=key)["Body"].read()
    parts = read_plan(io.BytesIO(gzip.decompress(content)))
    images = [one for one in parts if isinstance(one, PlannedImage)]
    assert {one.digest for one in images if not one.is_kept} == full.unused
    assert {one.digest for one in images} == full.all


def test_role_that_may_not_write_the_plan_removes_nothing(world: World, bucket: str) -> None:
    assert bucket
    full = full_world.fill(world)
    program = Program()
    program.environ |= as_module(world, "elsewhere/")
    with enable_iam_authentication():
        run = program.run(**PLANS)

    assert "missing IAM action: s3:PutObject" in run.failure
    assert full_world.everything(world) == full.all
    assert run.events("Run finished")


def test_plan_is_approved_and_applied_through_the_function(world: World, bucket: str) -> None:
    """Another image is in use when the plan is applied, and another one is removable."""
    assert bucket
    full = full_world.fill(world)
    program = Program()
    program.environ |= as_module(world, "plans/") | PLANS | {"APPROVAL": "true"}
    with enable_iam_authentication():
        planned = program.run()
    assert planned.called("ecr:BatchDeleteImage") == []
    (written,) = planned.events("Plan written")
    name = full_world.REPOSITORIES[0]
    taken = world.tags(name)["old"]
    world.function("taken", world.uri(name, digest=taken))
    since = world.image(name, days_old=90)
    with enable_iam_authentication():
        applied = program.run({"apply": written["plan"]})

    assert applied.error is None
    assert full_world.everything(world) == set(full.used) | {taken, since}
    (stays,) = applied.events("Image of the plan stays")
    assert (stays["digest"], stays["stays"], stays["reason"]) == (taken, "kept_now", "in_use")
    with enable_iam_authentication():
        again = program.run({"apply": written["plan"]})
    assert again.error is None
    assert again.called("ecr:BatchDeleteImage") == []


def test_plan_of_a_dry_run_goes_to_a_directory(
    world: World, program: Program, tmp_path: Path
) -> None:
    full_world.fill(world, ["ecs"])
    run = program.run(PLANS=str(tmp_path), **full_world.only("ecs"))

    assert run.mutations == []
    assert len(list(tmp_path.iterdir())) >= 1
