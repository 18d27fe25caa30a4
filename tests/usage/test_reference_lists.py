"""The lists that an operator brings: read in full, or the run ends."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest
from botocore.exceptions import IncompleteReadError, ReadTimeoutError

from ecr_cleaner.core.errors import ApiError, CleanerError, ScanError
from ecr_cleaner.core.model import Usage
from ecr_cleaner.core.settings import Settings
from ecr_cleaner.usage.reference_lists import MOST_BYTES, ReferenceLists
from ecr_cleaner.usage.scan import Reading, Scan, State, scan
from fakes.aws_api import account, error, found
from fakes.scripted import DENIED, HOST, THROTTLED, Scripted, by

BUCKET = "s3://bucket/images/of/eks.json"
PARAMETER = "ssm:/images/of/eks"
SHARED = "arn:aws:ssm:eu-west-1:210987654321:parameter/images"  # by another account
DIGEST = "sha256:" + "a" * 64
ONE = json.dumps([f"{HOST}/app:1"])


class FailingBody(io.RawIOBase):
    """The body of an object whose connection breaks while it is read."""

    def __init__(self, failure: Exception) -> None:
        super().__init__()
        self._failure = failure

    def read(self, size: int = -1) -> bytes:
        del size
        raise self._failure


def s3(content: bytes | str = ONE, **more: Any) -> Scripted:
    data = content.encode() if isinstance(content, str) else content

    def answer(_: Any) -> dict[str, Any]:
        return {"Body": io.BytesIO(data), "ContentLength": len(data), **more}

    return Scripted("s3", GetObject=answer)


def ssm(content: str = ONE) -> Scripted:
    return Scripted("ssm", GetParameter={"Parameter": {"Value": content}})


def listed(*lists: str) -> Settings:
    return Settings(reference_lists=lists)


def tags(usages: list[Usage]) -> set[str | None]:
    return {usage.reference.tag for usage in usages}


def scanned(*apis: Scripted, where: str = BUCKET) -> Scan:
    settings = listed(where)
    with account(*apis, settings=settings) as one:
        return scan(one, [ReferenceLists()])


def test_list_in_a_bucket_is_read() -> None:
    api = s3(json.dumps([f"{HOST}/app:1", f"{HOST}/team/app@{DIGEST}"]))

    first, second = found(ReferenceLists(), api, settings=listed(BUCKET))

    assert (first.reference.repository, first.reference.tag) == ("app", "1")
    assert (second.reference.repository, second.reference.digest) == ("team/app", DIGEST)
    assert {(one.consumer, one.source) for one in (first, second)} == {(BUCKET, "reference-lists")}
    assert api.asked("GetObject") == [{"Bucket": "bucket", "Key": "images/of/eks.json"}]
    assert api.actions == ["s3:GetObject"]


@pytest.mark.parametrize(
    ("where", "name"),
    [
        (PARAMETER, "/images/of/eks"),
        ("ssm:images", "images"),
        (f"ssm:{SHARED}", SHARED),
        (SHARED, SHARED),
    ],
)
def test_list_in_a_parameter_is_read(where: str, name: str) -> None:
    api = ssm()

    (usage,) = found(ReferenceLists(), api, settings=listed(where))

    assert (usage.reference.tag, usage.consumer) == ("1", where)
    assert api.asked("GetParameter") == [{"Name": name, "WithDecryption": True}]
    assert api.actions == ["ssm:GetParameter"]


def test_several_lists_are_read_each_as_its_own_consumer() -> None:
    bodies = {key: json.dumps([f"{HOST}/app:{key}"]).encode() for key in ("a", "b")}
    bucket = Scripted(
        "s3",
        GetObject=lambda asked: {
            "Body": io.BytesIO(bodies[asked["Key"]]),
            "ContentLength": len(bodies[asked["Key"]]),
        },
    )
    lists = ("s3://bucket/a", "s3://bucket/b", PARAMETER)

    usages = found(ReferenceLists(), bucket, ssm(), settings=listed(*lists))

    assert [(one.consumer, one.reference.tag) for one in usages] == list(
        zip(lists, ("a", "b", "1"), strict=True)
    )


def test_empty_list_uses_nothing() -> None:
    assert found(ReferenceLists(), s3("[]"), settings=listed(BUCKET)) == []


def test_images_of_other_registries_are_not_ours_and_no_error() -> None:
    api = s3(json.dumps(["nginx:1.27", "public.ecr.aws/nginx/nginx", f"{HOST}/app:1"]))

    assert tags(found(ReferenceLists(), api, settings=listed(BUCKET))) == {"1"}


def test_entry_that_stands_twice_is_one_usage() -> None:
    api = s3(json.dumps([f"{HOST}/app:1"] * 3))

    assert len(found(ReferenceLists(), api, settings=listed(BUCKET))) == 1


def test_byte_order_mark_and_white_space_around_are_no_error() -> None:
    api = s3(b"\xef\xbb\xbf \n" + ONE.encode() + b"\n")

    assert tags(found(ReferenceLists(), api, settings=listed(BUCKET))) == {"1"}


# -- What fails --------------------------------------------------------------------------------

MALFORMED = {
    "empty": ("", "is not JSON"),
    "cut-off": (ONE[:-1], "is not JSON"),
    "a-line-each": (f"{HOST}/app:1\n{HOST}/app:2\n", "is not JSON"),
    "nested-deeply": ("[" * 100_000, "is not JSON"),
    "object": ("{}", "is not a JSON array of image references"),
    "string": (json.dumps(f"{HOST}/app:1"), "is not a JSON array of image references"),
    "null": ("null", "is not a JSON array of image references"),
    "number": ("[1]", "holds 1, which is not an image reference"),
    "nothing": ("[null]", "holds None, which is not an image reference"),
    "empty-entry": ('["", "a"]', "holds '', which is not an image reference"),
    "object-entry": ('[{"image": "a"}]', "which is not an image reference"),
    "nested-list": (f"[{ONE}]", "which is not an image reference"),
}


@pytest.mark.parametrize(("content", "problem"), MALFORMED.values(), ids=MALFORMED)
@pytest.mark.parametrize("where", [BUCKET, PARAMETER])
def test_list_that_is_malformed_is_an_error_that_names_it(
    where: str, content: str, problem: str
) -> None:
    with pytest.raises(CleanerError) as failure:
        found(ReferenceLists(), s3(content), ssm(content), settings=listed(where))

    assert str(failure.value).startswith(f"{where} ")
    assert problem in str(failure.value)


@pytest.mark.parametrize("content", [b'["\xff"]', b"\x1f\x8b\x08\x00" + b"\xfe" * 50])
def test_list_that_is_no_text_is_an_error_that_does_not_print_it(content: bytes) -> None:
    with pytest.raises(ScanError) as failure:
        scanned(s3(content))

    assert str(failure.value) == (
        f"usage source reference-lists could not be read in full: {BUCKET} is not JSON"
    )


def test_list_at_the_bound_is_read() -> None:
    content = ONE + " " * (MOST_BYTES - len(ONE))

    assert tags(found(ReferenceLists(), s3(content), settings=listed(BUCKET))) == {"1"}


def test_list_beyond_the_bound_is_an_error_and_is_not_read() -> None:
    body = FailingBody(AssertionError("read"))
    api = Scripted("s3", GetObject={"Body": body, "ContentLength": MOST_BYTES + 1})

    with pytest.raises(CleanerError, match=f"{BUCKET} has more than 10000000 bytes"):
        found(ReferenceLists(), api, settings=listed(BUCKET))


@pytest.mark.parametrize(
    "failure",
    [
        ReadTimeoutError(endpoint_url="https://bucket"),
        IncompleteReadError(actual_bytes=1, expected_bytes=2),
        ConnectionResetError(),
    ],
)
def test_list_whose_body_breaks_off_ends_the_scan(failure: Exception) -> None:
    body = FailingBody(failure)

    with pytest.raises(ScanError, match="usage source reference-lists could not be read in full"):
        scanned(Scripted("s3", GetObject={"Body": body, "ContentLength": 2}))


@pytest.mark.parametrize(
    ("where", "api", "action"),
    [
        (BUCKET, Scripted("s3", GetObject=error("AccessDenied")), "s3:GetObject"),
        (PARAMETER, Scripted("ssm", GetParameter=DENIED), "ssm:GetParameter"),
    ],
)
def test_denied_list_is_an_error_that_names_the_missing_action(
    where: str, api: Scripted, action: str
) -> None:
    with pytest.raises(ScanError) as failure:
        scanned(api, where=where)

    assert failure.value.fields["missing_action"] == action
    assert failure.value.fields["source"] == "reference-lists"


@pytest.mark.parametrize(
    ("where", "api"),
    [
        (BUCKET, Scripted("s3", GetObject=error("NoSuchKey"))),
        (BUCKET, Scripted("s3", GetObject=error("NoSuchBucket"))),
        (BUCKET, Scripted("s3", GetObject=error("SlowDown"))),
        (PARAMETER, Scripted("ssm", GetParameter=error("ParameterNotFound"))),
        (PARAMETER, Scripted("ssm", GetParameter=THROTTLED)),
    ],
)
def test_list_that_vanished_or_is_throttled_is_an_error_too(where: str, api: Scripted) -> None:
    """Who brought a list relies on it: it is no resource that may come and go."""
    with pytest.raises(ApiError):
        found(ReferenceLists(), api, settings=listed(where))


def test_one_list_that_fails_ends_the_run_though_others_were_read() -> None:
    objects = {"a": {"Body": io.BytesIO(b"[]"), "ContentLength": 2}, "b": error("NoSuchKey")}
    api = Scripted("s3", GetObject=by("Key", objects))

    with pytest.raises(ApiError, match="NoSuchKey"):
        found(ReferenceLists(), api, settings=listed("s3://bucket/a", "s3://bucket/b"))


def test_scan_counts_what_was_listed() -> None:
    (reading,) = scanned(s3()).readings

    assert isinstance(reading, Reading)
    assert reading.state is State.SCANNED
    assert reading.fields() == {"state": "scanned", "usages": 1}
