"""Runs of the program in this process, on the fake AWS without a network, in simulated time.

Calls, retries and waits move a clock and take no time, so thousands of runs are possible, and each
has a deadline at which Lambda would end the function.
"""

from __future__ import annotations

import io
import json
import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from random import Random
from threading import Lock
from typing import Any
from unittest import mock
from urllib.parse import urlsplit

import boto3
from botocore.awsrequest import AWSPreparedRequest, AWSResponse
from botocore.exceptions import ConnectionClosedError
from botocore.retries.bucket import Clock

from bench.config import FakeConfig
from bench.fake import Fake, Request
from ecr_cleaner import program
from ecr_cleaner.aws import availability
from ecr_cleaner.aws import session as sessions
from ecr_cleaner.aws.sdk import core_session
from ecr_cleaner.core.errors import CleanerError
from ecr_cleaner.deadline import Deadline

REGION = "eu-west-1"
_ENDED = ("Run finished", "Run failed")
# Of a run in steps.
_BUCKET, _PREFIX, _RUN = "bench", "runs/", "run-1"
_REPEATED = 0.2


class Killed(BaseException):
    """The simulated time is over: Lambda ends the function without a word."""


class Life:
    """A simulated clock, and the seconds until the function is killed."""

    def __init__(self, seconds_left: float) -> None:
        self.began_at = time.time()
        self.passed = 0.0
        self.seconds_left = seconds_left
        self._lock = Lock()

    def sleep(self, seconds: float) -> None:
        with self._lock:
            self.passed += seconds
            self.seconds_left -= seconds
        if self.seconds_left <= 0:
            raise Killed

    def time(self) -> float:
        return self.began_at + self.passed

    def deadline(self) -> Deadline:
        def now() -> datetime:
            return datetime.fromtimestamp(self.time(), UTC)

        return Deadline(now, lambda: self.seconds_left)


@dataclass(frozen=True, slots=True)
class Ended:
    """How a run ended. ``killed``: it did not end by itself.

    ``unexpected`` is an error that the program did not raise on purpose.
    """

    deleting: bool
    failed: bool
    killed: bool
    lines: tuple[Mapping[str, Any], ...]
    stats: Mapping[str, Any]
    unexpected: str = ""

    @property
    def summary(self) -> Mapping[str, Any]:
        """The summary line, empty if there is none."""
        return next((line for line in self.lines if line["event"] == "Run finished"), {})

    @property
    def outcome(self) -> str:
        if self.killed:
            return "killed"
        if self.failed:
            return "failed"
        return "complete" if self.summary.get("complete") else "incomplete"


class _Connection:
    """Answers the requests of all clients of a session; replaced for each run."""

    fake: Fake
    life: Life

    def __init__(self) -> None:
        self._lock = Lock()

    def answer(self, request: AWSPreparedRequest, **_: Any) -> AWSResponse:
        self.life.sleep(self.fake.delay())
        with self._lock:
            answer = self.fake.answer(_request(request))
        if answer is None:
            raise ConnectionClosedError(endpoint_url=request.url)
        head, body = answer.split(b"\r\n\r\n", 1)
        status, *lines = head.decode("latin-1").split("\r\n")
        headers: Any = dict(_header(line) for line in lines if line)
        raw: Any = _Raw(body)
        return AWSResponse(request.url, int(status.split(" ")[1]), headers, raw)


class _Raw:
    def __init__(self, body: bytes) -> None:
        self.body = body
        self.content = io.BytesIO(body)

    def stream(self, *_: Any, **__: Any) -> list[bytes]:
        return [self.body]

    def read(self, size: int | None = None) -> bytes:
        return self.content.read(size)

    def close(self) -> None:
        self.content.close()


def _header(field: str) -> tuple[str, str]:
    name, _, value = field.partition(":")
    return name.lower(), value.strip()


def _request(request: AWSPreparedRequest) -> Request:
    url = urlsplit(request.url)
    return Request(
        method=request.method,
        path=url.path or "/",
        query=url.query,
        headers={name.lower(): _text(value) for name, value in request.headers.items()},
        body=_content(request.body or b""),
    )


def _content(body: Any) -> bytes:
    if isinstance(body, str):
        return body.encode()
    if hasattr(body, "read"):
        body.seek(0)
        return bytes(body.read())
    return bytes(body)


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


@cache
def _session() -> tuple[boto3.Session, _Connection]:
    """Return one session for all runs: it parses the SDK's models once."""
    session = boto3.Session("key", "secret", region_name=REGION)
    connection = _Connection()
    _answered_by(connection, session.events)
    return session, connection


def _answered_by(connection: _Connection, events: Any) -> None:
    answer: Any = connection.answer
    events.register_last("before-send", answer)


def _core() -> Any:
    """Return what the sessions of assumed roles are made of."""
    core = core_session()
    _answered_by(_session()[1], core.get_component("event_emitter"))
    return core


def run_inside(config: FakeConfig, settings: Mapping[str, str], seconds_left: float = 900) -> Ended:
    """Run the program once."""
    with _begun(config, settings, seconds_left) as run:
        run.do(lambda deadline: program.run(settings, "inside", deadline))
    lines = run.lines()
    killed = run.killed or not lines or lines[-1]["event"] not in _ENDED
    return run.ended(failed=run.failed, killed=killed)


def run_in_steps(
    config: FakeConfig, settings: Mapping[str, str], seconds_left: float = 900
) -> Ended:
    """Run the steps of a run as the state machine does; each has so many seconds.

    A step that fails is not repeated. Some scans and reports are, as after an answer that got lost.
    """
    environ = {**settings, "RUNS": f"s3://{_BUCKET}/{_PREFIX}"}
    random = Random(config.world.seed)  # noqa: S311 -- not secret: repeatable
    with _begun(config, environ, seconds_left) as run:
        if run.step("plan"):
            for number in (1, 2) if run.deleting else (1,):
                for target in run.listed("targets.json"):
                    scan = {"round": number, "target": target}
                    if run.step("scan", **scan) and random.random() < _REPEATED:
                        run.step("scan", **scan)
            if run.step("gather"):
                for share in run.listed("shares.json"):
                    run.step("clean", **share)
                    if random.random() < _REPEATED:
                        run.step("clean", **share)
            reported = [run.step("report") for _ in range(random.choice((1, 1, 2)))]
            # What failed before is in the report, if it matters.
            run.failed = not reported[-1]
    return run.ended(failed=run.failed, killed=run.killed)


class _Running:
    """A run that is being made, in one call or in several."""

    def __init__(self, fake: Fake, life: Life, settings: Mapping[str, str], seconds: float) -> None:
        self._fake = fake
        self._life = life
        self._settings = settings
        self._seconds = seconds
        self.log = io.StringIO()
        self.deleting = settings.get("DRY_RUN") == "false"
        self.failed = self.killed = False
        self._unexpected = ""

    def do(self, call: Callable[[Deadline], object]) -> bool:
        """Make one call of the program; return whether it succeeded."""
        self._life.seconds_left = self._seconds
        try:
            call(self._life.deadline())
        except CleanerError:
            self.failed = True
        except Killed:
            self.failed = self.killed = True
        except Exception as error:  # noqa: BLE001 -- reported with the seed
            self.failed, self._unexpected = True, repr(error)
        else:
            return True
        return False

    def step(self, name: str, **more: Any) -> bool:
        event = {"step": name, "run": _RUN, **more}
        return self.do(lambda deadline: program.run_step(self._settings, "inside", event, deadline))

    def listed(self, name: str) -> list[Any]:
        """Return a list that Step Functions reads."""
        found: list[Any] = json.loads(self._fake.document(f"/{_PREFIX}{_RUN}/{name}"))
        return found

    def lines(self) -> list[Mapping[str, Any]]:
        return [json.loads(line) for line in self.log.getvalue().splitlines()]

    def ended(self, *, failed: bool, killed: bool) -> Ended:
        lines, stats = tuple(self.lines()), self._fake.stats()
        return Ended(
            self.deleting, failed and not self.killed, killed, lines, stats, self._unexpected
        )


@contextmanager
def _begun(
    config: FakeConfig, settings: Mapping[str, str], seconds_left: float
) -> Iterator[_Running]:
    session, connection = _session()
    life = connection.life = Life(seconds_left)
    fake = connection.fake = Fake(config, life.time)
    run = _Running(fake, life, settings, seconds_left)
    with _simulated(life, session), redirect_stdout(run.log):
        yield run


@contextmanager
def _simulated(life: Life, session: boto3.Session) -> Iterator[None]:
    with (
        mock.patch.object(time, "sleep", life.sleep),
        mock.patch.object(Clock, "current_time", side_effect=life.time),
        mock.patch.object(program, "open_session", return_value=session),
        mock.patch.object(sessions, "core_session", _core),
        mock.patch.object(availability, "host_exists", return_value=True),
        # Threads would wait one after the other in simulated time.
        mock.patch.object(program, "THREADS", 1),
        # So the body of a request is that of the object.
        mock.patch.dict(os.environ, {"AWS_REQUEST_CHECKSUM_CALCULATION": "when_required"}),
    ):
        yield
