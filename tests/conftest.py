"""Rules for every test: no connection to a real AWS account, and no silent skip in CI."""

from __future__ import annotations

import functools
import importlib
import ipaddress
import os
import pkgutil
import socket
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import botocore.loaders
import botocore.session
import coverage
import hypothesis
import pytest

import ecr_cleaner

# Set, not only removed: without credentials the SDK asks the instance metadata service for some.
AWS_ENVIRONMENT = {
    "AWS_ACCESS_KEY_ID": "testing",
    "AWS_SECRET_ACCESS_KEY": "testing",
    "AWS_DEFAULT_REGION": "eu-west-1",
    "AWS_REGION": "eu-west-1",
    "AWS_EC2_METADATA_DISABLED": "true",
    "AWS_CONFIG_FILE": os.devnull,
    "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
    # Thousands of machine images for each account and region of moto, which no test uses.
    "MOTO_EC2_LOAD_DEFAULT_AMIS": "false",
}

IN_CI = os.environ.get("CI", "").lower() not in {"", "0", "false"}

# How many examples a property is tested with; tests with random cases of their own try as many
# percent of them. Deadlines are off: how long an example takes depends on the machine.
hypothesis.settings.register_profile("dev", deadline=None, max_examples=25)
hypothesis.settings.register_profile(
    "ci", deadline=None, max_examples=100, derandomize=True, database=None, print_blob=True
)
hypothesis.settings.load_profile("ci" if IN_CI else "dev")


# -- No connection to a real account -----------------------------------------------------------


def isolate_aws_environment() -> None:
    """Replace the developer's AWS settings, for this process and those that it starts."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        del os.environ[name]
    os.environ.update(AWS_ENVIRONMENT)
    # Servers of tests are reached without the developer's proxy.
    direct = "127.0.0.1,localhost"
    for name in ("NO_PROXY", "no_proxy"):
        os.environ[name] = ",".join(filter(None, [os.environ.get(name), direct]))


def is_local(address: Any) -> bool:
    """Return whether a host, or the host of a socket address, is this machine."""
    host = address[0] if isinstance(address, tuple) else address
    if isinstance(host, bytes):
        host = host.decode()
    if host in {None, "", "localhost"}:
        return True
    try:
        ip = ipaddress.ip_address(host)
    except ValueError:
        return False
    return ip.is_loopback or ip.is_unspecified


def refuse_other_hosts() -> None:
    """Fail a test that tries to connect to another machine, whichever library does it.

    The failure is not an Exception, so neither the SDK's retries nor the code under test can
    handle it. An audit hook would see the same calls, but with one Python 3.11 cannot start two
    threads at once under coverage: "Cannot install a trace function while another trace function
    is being installed".
    """
    for name in ("connect", "connect_ex", "sendto"):
        restrict(socket.socket, name, of_socket=True)
    for name in ("getaddrinfo", "gethostbyname", "gethostbyname_ex"):
        restrict(socket, name, of_socket=False)


def restrict(owner: Any, name: str, *, of_socket: bool) -> None:
    """Replace a function of ``socket``; its address is the first argument, or else the last."""
    function = getattr(owner, name)

    @functools.wraps(function)
    def local_only(*arguments: Any, **options: Any) -> Any:
        is_unix = of_socket and arguments[0].family == socket.AF_UNIX
        address = arguments[-1 if of_socket else 0]
        if not (is_unix or is_local(address)):
            pytest.fail(f"a test may connect to loopback only: {name} to {address!r}")
        return function(*arguments, **options)

    setattr(owner, name, local_only)


@pytest.fixture(autouse=True)
def no_look_ups(monkeypatch: pytest.MonkeyPatch) -> None:
    """Replace DNS: every host exists, so that only the SDK's list says what a region lacks."""
    monkeypatch.setattr("ecr_cleaner.aws.availability.host_exists", bool)


# -- The SDK's models --------------------------------------------------------------------------


def share_sdk_models() -> None:
    """Parse each of the SDK's model files once per process, not once per session.

    A loader of its own for each session, as in the SDK: boto3 adds a search path to it.
    """
    create_loader = botocore.loaders.create_loader
    parsed: dict[Any, Any] = {}

    def create_sharing_loader(search_path_string: str | None = None) -> botocore.loaders.Loader:
        loader = create_loader(search_path_string)
        loader._cache = parsed  # type: ignore[attr-defined]  # noqa: SLF001  # no other way
        return loader

    botocore.session.create_loader = create_sharing_loader


def pytest_configure() -> None:
    """Isolate this process before any test module is imported; with xdist, in each worker."""
    isolate_aws_environment()
    refuse_other_hosts()
    share_sdk_models()


def pytest_report_header() -> str:
    """Say which API servers of Kubernetes are tested."""
    program = os.environ.get("KUBE_APISERVER")
    return f"kube-apiserver: {program or 'only the fake one, because KUBE_APISERVER is not set'}"


# -- Processes ---------------------------------------------------------------------------------


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """Return one process more than processors: some tests wait for others that they start."""
    return (os.cpu_count() or 1) + 1


# -- Collection --------------------------------------------------------------------------------

TESTS = Path(__file__).parent
E2E = (TESTS / "e2e", TESTS / "terraform" / "applied")
SLOW = {
    "test_bench.py",
    "test_cluster_faults.py",
    "test_deployment.py",
    "test_fan_out_faults.py",
    "test_module.py",
    "test_permissions.py",
    "test_regions.py",
    "test_soak.py",
}


def is_in(directories: Iterable[Path], item: pytest.Item) -> bool:
    """Return whether a test is in one of these directories."""
    return any(map(item.path.is_relative_to, directories))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the end-to-end tests by their directory, and run slow files first.

    Each file runs in one process. If a slow one came last, the other processes would wait for it.
    """
    for item in items:
        if is_in(E2E, item):
            item.add_marker(pytest.mark.e2e)
    items.sort(key=lambda item: item.path.name not in SLOW)


# -- Coverage ----------------------------------------------------------------------------------

# Tracing doubles the time of moto, of botocore, of the simulated AWS and of tables with many cases.
# These cover few lines that other tests do not. Single tests and files have the markers "untraced"
# and "traced".
UNTRACED = (TESTS / "integration", TESTS / "terraform", TESTS / "bench")

FOR_SUBPROCESSES = "COVERAGE_PROCESS_CONFIG"


@contextmanager
def paused_coverage() -> Iterator[None]:
    """Stop tracing in this process, and in those that it starts."""
    config = os.environ.pop(FOR_SUBPROCESSES, None)
    paused = []
    # In a worker of xdist, pytest-cov starts two.
    while running := coverage.Coverage.current():
        running.stop()
        paused.append(running)
    try:
        yield
    finally:
        for one in reversed(paused):
            one.start()
        if config is not None:
            os.environ[FOR_SUBPROCESSES] = config


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Iterator[None]:
    """Trace the import of the program, and not the collection of the tests, which takes longer."""
    for module in pkgutil.walk_packages(ecr_cleaner.__path__, f"{ecr_cleaner.__name__}."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    with paused_coverage():
        return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    """Run a test with its fixtures, traced or not."""
    marked = {name for name in ("traced", "untraced") if item.get_closest_marker(name)}
    is_untraced = marked == {"untraced"} or (not marked and is_in(UNTRACED, item))
    with paused_coverage() if is_untraced else nullcontext():
        return (yield)


# -- In CI a skip is a failure -----------------------------------------------------------------


def skips(config: pytest.Config) -> list[str]:
    """Return where and why something was skipped: tests and whole modules, not expected failures.

    With xdist, the controller has the terminal reporter and receives the workers' skips.
    """
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    if reporter is None:
        return []
    return [f"{skip.nodeid}: {skip.longrepr[2]}" for skip in reporter.stats.get("skipped", [])]


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """Fail a run with skips in CI: it must have what a developer's machine may lack."""
    if IN_CI and exitstatus == pytest.ExitCode.OK and skips(session.config):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """List the skips that made the run fail."""
    found = skips(terminalreporter.config)
    if IN_CI and found:
        terminalreporter.section("skipped, which in CI is a failure", red=True)
        for skip in found:
            terminalreporter.line(skip)
