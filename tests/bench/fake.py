"""The fake AWS as a separate process: ``python -m bench.fake CONFIG`` on loopback.

It prints its port, serves until its standard input closes, and returns its statistics at
``/bench/stats``. It is a separate process so that its work is not measured with the program.
"""

from __future__ import annotations

import asyncio
import gc
import json
import re
import ssl
import sys
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from random import Random
from typing import Any
from urllib.parse import parse_qsl, unquote

import botocore.session

from bench.config import FakeConfig, Fault
from bench.minimum import least_calls, sequential_calls
from bench.rates import Buckets
from bench.services import (
    OPERATIONS,
    Account,
    Answer,
    Operation,
    Parameters,
    Refusal,
    Registry,
    find,
)
from bench.world import ACCOUNT, HOME, Place, World

_OPERATION_PATH = re.compile(r"/service/[^/]+/operation/(?P<name>[A-Za-z0-9]+)")
_SIGNED_FOR = re.compile(
    r"Credential=(?:ASIA(?P<account>[0-9]{12})|[^/]+)/[0-9]+/(?P<region>[^/]+)/(?P<service>[^/]+)/"
)
_BOTO3_NAMES = {
    "bedrock-agentcore": "bedrock-agentcore-control",
    "cleanrooms-ml": "cleanroomsml",
    "elasticmapreduce": "emr",
    "greengrass": "greengrassv2",
    "states": "stepfunctions",
}
# They speak the query protocol, and in every world they have nothing.
_QUERY = frozenset({"autoscaling", "ec2", "elasticbeanstalk"})


_OBJECT = "application/octet-stream"


# These calls work in a region that is closed; those of AWS Organizations are made in no region.
_OPEN = frozenset({"ec2:DescribeRegions", "sts:AssumeRole", "sts:GetCallerIdentity"})


@dataclass(frozen=True, slots=True)
class Request:
    """One HTTP request."""

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class Call:
    """One call of an operation, parsed from a request; ``encode`` serializes its answer."""

    operation: str
    parameters: Mapping[str, Any]
    encode: Callable[[Any], bytes]
    media_type: str


def _place_of(request: Request) -> Place:
    """Return whose credentials sign a request, and for which region: all have one address.

    The ids of the credentials that AssumeRole returns name the account.
    """
    signed = _SIGNED_FOR.search(request.headers.get("authorization", ""))
    return Place(signed["account"] or ACCOUNT, signed["region"]) if signed else HOME


# -- Protocols ---------------------------------------------------------------------------------


def _json(answer: Any) -> bytes:
    return json.dumps(answer).encode()


def _cbor(value: Any) -> bytes:
    """Encode strings, maps and lists as CBOR (RFC 8949)."""
    if isinstance(value, str):
        return _cbor_head(3, len(value.encode())) + value.encode()
    if isinstance(value, dict):
        items = b"".join(_cbor(key) + _cbor(item) for key, item in value.items())
        return _cbor_head(5, len(value)) + items
    return _cbor_head(4, len(value)) + b"".join(map(_cbor, value))


def _cbor_head(kind: int, count: int) -> bytes:
    if count < 24:
        return bytes([kind << 5 | count])
    return bytes([kind << 5 | 25]) + count.to_bytes(2)


def _xml(action: str) -> Callable[[Any], bytes]:
    """Return what writes an answer, in either of the XML protocols."""

    def write(answer: Any) -> bytes:
        fields = _elements(answer)
        body = (
            fields if action == "DescribeRegions" else f"<{action}Result>{fields}</{action}Result>"
        )
        return f"<{action}Response>{body}</{action}Response>".encode()

    return write


def _elements(value: Any) -> str:
    if isinstance(value, dict):
        return "".join(f"<{key}>{_elements(item)}</{key}>" for key, item in value.items())
    if isinstance(value, list):
        return "".join(f"<item>{_elements(item)}</item>" for item in value)
    return str(value)


def _empty_xml(action: str) -> Callable[[Any], bytes]:
    """Return what writes the answer of a listing that is empty in every world.

    The elements of its lists are there, as AWS writes them, in either of its XML protocols.
    """
    names = {"DescribeLaunchTemplates": "launchTemplates"}
    element = names.get(action, action.removeprefix("Describe"))
    body = f"<{element}/><{action}Result><{element}/></{action}Result>"
    return lambda _: f"<{action}Response>{body}</{action}Response>".encode()


def read_call(request: Request) -> Call:
    """Return the call in a request, in any of the protocols of AWS."""
    signed = _SIGNED_FOR.search(request.headers.get("authorization", ""))
    signer = signed["service"] if signed else "unsigned"
    service = _BOTO3_NAMES.get(signer, signer)
    target = request.headers.get("x-amz-target")
    if target:
        operation = f"{service}:{target.rpartition('.')[2]}"
        parameters = json.loads(request.body or b"{}")
        return Call(operation, parameters, _json, "application/x-amz-json-1.1")
    by_path = _OPERATION_PATH.fullmatch(request.path)
    if by_path:
        return Call(f"{service}:{by_path['name']}", {}, _cbor, "application/cbor")
    if service == "sts":
        form = dict(parse_qsl(request.body.decode()))
        return Call(f"sts:{form['Action']}", form, _xml(form["Action"]), "text/xml")
    if service in _QUERY:
        form = dict(parse_qsl(request.body.decode()))
        action = form["Action"]
        encode = _xml(action) if f"{service}:{action}" in OPERATIONS else _empty_xml(action)
        return Call(f"{service}:{action}", form, encode, "text/xml")
    if service == "lambda" and request.path.endswith("/runtimes"):
        return _read_rest_call("lambda-core", request)
    return _read_rest_call(service, request)


def _read_rest_call(service: str, request: Request) -> Call:
    if service == "s3":
        operation = "PutObject" if request.method == "PUT" else "GetObject"
        condition = request.headers.get("if-none-match")
        named = {"Key": request.path, "Body": request.body, "IfNoneMatch": condition}
        return Call(f"s3:{operation}", named, lambda answer: bytes(answer["Body"]), _OBJECT)
    for method, pattern, name in _routes(service):
        match = pattern.fullmatch(request.path)
        if match and method == request.method:
            path = {key: unquote(value) for key, value in match.groupdict().items()}
            body = json.loads(request.body) if request.body else {}
            parameters = {**dict(parse_qsl(request.query)), **path, **body}
            return Call(f"{service}:{name}", parameters, _json, "application/json")
    route = f"{service}:{request.method} {request.path}"
    return Call(route, {}, _json, "application/json")


@cache
def _routes(service: str) -> list[tuple[str, re.Pattern[str], str]]:
    """Return the methods and paths of a REST service from its model in the SDK."""
    try:
        model = botocore.session.get_session().get_service_model(service)
    except botocore.exceptions.UnknownServiceError:
        return []
    routes = []
    for name in model.operation_names:
        http = model.operation_model(name).http
        path = re.sub(r"\{(\w+)\+?\}", r"(?P<\1>[^/]+)", http["requestUri"].partition("?")[0])
        routes.append((http["method"], re.compile(path), name))
    return routes


# -- Answers -----------------------------------------------------------------------------------


class Fake:
    """Answers calls and counts them."""

    def __init__(self, config: FakeConfig, clock: Callable[[], float] = time.time) -> None:
        self.config = config
        self._clock = clock
        self._random = Random(config.world.seed)  # noqa: S311 -- not secret: repeatable
        world = World(config.world, clock())
        modes = {"dry": False, "full": True}
        self._least = {mode: least_calls(world, deleting=full) for mode, full in modes.items()}
        self._sequential = {
            mode: sequential_calls(world, deleting=full) for mode, full in modes.items()
        }
        self._removable = {
            (name, digest)
            for name, steps in world.removable.items()
            for step in steps
            for digest in step
        }
        self._registry = Registry(world, clock, config.session_seconds)
        self._buckets = Buckets(config.rates)
        self._calls: Counter[str] = Counter()
        self._throttled: Counter[str] = Counter()
        self._faults: Counter[str] = Counter()
        self._first_call_at = 0.0

    def stats(self) -> Answer:
        registry, world = self._registry, self._registry.world
        removed = registry.removed
        return {
            "first_call_at": self._first_call_at,
            "calls": self._calls,
            "throttled": self._throttled,
            "faults": self._faults,
            "least": self._least,
            "sequential": self._sequential,
            "images": len(removed) + sum(len(one.images) for one in world.repositories.values()),
            "consumers": sum(world.needed.values()),
            "removable": len(self._removable),
            "removed": len(removed),
            "removed_wrongly": len(removed - self._removable),
            "broken": sum(registry.broken.values()),
        }

    def document(self, key: str) -> bytes:
        """Return an object of S3 by its path, without a call."""
        return self._registry.objects[key]

    def delay(self) -> float:
        return self.config.latency + self._random.random() * self.config.jitter

    def answer(self, request: Request) -> bytes | None:
        """Return the HTTP response, or None to close the connection instead."""
        if request.path == "/bench/stats":
            return _response(200, "application/json", _json(self.stats()))
        self._first_call_at = self._first_call_at or self._clock()
        call = read_call(request)
        place = _place_of(request)
        if not self._buckets.take(call.operation, self._clock()):
            self._throttled[call.operation] += 1
            return _refused(call, Refusal("ThrottlingException", "Rate exceeded"))
        self._calls[call.operation] += 1
        kind = self._fault(call.operation, place)
        if kind == "dropped":
            return None
        try:
            answer = self._work(call, kind, place)
        except Refusal as refusal:
            return _refused(call, refusal)
        return None if kind == "lost" else answer

    def _fault(self, operation: str, place: Place) -> str:
        for fault in self.config.faults:
            if _is_about(fault, operation, place) and self._random.random() < fault.probability:
                self._faults[f"{fault.operation} {fault.kind}"] += 1
                return fault.kind
        return ""

    def _work(self, call: Call, kind: str, place: Place) -> bytes:
        account = Account(place, self._registry, self._registry.world.consumers(place))
        if kind in {"denied", "closed"}:
            why = " with an explicit deny in a service control policy" if kind == "closed" else ""
            denial = f"not authorized to perform: {call.operation}{why}"
            raise Refusal("AccessDeniedException", denial)
        if kind == "disabled":
            raise Refusal("UnrecognizedClientException", "the security token is invalid")
        if kind == "throttled":
            raise Refusal("ThrottlingException", "Rate exceeded")
        if kind == "error":
            raise Refusal("ServerException", "it is not your fault", status=500)
        operation = find(call.operation)
        if operation is None:
            raise Refusal("NotImplementedByBench", f"nobody wrote {call.operation} yet")
        if kind == "partial":
            operation = _partly(operation)
        answer = operation(account, call.parameters)
        body = call.encode(answer)
        if kind == "garbled":
            body = _garbled(answer, body, call, self._random)
        return _response(200, call.media_type, body)


def _is_about(fault: Fault, operation: str, place: Place) -> bool:
    if fault.place not in {"", place.account, f"{place.account}/{place.region}"}:
        return False
    if fault.operation == "*":
        return operation not in _OPEN and not operation.startswith("organizations:")
    return fault.operation == operation


_FAILURES = {
    "services": {"arn": "unknown", "reason": "INTERNAL"},
    "tasks": {"arn": "unknown", "reason": "INTERNAL"},
    "images": {"failureCode": "KmsError", "failureReason": "unknown"},
}


def _partly(operation: Operation) -> Operation:
    """Return the operation with a failure for the first item of its batch, if it has batches."""

    def describe(account: Account, parameters: Parameters) -> Answer:
        answer = operation(account, parameters)
        for key, failure in _FAILURES.items():
            if answer.get(key):
                answer[key] = answer[key][1:]
                answer["failures"].append(failure)
        return answer

    def delete(account: Account, parameters: Parameters) -> Answer:
        spared, *ids = parameters["imageIds"]
        answer: Answer = {"imageIds": [], "failures": []}
        if ids:
            answer = operation(account, {**parameters, "imageIds": ids})
        answer["failures"].append({"imageId": spared, "failureCode": "KmsError"})
        return answer

    return delete if operation is OPERATIONS["ecr:BatchDeleteImage"] else describe


def _garbled(answer: Answer, body: bytes, call: Call, random: Random) -> bytes:
    """Return what a proxy or a broken connection could make of an answer."""
    if call.media_type == _OBJECT:
        return body[: len(body) // 2]
    if call.media_type == "text/xml" and random.random() < 0.5:
        return call.encode({})
    lists = [name for name, value in answer.items() if isinstance(value, list)]
    changed = dict(answer)
    if lists:
        changed[random.choice(lists)] = None
    without = {name: value for name, value in changed.items() if value is not None}
    empty = (b"", b"{}", b"[]", b"null", b'"ok"', b"<html><body>blocked</body></html>")
    return random.choice((*empty, body[:-2], _json(changed), _json(without)) if lists else empty)


def _refused(call: Call, refusal: Refusal) -> bytes:
    headers = f"x-amzn-errortype: {refusal.code}\r\n"
    if call.media_type in {"text/xml", _OBJECT}:
        body = _refusal_xml(call, refusal)
    else:
        body = call.encode({"__type": refusal.code, "message": refusal.message})
    return _response(refusal.status, call.media_type, body, headers)


def _refusal_xml(call: Call, refusal: Refusal) -> bytes:
    error: Answer = {"Error": {"Code": refusal.code, "Message": refusal.message}}
    if call.operation.startswith("ec2:"):
        error = {"Response": {"Errors": error}}
    elif call.media_type == _OBJECT:
        error = {"Error": error["Error"]}
    else:
        error = {"ErrorResponse": error}
    return _elements(error).encode()


def _response(status: int, media_type: str, body: bytes, headers: str = "") -> bytes:
    if media_type == "application/cbor":
        headers += "smithy-protocol: rpc-v2-cbor\r\n"
    head = (
        f"HTTP/1.1 {status} Answer\r\nContent-Type: {media_type}\r\n"
        f"Content-Length: {len(body)}\r\n{headers}\r\n"
    )
    return head.encode() + body


# -- HTTP --------------------------------------------------------------------------------------


class Connection(asyncio.Protocol):
    """HTTP/1.1 with keep-alive, as far as an AWS SDK uses it."""

    def __init__(self, fake: Fake) -> None:
        self._fake = fake
        self._received = bytearray()
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._received += data
        while (request := self._take_request()) is not None:
            answer = self._fake.answer(request)
            asyncio.get_running_loop().call_later(self._fake.delay(), self._send, answer)

    def _take_request(self) -> Request | None:
        end = self._received.find(b"\r\n\r\n")
        if end < 0:
            return None
        first, *lines = self._received[:end].decode("latin-1").split("\r\n")
        fields = (line.partition(":") for line in lines)
        headers = {name.lower(): value.strip() for name, _, value in fields}
        body_end = end + 4 + int(headers.get("content-length", 0))
        if len(self._received) < body_end:
            return None
        body = bytes(self._received[end + 4 : body_end])
        del self._received[:body_end]
        method, target, _ = first.split(" ")
        path, _, query = target.partition("?")
        return Request(method, path, query, headers, body)

    def _send(self, answer: bytes | None) -> None:
        if self._transport is None or self._transport.is_closing():
            return
        if answer is None:
            self._transport.abort()
        else:
            self._transport.write(answer)


async def _serve(fake: Fake, tls: ssl.SSLContext | None) -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Connection(fake), "127.0.0.1", 0, ssl=tls)
    sys.stdout.write(f"{server.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    await loop.run_in_executor(None, sys.stdin.read)
    server.close()


def main() -> None:
    """Serve one account; with the files of a certificate and its key, by HTTPS."""
    configuration, *files = sys.argv[1:]
    fake = Fake(FakeConfig.from_json(configuration))
    tls = None
    if files:
        tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        tls.load_cert_chain(*files)
    # The account is large and never freed, so exclude it from garbage collection.
    gc.collect()
    gc.freeze()
    asyncio.run(_serve(fake, tls))


if __name__ == "__main__":
    main()
