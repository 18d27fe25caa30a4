"""The queue of events: how much of it is held at once."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterator
from typing import Any

import pytest

from core.worlds import NOW
from ecr_cleaner.aws.api import Api
from ecr_cleaner.aws.event_queue import EventQueue
from ecr_cleaner.workers import Workers
from fakes.small_services import FakeSqs

URL = "https://sqs.eu-west-1.amazonaws.com/111122223333/events"
BODY_BYTES = 10_000
MESSAGES = 1_000


class FullSqs:
    """A queue that makes each body when it is received, as a connection does."""

    def __init__(self, sqs: FakeSqs) -> None:
        self._sqs = sqs
        self.meta = sqs.meta
        self.get_queue_attributes = sqs.get_queue_attributes

    def receive_message(self, **parameters: Any) -> dict[str, Any]:
        answer = self._sqs.receive_message(**parameters)
        for message in answer.get("Messages", ()):
            message["Body"] = message["Body"] * BODY_BYTES
        return answer


@pytest.fixture(scope="module")
def workers() -> Iterator[Workers]:
    with Workers(8) as made:
        yield made


def test_bodies_of_messages_are_not_held(workers: Workers) -> None:
    sqs = FakeSqs(clock=lambda: NOW)
    for number in range(MESSAGES):
        sqs.send(str(number % 10))
    queue = EventQueue(Api(FullSqs(sqs)), URL, workers)

    tracemalloc.start()
    received = queue.receive(lambda: True, lambda body: body[0] != "7")
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert received.is_all
    assert len(received.messages) == MESSAGES
    assert sum(not message.taken for message in received.messages) == MESSAGES / 10
    assert most < MESSAGES * BODY_BYTES / 4
