"""Commands and services of the end-to-end tests: limited in time, stopped by process id."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

SECONDS_FOR_A_COMMAND = 240
SECONDS_TO_START = 30
SECONDS_TO_STOP = 30
SECONDS_BETWEEN_LOOKS = 0.02

# Stop the services even if the tests are killed and cannot clean up.
DIES_WITH_THE_TESTS = ("setpriv", "--pdeathsig", "TERM")


class CommandError(Exception):
    """A command failed, or a service did not start; the message contains the output."""


def run(
    *command: str | Path, environ: Mapping[str, str] | None = None, cwd: Path | None = None
) -> str:
    """Run a command and return its standard output."""
    done = subprocess.run(
        command,
        env=None if environ is None else {**os.environ, **environ},
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=SECONDS_FOR_A_COMMAND,
        check=False,
    )
    if done.returncode:
        line = " ".join(map(str, command))
        raise CommandError(f"{line} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
    return done.stdout


def wait_until(ready: Callable[[], bool], what: str, seconds: float = SECONDS_TO_START) -> None:
    """Return as soon as ``ready`` returns true; raise CommandError after ``seconds``."""
    deadline = time.monotonic() + seconds
    while not ready():
        if time.monotonic() > deadline:
            raise CommandError(f"{what} was not ready after {seconds} seconds")
        time.sleep(SECONDS_BETWEEN_LOOKS)


@contextmanager
def service(
    *command: str | Path,
    log: Path,
    ready: Callable[[], bool],
    environ: Mapping[str, str] | None = None,
) -> Iterator[int]:
    """Start a service, yield its process id when it is ready, stop it after the block."""
    with log.open("wb") as output:
        process = subprocess.Popen(
            (*DIES_WITH_THE_TESTS, *command),
            env=None if environ is None else {**os.environ, **environ},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            # Ctrl-C must reach only the tests, which stop their services in the right order.
            start_new_session=True,
        )
    try:
        _wait_for(process, str(command[0]), ready, log)
        yield process.pid
    finally:
        _stop(process)


def _wait_for(
    process: subprocess.Popen[bytes], name: str, ready: Callable[[], bool], log: Path
) -> None:
    try:
        wait_until(lambda: process.poll() is not None or ready(), name)
    except CommandError as error:
        raise CommandError(f"{error}:\n{log.read_text()}") from error
    if process.poll() is not None:
        raise CommandError(f"{name} ended with {process.returncode}:\n{log.read_text()}")


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(SECONDS_TO_STOP)
    except subprocess.TimeoutExpired:
        # Kill the whole session: a service that hangs does not stop its children.
        os.killpg(process.pid, signal.SIGKILL)
        process.wait(SECONDS_TO_STOP)
