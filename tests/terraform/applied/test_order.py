"""The image that the function runs is never destroyed before the function runs another one."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

import engine_stand_in
from terraform_support import MODULE, FakeAws, Terraform, TerraformError, copy_project

REGION = "eu-west-1"
NAME = "cleaner"
REGISTRY = f"123456789012.dkr.ecr.{REGION}.amazonaws.com"
KEY = f"arn:aws:kms:{REGION}:123456789012:key/00000000-0000-0000-0000-000000000000"

FUNCTION = "aws_lambda_function.this"
REPOSITORY = "aws_ecr_repository.this[0]"


@pytest.fixture(scope="module")
def deployment(
    terraform_environ: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Terraform:
    """Return the module with variables that build an image, before its first apply."""
    directory = tmp_path_factory.mktemp("order")
    environ = {**terraform_environ, **engine_stand_in.install(directory / "bin")}
    terraform = Terraform(copy_project(directory / "project") / MODULE, environ)
    terraform.variables = {
        "name": NAME,
        # Not what is tested here, and each is a call.
        **dict.fromkeys(("saved_queries_enabled", "metrics_enabled", "alarms_enabled"), False),
        "dashboard_enabled": False,
        # The provider waits half a minute for a queue, and for its policy.
        "memory_enabled": False,
    }
    return terraform.init()


@pytest.fixture
def module(deployment: Terraform) -> Terraform:
    """Return the module, applied: the function runs an image that the module built."""
    deployment.apply()
    return deployment


@pytest.fixture
def released(aws: FakeAws) -> Iterator[str]:
    """Return an image in a repository that the module does not own."""
    ecr = aws.client("ecr", REGION)
    ecr.create_repository(repositoryName="released")
    manifest = {
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": {"size": 1, "digest": f"sha256:{'0' * 64}"},
        "layers": [],
    }
    ecr.put_image(repositoryName="released", imageTag="1.0.0", imageManifest=json.dumps(manifest))
    yield f"{REGISTRY}/released:1.0.0"
    ecr.delete_repository(repositoryName="released", force=True)


def position(printed: str, address: str, step: str) -> int:
    """Return where an apply reports a step of a resource."""
    found = re.search(rf"^{re.escape(address)}[^:\n]*: {step}", printed, re.MULTILINE)
    assert found, f"{address}: {step} is not in\n{printed}"
    return found.start()


def image_of(aws: FakeAws) -> str:
    function = aws.client("lambda", REGION).get_function(FunctionName=NAME)
    return str(function["Code"]["ImageUri"])


def repositories(aws: FakeAws) -> list[str]:
    found: list[dict[str, Any]] = aws.client("ecr", REGION).describe_repositories()["repositories"]
    return sorted(repository["repositoryName"] for repository in found)


def test_own_repository_is_destroyed_after_the_function_runs_the_given_image(
    aws: FakeAws, module: Terraform, released: str
) -> None:
    printed = module.apply(image_uri=released)

    updated = position(printed, FUNCTION, "Modifications complete")
    assert updated < position(printed, REPOSITORY, "Destroying")
    assert image_of(aws) == released
    assert repositories(aws) == ["released"]


def test_own_repository_stays_if_the_given_image_does_not_exist(
    aws: FakeAws, module: Terraform, released: str
) -> None:
    before = image_of(aws)
    with pytest.raises(TerraformError, match="UpdateFunctionCode"):
        module.apply(image_uri=f"{released}-mistyped")

    assert image_of(aws) == before
    assert repositories(aws) == [NAME, "released"]
    module.apply()
    assert module.plan() == {}, "without the mistyped image, an apply repairs what is left"


def test_repository_with_the_old_key_is_destroyed_after_the_function_runs_the_new_image(
    aws: FakeAws, module: Terraform
) -> None:
    printed = module.apply(kms_key_arn=KEY)

    created = position(printed, REPOSITORY, "Creation complete")
    updated = position(printed, FUNCTION, "Modifications complete")
    assert created < updated < position(printed, REPOSITORY, r"Destr")
    (repository,) = repositories(aws)
    assert repository != NAME
    assert image_of(aws).startswith(f"{REGISTRY}/{repository}:")
    # moto forgets the key of the function.
    assert set(module.plan(kms_key_arn=KEY)) <= {FUNCTION}
