"""The module with values that Terraform knows only during an apply."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from terraform_support import MODULE, FakeAws, Terraform, copy_project

REGION = "eu-west-1"
REGISTRY = f"123456789012.dkr.ecr.{REGION}.amazonaws.com"
MODULE_ADDRESS = "module.cleaner"

CONFIGURATION = """
provider "aws" {{
  region = "{region}"
}}

variable "network" {{
  type    = string
  default = "first"
}}

variable "name" {{
  type    = string
  default = "cleaner"
}}

resource "terraform_data" "network" {{
  input = var.network
}}

resource "aws_ecr_repository" "released" {{
  name = "released-later"
}}

module "cleaner" {{
  source     = "{source}"
  depends_on = [terraform_data.network]

  name = var.name
  {arguments}
}}
"""


def configured(environ: dict[str, str], directory: Path, arguments: str) -> Terraform:
    """Return Terraform in a configuration that uses the module with a dependency."""
    project = copy_project(directory / "project")
    configuration = directory / "configuration"
    configuration.mkdir()
    text = CONFIGURATION.format(region=REGION, source=project / MODULE, arguments=arguments)
    # Terraform accepts a local module only under a relative path.
    (configuration / "main.tf").write_text(text.replace(str(project), "../project"))
    return Terraform(configuration, environ=dict(environ)).init()


def put_image(aws: FakeAws, repository: str) -> str:
    """Create a repository with an image, and return the name of the image."""
    ecr = aws.client("ecr", REGION)
    ecr.create_repository(repositoryName=repository)
    manifest = {
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": {"size": 1, "digest": f"sha256:{'0' * 64}"},
        "layers": [],
    }
    ecr.put_image(repositoryName=repository, imageTag="1.0.0", imageManifest=json.dumps(manifest))
    return f"{REGISTRY}/{repository}:1.0.0"


@pytest.fixture(scope="module")
def applied(
    aws: FakeAws, terraform_environ: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Terraform:
    """Return the configuration, applied with an existing image."""
    image = put_image(aws, "released")
    terraform = configured(
        terraform_environ, tmp_path_factory.mktemp("applied"), f'image_uri = "{image}"'
    )
    terraform.apply()
    return terraform


def test_changed_dependency_only_updates(applied: Terraform) -> None:
    plan = applied.plan(network="second")

    assert set(plan.values()) == {"read", "update"}, plan
    applied.apply_plan()
    assert applied.plan(network="second") == {}


def test_another_name_replaces_what_is_named_after_it(applied: Terraform) -> None:
    plan = applied.plan(name="renamed", network="third")

    for address in (
        "aws_iam_role.function[0]",
        "aws_iam_role.schedule",
        "aws_cloudwatch_dashboard.this[0]",
        "aws_lambda_function.this",
    ):
        assert plan[f"{MODULE_ADDRESS}.{address}"] == "replace"
