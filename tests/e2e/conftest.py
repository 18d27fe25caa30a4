"""Fixtures that start what the end-to-end tests need, in the order in which it is needed."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from e2e import tools
from e2e.base_image import make_base_image
from e2e.engine import Engine, engine
from e2e.registry import Registry, ecr_registry, loopback_address
from e2e.stack import REGION, Machine
from e2e.summary import Measurements
from e2e.tools import Tools
from integration.aws_as_it_is import aws_as_it_is
from integration.told_services import told_services
from terraform_support import FakeAws, fake_aws, require_terraform

MEMORY = Path("/dev/shm")  # noqa: S108
ROOM = 4_000_000_000
MEASUREMENTS = pytest.StashKey[Measurements]()


@pytest.fixture(scope="module")
def directory() -> Iterator[Path]:
    """Return a directory for all downloads and output.

    Not the directory of pytest: a socket path may have 107 characters, and pytest keeps its files.
    """
    require_terraform()
    lacking = tools.missing()
    if lacking:
        pytest.skip(f"the end-to-end tests cannot run here: {lacking}")
    made = Path(tempfile.mkdtemp(prefix="e2e-", dir=in_memory()))
    yield made
    shutil.rmtree(made)


def in_memory() -> Path | None:
    """Return a directory in memory, or None if there is too little room.

    Layers and tools are thousands of files; removing them from a disk can take a minute.
    """
    return MEMORY if MEMORY.is_dir() and shutil.disk_usage(MEMORY).free > ROOM else None


@pytest.fixture(scope="module")
def measurements(pytestconfig: pytest.Config) -> Measurements:
    return pytestconfig.stash.setdefault(MEASUREMENTS, Measurements())


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Hand the measurements to the controller of xdist, if this process is one of its workers."""
    if hasattr(session.config, "workeroutput"):
        measured = session.config.stash.get(MEASUREMENTS, Measurements())
        session.config.workeroutput["measured"] = measured.lines


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """Take the measurements of a worker; one that crashed has no output."""
    lines = getattr(node, "workeroutput", {}).get("measured", {})
    node.config.stash.setdefault(MEASUREMENTS, Measurements()).lines.update(lines)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the measurements."""
    measured = terminalreporter.config.stash.get(MEASUREMENTS, None)
    if measured and measured.lines:
        terminalreporter.section("measured under AWS's emulator")
        for name, value in measured.lines.items():
            terminalreporter.line(f"{name}: {value}")


@pytest.fixture(scope="module")
def installed(directory: Path) -> Tools:
    return tools.install(directory)


@pytest.fixture(scope="module")
def aws() -> Iterator[FakeAws]:
    """A fake AWS, which ends with the module: what it changes of moto would confuse other tests."""
    with told_services(), aws_as_it_is(), fake_aws() as server:
        yield server


@pytest.fixture(scope="module")
def registry(installed: Tools, directory: Path, aws: FakeAws) -> Iterator[Registry]:
    host = f"{aws.account_id}.dkr.ecr.{REGION}.amazonaws.com"
    place = Registry(host, loopback_address())
    with ecr_registry(installed, directory, place, aws.client("ecr", REGION)):
        yield place


@pytest.fixture(scope="module")
def docker(
    installed: Tools, directory: Path, registry: Registry, measurements: Measurements
) -> Iterator[Engine]:
    with engine(installed, directory, {registry.host: registry.address}) as started:
        measurements.add_base_image(make_base_image(started, directory).version)
        yield started


@pytest.fixture(scope="module")
def machine(
    installed: Tools, directory: Path, aws: FakeAws, registry: Registry, docker: Engine
) -> Machine:
    return Machine(installed, directory, aws, registry, docker)
