"""The modules as they are written: formatted, valid, and passing their own tests."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from ecr_cleaner.deadline import RESERVE
from terraform_docs import SCAN_ROLE
from terraform_support import (
    EXAMPLES,
    MODULE,
    PROJECT,
    Terraform,
    copy_project,
    require_terraform,
)

MODULES = (MODULE, str(SCAN_ROLE.relative_to(PROJECT)))
TESTS = [
    (module, file.name)
    for module in MODULES
    for file in sorted((PROJECT / module / "tests").glob("*.tftest.hcl"))
]


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return copy_project(tmp_path_factory.mktemp("module"))


@pytest.fixture(scope="module")
def modules(project: Path, terraform_environ: dict[str, str]) -> dict[str, Terraform]:
    return {
        module: Terraform(project / module, environ=terraform_environ).init() for module in MODULES
    }


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


@pytest.mark.parametrize("module", MODULES)
def test_module_is_valid(modules: dict[str, Terraform], module: str) -> None:
    modules[module].validate()


@pytest.mark.parametrize("example", EXAMPLES)
def test_example_is_valid(project: Path, terraform_environ: dict[str, str], example: str) -> None:
    Terraform(project / example, environ=terraform_environ).init().validate()


def test_shortest_timeout_leaves_time_to_clean() -> None:
    variables = (PROJECT / MODULE / "variables.tf").read_text()
    (least,) = re.findall(r"var\.timeout >= (\d+)", variables)

    assert int(least) >= 2 * RESERVE.seconds
    assert set(re.findall(r"begins nothing new in .*? (\d+)", variables)) == {str(RESERVE.seconds)}


@pytest.mark.parametrize(("module", "file"), TESTS)
def test_module_passes_its_own_tests(modules: dict[str, Terraform], module: str, file: str) -> None:
    modules[module].test(file)
