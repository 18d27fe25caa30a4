"""What holds for every test: no way to a real AWS account, and no silent skip in CI."""

from __future__ import annotations

import ipaddress
import os
import socket
import sys
from typing import Any

import hypothesis
import pytest

# Set, not only removed: the SDK asks the instance metadata service where it finds no credentials.
AWS_ENVIRONMENT = {
    "AWS_ACCESS_KEY_ID": "testing",
    "AWS_SECRET_ACCESS_KEY": "testing",
    "AWS_DEFAULT_REGION": "eu-west-1",
    "AWS_REGION": "eu-west-1",
    "AWS_EC2_METADATA_DISABLED": "true",
    "AWS_CONFIG_FILE": os.devnull,
    "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
}

IN_CI = os.environ.get("CI", "").lower() not in {"", "0", "false"}

# Deadlines are off: how long an example takes says something about the machine only.
hypothesis.settings.register_profile("dev", deadline=None)
hypothesis.settings.register_profile(
    "ci", deadline=None, derandomize=True, database=None, print_blob=True
)
hypothesis.settings.load_profile("ci" if IN_CI else "dev")


# -- No way to a real account ------------------------------------------------------------------


def isolate_aws_environment() -> None:
    """Take every AWS setting of the developer away, for this process and those that it starts."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        del os.environ[name]
    os.environ.update(AWS_ENVIRONMENT)


# The position of the address among the arguments of each audit event
# (https://docs.python.org/3/library/audit_events.html).
ADDRESS_ARGUMENT = {
    "socket.connect": 1,
    "socket.sendto": 1,
    "socket.sendmsg": 1,
    "socket.getaddrinfo": 0,
    "socket.gethostbyname": 0,
}


def is_local(address: Any) -> bool:
    """Tell whether a host, or the one in a socket address, is this machine."""
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


def is_unix(sender: object) -> bool:
    """Tell whether this is a Unix socket: its address is a path."""
    return isinstance(sender, socket.socket) and sender.family == socket.AF_UNIX


def refuse_other_hosts(event: str, arguments: tuple[Any, ...]) -> None:
    """Fail the test that is about to reach another machine.

    An audit hook sees each connection of this process whichever library makes it. The failure is
    no Exception, so neither the SDK's retries nor the code under test can take it for an answer.
    """
    position = ADDRESS_ARGUMENT.get(event)
    if position is None or is_unix(arguments[0]) or is_local(arguments[position]):
        return
    pytest.fail(f"a test may talk to loopback only: {event} to {arguments[position]!r}")


def pytest_configure() -> None:
    """Shut the doors before any test module is imported."""
    isolate_aws_environment()
    sys.addaudithook(refuse_other_hosts)


@pytest.fixture(autouse=True)
def no_look_ups(monkeypatch: pytest.MonkeyPatch) -> None:
    """DNS knows every host: whether a region has a service is then for its list, or for a call."""
    monkeypatch.setattr("ecr_cleaner.aws.availability.host_exists", bool)


# -- End-to-end tests --------------------------------------------------------------------------


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what lies in tests/e2e, so that no module there can forget to."""
    for item in items:
        if item.path.is_relative_to(item.config.rootpath / "tests" / "e2e"):
            item.add_marker(pytest.mark.e2e)


# -- In CI a skip is a failure -----------------------------------------------------------------


def skips(config: pytest.Config) -> list[str]:
    """Where and why something was skipped, whole modules included, expected failures not."""
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    if reporter is None:
        return []
    return [f"{skip.nodeid}: {skip.longrepr[2]}" for skip in reporter.stats.get("skipped", [])]


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """What a developer's machine may lack, CI has to have."""
    if IN_CI and exitstatus == pytest.ExitCode.OK and skips(session.config):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Name the skips that made the run fail."""
    found = skips(terminalreporter.config)
    if IN_CI and found:
        terminalreporter.section("skipped, which in CI is a failure", red=True)
        for skip in found:
            terminalreporter.line(skip)
