"""The lock files: complete, so that pip installs them without looking for anything else."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from importlib import metadata
from itertools import pairwise
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

PROJECT = Path(__file__).parents[2]
SOURCES = ("*.in", "lambda_src/*.in", "examples/*/*.in", "tests/e2e/requirements/*.in")
LOCKS = sorted(
    str(file.relative_to(PROJECT).with_suffix(".txt"))
    for pattern in SOURCES
    for file in PROJECT.glob(pattern)
)
# Each holds the one before it, and all of them are installed where the tests run.
INSTALLED = (
    "lambda_src/requirements.txt",
    "examples/demo/requirements.txt",
    "requirements-dev.txt",
)

Requires = Mapping[str, Sequence[str]]


def pins(lock: str) -> dict[str, Requirement]:
    """Return the requirements of a lock file that apply here, by the name of the package."""
    lines = [line.removesuffix("\\") for line in lock.splitlines() if line[:1].isalnum()]
    found = [Requirement(line) for line in lines]
    return {canonicalize_name(one.name): one for one in found if applies(one)}


def applies(requirement: Requirement, extras: set[str] | None = None) -> bool:
    """Return whether the marker holds on this machine, for any of the extras."""
    marker = requirement.marker
    return marker is None or any(
        marker.evaluate({"extra": extra}) for extra in {"", *(extras or ())}
    )


def gaps(lock: str, requires: Requires) -> Iterator[str]:
    """Yield what packages require, by their metadata, and the lock file does not hold."""
    locked = pins(lock)
    for name in locked.keys() & requires.keys():
        for requirement in map(Requirement, requires[name]):
            if applies(requirement, locked[name].extras):
                pin = locked.get(canonicalize_name(requirement.name))
                if pin is None or not satisfies(pin, requirement):
                    yield f"{name} requires {requirement}, locked is {pin}"


def satisfies(pin: Requirement, requirement: Requirement) -> bool:
    """Return whether a pin has the extras, and a version, that a package requires."""
    return requirement.specifier.contains(version(pin), prereleases=True) and {
        canonicalize_name(extra) for extra in requirement.extras
    } <= {canonicalize_name(extra) for extra in pin.extras}


def version(pin: Requirement) -> str:
    (specifier,) = pin.specifier
    return specifier.version


def installed(lock: str) -> dict[str, Sequence[str]]:
    """Return what the installed packages of a lock file require, by the name of the package."""
    versions = {name: version(pin) for name, pin in pins(lock).items()}
    return {
        name: found.requires or ()
        for found in metadata.distributions()
        if versions.get(name := canonicalize_name(found.name)) == found.version
    }


@pytest.mark.parametrize("lock", LOCKS)
def test_lock_file_holds_all_that_its_installed_packages_require(lock: str) -> None:
    text = (PROJECT / lock).read_text()
    assert list(gaps(text, installed(text))) == []


@pytest.mark.parametrize("lock", INSTALLED)
def test_every_package_of_the_lock_file_is_installed_here(lock: str) -> None:
    text = (PROJECT / lock).read_text()
    assert installed(text).keys() == pins(text).keys()


@pytest.mark.parametrize("lock", LOCKS)
def test_lock_file_was_made_with_extras(lock: str) -> None:
    _, command, *_ = (PROJECT / lock).read_text().splitlines()
    assert "uv pip compile" in command
    assert "--no-strip-extras" in command


@pytest.mark.parametrize(("smaller", "larger"), [*pairwise(INSTALLED)])
def test_environments_have_the_versions_that_ship(smaller: str, larger: str) -> None:
    pinned, also_pinned = (pins((PROJECT / lock).read_text()) for lock in (smaller, larger))
    assert pinned.items() <= also_pinned.items()


# -- The check itself --------------------------------------------------------------------------

LOCK = """\
# made up
cover[toml]==7.1 \\
    --hash=sha256:00 \\
    --hash=sha256:01
    # via plugin
plugin==2.0 \\
    --hash=sha256:02
toml-reader==1.0 ; python_version >= '3' \\
    --hash=sha256:03
"""
REQUIRES: Requires = {
    "plugin": ["cover[toml]>=7", "never; python_version < '3'", "other; extra == 'more'"],
    "cover": ["Toml_Reader; extra == 'toml'"],
    "toml-reader": [],
    "not-in-the-lock": ["whatever"],
}


def test_complete_lock_has_no_gaps() -> None:
    assert list(gaps(LOCK, REQUIRES)) == []


NO_READER = 'cover requires Toml_Reader; extra == "toml", locked is None'


@pytest.mark.parametrize(
    ("before", "after", "gap"),
    [
        pytest.param(
            *("cover[toml]", "cover", "plugin requires cover[toml]>=7, locked is cover==7.1"),
            id="extra was stripped",
        ),
        pytest.param(
            *("==7.1", "==6.9", "plugin requires cover[toml]>=7, locked is cover[toml]==6.9"),
            id="version is too old",
        ),
        pytest.param("toml-reader==1.0", "another==1.0", NO_READER, id="package is missing"),
        pytest.param(">= '3'", "< '3'", NO_READER, id="package is for another Python"),
        pytest.param(
            *(
                "plugin==",
                "plugin[more]==",
                'plugin requires other; extra == "more", locked is None',
            ),
            id="package of an extra is missing",
        ),
    ],
)
def test_gap_is_found(before: str, after: str, gap: str) -> None:
    assert list(gaps(LOCK.replace(before, after), REQUIRES)) == [gap]
