"""Every operation that the program calls, with every answer that is not one of AWS."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import boto3
import pytest
from botocore.awsrequest import AWSResponse
from botocore.config import Config

from ecr_cleaner.aws.answers import refuse_garbled_answers
from ecr_cleaner.aws.api import Api
from ecr_cleaner.core.errors import ApiError
from ecr_cleaner.usage.sources import SOURCES
from fakes.models import model_of, paginated_operations

PERMISSIONS = json.loads(
    (Path(__file__).parents[2] / "lambda_src/ecr_cleaner/permissions.json").read_text()
)
OTHER_SERVICES = {"ec2", "ecr", "eks", "inspector2", "organizations", "sns", "sqs", "ssm", "sts"}
# The operation that an action allows and that is called, if it has another name.
CALLED_AS = {
    "ChangeMessageVisibility": "ChangeMessageVisibilityBatch",
    "DeleteMessage": "DeleteMessageBatch",
}
GARBLED = {
    "an empty body": b"",
    "an HTML page": b"<!DOCTYPE html><html><body>blocked</body></html>",
    "well-formed XML of somebody else": b"<html><body/></html>",
    "cut-off JSON": b'{"a": [',
    "an empty object": b"{}",
    "an object of somebody else": b'{"message": "blocked by policy"}',
    "an array": b"[]",
    "null": b"null",
    "a string": b'"ok"',
    "a number": b"0",
    "bytes that are not text": b"\xff\xfe\x00",
}


def actions(node: Any) -> Iterator[str]:
    """Yield every action that stands anywhere in permissions.json."""
    if isinstance(node, str):
        yield node
    else:
        for inner in node.values() if isinstance(node, dict) else node:
            yield from actions(inner)


@cache
def client_of(service: str) -> Any:
    made: Any = boto3.Session("key", "secret", region_name="eu-west-1").client(
        service,  # type: ignore[call-overload]
        config=Config(retries={"total_max_attempts": 1}, parameter_validation=False),
    )
    refuse_garbled_answers(made)
    return made


def operations() -> list[tuple[str, str]]:
    """Return every operation whose answer has a content that the program reads, by service."""
    services = {source.service for source in SOURCES} | OTHER_SERVICES
    models = {name: model_of(name) for name in sorted(services)}
    return [
        (name, CALLED_AS.get(operation, operation))
        for prefix, operation in sorted({tuple(one.split(":")) for one in actions(PERMISSIONS)})
        for name, model in models.items()
        if model.signing_name == prefix
        and CALLED_AS.get(operation, operation) in model.operation_names
    ]


OPERATIONS = operations()


def answering(service: str, body: bytes, **more: str) -> Any:
    """Return the client of a service behind a connection that gives this answer to everything."""
    client = client_of(service)
    headers: Any = {"content-type": "application/x-amz-json-1.1", **more}
    answer = AWSResponse("", 200, headers, SimpleNamespace(stream=lambda: [body]))
    client.meta.events.unregister("before-send", unique_id="answer")
    client.meta.events.register("before-send", lambda **_: answer, unique_id="answer")
    return client


@pytest.mark.untraced
@pytest.mark.parametrize("body", GARBLED.values(), ids=GARBLED)
@pytest.mark.parametrize(("service", "operation"), OPERATIONS)
def test_garbled_answer_is_an_error(service: str, operation: str, body: bytes) -> None:
    client = answering(service, body)
    shape = client.meta.service_model.operation_model(operation).input_shape
    if (operation, body) == ("ReceiveMessage", b"{}"):
        # SQS says by it that there are no messages.
        assert "Messages" not in Api(client).call(operation, **parameters_of(shape))
        return

    with pytest.raises(ApiError) as failure:
        Api(client).call(operation, **parameters_of(shape))

    assert failure.value.code in {"IncompleteAnswer", "ResponseParserError"}


@pytest.mark.parametrize("body", [one for one in GARBLED.values() if one], ids=repr)
def test_body_of_an_answer_that_is_headers_only_is_an_error(body: bytes) -> None:
    client = answering("s3", body)

    with pytest.raises(ApiError):
        Api(client).call("PutObject", Bucket="bucket", Key="key", Body=b"")


def test_answer_that_is_headers_only_needs_no_body() -> None:
    answer = Api(answering("s3", b"")).call("PutObject", Bucket="bucket", Key="key", Body=b"")

    assert "ETag" not in answer


def parameters_of(shape: Any) -> dict[str, Any]:
    """Return the required parameters, of any value: nothing is sent."""
    if shape is None:
        return {}
    fillers = {"list": [], "structure": {}, "map": {}, "string": "x", "integer": 1}
    return {name: fillers[shape.members[name].type_name] for name in shape.required_members}


def is_json(service: str) -> bool:
    return "json" in model_of(service).resolved_protocol


def lists_of(service: str, operation: str) -> list[str]:
    output: Any = model_of(service).operation_model(operation).output_shape
    return [name for name, member in output.members.items() if member.type_name == "list"]


LISTINGS = [
    (service, operation, key)
    for service, operation in OPERATIONS
    if operation in paginated_operations(service) and is_json(service)
    for key in lists_of(service, operation)
]


@pytest.mark.parametrize("value", ["null", "{}", '""', '"abc"', "0", "true"])
@pytest.mark.parametrize(("service", "operation", "key"), LISTINGS)
def test_listing_without_a_list_under_its_key_is_an_error(
    service: str, operation: str, key: str, value: str
) -> None:
    client = answering(service, f'{{"{wire_name(service, operation, key)}": {value}}}'.encode())
    shape = client.meta.service_model.operation_model(operation).input_shape

    with pytest.raises(ApiError):
        list(Api(client).each(operation, key, **parameters_of(shape)))


@pytest.mark.parametrize(("service", "operation", "key"), LISTINGS)
def test_empty_list_under_its_key_is_an_answer(service: str, operation: str, key: str) -> None:
    client = answering(service, f'{{"{wire_name(service, operation, key)}": []}}'.encode())
    shape = client.meta.service_model.operation_model(operation).input_shape

    assert list(Api(client).each(operation, key, **parameters_of(shape))) == []


def wire_name(service: str, operation: str, key: str) -> str:
    output = client_of(service).meta.service_model.operation_model(operation).output_shape
    name: str = output.members[key].serialization.get("name", key)
    return name


def test_every_action_is_an_operation_that_was_tried() -> None:
    tried = {operation for _, operation in OPERATIONS}
    actions_called = {one.partition(":")[2] for one in actions(PERMISSIONS)}
    called = {CALLED_AS.get(one, one) for one in actions_called}
    # Objects of S3 have a body of their own, and PutObject has its own tests above.
    assert called - tried == {"GetObject", "ListBucket", "PutObject"}


XML = [
    (service, operation)
    for service, operation in OPERATIONS
    if model_of(service).resolved_protocol in {"ec2", "query"}
]


@pytest.mark.parametrize(("service", "operation"), XML)
def test_answer_in_xml_has_the_name_of_its_operation(service: str, operation: str) -> None:
    body = f"<{operation}Response><{operation}Result/></{operation}Response>"
    model = client_of(service).meta.service_model.operation_model(operation)
    Api(answering(service, body.encode())).call(operation, **parameters_of(model.input_shape))

    with pytest.raises(ApiError, match="IncompleteAnswer"):
        Api(answering(service, body.replace("Response", "Answer").encode())).call(
            operation, **parameters_of(model.input_shape)
        )


CBOR = {"smithy-protocol": "rpc-v2-cbor"}


def test_answer_in_cbor_is_a_map_that_is_not_empty() -> None:
    empty_list = b"\xa1\x6bSubscribers\x80"
    client = answering("eventbridgev2", empty_list, **CBOR)
    assert list(Api(client).each("ListSubscribers", "Subscribers")) == []


@pytest.mark.parametrize(
    "body", [b"\xa0", b"\xbf\xff", b"\x80", b"\xf6", *list(GARBLED.values())[1:]]
)
def test_garbled_answer_in_cbor_is_an_error(body: bytes) -> None:
    with pytest.raises(ApiError):
        Api(answering("eventbridgev2", body, **CBOR)).call("ListSubscribers")


LISTED = (
    b'<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><KeyCount>0</KeyCount>'
    b"<IsTruncated>false</IsTruncated></ListBucketResult>"
)


def test_listing_of_s3_has_a_root_of_its_own() -> None:
    answer = answering("s3", LISTED).list_objects_v2(Bucket="bucket")

    assert answer["KeyCount"] == 0


@pytest.mark.parametrize("body", [b"", b"<html></html>", b"<ListBucketResponse/>"])
def test_what_is_no_listing_of_s3_is_an_error(body: bytes) -> None:
    with pytest.raises(ApiError, match="IncompleteAnswer"):
        answering("s3", body).list_objects_v2(Bucket="bucket")


def test_answer_in_headers_has_no_body() -> None:
    assert answering("s3", b"").put_object(Bucket="bucket", Key="x", Body=b"")


def test_answer_in_an_unknown_protocol_is_an_error() -> None:
    client: Any = boto3.Session("key", "secret", region_name="eu-west-1").client("pipes")
    client.meta.service_model.resolved_protocol = "of-tomorrow"
    refuse_garbled_answers(client)
    headers: Any = {}
    answer = AWSResponse("", 200, headers, SimpleNamespace(stream=lambda: [b'{"Pipes": []}']))
    client.meta.events.register("before-send", lambda **_: answer)

    with pytest.raises(ApiError, match="is in the unknown protocol of-tomorrow"):
        Api(client).call("ListPipes")
