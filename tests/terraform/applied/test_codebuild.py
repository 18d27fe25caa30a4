"""The module with an image that CodeBuild builds: real Terraform, a fake AWS, and no other tool."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import engine_stand_in
from codebuild_stand_in import CodeBuildStandIn, codebuild
from terraform_support import (
    MODULE,
    FakeAws,
    Terraform,
    TerraformError,
    copy_project,
    require_terraform,
)

REGION = "eu-west-1"
NAME = "cleaner"
REGISTRY = f"123456789012.dkr.ecr.{REGION}.amazonaws.com"
FUNCTION = "aws_lambda_function.this"
BUILD = "aws_lambda_invocation.build[0]"

# No shell may interpret this.
AWKWARD = ["--label", 'note=it\'s "$HOME" `id`']


@pytest.fixture(scope="module")
def stand_in(aws: FakeAws, tmp_path_factory: pytest.TempPathFactory) -> Iterator[CodeBuildStandIn]:
    with codebuild(tmp_path_factory.mktemp("codebuild"), aws) as stand_in:
        yield stand_in


@pytest.fixture(scope="module")
def module(terraform_environ: dict[str, str], stand_in: CodeBuildStandIn) -> Terraform:
    """Return the module, applied with nothing but Terraform on PATH."""
    only_terraform = stand_in.directory / "path"
    only_terraform.mkdir()
    (only_terraform / "terraform").symlink_to(require_terraform())
    terraform = Terraform(
        copy_project(stand_in.directory / "project") / MODULE,
        environ={**terraform_environ, "PATH": str(only_terraform)},
        variables={
            "name": NAME,
            "build_with": "codebuild",
            "architecture": "x86_64",
            "extra_build_args": AWKWARD,
            # Not what is tested here, and each is a call.
            **dict.fromkeys(("saved_queries_enabled", "metrics_enabled", "alarms_enabled"), False),
            **dict.fromkeys(("dashboard_enabled", "memory_enabled"), False),
        },
    ).init()
    terraform.apply()
    return terraform


@pytest.fixture
def builds(module: Terraform, stand_in: CodeBuildStandIn) -> CodeBuildStandIn:
    """Return what builds did since the start of the test, after the module was applied."""
    assert module.environ
    stand_in.reset()
    return stand_in


def image_of_function(aws: FakeAws) -> str:
    function = aws.client("lambda", REGION).get_function(FunctionName=NAME)
    return str(function["Code"]["ImageUri"])


def pushed(aws: FakeAws) -> set[str]:
    """Return the images in the repository."""
    images = aws.client("ecr", REGION).list_images(repositoryName=NAME)["imageIds"]
    return {f"{REGISTRY}/{NAME}:{image['imageTag']}" for image in images}


def position(printed: str, address: str, step: str) -> int:
    """Return where an apply reports a step of a resource."""
    found = re.search(rf"^{re.escape(address)}[^:\n]*: {step}", printed, re.MULTILINE)
    assert found, f"{address}: {step} is not in\n{printed}"
    return found.start()


def test_image_is_built_in_the_account_and_the_second_plan_is_empty(
    aws: FakeAws, stand_in: CodeBuildStandIn, module: Terraform
) -> None:
    image = module.outputs()["image_uri"]

    (build,) = stand_in.calls("docker", "build")
    assert build == [
        *("--platform", "linux/amd64", "--tag", image),
        *("--provenance=false", *AWKWARD, "lambda_src"),
    ]
    assert pushed(aws) == {image}
    assert image_of_function(aws) == image
    assert module.plan() == {}


def test_changed_source_is_built_before_the_function_changes(
    aws: FakeAws, builds: CodeBuildStandIn, module: Terraform
) -> None:
    before = image_of_function(aws)
    source = module.directory.parent / "lambda_src" / "ecr_cleaner" / "handler.py"
    source.write_text(source.read_text() + "# changed\n")
    plan = module.plan()
    printed = module.apply_plan()

    assert plan == {
        "aws_s3_object.sources[0]": "replace",
        BUILD: "replace",
        FUNCTION: "update",
        "aws_ecr_lifecycle_policy.this[0]": "replace",
    }
    built = position(printed, BUILD, "Creation complete")
    assert built < position(printed, FUNCTION, "Modifying")
    assert image_of_function(aws) in pushed(aws) - {before}
    assert [build["buildStatus"] for build in builds.builds] == ["SUCCEEDED"]


def test_build_that_does_not_end_fails_the_apply(
    builds: CodeBuildStandIn, module: Terraform
) -> None:
    builds.ends, builds.remaining_milliseconds = False, 19_999
    with pytest.raises(TerraformError, match="has not ended yet"):
        module.apply(rebuild="does not end")


def test_failed_build_fails_the_apply_with_what_failed_and_the_log(
    aws: FakeAws, builds: CodeBuildStandIn, module: Terraform
) -> None:
    before = image_of_function(aws)
    builds.environ = {"STAND_IN_ARCHITECTURE": "riscv64"}
    with pytest.raises(TerraformError) as failed:
        module.apply(rebuild="fails at first")
    error = re.sub(r"[\s│]+", " ", str(failed.value))

    assert "ended as FAILED (BUILD: Error while executing command: sh build.sh)" in error
    assert "Log: https://" in error
    assert image_of_function(aws) == before
    builds.environ = {}
    # The tests after this one start with this image.
    module.variables["rebuild"] = "fails at first"
    module.apply()
    assert image_of_function(aws) != before


def test_event_that_is_sent_twice_builds_once(aws: FakeAws, builds: CodeBuildStandIn) -> None:
    function = aws.client("lambda", REGION)
    already_built = 0
    for _ in range(2):
        already_built = len(builds.calls("docker", "build"))
        answer = function.invoke(FunctionName=f"{NAME}-build", Payload=builds.last_event)
        assert "FunctionError" not in answer, answer["Payload"].read()
        assert answer["Payload"].read()

    assert [build["buildStatus"] for build in builds.builds] == ["SUCCEEDED", "SUCCEEDED"]
    assert len(builds.calls("docker", "build")) == already_built


def test_buildspec_is_correct_shell(aws: FakeAws, module: Terraform, tmp_path: Path) -> None:
    shellcheck = shutil.which("shellcheck", path=str(Path(sys.executable).parent))
    assert shellcheck, module
    codebuild = aws.client("codebuild", REGION)
    (project,) = codebuild.batch_get_projects(names=[f"{NAME}-build"])["projects"]
    commands = json.loads(project["source"]["buildspec"])["phases"]["build"]["commands"]
    script = tmp_path / "buildspec.sh"
    script.write_text("\n".join(["#!/bin/sh", "SOURCES=$1", *commands, ""]))
    done = subprocess.run([shellcheck, script], capture_output=True, text=True, check=False)

    assert (done.returncode, done.stdout) == (0, "")


def test_local_build_takes_over_without_another_image(
    aws: FakeAws, builds: CodeBuildStandIn, module: Terraform
) -> None:
    image = image_of_function(aws)
    module.environ |= engine_stand_in.install(builds.directory / "local")
    plan = module.plan(build_with="local")
    module.apply_plan()

    assert FUNCTION not in plan
    assert image_of_function(aws) == image
    assert aws.client("codebuild", REGION).list_projects()["projects"] == []
