"""The edge to AWS: an answer is whole, or an error that says what is missing."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from threading import Barrier, Lock
from types import SimpleNamespace
from typing import Any

import boto3
import pytest
from botocore.awsrequest import AWSResponse
from botocore.config import Config
from botocore.exceptions import ClientError, EndpointConnectionError

from core.worlds import REPOSITORY, sha
from ecr_cleaner.aws.api import CALLS_AT_ONCE, Api
from ecr_cleaner.aws.availability import host_exists
from ecr_cleaner.aws.registry import EcrRegistry
from ecr_cleaner.aws.session import Aws, open_session
from ecr_cleaner.core.errors import ApiError, CleanerError, IncompleteAnswerError
from ecr_cleaner.workers import Workers
from fakes.aws_api import FakeApi, FakeSession, Parameters, error
from fakes.scripted import Scripted

GONE = error("ResourceNotFoundException")
# Bound before the fixture that stands in for it in every test.
LOOK_UP = host_exists


def listing(*pages: Any) -> Api:
    """Return Pipes, whose listing has a paginator in the SDK, with these names on its pages."""
    content = [
        {"Pipes": [{"Name": name} for name in page]} if isinstance(page, str) else page
        for page in pages
    ]
    return Api(Scripted("pipes", ListPipes=content).client)


def by_token(*pages: Any) -> Api:
    """Return App Runner, whose listing has none."""
    content = [
        {"ServiceSummaryList": [{"ServiceName": f"app-{name}"} for name in page]}
        if isinstance(page, str)
        else page
        for page in pages
    ]
    return Api(Scripted("apprunner", ListServices=content).client)


def names_of(api: Api) -> list[str]:
    if api.service == "pipes":
        return [one["Name"] for one in api.each("ListPipes", "Pipes")]
    services = api.each("ListServices", "ServiceSummaryList")
    return [one["ServiceName"].removeprefix("app-") for one in services]


def ecr_client(
    status: int,
    body: bytes,
    content_type: str = "application/x-amz-json-1.1",
    protocol: str = "json",
) -> Any:
    """Return ECR behind a connection that gives this answer to everything."""
    session = boto3.Session("key", "secret", region_name="eu-west-1")
    client = session.client("ecr", config=Config(retries={"total_max_attempts": 1}))
    client.meta.service_model.resolved_protocol = protocol
    headers: Any = {"content-type": content_type, "smithy-protocol": "rpc-v2-cbor"}
    answer = AWSResponse("", status, headers, SimpleNamespace(stream=lambda: [body]))
    client.meta.events.register("before-send", lambda **_: answer)
    return client


def ecr_answering(
    status: int,
    body: bytes,
    content_type: str = "application/x-amz-json-1.1",
    protocol: str = "json",
) -> Api:
    """Return the Api of such a client."""
    return Api(ecr_client(status, body, content_type, protocol))


def aws_of(client: Any, workers: Workers) -> Aws:
    """Return the account and region behind a client of ECR."""
    ecr: Any = SimpleNamespace(client=client)
    return Aws(FakeSession([ecr], "eu-west-1"), workers)


def registry_of(client: Any, workers: Workers) -> EcrRegistry:
    """Return the registry behind a client of ECR."""
    return EcrRegistry(aws_of(client, workers))


# -- Calls and listings ------------------------------------------------------------------------


def test_call_returns_the_answer_and_passes_the_parameters_on() -> None:
    fake = FakeApi("pipes").on("DescribePipe", {"Name": "one"})

    assert Api(fake.client).call("DescribePipe", Name="one") == {"Name": "one"}
    assert fake.calls == [("DescribePipe", {"Name": "one"})]


def test_find_returns_the_answer_or_none_for_what_is_gone() -> None:
    fake = FakeApi("pipes").on("DescribePipe", {"Name": "one"})
    assert Api(fake.client).find("DescribePipe", "NotFoundException", Name="one") is not None

    fake.on("DescribePipe", error("NotFoundException"))
    assert Api(fake.client).find("DescribePipe", "NotFoundException", Name="one") is None


@pytest.mark.parametrize("gone", [(), ("ResourceNotFoundException",), ("NotFound",)])
def test_find_takes_no_other_code_for_gone(gone: tuple[str, ...]) -> None:
    fake = FakeApi("pipes").on("DescribePipe", error("NotFoundException"))

    with pytest.raises(ApiError, match="pipes DescribePipe failed with NotFoundException"):
        Api(fake.client).find("DescribePipe", *gone, Name="one")


@pytest.mark.parametrize("made", [listing, by_token])
@pytest.mark.parametrize("pages", [[""], ["abc"], ["ab", "", "c"], ["", "", "a"], ["a", "b", ""]])
def test_each_yields_what_all_pages_hold(made: Callable[..., Api], pages: list[str]) -> None:
    assert names_of(made(*pages)) == list("".join(pages))


def test_page_that_lacks_its_list_is_an_error() -> None:
    pages: list[Any] = [{"Pipes": [{"Name": "a"}], "NextToken": "2"}, {"NextToken": "3"}]
    fake = FakeApi("pipes").on("ListPipes", lambda asked: pages["NextToken" in asked])

    with pytest.raises(ApiError, match=r"IncompleteAnswer: .* holds no list under Pipes"):
        names_of(Api(fake.client))


@pytest.mark.parametrize(
    ("service", "operation", "key"),
    [("pipes", "ListPipes", "Pipes"), ("apprunner", "ListServices", "ServiceSummaryList")],
)
def test_tokens_that_repeat_in_a_cycle_are_an_error(service: str, operation: str, key: str) -> None:
    tokens = itertools.cycle("abc")
    fake = FakeApi(service).on(operation, lambda _: {key: [], "NextToken": next(tokens)})

    with pytest.raises(ApiError, match="repeats a page token"):
        list(Api(fake.client).each(operation, key))

    assert len(fake.calls) == 4


@pytest.mark.parametrize("made", [listing, by_token])
def test_page_that_fails_behind_others_is_an_error(made: Callable[..., Api]) -> None:
    with pytest.raises(ApiError, match="failed with ThrottlingException"):
        names_of(made("a", error("ThrottlingException")))


@pytest.mark.parametrize(("pages", "expected"), [([GONE], []), (["a", GONE], ["a"])])
def test_listing_of_something_that_vanished_ends(pages: list[Any], expected: list[str]) -> None:
    found = listing(*pages).each_found("ListPipes", "Pipes", "ResourceNotFoundException")

    assert [one["Name"] for one in found] == expected


def test_listing_that_fails_otherwise_is_an_error() -> None:
    found = listing(GONE).each_found("ListPipes", "Pipes", "NotFoundException")

    with pytest.raises(ApiError, match="ListPipes failed with ResourceNotFoundException"):
        list(found)


def test_token_that_comes_twice_is_an_error_and_no_endless_loop() -> None:
    page = {"ServiceSummaryList": [], "NextToken": "again"}
    fake = FakeApi("apprunner").on("ListServices", page)

    with pytest.raises(ApiError, match="repeats a page token"):
        names_of(Api(fake.client))

    assert len(fake.calls) == 2


# -- Errors ------------------------------------------------------------------------------------


def failure_of(raised: Exception) -> ApiError:
    fake = FakeApi("stepfunctions").on("ListStateMachines", raised)
    with pytest.raises(ApiError) as failure:
        Api(fake.client).call("ListStateMachines")
    assert failure.value.__cause__ is raised
    return failure.value


def test_error_tells_service_operation_code_and_message() -> None:
    failure = failure_of(error("InvalidToken", "what is that"))

    assert str(failure) == "stepfunctions ListStateMachines failed with InvalidToken: what is that"
    assert failure.fields == {
        "service": "stepfunctions",
        "operation": "ListStateMachines",
        "code": "InvalidToken",
        "error": str(failure),
    }


@pytest.mark.parametrize(
    "code", ["AccessDenied", "AccessDeniedException", "UnauthorizedOperation", "NotAuthorized"]
)
@pytest.mark.parametrize(
    ("message", "action"),
    [
        ("no", "states:ListStateMachines"),
        ("User: x is not authorized to perform: kms:Decrypt on resource: y", "kms:Decrypt"),
        ("not authorized to perform ecs:DescribeTasks because", "ecs:DescribeTasks"),
    ],
)
def test_denied_call_names_the_missing_action(code: str, message: str, action: str) -> None:
    failure = failure_of(error(code, message))

    assert failure.action == failure.fields["missing_action"] == action
    assert str(failure).endswith(f"(missing IAM action: {action})")


@pytest.mark.parametrize(
    ("raised", "code"),
    [
        (EndpointConnectionError(endpoint_url="https://nowhere"), "EndpointConnectionError"),
        (error("ThrottlingException"), "ThrottlingException"),
        (ClientError({}, "Operation"), "Unknown"),
    ],
)
def test_any_other_failure_is_an_error_without_a_missing_action(
    raised: Exception, code: str
) -> None:
    failure = failure_of(raised)

    assert (failure.code, failure.action) == (code, None)
    assert "missing_action" not in failure.fields


def test_error_of_the_program_itself_is_not_taken_for_one_of_aws() -> None:
    fake = FakeApi("pipes").on("ListPipes", TypeError("ours"))

    with pytest.raises(TypeError, match="ours"):
        Api(fake.client).call("ListPipes")


# -- Raw answers ------------------------------------------------------------------------------


def test_raw_answer_comes_as_it_was_sent() -> None:
    body = b'{"imageDetails": [{"imagePushedAt": 1.5, "fieldOfTomorrow": 1}]}'
    raw, parsed = ecr_answering(200, body), ecr_answering(200, body)
    raw.take_raw("DescribeImages", "imageDetails")

    assert list(raw.each("DescribeImages", "imageDetails", repositoryName="app")) == [
        {"imagePushedAt": 1.5, "fieldOfTomorrow": 1}
    ]
    (by_the_model,) = parsed.each("DescribeImages", "imageDetails", repositoryName="app")
    assert by_the_model.keys() == {"imagePushedAt"}
    assert by_the_model["imagePushedAt"].timestamp() == 1.5


@pytest.mark.parametrize(
    "body",
    [
        *(b"", b"<html>", b"[]", b"3", b'{"imageDetails": ['),
        *(b"{}", b'{"imageDetails": null}', b'{"imageDetails": {}}'),
        b'{"__type": "InternalFailure"}',
        b'{"Output": {"__type": "InternalFailure"}}',
    ],
)
@pytest.mark.parametrize("content_type", ["application/x-amz-json-1.1", "text/html"])
def test_raw_answer_without_its_list_is_an_error_and_not_an_empty_one(
    body: bytes, content_type: str
) -> None:
    api = ecr_answering(200, body, content_type)
    api.take_raw("DescribeImages", "imageDetails")

    with pytest.raises(
        ApiError, match=r"answer (is not a JSON object|holds no list under imageDetails)"
    ) as failure:
        list(api.each("DescribeImages", "imageDetails", repositoryName="app"))
    assert failure.value.code == "IncompleteAnswer"


def test_error_keeps_its_code_where_answers_are_taken_raw() -> None:
    api = ecr_answering(400, b'{"__type": "RepositoryNotFoundException", "message": "gone"}')
    api.take_raw("DescribeImages", "imageDetails")

    with pytest.raises(ApiError) as failure:
        api.call("DescribeImages", repositoryName="app")
    assert failure.value.code == "RepositoryNotFoundException"


def test_service_of_another_protocol_is_left_to_the_sdk() -> None:
    # One image with the digest "a", in CBOR.
    body = b"\xa1\x6cimageDetails\x81\xa1\x6bimageDigest\x61a"
    api = ecr_answering(200, body, "application/cbor", protocol="smithy-rpc-v2-cbor")
    api.take_raw("DescribeImages", "imageDetails")

    found = list(api.each("DescribeImages", "imageDetails", repositoryName="app"))
    assert found == [{"imageDigest": "a"}]


def test_registry_reads_its_images_from_raw_pages() -> None:
    digest = "sha256:" + "a" * 64
    detail = {"imageDigest": digest, "imagePushedAt": 1.5, "lastRecordedPullTime": 86_400}
    client = ecr_client(200, json.dumps({"imageDetails": [detail]}).encode())
    with Workers(1) as workers:
        (image,) = registry_of(client, workers).images(REPOSITORY)

    assert image.digest == digest
    assert image.pushed_at == datetime(1970, 1, 1, 0, 0, 1, 500_000, UTC)
    assert image.pulled_at == datetime(1970, 1, 2, tzinfo=UTC)
    assert [image.archived_at, image.activated_at] == [None, None]


def test_registries_that_share_a_client_read_the_same_images() -> None:
    details = [{"imageDigest": sha("a"), "imagePushedAt": 1.5}]
    client = ecr_client(200, json.dumps({"imageDetails": details}).encode())
    with Workers(1) as workers:
        aws = aws_of(client, workers)
        one, other = EcrRegistry(aws), EcrRegistry(aws)
        assert one.images(REPOSITORY) == other.images(REPOSITORY) != []


def test_registry_takes_no_page_without_images_for_an_empty_one() -> None:
    with Workers(1) as workers, pytest.raises(ApiError, match="list under imageDetails"):
        registry_of(ecr_client(200, b"{}"), workers).images(REPOSITORY)


def test_other_operations_are_not_taken_raw() -> None:
    api = ecr_answering(200, b'{"repositories": [{"createdAt": 1.5}]}')
    api.take_raw("DescribeImages", "imageDetails")

    (repository,) = api.each("DescribeRepositories", "repositories")
    assert repository["createdAt"].timestamp() == 1.5


# -- The account -------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def workers() -> Iterator[Workers]:
    with Workers(2 * CALLS_AT_ONCE) as made:
        yield made


def test_service_has_one_api_however_many_ask_for_it(workers: Workers) -> None:
    aws = Aws(FakeSession([FakeApi("pipes"), FakeApi("ecs")], "eu-west-1"), workers)

    apis = workers.map(aws.api, ["pipes", "ecs"] * 20)

    assert len(set(map(id, apis))) == 2
    assert {api.service for api in apis} == {"pipes", "ecs"}


@pytest.mark.parametrize(
    ("region", "problem"),
    [
        (None, "AWS_REGION is not set, but must be the name of an AWS region"),
        ("Ireland", "AWS_REGION is 'Ireland', but must be the name of an AWS region"),
    ],
)
def test_region_that_is_none_is_an_error(
    region: str | None, problem: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AWS_DEFAULT_REGION", raising=False)
    with pytest.raises(CleanerError) as failure:
        open_session(region)
    assert failure.value.fields == {"setting": "AWS_REGION", "error": problem}


def test_profile_that_does_not_exist_is_an_error_of_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_PROFILE", "missing")
    with pytest.raises(CleanerError, match=r"profile \(missing\) could not be found"):
        open_session("eu-west-1")


def test_half_of_the_credentials_is_an_error_of_ours(
    workers: Workers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "half")
    with pytest.raises(CleanerError, match="missing: AWS_SECRET_ACCESS_KEY"):
        Aws(open_session("eu-west-1"), workers).api("ecs")


def test_endpoint_that_is_no_address_is_an_error_of_ours(
    workers: Workers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "localhost")
    with pytest.raises(CleanerError, match="client of ecs cannot be made: Invalid endpoint"):
        Aws(open_session("eu-west-1"), workers).api("ecs")


def test_client_is_made_for_the_region(workers: Workers) -> None:
    api = Aws(boto3.Session(region_name="eu-central-1"), workers).api("ecs")

    assert api.host == "ecs.eu-central-1.amazonaws.com"


def test_no_more_calls_of_a_service_are_under_way_at_once_than_its_bound(workers: Workers) -> None:
    together = Barrier(CALLS_AT_ONCE)
    lock = Lock()
    under_way: set[int] = set()
    most = 0

    def answer(parameters: Parameters) -> dict[str, Any]:
        nonlocal most
        with lock:
            under_way.add(id(parameters))
            most = max(most, len(under_way))
        together.wait(timeout=60)
        with lock:
            under_way.discard(id(parameters))
        return {}

    api = Api(FakeApi("pipes").on("ListPipes", answer).client)
    workers.map(lambda _: api.call("ListPipes"), range(2 * CALLS_AT_ONCE))

    assert most == CALLS_AT_ONCE


# -- The registry ------------------------------------------------------------------------------


def test_registry_that_says_nothing_of_its_replication_is_an_error() -> None:
    ecr = FakeApi("ecr").on("DescribeRegistry", {"registryId": "123456789012"})

    with Workers(1) as workers, pytest.raises(IncompleteAnswerError, match="DescribeRegistry"):
        registry_of(ecr.client, workers).replication()


def test_repository_that_was_deleted_since_it_was_listed_is_left_out() -> None:
    arns = {one: f"arn:aws:ecr:eu-west-1:123456789012:repository/{one}" for one in ("gone", "kept")}
    listed = [{"repositoryName": name, "repositoryArn": arn} for name, arn in arns.items()]

    def tags(asked: Parameters) -> Any:
        is_gone = asked["resourceArn"] == arns["gone"]
        return error("RepositoryNotFoundException") if is_gone else {"tags": []}

    ecr = FakeApi("ecr").on("DescribeRepositories", {"repositories": listed})
    ecr.on("ListTagsForResource", tags)
    with Workers(1) as workers:
        found = registry_of(ecr.client, workers).repositories()

    assert [repository.name for repository in found] == ["kept"]


# -- Deletions ---------------------------------------------------------------------------------


@pytest.mark.parametrize(("retries", "deleted"), [(0, set()), (1, {sha("a")})])
def test_image_that_a_retried_deletion_did_not_find_was_deleted_by_it(
    retries: int, deleted: set[str]
) -> None:
    failure = {"imageId": {"imageDigest": sha("a")}, "failureCode": "ImageNotFound"}
    fake = FakeApi("ecr").on("BatchDeleteImage", {"imageIds": [], "failures": [failure]})
    call = fake.client._make_api_call  # noqa: SLF001 - to add what the SDK says of its retries

    def answer(operation: str, parameters: Parameters) -> dict[str, Any]:
        return {**call(operation, parameters), "ResponseMetadata": {"RetryAttempts": retries}}

    fake.client._make_api_call = answer  # noqa: SLF001
    with Workers(1) as workers:
        found = registry_of(fake.client, workers).delete(REPOSITORY, [sha("a")])

    assert found.deleted == deleted
