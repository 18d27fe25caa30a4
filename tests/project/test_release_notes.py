"""A release says what its section of the changelog says."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / ".ci" / "release-notes"
SECTION = """\
### Added

- One *thing*, see [this](README.md):
  `a \\ b`.

### Fixed

- Another.
"""
CHANGELOG = f"""\
# Changelog

Introduction.

## [Unreleased]

- Not released.

## [1.10.0] - 2026-02-01

{SECTION}
## [1.1.0] - 2026-01-01

- Older.

## [1.0.0] - 2025-01-01

## [0.9.0]

- Oldest.

[Unreleased]: https://example.com/compare/v1.10.0...HEAD
[0.9.0]: https://example.com/tree/v0.9.0
"""


def release_notes(directory: Path, version: str) -> subprocess.CompletedProcess[str]:
    changelog = directory / "CHANGELOG.md"
    changelog.write_text(CHANGELOG)
    return subprocess.run(
        [SCRIPT, version, changelog], capture_output=True, text=True, check=False, timeout=60
    )


@pytest.mark.parametrize(
    ("version", "notes"),
    [
        ("v1.10.0", SECTION),
        ("1.1.0", "- Older.\n"),
        ("v0.9.0", "- Oldest.\n"),
    ],
)
def test_prints_the_section_of_a_version(tmp_path: Path, version: str, notes: str) -> None:
    done = release_notes(tmp_path, version)
    assert (done.returncode, done.stdout, done.stderr) == (0, notes, "")


@pytest.mark.parametrize("version", ["v1.2.0", "v1.1", "v1.0.0", "v", "v1.1.0-rc1", "v1x1.0"])
def test_fails_if_there_is_no_text_for_the_version(tmp_path: Path, version: str) -> None:
    done = release_notes(tmp_path, version)
    assert (done.returncode, done.stdout) == (1, "")
    assert f'has no text under "## [{version[1:]}]"' in done.stderr
