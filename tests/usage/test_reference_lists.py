"""The lists that an operator brings: read in full, or the run ends."""

from __future__ import annotations

import io
import json
from contextlib import AbstractContextManager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from botocore.exceptions import IncompleteReadError, ReadTimeoutError

from ecr_cleaner.core.errors import CleanerError, ScanError
from ecr_cleaner.core.model import NOT_ECR, ImageReference, Usage
from ecr_cleaner.core.settings import Settings
from ecr_cleaner.deadline import Deadline
from ecr_cleaner.usage.reference_lists import MOST_BYTES, ReferenceLists
from ecr_cleaner.usage.scan import Scan, SourceReading, State, scan
from ecr_cleaner.usage.shared.target import Target
from fakes.aws_api import account, error, tags
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


NOW = datetime(2026, 5, 4, 12, tzinfo=UTC)
YESTERDAY = NOW - timedelta(days=1)
REPOSITORIES = ("app", "team/app")


def s3(content: bytes | str = ONE, **more: Any) -> Scripted:
    data = content.encode() if isinstance(content, str) else content

    def answer(_: Any) -> dict[str, Any]:
        body = {"Body": io.BytesIO(data), "ContentLength": len(data), "LastModified": YESTERDAY}
        return {**body, **more}

    return Scripted("s3", GetObject=answer)


def ssm(content: str = ONE, changed: datetime = YESTERDAY) -> Scripted:
    parameter = {"Value": content, "LastModifiedDate": changed}
    return Scripted("ssm", GetParameter={"Parameter": parameter})


def ecr(*names: str) -> Scripted:
    repositories = [{"repositoryName": name, "registryId": "123456789012"} for name in names]
    return Scripted("ecr", DescribeRepositories={"repositories": repositories})


def target_with(*apis: Scripted, settings: Settings) -> AbstractContextManager[Target]:
    """Hand out an account with two repositories, unless others are among the services."""
    has_ecr = any(api.client.meta.service_model.service_name == "ecr" for api in apis)
    own = () if has_ecr else (ecr(*REPOSITORIES),)
    return account(*apis, *own, settings=settings, deadline=Deadline(clock=lambda: NOW))


def found(source: ReferenceLists, *apis: Scripted, settings: Settings) -> list[Usage]:
    with target_with(*apis, settings=settings) as target:
        return list(source.usages(target))


def listed(*lists: str) -> Settings:
    return Settings(reference_lists=lists)


def scanned(*apis: Scripted, where: str = BUCKET) -> Scan:
    settings = listed(where)
    with target_with(*apis, settings=settings) as one:
        return scan(one, [ReferenceLists()])


def test_list_in_a_bucket_is_read() -> None:
    api = s3(json.dumps([f"{HOST}/app:1", f"{HOST}/team/app@{DIGEST}"]))

    first, second = found(ReferenceLists(), api, settings=listed(BUCKET))

    assert (first.reference.repository, first.reference.tag) == ("app", "1")
    assert (second.reference.repository, second.reference.digest) == ("team/app", DIGEST)
    assert {(one.consumer, one.source) for one in (first, second)} == {(BUCKET, "reference-lists")}
    assert api.asked("GetObject") == [
        {
            "Bucket": "bucket",
            "Key": "images/of/eks.json",
            "ExpectedBucketOwner": "123456789012",
        }
    ]
    assert api.actions == ["s3:GetObject"]


def test_digest_in_another_registry_counts_for_its_signatures() -> None:
    api = s3(f"{HOST}/app:1 nginx:1.27 ghcr.io/team/app@{DIGEST}")

    _, outside = found(ReferenceLists(), api, settings=listed(BUCKET))

    assert outside.reference == ImageReference(NOT_ECR, "ghcr.io/team/app", digest=DIGEST)


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
            "LastModified": YESTERDAY,
        },
    )
    lists = ("s3://bucket/a", "s3://bucket/b", PARAMETER)

    usages = found(ReferenceLists(), bucket, ssm(), settings=listed(*lists))

    assert [(one.consumer, one.reference.tag) for one in usages] == list(
        zip(lists, ("a", "b", "1"), strict=True)
    )


def test_bucket_of_another_account_is_named_with_its_owner() -> None:
    api = s3()
    found(ReferenceLists(), api, settings=listed(f"{BUCKET}?owner=210987654321"))

    assert [one["ExpectedBucketOwner"] for one in api.asked("GetObject")] == ["210987654321"]


EMPTY = {
    "array": "[]",
    "lines": "",
    "white-space": " \n\n",
    "kubernetes": '{"apiVersion": "v1", "kind": "List", "items": []}',
}


@pytest.mark.parametrize("content", EMPTY.values(), ids=EMPTY)
@pytest.mark.parametrize("where", [BUCKET, PARAMETER])
def test_empty_list_is_an_error_that_says_how_to_allow_it(where: str, content: str) -> None:
    with pytest.raises(CleanerError) as failure:
        found(ReferenceLists(), s3(content), ssm(content), settings=listed(where))

    assert str(failure.value) == (
        f"{where} has no entries, so none of this registry; if that is right, write it as "
        f"{where}?empty=allowed"
    )


@pytest.mark.parametrize("content", EMPTY.values(), ids=EMPTY)
@pytest.mark.parametrize("where", [BUCKET, PARAMETER])
def test_list_that_may_be_empty_uses_nothing(where: str, content: str) -> None:
    settings = listed(f"{where}?empty=allowed")

    assert found(ReferenceLists(), s3(content), ssm(content), settings=settings) == []


@pytest.mark.parametrize(
    "entry",
    [
        "nginx:1.27",
        "210987654321.dkr.ecr.eu-west-1.amazonaws.com/app:1",
        "123456789012.dkr.ecr.us-east-1.amazonaws.com/app:1",
    ],
    ids=["elsewhere", "another-account", "another-region"],
)
def test_list_without_an_image_of_this_registry_is_an_error(entry: str) -> None:
    with pytest.raises(CleanerError, match=f"{BUCKET} has 1 entries and none of this registry"):
        found(ReferenceLists(), s3(json.dumps([entry])), settings=listed(BUCKET))


def test_registry_without_repositories_has_nothing_to_lose() -> None:
    usages = found(ReferenceLists(), s3(), ecr(), settings=listed(BUCKET))

    assert tags(usages) == {"1"}


@pytest.mark.parametrize("where", [BUCKET, PARAMETER])
@pytest.mark.parametrize(("days", "is_old"), [(6.9, False), (7.1, True), (400, True)])
def test_list_that_was_not_changed_for_days_is_an_error(
    where: str, days: float, is_old: bool
) -> None:
    changed = NOW - timedelta(days=days)
    apis = (s3(LastModified=changed), ssm(changed=changed))
    if not is_old:
        assert tags(found(ReferenceLists(), *apis, settings=listed(where))) == {"1"}
        return

    with pytest.raises(CleanerError) as failure:
        found(ReferenceLists(), *apis, settings=listed(where))

    assert str(failure.value) == (
        f"{where} was last changed on {changed:%Y-%m-%d}, more than "
        "REFERENCE_LISTS_MAX_AGE_DAYS = 7 days ago"
    )


def test_days_are_a_setting() -> None:
    settings = Settings(reference_lists=(BUCKET,), reference_lists_max_age_days=30)
    api = s3(LastModified=NOW - timedelta(days=29))

    assert tags(found(ReferenceLists(), api, settings=settings)) == {"1"}


@pytest.mark.parametrize("where", [BUCKET, PARAMETER])
def test_list_without_a_time_is_an_error(where: str) -> None:
    bucket = Scripted("s3", GetObject={"Body": io.BytesIO(b""), "ContentLength": 0})
    parameter = Scripted("ssm", GetParameter={"Parameter": {"Value": ONE}})

    with pytest.raises(CleanerError, match="has no time of its last change"):
        found(ReferenceLists(), bucket, parameter, settings=listed(where))


@pytest.mark.parametrize(
    "content",
    [
        f"{HOST}/app:1\n{HOST}/app:2\n",
        f"{HOST}/app:1 {HOST}/app:2",
        f"\ufeff{HOST}/app:1\r\n\r\n{HOST}/app:2",
    ],
    ids=["a-line-each", "as-jsonpath-prints", "windows"],
)
def test_references_with_white_space_between_are_read(content: str) -> None:
    assert tags(found(ReferenceLists(), s3(content), settings=listed(BUCKET))) == {"1", "2"}


POD = {
    "kind": "Pod",
    "metadata": {"annotations": {"sidecar": f"{HOST}/app:injected"}},
    "spec": {
        "initContainers": [{"image": f"{HOST}/app:init"}],
        "containers": [{"image": f"{HOST}/team/app:1"}, {"image": "app:of-docker-hub"}],
        "volumes": [{"image": {"reference": f"{HOST}/app:volume"}}],
    },
    "status": {
        "containerStatuses": [
            {
                "image": f"{HOST}/team/app:1",
                "imageID": f"docker-pullable://{HOST}/team/app@{DIGEST}",
            },
            {"image": "pending", "imageID": ""},
        ]
    },
}


def test_output_of_kubectl_is_read() -> None:
    pods = {"apiVersion": "v1", "kind": "List", "items": [POD]}
    (reading,) = scanned(s3(json.dumps(pods))).readings

    assert tags(list(reading.usages)) == {"1", "init", "injected", "volume", None}
    assert {one.reference.digest for one in reading.usages} == {None, DIGEST}
    assert reading.fields()["lists"] == [{"list": BUCKET, "entries": 6, "in_this_registry": 5}]


@pytest.mark.parametrize("as_list", [True, False])
def test_object_of_kubernetes_is_read_as_in_its_cluster(as_list: bool) -> None:
    chart = {"registry": HOST, "repository": "team/app", "tag": "1.2"}
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"annotations": {"values": json.dumps(chart)}},
        "spec": {"containers": [{"name": "web", "image": f"{HOST}/app:1"}]},
        "status": {
            "containerStatuses": [{"name": "web", "image": "", "imageID": f"{HOST}/b@{DIGEST}"}]
        },
    }
    content = {"apiVersion": "v1", "kind": "List", "items": [pod]} if as_list else pod

    usages = found(ReferenceLists(), s3(json.dumps(content)), settings=listed(BUCKET))

    assert {(one.reference.repository, one.reference.tag) for one in usages} >= {
        ("team/app", "1.2")
    }
    pinned = {one.reference.repository for one in usages if one.reference.digest == DIGEST}
    assert pinned == {"app", "b"}


@pytest.mark.parametrize(
    ("entry", "digest"),
    [
        (f"docker-pullable://{HOST}/app@{DIGEST}", DIGEST),
        (f"docker://{HOST}/app@{DIGEST}", DIGEST),
        (f"oci://{HOST}/app:1", None),
    ],
)
def test_scheme_before_an_entry_is_understood(entry: str, digest: str | None) -> None:
    (usage,) = found(ReferenceLists(), s3(json.dumps([entry])), settings=listed(BUCKET))

    assert (usage.reference.repository, usage.reference.digest) == ("app", digest)


def test_number_of_entries_and_of_those_in_this_registry_is_told() -> None:
    entries = [f"{HOST}/app:1", "nginx", "210987654321.dkr.ecr.eu-west-1.amazonaws.com/app:1"]
    (reading,) = scanned(s3(json.dumps(entries))).readings

    assert reading.fields() == {
        "state": "scanned",
        "usages": 2,
        "lists": [{"list": BUCKET, "entries": 3, "in_this_registry": 1}],
    }


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
    "cut-off": (ONE[:-1], "is not JSON"),
    "nested-deeply": ("[" * 100_000, "is not JSON"),
    "object": ("{}", "is not a JSON array of image references"),
    "prose": (f"see {HOST}/app:1 (that one)", "entry 3 of"),
    "without-host": ('["nginx", "team/app:1"]', "entry 2 of"),
    "mistyped-region": (
        '["123456789012.dkr.ecr.us-east1.amazonaws.com/app:1"]',
        "names a region that cannot exist",
    ),
    "string": (json.dumps(f"{HOST}/app:1"), "is not a JSON array of image references"),
    "null": ("null", "is not a JSON array of image references"),
    "number": ("[1]", "is not an image reference"),
    "nothing": ("[null]", "is not an image reference"),
    "empty-entry": ('["", "a"]', "is not an image reference"),
    "object-entry": ('[{"image": "a"}]', "is not an image reference"),
    "nested-list": (f"[{ONE}]", "is not an image reference"),
}


@pytest.mark.parametrize(("content", "problem"), MALFORMED.values(), ids=MALFORMED)
@pytest.mark.parametrize("where", [BUCKET, PARAMETER])
def test_list_that_is_malformed_is_an_error_that_names_it(
    where: str, content: str, problem: str
) -> None:
    with pytest.raises(CleanerError) as failure:
        found(ReferenceLists(), s3(content), ssm(content), settings=listed(where))

    assert where in str(failure.value)
    assert problem in str(failure.value)


@pytest.mark.parametrize("entry", ["a secret", f"{HOST}/@", 7])
def test_entry_that_is_refused_is_not_printed(entry: Any) -> None:
    content = json.dumps([f"{HOST}/app:1", entry])

    with pytest.raises(CleanerError) as failure:
        found(ReferenceLists(), ssm(content), settings=listed(PARAMETER))

    assert str(failure.value) == f"entry 2 of {PARAMETER} is not an image reference"


def test_entry_without_a_host_that_names_a_repository_is_an_error_that_says_so() -> None:
    content = json.dumps(["nginx", "team/app:1"])

    with pytest.raises(CleanerError) as failure:
        found(ReferenceLists(), s3(content), settings=listed(BUCKET))

    assert str(failure.value) == (
        f"entry 2 of {BUCKET} names a repository of this registry without the registry's host"
    )


@pytest.mark.parametrize("content", [b'["\xff"]', b"\x1f\x8b\x08\x00" + b"\xfe" * 50])
def test_list_that_is_no_text_is_an_error_that_does_not_print_it(content: bytes) -> None:
    with pytest.raises(ScanError) as failure:
        scanned(s3(content))

    assert str(failure.value) == (
        f"usage source reference-lists could not be read in full: {BUCKET} is not text"
    )


def test_list_at_the_bound_is_read() -> None:
    content = ONE + " " * (MOST_BYTES - len(ONE))

    assert tags(found(ReferenceLists(), s3(content), settings=listed(BUCKET))) == {"1"}


def test_list_beyond_the_bound_is_an_error_and_is_not_read() -> None:
    body = FailingBody(AssertionError("read"))
    api = Scripted(
        "s3", GetObject={"Body": body, "ContentLength": MOST_BYTES + 1, "LastModified": NOW}
    )

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
        scanned(Scripted("s3", GetObject={"Body": body, "ContentLength": 2, "LastModified": NOW}))


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
    with pytest.raises(CleanerError, match=f"^{where} could not be read: "):
        found(ReferenceLists(), api, settings=listed(where))


def test_one_list_that_fails_ends_the_run_though_others_were_read() -> None:
    one = {"Body": io.BytesIO(ONE.encode()), "ContentLength": len(ONE), "LastModified": NOW}
    objects = {"a": one, "b": error("NoSuchKey")}
    api = Scripted("s3", GetObject=by("Key", objects))

    with pytest.raises(CleanerError, match=r"^s3://bucket/b could not be read: .*NoSuchKey"):
        found(ReferenceLists(), api, settings=listed("s3://bucket/a", "s3://bucket/b"))


def test_scan_counts_what_was_listed() -> None:
    (reading,) = scanned(s3()).readings

    assert isinstance(reading, SourceReading)
    assert reading.state is State.SCANNED
    assert (reading.fields()["state"], reading.fields()["usages"]) == ("scanned", 1)
