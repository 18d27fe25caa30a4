"""Invoke a function that is a container image, which moto cannot do.

The configuration of the function comes from moto: image, environment, memory, timeout and role. The
image runs as on Lambda, as far as a container engine can: read-only except /tmp, with the memory of
the function, as an unprivileged user, under the AWS Runtime Interface Emulator, with credentials of
the role.
"""

from __future__ import annotations

import json
import re
import socket
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from e2e.engine import Engine
from e2e.iam import iam_enforced
from e2e.processes import run, wait_until
from terraform_support import FakeAws

EMULATOR = "/aws-lambda-rie"
PATH = "/2015-03-31/functions/function/invocations"
# Printed by the emulator after an invocation, and when the runtime is ready.
REPORT = "REPORT RequestId:"
INIT_REPORT = re.compile(r"INIT REPORT\(durationMs: ([0-9.]+)\)")
USER = "993:990"  # Lambda uses its own user: neither root nor the user of the image


@dataclass(frozen=True)
class Invocation:
    """The answer and the log lines of an invocation, and its duration."""

    answer: Any
    lines: list[dict[str, Any]]
    seconds: float

    def events(self, event: str) -> list[dict[str, Any]]:
        """Return the log lines of one event."""
        return [line for line in self.lines if line.get("event") == event]

    @property
    def summary(self) -> dict[str, Any]:
        """The value that the function returned. Only the answer shows whether it failed."""
        assert "errorType" not in self.answer, self.answer
        return dict(self.answer)


@dataclass
class RunningFunction:
    """A function in its container, ready to be invoked."""

    engine: Engine
    container: str
    address: str
    timeout: int
    invoked: int = 0
    read: int = 0

    def invoke(self, event: Mapping[str, Any]) -> Invocation:
        """Invoke the function with IAM enforced."""
        request = urllib.request.Request(
            f"http://{self.address}{PATH}", data=json.dumps(event).encode(), method="POST"
        )
        began = time.monotonic()
        with (
            iam_enforced(),
            urllib.request.urlopen(request, timeout=self.timeout) as answer,  # noqa: S310
        ):
            text = answer.read()
        seconds = time.monotonic() - began
        self.invoked += 1
        return Invocation(json.loads(text), self._new_lines(), seconds)

    def peak_memory(self) -> int:
        """Return the peak memory of the process of the function, in bytes."""
        emulator = self.engine.inspect("container", self.container)["State"]["Pid"]
        threads = Path(f"/proc/{emulator}/task").glob("*/children")
        children = [child for thread in threads for child in thread.read_text().split()]
        return max(map(_peak_memory, children))

    def cold_start(self) -> float:
        """Return the seconds until the runtime was ready for its first event."""
        (milliseconds,) = INIT_REPORT.findall(self._output(stderr=True))
        return float(milliseconds) / 1000

    def _output(self, *, stderr: bool = False) -> str:
        """Return the output of the container; the emulator writes to standard error."""
        return run(
            *("sh", "-c", "docker logs $0 2>&1" if stderr else "docker logs $0", self.container),
            environ=self.engine.environ,
        )

    def _new_lines(self) -> list[dict[str, Any]]:
        """Return the log lines since the last call."""
        wait_until(self._has_reported, f"the report of invocation {self.invoked}")
        lines = [json.loads(line) for line in self._output().splitlines() if line.startswith("{")]
        new, self.read = lines[self.read :], len(lines)
        return new

    def _has_reported(self) -> bool:
        """Return whether the log contains the last invocation; it is written after the answer."""
        return self._output().count(REPORT) == self.invoked


def _peak_memory(pid: str) -> int:
    status = Path(f"/proc/{pid}/status").read_text()
    (kilobytes,) = [line.split()[1] for line in status.splitlines() if line.startswith("VmHWM")]
    return int(kilobytes) * 1024


def scheduled_event(schedule: Mapping[str, Any], account: str, region: str) -> dict[str, Any]:
    """Return what EventBridge Scheduler sends: the input of the schedule, or the default event."""
    given = schedule["Target"].get("Input")
    if given:
        return dict(json.loads(given))
    return {
        "version": "0",
        "id": "01234567-89ab-cdef-0123-456789abcdef",
        "detail-type": "Scheduled Event",
        "source": "aws.scheduler",
        "account": account,
        "time": "2026-01-01T00:00:00Z",
        "region": region,
        "resources": [schedule["Arn"]],
        "detail": "{}",
    }


def lambda_environment(
    configuration: Mapping[str, Any], aws: FakeAws, region: str
) -> dict[str, str]:
    """Return the variables that Lambda sets for a function, and the address of the fake AWS."""
    credentials = aws.credentials_of(configuration["Role"])
    logging = configuration["LoggingConfig"]
    return {
        **configuration["Environment"]["Variables"],
        **{name.upper(): value for name, value in credentials.items()},
        **aws.environ,
        "AWS_REGION": region,
        "AWS_DEFAULT_REGION": region,
        "AWS_LAMBDA_FUNCTION_NAME": configuration["FunctionName"],
        "AWS_LAMBDA_FUNCTION_VERSION": configuration["Version"],
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(configuration["MemorySize"]),
        "AWS_LAMBDA_FUNCTION_TIMEOUT": str(configuration["Timeout"]),
        "AWS_LAMBDA_LOG_FORMAT": logging["LogFormat"],
        "AWS_LAMBDA_LOG_LEVEL": logging["ApplicationLogLevel"],
    }


@contextmanager
def running_function(
    engine: Engine,
    emulator: Path,
    image: str,
    configuration: Mapping[str, Any],
    environment: Mapping[str, str],
) -> Iterator[RunningFunction]:
    """Run the image of a function in a new container."""
    addresses = _free_address(), _free_address()
    container = engine.run(
        *("run", "--detach", "--network=host", "--read-only", "--tmpfs=/tmp:size=512m"),
        *("--user", USER, "--cap-drop=ALL", "--security-opt=no-new-privileges"),
        f"--memory={configuration['MemorySize']}m",
        f"--volume={emulator}:{EMULATOR}:ro",
        *(f"--env={name}={value}" for name, value in environment.items()),
        *(f"--entrypoint={EMULATOR}", image),
        # Without these options, the emulator listens on all interfaces.
        *("--runtime-interface-emulator-address", addresses[0]),
        *("--runtime-api-address", addresses[1]),
        *_command(engine, image),
    ).strip()
    try:
        function = RunningFunction(engine, container, addresses[0], configuration["Timeout"])
        wait_until(lambda: _listens(addresses[0]), f"the function in {image}")
        yield function
    finally:
        engine.run("rm", "--force", container)


def _command(engine: Engine, image: str) -> list[str]:
    """Return the command of the image, which the emulator starts."""
    config = engine.inspect("image", image)["Config"]
    return [*(config["Entrypoint"] or ()), *(config["Cmd"] or ())]


def _free_address() -> str:
    with socket.create_server(("127.0.0.1", 0)) as found:
        host, port = found.getsockname()
    return f"{host}:{port}"


def _listens(address: str) -> bool:
    host, port = address.split(":")
    try:
        socket.create_connection((host, int(port)), timeout=1).close()
    except OSError:
        return False
    return True
