"""The queue of events about what ran between the runs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from ecr_cleaner.aws.answers import incomplete
from ecr_cleaner.aws.api import Api
from ecr_cleaner.core.errors import CleanerError
from ecr_cleaner.workers import Workers, batches

# https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_ReceiveMessage.html
MESSAGES_A_CALL = 10

# A call that waits asks all servers of the queue; others may return nothing although there is more.
_SECONDS_TO_WAIT = 1

# Longer than a Lambda run, which deletes the messages when the ledger holds them. The program sets
# it for each call, so that it does not depend on the queue.
INVISIBLE_SECONDS = 1000

_LANES = 8
MOST_MESSAGES = 100_000

_IN_FLIGHT = "ApproximateNumberOfMessagesNotVisible"


@dataclass(frozen=True, slots=True)
class Message:
    """A message without its body, and what to delete it by; ``taken``: its body was understood."""

    id: str
    taken: bool
    receipt: str


@dataclass(frozen=True, slots=True)
class Received:
    """What was received, and what else may be in the queue.

    ``is_all`` is False if there may be more visible messages. ``held_elsewhere`` is the number of
    messages that are invisible and not among these. ``may_be_lost``: a call was repeated, and the
    messages of its first answer may be invisible without being among these.
    """

    messages: Sequence[Message]
    is_all: bool
    held_elsewhere: int
    may_be_lost: bool


class EventQueue:
    """An SQS queue that EventBridge sends events to."""

    def __init__(self, sqs: Api, url: str, workers: Workers) -> None:
        self._sqs = sqs
        self._url = url
        self._workers = workers

    def receive(self, may_go_on: Callable[[], bool], take: Callable[[str], bool]) -> Received:
        """Receive the messages of the queue; if that fails, release them and raise the error.

        At most ``MOST_MESSAGES``, and none are received after ``may_go_on`` returns False. ``take``
        gets the body of each, in several threads at once, and returns whether it understood it. A
        body has some thousand bytes: so many of them would not fit into the memory of the function.
        """
        failures: list[CleanerError] = []
        repeated: list[int] = []

        def lane(_: int) -> tuple[list[Message], bool]:
            found: list[Message] = []
            try:
                while not failures and may_go_on() and len(found) < MOST_MESSAGES // _LANES:
                    more, repetitions = self._receive(take)
                    repeated.append(repetitions)
                    if not more:
                        return found, True
                    found += more
            except CleanerError as error:
                failures.append(error)
            return found, False

        lanes = self._workers.map(lane, range(_LANES))
        messages = [message for found, _ in lanes for message in found]
        is_all = all(is_empty for _, is_empty in lanes)
        try:
            if failures:
                raise failures[0]
            return Received(
                messages,
                is_all=is_all,
                held_elsewhere=self._held_elsewhere(messages) if is_all else 0,
                may_be_lost=any(repeated),
            )
        except CleanerError:
            self.release(messages)
            raise

    def delete(self, messages: Sequence[Message]) -> int:
        """Delete messages; return how many are left, which a later run receives again."""
        return self._in_batches("DeleteMessageBatch", messages)

    def release(self, messages: Sequence[Message]) -> int:
        """Make messages visible at once; return how many stay invisible for a while."""
        return self._in_batches("ChangeMessageVisibilityBatch", messages, VisibilityTimeout=0)

    def _receive(self, take: Callable[[str], bool]) -> tuple[list[Message], int]:
        """Return messages, and how many times the SDK repeated the call."""
        answer = self._sqs.call(
            "ReceiveMessage",
            QueueUrl=self._url,
            MaxNumberOfMessages=MESSAGES_A_CALL,
            VisibilityTimeout=INVISIBLE_SECONDS,
            WaitTimeSeconds=_SECONDS_TO_WAIT,
        )
        messages = [
            Message(one["MessageId"], take(one["Body"]), one["ReceiptHandle"])
            for one in answer.get("Messages", ())
        ]
        return messages, answer.get("ResponseMetadata", {}).get("RetryAttempts", 0)

    def _held_elsewhere(self, messages: Sequence[Message]) -> int:
        """Return how many messages are invisible beside these.

        The number of visible messages is not asked for. It lags behind what was just received, so
        that it would stop every run with many events; and the answers of calls that wait say
        already that no message is visible.
        """
        answer = self._sqs.call(
            "GetQueueAttributes", QueueUrl=self._url, AttributeNames=[_IN_FLIGHT]
        )
        in_flight = str(answer["Attributes"].get(_IN_FLIGHT))
        if not in_flight.isdecimal():
            operation = self._sqs.meta.service_model.operation_model("GetQueueAttributes")
            raise incomplete(operation, f"holds no number under {_IN_FLIGHT}")
        # A message may be delivered twice.
        return max(0, int(in_flight) - len({one.id for one in messages}))

    def _in_batches(self, operation: str, messages: Sequence[Message], **more: Any) -> int:
        """Do this with the messages; return for how many it failed."""

        def batch(some: Sequence[Message]) -> int:
            entries = [
                {"Id": str(number), "ReceiptHandle": message.receipt, **more}
                for number, message in enumerate(some)
            ]
            try:
                answer = self._sqs.call(operation, QueueUrl=self._url, Entries=entries)
            except CleanerError:
                return len(some)
            return len(some) - len(answer.get("Successful", ()))

        return sum(self._workers.map(batch, list(batches(messages, MESSAGES_A_CALL))))
