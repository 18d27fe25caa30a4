"""Objects in S3: read in full up to a limit, within the deadline, or an error."""

from __future__ import annotations

import io
from collections.abc import Iterator
from threading import Event, Thread
from typing import Any

import pytest
from botocore.exceptions import IncompleteReadError, ReadTimeoutError
from urllib3.exceptions import SSLError

from ecr_cleaner.aws import ledger_object
from ecr_cleaner.aws.api import Api, TooLargeError, counted_calls
from ecr_cleaner.aws.ledger_object import LedgerObject
from ecr_cleaner.aws.s3_object import S3Object
from ecr_cleaner.core.errors import ApiError, OutOfTimeError
from ecr_cleaner.deadline import Deadline
from fakes.aws_api import FakeApi, error

OBJECT = S3Object("bucket", "some/key")
BREAKS = [
    ReadTimeoutError(endpoint_url="https://bucket"),
    IncompleteReadError(actual_bytes=1, expected_bytes=2),
    SSLError("bad record"),
    ConnectionResetError(),
]


class Body(io.RawIOBase):
    """A body that hands out these parts, or raises them."""

    def __init__(self, *parts: bytes | Exception) -> None:
        super().__init__()
        self._parts = iter(parts)
        self.sizes: list[int] = []

    def read(self, size: int = -1) -> bytes:
        self.sizes.append(size)
        part = next(self._parts, b"")
        if isinstance(part, Exception):
            raise part
        return part


def bucket(*bodies: io.IOBase, length: int = 5, **more: Any) -> FakeApi:
    """Return an S3 whose one object has each of these bodies in turn."""
    waiting = iter(bodies)
    return FakeApi("s3").on(
        "GetObject", lambda _: {"Body": next(waiting), "ContentLength": length, **more}
    )


def test_address_is_parsed_and_written() -> None:
    assert S3Object.at("s3://bucket/some/key") == OBJECT
    assert str(OBJECT) == "s3://bucket/some/key"
    assert S3Object.at("s3://bucket/some/") == S3Object("bucket", "some/")
    assert S3Object.at("s3://bucket") == S3Object("bucket", "")


def test_content_of_all_chunks_is_returned_with_the_rest_of_the_answer() -> None:
    s3 = bucket(Body(b"cont", b"ent"), length=7, ETag="1")
    with counted_calls() as count:
        answer = OBJECT.read(Api(s3.client), 7, ExpectedBucketOwner="123456789012")

    assert (answer["Body"], answer["ETag"]) == (b"content", "1")
    assert s3.asked("GetObject") == [
        {"Bucket": "bucket", "Key": "some/key", "ExpectedBucketOwner": "123456789012"}
    ]
    assert count.calls == 1


def test_missing_object_is_none_only_if_it_may_be_missing() -> None:
    s3 = Api(FakeApi("s3").on("GetObject", error("NoSuchKey")).client)

    assert OBJECT.find(s3, 10) is None
    with pytest.raises(ApiError, match="NoSuchKey"):
        OBJECT.read(s3, 10)


def test_missing_bucket_is_an_error() -> None:
    s3 = Api(FakeApi("s3").on("GetObject", error("NoSuchBucket")).client)

    with pytest.raises(ApiError, match="NoSuchBucket"):
        OBJECT.find(s3, 10)


@pytest.mark.parametrize("broken", BREAKS, ids=lambda one: type(one).__name__)
def test_body_that_breaks_off_is_asked_for_again(broken: Exception) -> None:
    s3 = bucket(Body(b"con", broken), Body(broken), Body(b"content"))

    assert OBJECT.read(Api(s3.client), 10)["Body"] == b"content"


@pytest.mark.parametrize("broken", BREAKS, ids=lambda one: type(one).__name__)
def test_body_that_breaks_off_again_and_again_is_an_error_of_the_call(broken: Exception) -> None:
    bodies = [Body(b"con", broken) for _ in range(3)]
    s3 = bucket(*bodies)

    with pytest.raises(ApiError, match="s3 GetObject failed with") as failure:
        OBJECT.read(Api(s3.client), 10)

    assert failure.value.code == type(broken).__name__
    assert all(body.closed for body in bodies)


def test_call_that_fails_is_not_repeated_beyond_what_the_sdk_does() -> None:
    s3 = FakeApi("s3").on("GetObject", error("SlowDown"))

    with pytest.raises(ApiError, match="SlowDown"):
        OBJECT.read(Api(s3.client), 10)
    assert len(s3.calls) == 1


def test_object_that_says_that_it_is_too_large_is_not_read() -> None:
    body = Body(b"content")

    with pytest.raises(TooLargeError, match=r"^s3://bucket/some/key has more than 4 bytes$"):
        OBJECT.read(Api(bucket(body).client), 4)
    assert body.sizes == []
    assert body.closed


def test_object_that_turns_out_too_large_is_not_read_to_its_end() -> None:
    body = Body(*[b"x" * 4] * 100)

    with pytest.raises(TooLargeError):
        OBJECT.read(Api(bucket(body).client), 9)
    assert len(body.sizes) == 3
    assert body.closed


def test_reading_ends_before_the_deadline() -> None:
    left = iter([100.0, 50.0, 39.0])
    body = Body(*[b"x"] * 100)
    api = Api(bucket(body).client, deadline=Deadline(seconds_left=lambda: next(left)))

    with pytest.raises(OutOfTimeError, match="no time left to read s3://bucket/some/key"):
        OBJECT.read(api, 1000)
    assert len(body.sizes) == 2
    assert body.closed


def test_body_is_read_within_the_bound_of_calls_at_once() -> None:
    reading, go_on, second = Event(), Event(), Event()

    class Waiting(Body):
        def read(self, size: int = -1) -> bytes:
            reading.set()
            go_on.wait()
            return super().read(size)

    def bodies() -> Iterator[Body]:
        yield Waiting(b"first")
        second.set()
        yield Body(b"other")

    waiting = bodies()
    s3 = FakeApi("s3").on("GetObject", lambda _: {"Body": next(waiting), "ContentLength": 5})
    api = Api(s3.client, at_once=1)
    threads = [Thread(target=OBJECT.read, args=(api, 10)) for _ in range(2)]
    threads[0].start()
    assert reading.wait(10)
    threads[1].start()
    assert not second.wait(0.2)
    go_on.set()
    for thread in threads:
        thread.join()
    assert second.is_set()


def test_ledger_beyond_the_limit_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ledger_object, "MOST_BYTES", 4)
    api = Api(bucket(io.BytesIO(b"12345"), ETag="1").client)

    with pytest.raises(TooLargeError):
        LedgerObject(api, "s3://bucket/ledger").read()
