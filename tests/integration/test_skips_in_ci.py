"""A skip fails a run in CI, in one process and with the tests in several."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

CONFTEST = Path(__file__).parents[1] / "conftest.py"
SKIPPED_TEST = """
import pytest

def test_passes(): pass

def test_needs_a_tool(): pytest.skip("no tool")
"""
SKIPPED_MODULE = """
import pytest

pytest.skip("no library", allow_module_level=True)
"""
EXPECTED_FAILURE = """
import pytest

@pytest.mark.xfail(strict=True)
def test_known_problem(): assert False
"""


def run(directory: Path, *options: str, ci: str = "true") -> subprocess.CompletedProcess[str]:
    """Run pytest with the project's conftest over the modules of a directory."""
    shutil.copy(CONFTEST, directory / "conftest.py")
    environ = {name: value for name, value in os.environ.items() if "COVERAGE" not in name}
    # The conftest's fixture patches a module of the program.
    environ |= {"PYTHONPATH": str(CONFTEST.parents[1] / "lambda_src"), "CI": ci}
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *options, str(directory)],
        cwd=directory,
        env=environ,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.mark.parametrize("processes", [0, 2])
def test_skipped_tests_and_modules_fail_the_run_and_are_listed(
    tmp_path: Path, processes: int
) -> None:
    (tmp_path / "test_with_skip.py").write_text(SKIPPED_TEST)
    (tmp_path / "test_skipped.py").write_text(SKIPPED_MODULE)

    done = run(tmp_path, f"--numprocesses={processes}", "--dist=loadfile")

    _, found, listed = done.stdout.partition("skipped, which in CI is a failure")
    assert found, done.stdout
    assert "no tool" in listed
    assert "no library" in listed
    assert "1 passed, 2 skipped" in done.stdout.splitlines()[-1]
    assert done.returncode == pytest.ExitCode.TESTS_FAILED


def test_expected_failure_is_not_a_skip(tmp_path: Path) -> None:
    (tmp_path / "test_known_problem.py").write_text(EXPECTED_FAILURE)

    done = run(tmp_path)

    assert done.returncode == pytest.ExitCode.OK, done.stdout


def test_run_with_a_skip_passes_outside_ci(tmp_path: Path) -> None:
    (tmp_path / "test_with_skip.py").write_text(SKIPPED_TEST)

    done = run(tmp_path, ci="false")

    assert done.returncode == pytest.ExitCode.OK, done.stdout
