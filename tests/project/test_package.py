"""The program as a package: it requires what the image carries, and carries its files."""

from __future__ import annotations

import tomllib
from pathlib import Path

from packaging.requirements import Requirement

ROOT = Path(__file__).parents[2]
PROGRAM = ROOT / "lambda_src" / "ecr_cleaner"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())


def required(text: str) -> set[str]:
    return {str(Requirement(line)) for line in text.splitlines() if line and line[0] not in "#-"}


def test_package_requires_what_the_image_carries() -> None:
    image = required((ROOT / "lambda_src" / "requirements.in").read_text())
    assert {str(Requirement(one)) for one in PROJECT["project"]["dependencies"]} == image


def test_what_is_only_for_a_terminal_is_not_in_the_image() -> None:
    extra = {Requirement(one).name for one in PROJECT["project"]["optional-dependencies"]["table"]}
    assert extra == {"rich"}
    assert "rich==" not in (ROOT / "lambda_src" / "requirements.txt").read_text()


def test_every_file_that_is_not_code_is_packaged() -> None:
    patterns = PROJECT["tool"]["setuptools"]["package-data"]["ecr_cleaner"]
    packaged = {path for pattern in patterns for path in PROGRAM.glob(pattern)}
    files = {path for path in PROGRAM.rglob("*") if path.is_file() and path.suffix != ".pyc"}
    assert packaged == {path for path in files if path.suffix != ".py"}


def test_command_exists() -> None:
    module, _, function = PROJECT["project"]["scripts"]["ecr-cleaner"].partition(":")
    path = ROOT / "lambda_src" / f"{module.replace('.', '/')}.py"
    assert f"def {function}(" in path.read_text()
