"""No AWS call, retry or wait outlives the deadline."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any
from unittest import mock

import boto3
import pytest
from botocore.awsrequest import AWSResponse
from botocore.exceptions import ConnectTimeoutError
from botocore.retries.bucket import Clock

from ecr_cleaner.aws.api import Api
from ecr_cleaner.aws.session import Aws
from ecr_cleaner.core.errors import ApiError, CleanerError, OutOfTimeError
from ecr_cleaner.deadline import CONNECT_TIMEOUT, READ_TIMEOUT, Deadline
from ecr_cleaner.workers import Workers

THROTTLED = b'{"__type": "ThrottlingException", "message": "Rate exceeded"}'
SLOWEST_ATTEMPT = (CONNECT_TIMEOUT + READ_TIMEOUT).total_seconds()


class Life:
    """The seconds that a run has left."""

    def __init__(self) -> None:
        self.left = 0.0

    def sleep(self, seconds: float) -> None:
        self.left -= seconds

    def time(self) -> float:
        return -self.left


class Run:
    """An ECS client whose sleeps only move the clock, with some seconds left to live."""

    def __init__(self, workers: Workers, life: Life, seconds_left: float) -> None:
        life.left = seconds_left
        self.life = life
        self.attempts = 0
        session = boto3.Session("key", "secret", region_name="eu-west-1")
        deadline = Deadline(seconds_left=lambda: life.left)
        self.api = Aws(session, workers, deadline).api("ecs")

    def answers(self, attempt: Callable[[], Any]) -> None:
        """Answer each attempt with what this returns or raises."""

        def answer(**_: Any) -> Any:
            self.attempts += 1
            return attempt()

        self.client.meta.events.register_last("before-send", answer)

    @property
    def client(self) -> Any:
        return self.api._client  # noqa: SLF001 - to answer in place of the network


def http(status: int, body: bytes) -> AWSResponse:
    headers: Any = {"content-type": "application/x-amz-json-1.1"}
    return AWSResponse("", status, headers, SimpleNamespace(stream=lambda: [body]))


@pytest.fixture
def run() -> Iterator[Callable[[float], Run]]:
    life = Life()
    # The SDK sleeps between attempts, and its limiter counts the time between calls.
    with (
        Workers(1) as workers,
        mock.patch.object(time, "sleep", life.sleep),
        mock.patch.object(Clock, "current_time", side_effect=life.time),
    ):
        yield lambda seconds_left: Run(workers, life, seconds_left)


def clusters(api: Api) -> list[str]:
    return list(api.each("ListClusters", "clusterArns"))


@pytest.mark.parametrize("seconds_left", [41, 60, 90, 150, 300])
def test_call_that_is_throttled_without_end_ends_before_the_deadline(
    run: Callable[[float], Run], seconds_left: float
) -> None:
    one = run(seconds_left)
    one.answers(lambda: http(400, THROTTLED))

    with pytest.raises(CleanerError, match=r"ThrottlingException|no time left"):
        clusters(one.api)

    assert one.attempts >= 1
    assert one.life.left > 0


@pytest.mark.parametrize("seconds_left", [41, 60, 90, 150])
def test_attempts_that_time_out_end_before_the_deadline(
    run: Callable[[float], Run], seconds_left: float
) -> None:
    one = run(seconds_left)

    def hangs() -> None:
        one.life.sleep(SLOWEST_ATTEMPT)
        raise ConnectTimeoutError(endpoint_url="https://ecs")

    one.answers(hangs)

    with pytest.raises((ApiError, OutOfTimeError)):
        clusters(one.api)

    assert one.life.left > 0


def test_no_call_begins_that_may_not_end_in_time(run: Callable[[float], Run]) -> None:
    one = run(39)
    one.answers(lambda: http(200, b'{"clusterArns": []}'))

    with pytest.raises(OutOfTimeError, match="no time left to call ecs"):
        clusters(one.api)

    assert one.attempts == 0


def test_refused_call_says_why_it_was_refused_and_not_that_there_was_no_time(
    run: Callable[[float], Run],
) -> None:
    one = run(40)

    def denied() -> AWSResponse:
        one.life.sleep(10)
        return http(400, b'{"__type": "AccessDeniedException", "message": "no"}')

    one.answers(denied)

    with pytest.raises(ApiError, match="AccessDeniedException"):
        clusters(one.api)


def test_throttled_call_is_tried_again_if_there_is_time(run: Callable[[float], Run]) -> None:
    one = run(900)
    answers = iter([http(400, THROTTLED)] * 3 + [http(200, b'{"clusterArns": ["a"]}')])
    one.answers(lambda: next(answers))

    assert clusters(one.api) == ["a"]
    assert one.attempts == 4


def test_limiter_is_that_of_the_sdks_adaptive_mode(run: Callable[[float], Run]) -> None:
    """After a throttle, calls wait for their turn: the wait is bounded by the deadline as well."""
    one = run(900)
    answers = itertools.chain([http(400, THROTTLED)] * 5, itertools.repeat(None))
    one.answers(lambda: next(answers) or http(200, b'{"clusterArns": []}'))
    clusters(one.api)
    one.life.left = SLOWEST_ATTEMPT + 6

    def calls_on() -> None:
        for _ in range(1000):
            clusters(one.api)

    with pytest.raises(OutOfTimeError, match="wait for a throttled service"):
        calls_on()
    assert one.life.left > SLOWEST_ATTEMPT
