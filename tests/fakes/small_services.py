"""In-memory S3, SQS, SNS, STS and EC2 at the level of boto3's client, as far as a run calls."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from threading import Lock
from types import SimpleNamespace
from typing import IO, Any

from botocore.exceptions import ClientError
from botocore.hooks import HierarchicalEmitter

from fakes.ecr import CALLER
from fakes.models import model_of


def meta_of(service: str) -> Any:
    """Return what the program reads of a client's metadata."""
    return SimpleNamespace(
        service_model=model_of(service), region_name="eu-west-1", events=HierarchicalEmitter()
    )


@dataclass
class FakeS3:
    """Objects with conditional writes. ``before`` runs before each write.

    ``error`` fails calls by operation, or for one object as ``GetObject s3://BUCKET/KEY``.
    """

    objects: dict[str, bytes] = field(default_factory=dict)
    before: Callable[[], None] = lambda: None
    error: dict[str, str] = field(default_factory=dict)
    writes: int = 0

    def __post_init__(self) -> None:
        self.meta = meta_of("s3")

    def get_object(self, Bucket: str, Key: str) -> dict[str, Any]:  # noqa: N803 - S3's names
        name = f"s3://{Bucket}/{Key}"
        self._fail("GetObject", name)
        if name not in self.objects:
            raise client_error("GetObject", "NoSuchKey")
        content = self.objects[name]
        return {"Body": io.BytesIO(content), "ETag": etag(content), "ContentLength": len(content)}

    def put_object(
        self,
        Bucket: str,  # noqa: N803
        Key: str,  # noqa: N803
        Body: bytes | IO[bytes],  # noqa: N803
        IfMatch: str | None = None,  # noqa: N803
        IfNoneMatch: str | None = None,  # noqa: N803
        ContentType: str | None = None,  # noqa: N803
    ) -> dict[str, Any]:
        name = f"s3://{Bucket}/{Key}"
        self._fail("PutObject", name)
        self.before()
        current = self.objects.get(name)
        is_plan = ContentType is not None
        assert is_plan or (IfMatch is None) != (IfNoneMatch is None), "a ledger has a condition"
        if IfMatch and current is None:
            raise client_error("PutObject", "NoSuchKey")
        if (IfMatch and IfMatch != etag(current or b"")) or (IfNoneMatch and current is not None):
            raise client_error("PutObject", "PreconditionFailed")
        content = Body if isinstance(Body, bytes) else Body.read()
        self.objects[name] = content
        self.writes += 1
        return {"ETag": etag(content)}

    def _fail(self, operation: str, name: str) -> None:
        for failing in (operation, f"{operation} {name}"):
            if failing in self.error:
                raise client_error(operation, self.error[failing])


@dataclass
class FakeSqs:
    """A queue. A received message is invisible until it is released or its time is over.

    ``before`` runs before each call with its operation. ``error`` fails calls by operation.
    ``lost`` is how many messages are delivered in answers that get lost, after which the SDK
    repeats the call. ``counts_late``: invisible messages are not counted yet.
    """

    clock: Callable[[], datetime]
    messages: dict[str, str] = field(default_factory=dict)
    invisible_until: dict[str, datetime] = field(default_factory=dict)
    before: Callable[[str], None] = lambda _: None
    error: dict[str, str] = field(default_factory=dict)
    lost: int = 0
    counts_late: bool = False

    def __post_init__(self) -> None:
        self.meta = meta_of("sqs")
        self._lock = Lock()

    def send(self, body: str) -> None:
        self.messages[f"receipt-{len(self.messages)}-{hash(body)}"] = body

    def in_flight(self) -> list[str]:
        now = self.clock()
        return [one for one in self.messages if self.invisible_until.get(one, now) > now]

    def receive_message(
        self,
        QueueUrl: str,  # noqa: N803
        MaxNumberOfMessages: int,  # noqa: N803
        VisibilityTimeout: int,  # noqa: N803
        WaitTimeSeconds: int,  # noqa: N803
    ) -> dict[str, Any]:
        del QueueUrl, WaitTimeSeconds
        self._begin("ReceiveMessage")
        with self._lock:
            retries, self.lost = self.lost, 0
            self._take(retries, VisibilityTimeout)
            taken = self._take(MaxNumberOfMessages, VisibilityTimeout)
        found = [
            {"MessageId": one, "Body": self.messages[one], "ReceiptHandle": one} for one in taken
        ]
        metadata = {"ResponseMetadata": {"RetryAttempts": retries}}
        return metadata | ({"Messages": found} if found else {})

    def get_queue_attributes(
        self,
        QueueUrl: str,  # noqa: N803
        AttributeNames: list[str],  # noqa: N803
    ) -> dict[str, Any]:
        del QueueUrl
        self._begin("GetQueueAttributes")
        in_flight = 0 if self.counts_late else len(self.in_flight())
        known = {"ApproximateNumberOfMessagesNotVisible": str(in_flight)}
        return {"Attributes": {name: known[name] for name in AttributeNames}}

    def change_message_visibility_batch(
        self,
        QueueUrl: str,  # noqa: N803
        Entries: list[dict[str, Any]],  # noqa: N803
    ) -> dict[str, Any]:
        del QueueUrl
        self._begin("ChangeMessageVisibilityBatch")
        for entry in Entries:
            until = self.clock() + timedelta(seconds=entry["VisibilityTimeout"])
            self.invisible_until[entry["ReceiptHandle"]] = until
        return {"Successful": [{"Id": entry["Id"]} for entry in Entries], "Failed": []}

    def delete_message_batch(
        self,
        QueueUrl: str,  # noqa: N803
        Entries: list[dict[str, str]],  # noqa: N803
    ) -> dict[str, Any]:
        del QueueUrl
        self._begin("DeleteMessageBatch")
        for entry in Entries:
            self.messages.pop(entry["ReceiptHandle"], None)
        return {"Successful": [{"Id": entry["Id"]} for entry in Entries], "Failed": []}

    def _take(self, number: int, seconds: int) -> list[str]:
        hidden = set(self.in_flight())
        taken = [one for one in self.messages if one not in hidden][:number]
        until = self.clock() + timedelta(seconds=seconds)
        self.invisible_until |= dict.fromkeys(taken, until)
        return taken

    def _begin(self, operation: str) -> None:
        self.before(operation)
        if operation in self.error:
            raise client_error(operation, self.error[operation])


@dataclass
class FakeSns:
    """Keeps what is published, as (topic, subject, message), within the limits of SNS."""

    published: list[tuple[str, str, str]] = field(default_factory=list)
    error: str = ""

    def __post_init__(self) -> None:
        self.meta = meta_of("sns")

    def publish(self, TopicArn: str, Subject: str, Message: str) -> dict[str, Any]:  # noqa: N803
        if self.error:
            raise client_error("Publish", self.error)
        assert Subject.isascii()
        assert Subject.isprintable()
        assert len(Subject) <= 100
        assert len(Message.encode()) <= 262_144
        self.published.append((TopicArn, Subject, Message))
        return {"MessageId": "one"}


class FakeSts:
    """Knows who calls."""

    def __init__(self) -> None:
        self.meta = meta_of("sts")

    def get_caller_identity(self) -> dict[str, Any]:
        return {"Arn": CALLER, "Account": "111122223333"}


class FakeEc2:
    """Knows which regions are enabled."""

    def __init__(self, *regions: str) -> None:
        self.meta = meta_of("ec2")
        self.regions = regions or ("eu-west-1",)

    def describe_regions(self) -> dict[str, Any]:
        return {"Regions": [{"RegionName": one} for one in self.regions]}


def etag(content: bytes) -> str:
    return f'"{hashlib.md5(content, usedforsecurity=False).hexdigest()}"'


def client_error(operation: str, code: str) -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": "no"}}, operation)
