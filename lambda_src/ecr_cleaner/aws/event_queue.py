"""The queue of events about what ran between the runs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ecr_cleaner.aws.api import Api
from ecr_cleaner.core.errors import ApiError
from ecr_cleaner.workers import Workers, batches

# https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_ReceiveMessage.html
MESSAGES_A_CALL = 10

# A call that waits asks all servers of the queue; others may return nothing although there is more.
_SECONDS_TO_WAIT = 1

_LANES = 8
MOST_MESSAGES = 100_000


@dataclass(frozen=True, slots=True)
class Message:
    """A message, and what to delete it by."""

    body: str
    receipt: str


class EventQueue:
    """An SQS queue that EventBridge sends events to."""

    def __init__(self, sqs: Api, url: str, workers: Workers) -> None:
        self._sqs = sqs
        self._url = url
        self._workers = workers

    def receive(self, may_go_on: Callable[[], bool]) -> tuple[list[Message], bool]:
        """Return messages of the queue, and whether these are all that there were.

        At most ``MOST_MESSAGES``, and none are received after ``may_go_on`` returns False.
        """

        def lane(_: int) -> tuple[list[Message], bool]:
            found: list[Message] = []
            while may_go_on() and len(found) < MOST_MESSAGES // _LANES:
                more = self._receive()
                if not more:
                    return found, True
                found += more
            return found, False

        lanes = self._workers.map(lane, range(_LANES))
        messages = [message for found, _ in lanes for message in found]
        return messages, any(is_empty for _, is_empty in lanes)

    def delete(self, messages: Sequence[Message]) -> int:
        """Delete messages; return how many are left, which the next run receives again."""
        return sum(self._workers.map(self._delete, list(batches(messages, MESSAGES_A_CALL))))

    def _receive(self) -> list[Message]:
        answer = self._sqs.call(
            "ReceiveMessage",
            QueueUrl=self._url,
            MaxNumberOfMessages=MESSAGES_A_CALL,
            WaitTimeSeconds=_SECONDS_TO_WAIT,
        )
        return [Message(one["Body"], one["ReceiptHandle"]) for one in answer.get("Messages", ())]

    def _delete(self, messages: Sequence[Message]) -> int:
        entries = [
            {"Id": str(number), "ReceiptHandle": message.receipt}
            for number, message in enumerate(messages)
        ]
        try:
            answer = self._sqs.call("DeleteMessageBatch", QueueUrl=self._url, Entries=entries)
        except ApiError:
            return len(messages)
        return len(messages) - len(answer.get("Successful", ()))
