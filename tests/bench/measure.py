"""Run a program against a fake AWS, and measure its process."""

from __future__ import annotations

import json
import os
import ssl
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPSConnection
from pathlib import Path
from typing import IO, Any

from botocore.httpsession import DEFAULT_CA_BUNDLE

from bench.config import FakeConfig
from bench.lambda_sizes import Throttle
from bench.world import REGION
from fakes.certificates import LOOPBACK, authority

TESTS = Path(__file__).resolve().parents[1]
PYTHON_PATH = os.pathsep.join(map(str, (TESTS.parent / "lambda_src", TESTS)))
# ru_maxrss is in KiB, but on macOS in bytes.
_RSS_UNIT = 1 if sys.platform == "darwin" else 1024
_LOG_TAIL = 200_000


class DeadlineError(Exception):
    """There is no time left."""


@dataclass(frozen=True, slots=True)
class Deadline:
    """The end of the time limit, on the monotonic clock."""

    moment: float

    @classmethod
    def after(cls, seconds: float) -> Deadline:
        return cls(time.monotonic() + seconds)

    def left(self) -> float:
        """Return the seconds left; raise DeadlineError if there are none."""
        seconds = self.moment - time.monotonic()
        if seconds <= 0:
            raise DeadlineError
        return seconds


@dataclass(frozen=True, slots=True)
class Measured:
    """The resources and the output of a process that has ended. Times are in seconds."""

    status: int
    began_at: float
    wall: float
    cpu: float
    peak_bytes: int
    output: str


@dataclass(frozen=True, slots=True)
class Run:
    """A run of the program, its summary, and the statistics of the fake AWS."""

    measured: Measured
    summary: Mapping[str, Any]
    stats: Mapping[str, Any]
    deleting: bool

    @property
    def calls(self) -> Mapping[str, int]:
        calls: Mapping[str, int] = self.stats["calls"]
        return calls

    @property
    def scan_calls(self) -> int:
        """The number of calls that find out what is in use."""
        return sum(
            number
            for name, number in self.calls.items()
            if name.partition(":")[0] not in {"ecr", "sts"}
        )

    @property
    def first_call(self) -> float:
        """The seconds from the start of the process to its first call."""
        return float(self.stats["first_call_at"]) - self.measured.began_at

    @property
    def least(self) -> Mapping[str, int]:
        """The fewest calls of each operation that the program used; 0 if it is not needed."""
        least = self.stats["least"]["full" if self.deleting else "dry"]
        return {name: least.get(name, 0) for name in self.calls}


class Fake:
    """A running fake AWS; ``trusted`` is the file of the CAs to trust if it speaks HTTPS."""

    def __init__(self, port: int, trusted: Path | None) -> None:
        self._port = port
        self.trusted = trusted

    @property
    def url(self) -> str:
        return f"{'https' if self.trusted else 'http'}://{LOOPBACK}:{self._port}"

    def stats(self) -> dict[str, Any]:
        connection = self._connection()
        try:
            connection.request("GET", "/bench/stats")
            stats: dict[str, Any] = json.load(connection.getresponse())
            return stats
        finally:
            connection.close()

    def _connection(self) -> HTTPConnection:
        if not self.trusted:
            return HTTPConnection(LOOPBACK, self._port, timeout=60)
        context = ssl.create_default_context(cafile=self.trusted)
        return HTTPSConnection(LOOPBACK, self._port, timeout=60, context=context)


@contextmanager
def fake_aws(config: FakeConfig) -> Iterator[Fake]:
    """Start a fake AWS in a separate process, and stop it after the block.

    The process exits when its standard input closes, so it never outlives this process.
    """
    with tempfile.TemporaryDirectory() as directory:
        files = _certificates(Path(directory)) if config.tls else None
        command = ["bench.fake", config.to_json(), *map(str, files[1:] if files else ())]
        process = _start(command, {}, subprocess.PIPE, subprocess.PIPE)
        try:
            assert process.stdout is not None
            yield Fake(int(process.stdout.readline()), files[0] if files else None)
        finally:
            process.kill()
            process.communicate()


def _certificates(directory: Path) -> tuple[Path, Path, Path]:
    """Write the CAs to trust, as many as the SDK trusts and one more, a certificate and a key."""
    trusted = directory / "trusted.pem"
    trusted.write_text(Path(DEFAULT_CA_BUNDLE).read_text() + authority().pem)
    return trusted, *authority().files(directory)


def run_program(
    fake: Fake, deadline: Deadline, settings: Mapping[str, str], memory: int | None = None
) -> Run:
    """Run the program once with these settings.

    ``memory`` in MB gives it the share of a processor that comes with that much of Lambda.
    """
    measured = run_module(["ecr_cleaner"], {**_aws(fake), **settings}, deadline, memory)
    deleting = settings.get("DRY_RUN") == "false"
    return Run(measured, _summary(measured.output), fake.stats(), deleting)


def run_import(modules: str, deadline: Deadline) -> Measured:
    """Start Python, import these modules, and exit."""
    return run_module(["timeit", "-n1", "-r1", f"import {modules}"], {}, deadline)


def run_sequential(fake: Fake, deadline: Deadline) -> dict[str, Any]:
    """Run the sequential client on its sample; return its measurements by operation."""
    measured = run_module(["bench.sequential"], _aws(fake), deadline)
    if measured.status:
        raise RuntimeError(f"the sequential client failed: {measured.output}")
    sample: dict[str, Any] = json.loads(measured.output)
    return sample


def _aws(fake: Fake) -> dict[str, str]:
    return {
        **({"AWS_CA_BUNDLE": str(fake.trusted)} if fake.trusted else {}),
        "AWS_ENDPOINT_URL": fake.url,
        "AWS_REGION": REGION,
        "SCAN_REGIONS": REGION,
        "AWS_DEFAULT_REGION": REGION,
        "AWS_ACCESS_KEY_ID": "bench",
        "AWS_SECRET_ACCESS_KEY": "bench",
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        # Their hosts have a prefix, which no address of this machine can have.
        "WAIVED_SOURCES": "healthomics,iot-sitewise",
    }


def run_module(
    command: Sequence[str],
    environ: Mapping[str, str],
    deadline: Deadline,
    memory: int | None = None,
) -> Measured:
    """Run ``python -m`` until it exits; at the deadline, kill it and raise DeadlineError."""
    with tempfile.TemporaryFile() as output:
        began_at, began = time.time(), time.monotonic()
        process = _start(command, environ, subprocess.DEVNULL, output, subprocess.STDOUT)
        throttle = Throttle.of(process.pid, memory) if memory else None
        usage = _wait(process, deadline, throttle)
        wall = time.monotonic() - began
        return Measured(
            status=process.returncode,
            began_at=began_at,
            wall=wall,
            cpu=usage.ru_utime + usage.ru_stime,
            peak_bytes=usage.ru_maxrss * _RSS_UNIT,
            output=_tail(output),
        )


def _wait(process: subprocess.Popen[bytes], deadline: Deadline, throttle: Throttle | None) -> Any:
    """Wait for the process and return its resource usage; kill it at the deadline."""
    try:
        while True:
            pid, status, usage = os.wait4(process.pid, os.WNOHANG)
            if pid:
                process.returncode = os.waitstatus_to_exitcode(status)
                return usage
            if throttle:
                throttle.apply()
            time.sleep(min(0.005, deadline.left()))
    except DeadlineError:
        process.kill()
        process.wait()
        raise


def _start(
    command: Sequence[str],
    environ: Mapping[str, str],
    stdin: int,
    stdout: int | IO[bytes],
    stderr: int | None = None,
) -> subprocess.Popen[bytes]:
    kept = {name: os.environ[name] for name in ("PATH", "LANG", "TMPDIR") if name in os.environ}
    return subprocess.Popen(
        [sys.executable, "-m", *command],
        env={**kept, "PYTHONPATH": PYTHON_PATH, **environ},
        stdin=stdin,
        stdout=stdout,
        stderr=stderr,
    )


def _tail(output: IO[bytes]) -> str:
    size = output.seek(0, os.SEEK_END)
    output.seek(max(0, size - _LOG_TAIL))
    return output.read().decode(errors="replace")


def _summary(log: str) -> dict[str, Any]:
    """Return the summary that the program logged; empty if it logged none."""
    for line in reversed(log.splitlines()):
        if '"Run finished"' in line and line.startswith("{"):
            summary: dict[str, Any] = json.loads(line)
            return summary
    return {}
