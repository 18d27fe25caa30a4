"""The module installed as users install it: from Git and from the archive of a release."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from terraform_support import FakeAws, Terraform, copy_project, fake_aws

REGION = "eu-west-1"
IMAGE = f"123456789012.dkr.ecr.{REGION}.amazonaws.com/tools/cleaner:1.0.0"

TWO_MODULES = """
provider "aws" {{
  region = "{region}"
}}

module "first" {{
  source = "{source}"
  name   = "first"
}}

module "second" {{
  source = "{source}"
  name   = "second"
  {argument}
}}
"""

SCAN_ROLE = """
provider "aws" {{
  region = "{region}"
}}

module "scan_role" {{
  source            = "{source}"
  cleaner_role_arns = ["arn:aws:iam::123456789012:role/cleaner"]
}}
"""


@pytest.fixture(scope="module")
def aws() -> Iterator[FakeAws]:
    with fake_aws() as server:
        yield server


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a Git repository with the module and the sources of its image."""
    project = copy_project(tmp_path_factory.mktemp("repository"))
    git = ["git", "-c", "user.name=test", "-c", "user.email=test@example.com"]
    for command in (["init", "--quiet"], ["add", "."], ["commit", "--quiet", "-m", "all"]):
        subprocess.run([*git, *command], cwd=project, check=True, timeout=60)
    return project


def instances(
    environ: dict[str, str], directory: Path, source: str, argument: str = ""
) -> Terraform:
    """Return Terraform in a configuration that uses the module of a source twice."""
    configuration = TWO_MODULES.format(region=REGION, source=source, argument=argument)
    (directory / "main.tf").write_text(configuration)
    return Terraform(directory, environ=dict(environ)).init()


def planned(plan: dict[str, str], kind: str) -> set[str]:
    """Return the instances for which a plan creates a resource of a type."""
    return {address.split(".")[1] for address in plan if f".{kind}." in address}


def test_two_instances_from_one_git_source(
    terraform_environ: dict[str, str], repository: Path, tmp_path: Path
) -> None:
    plan = instances(terraform_environ, tmp_path, f"git::file://{repository}//terraform").plan()

    assert planned(plan, "aws_lambda_function") == {"first", "second"}
    assert planned(plan, "aws_ecr_repository") == {"first", "second"}


def test_second_instance_from_one_git_source_with_its_own_image(
    terraform_environ: dict[str, str], repository: Path, tmp_path: Path
) -> None:
    source = f"git::file://{repository}//terraform"
    plan = instances(terraform_environ, tmp_path, source, f'image_uri = "{IMAGE}"').plan()

    assert planned(plan, "aws_lambda_function") == {"first", "second"}
    assert planned(plan, "aws_ecr_repository") == {"first"}


class Quiet(SimpleHTTPRequestHandler):
    """A file server that does not log its requests."""

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # its name there
        pass


@pytest.fixture
def archive(repository: Path, tmp_path: Path) -> Iterator[str]:
    """Serve an archive with what a release contains, and return its address."""
    command = ["git", "archive", "--format=zip", f"--output={tmp_path / 'module.zip'}", "HEAD"]
    contents = [
        *("lambda_src", "terraform", "examples/in-cluster"),
        *(":(exclude)terraform/tests", ":(exclude)terraform/modules/scan-role/tests"),
    ]
    subprocess.run([*command, *contents], cwd=repository, check=True, timeout=60)
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(tmp_path))) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/module.zip"
        server.shutdown()
        thread.join()


def test_two_instances_from_the_archive_of_a_release(
    terraform_environ: dict[str, str], archive: str, tmp_path: Path
) -> None:
    directory = tmp_path / "configuration"
    directory.mkdir()
    plan = instances(terraform_environ, directory, f"{archive}//terraform").plan()

    assert planned(plan, "aws_lambda_function") == {"first", "second"}


def plan_of_scan_role(environ: dict[str, str], directory: Path, source: str) -> dict[str, str]:
    """Return the plan of a configuration that uses the module for other accounts by itself."""
    directory.mkdir()
    (directory / "main.tf").write_text(SCAN_ROLE.format(region=REGION, source=source))
    return Terraform(directory, environ=dict(environ)).init().plan()


def test_scan_role_from_git_and_from_the_archive_of_a_release(
    terraform_environ: dict[str, str], repository: Path, archive: str, tmp_path: Path
) -> None:
    git = f"git::file://{repository}//terraform/modules/scan-role"
    plans = [
        plan_of_scan_role(terraform_environ, tmp_path / "git", git),
        plan_of_scan_role(
            terraform_environ, tmp_path / "zip", f"{archive}//terraform/modules/scan-role"
        ),
    ]

    for plan in plans:
        assert planned(plan, "aws_iam_role") == {"scan_role"}
