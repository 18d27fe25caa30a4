"""The module installed as users install it: from Git and from the archive of a release."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from terraform_support import Terraform, copy_project

REGION = "eu-west-1"
IMAGE = f"123456789012.dkr.ecr.{REGION}.amazonaws.com/tools/cleaner:1.0.0"

CONFIGURATION = """
provider "aws" {{
  region = "{region}"
}}

module "first" {{
  source = "{source}//terraform"
  name   = "first"
}}

module "second" {{
  source = "{source}//terraform"
  name   = "second"
}}

module "with_image" {{
  source    = "{source}//terraform"
  name      = "with-image"
  image_uri = "{image}"
}}

module "of_another_account" {{
  source            = "{source}//terraform/modules/scan-role"
  cleaner_role_arns = ["arn:aws:iam::123456789012:role/cleaner"]
}}
"""


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a Git repository with the module and the sources of its image."""
    project = copy_project(tmp_path_factory.mktemp("repository"))
    git = ["git", "-c", "user.name=test", "-c", "user.email=test@example.com"]
    for command in (["init", "--quiet"], ["add", "."], ["commit", "--quiet", "-m", "all"]):
        subprocess.run([*git, *command], cwd=project, check=True, timeout=60)
    return project


def planned(plan: dict[str, str], kind: str) -> set[str]:
    """Return the instances for which a plan creates a resource of a type."""
    return {address.split(".")[1] for address in plan if f".{kind}." in address}


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


@pytest.fixture
def git(repository: Path) -> str:
    """Return the address of the repository for Terraform."""
    return f"git::file://{repository}"


@pytest.mark.parametrize("kind", ["git", "archive"])
def test_modules_of_one_source_are_installed_and_planned(
    request: pytest.FixtureRequest,
    terraform_environ: dict[str, str],
    tmp_path: Path,
    kind: str,
) -> None:
    source = request.getfixturevalue(kind)
    directory = tmp_path / "configuration"
    directory.mkdir()
    (directory / "main.tf").write_text(
        CONFIGURATION.format(region=REGION, source=source, image=IMAGE)
    )
    plan = Terraform(directory, environ=dict(terraform_environ)).init().plan()

    assert planned(plan, "aws_lambda_function") == {"first", "second", "with_image"}
    assert planned(plan, "aws_ecr_repository") == {"first", "second"}
    assert "module.of_another_account.aws_iam_role.scan" in plan
