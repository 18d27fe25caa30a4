"""The module as it is written: formatted, valid, and passing its own tests."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from ecr_cleaner.deadline import RESERVE
from terraform_support import (
    EXAMPLES,
    MODULE,
    PROJECT,
    Terraform,
    copy_project,
    require_terraform,
)

TESTS = sorted(file.name for file in (PROJECT / MODULE / "tests").glob("*.tftest.hcl"))


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return copy_project(tmp_path_factory.mktemp("module"))


@pytest.fixture(scope="module")
def module(project: Path, terraform_environ: dict[str, str]) -> Terraform:
    return Terraform(project / MODULE, environ=terraform_environ).init()


@pytest.mark.parametrize("directory", [MODULE, "examples"])
def test_configuration_is_formatted(directory: str) -> None:
    done = subprocess.run(
        [require_terraform(), "fmt", "-check", "-recursive", "-diff", directory],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, "")


@pytest.mark.parametrize("directory", [MODULE, *EXAMPLES])
def test_configuration_is_valid(
    project: Path, terraform_environ: dict[str, str], directory: str
) -> None:
    Terraform(project / directory, environ=terraform_environ).init().validate()


def test_shortest_timeout_leaves_time_to_clean() -> None:
    variables = (PROJECT / MODULE / "variables.tf").read_text()
    (least,) = re.findall(r"var\.timeout >= (\d+)", variables)

    assert int(least) >= 2 * RESERVE.seconds
    assert set(re.findall(r"begins nothing new in .*? (\d+)", variables)) == {str(RESERVE.seconds)}


@pytest.mark.parametrize("file", TESTS)
def test_module_passes_its_own_tests(module: Terraform, file: str) -> None:
    module.test(file)
