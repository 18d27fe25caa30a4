"""Refuse what is not an answer of AWS.

botocore parses an HTML page of a proxy, cut-off JSON, an empty body and ``{}`` as an answer without
content, which would read as "nothing there".
"""

from __future__ import annotations

import json
from http import HTTPStatus
from typing import Any
from xml.etree import ElementTree as ET

from botocore.model import OperationModel, Shape

from ecr_cleaner.core.errors import ApiError

# Roots of XML answers that do not have the name of the operation.
_XML_ROOTS = {"ListObjectsV2": "ListBucketResult"}
# SQS leaves the list of messages out if there are none.
_MAY_BE_EMPTY = frozenset({"ReceiveMessage"})

# What the SDK's models call the shapes of JSON values that a garbled answer could not hold.
_JSON_TYPES: dict[str, type] = {"list": list, "map": dict, "structure": dict}

# The major type of a map: https://www.rfc-editor.org/rfc/rfc8949#section-3.1
_CBOR_MAP = 5


def refuse_garbled_answers(client: Any) -> None:
    """Make every successful answer of this client either one of its operation or an ApiError."""
    service = client.meta.service_model.service_id.hyphenize()
    client.meta.events.register(f"before-parse.{service}", _check)


def incomplete(operation: OperationModel, problem: str) -> ApiError:
    """Return the error for an answer that is not whole."""
    return ApiError(
        operation.service_model.service_name,
        operation.name,
        code="IncompleteAnswer",
        message=f"the answer {problem}; does a proxy or firewall change answers of AWS?",
    )


def json_object(operation: OperationModel, body: bytes) -> dict[str, Any]:
    """Return the JSON object of an answer; raise ApiError if it is anything else."""
    try:
        answer = json.loads(body)
    except (ValueError, RecursionError):
        answer = None
    if not isinstance(answer, dict):
        raise incomplete(operation, "is not a JSON object")
    return answer


def is_success(response: dict[str, Any]) -> bool:
    """Return whether the status of an HTTP response is one of success."""
    return bool(HTTPStatus.OK <= response["status_code"] < HTTPStatus.MULTIPLE_CHOICES)


def _check(operation_model: OperationModel, response_dict: dict[str, Any], **_: Any) -> None:
    shape = operation_model.output_shape
    if not is_success(response_dict) or shape is None or "payload" in shape.serialization:
        return
    match operation_model.service_model.resolved_protocol:
        case "json" | "rest-json":
            _check_json(operation_model, shape, response_dict["body"])
        case "query" | "ec2" | "rest-xml":
            _check_xml(operation_model, shape, response_dict["body"])
        case "smithy-rpc-v2-cbor":
            _check_cbor(operation_model, response_dict)
        case other:
            raise incomplete(operation_model, f"is in the unknown protocol {other}")


def _check_json(operation: OperationModel, shape: Any, body: bytes) -> None:
    answer = json_object(operation, body)
    members: dict[str, Shape] = {
        member.serialization.get("name", name): member
        for name, member in shape.members.items()
        if member.serialization.get("location") is None
    }
    present = [name for name in members if answer.get(name) is not None]
    is_empty = not answer and operation.name in _MAY_BE_EMPTY
    if members and not present and not is_empty:
        raise incomplete(operation, f"holds none of {', '.join(sorted(members))}")
    for name in present:
        expected = _JSON_TYPES.get(members[name].type_name, object)
        if not isinstance(answer[name], expected):
            raise incomplete(operation, f"holds no {expected.__name__} under {name}")


def _check_cbor(operation: OperationModel, response: dict[str, Any]) -> None:
    """An answer in CBOR says so in a header, and is a map that is not empty.

    Source: https://smithy.io/2.0/additional-specs/protocols/smithy-rpc-v2.html#responses
    """
    if response["headers"].get("smithy-protocol") != "rpc-v2-cbor":
        raise incomplete(operation, "is not in the protocol of the service")
    body = response["body"]
    if not body or body[0] >> 5 != _CBOR_MAP or body in {b"\xa0", b"\xbf\xff"}:
        raise incomplete(operation, "is not a map with content")


def _check_xml(operation: OperationModel, shape: Any, body: bytes) -> None:
    """The root of an XML answer has the name of the operation, except in S3; some are headers only.

    Source: https://smithy.io/2.0/aws/protocols/aws-query-protocol.html#response-serialization
    """
    if all(member.serialization.get("location") for member in shape.members.values()):
        if body.strip():
            raise incomplete(operation, "has a body")
        return
    try:
        root = ET.fromstring(body)  # noqa: S314 - as botocore parses it; expat resolves no entities
    except ET.ParseError:
        raise incomplete(operation, "is not XML") from None
    names = {element.tag.rpartition("}")[2] for element in (root, *root)}
    root_name = _XML_ROOTS.get(operation.name, f"{operation.name}Response")
    wanted = {root_name, shape.serialization.get("resultWrapper")} - {None}
    if not wanted <= names:
        raise incomplete(operation, f"is not a {root_name}")
