"""The clients of our sessions are smaller than the SDK's own, and can do all that is called."""

from __future__ import annotations

import ast
import json
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import botocore.session
import pytest
from botocore.awsrequest import AWSResponse
from botocore.handlers import BUILTIN_HANDLERS
from botocore.hooks import EventAliaser
from botocore.model import ListShape, MapShape, OperationModel, ServiceModel, StructureShape

import ecr_cleaner
from ecr_cleaner.aws.sdk import callable_operations, core_session, reduced
from ecr_cleaner.core.settings import Settings
from ecr_cleaner.usage.sources import sources_for

OPTIONAL = Settings(inspector_coverage=True, reference_lists=("ssm:list",))
BESIDE = {"ec2", "ecr", "eks", "organizations", "s3", "sns", "sqs", "ssm", "sts"}
SERVICES = sorted({source.service for source in sources_for(OPTIONAL)} | BESIDE)
PROGRAM = Path(ecr_cleaner.__path__[0])
PERMISSIONS = (PROGRAM / "permissions.json").read_text()

OURS, DEFAULT = core_session(), botocore.session.get_session()


def model_of(session: Any, service: str) -> ServiceModel:
    model: ServiceModel = session.get_service_model(service)
    return model


def client_of(session: Any, service: str) -> Any:
    return session.create_client(service, "eu-west-1")


def strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    else:
        for one in value.values() if isinstance(value, dict) else value:
            yield from strings(one)


# -- Models ------------------------------------------------------------------------------------


SHAPES = {
    "Asked": {"type": "structure", "members": {"name": {"shape": "Text"}}},
    "Tree": {
        "type": "structure",
        "members": {"left": {"shape": "Tree"}, "leaves": {"shape": "Texts"}},
    },
    "Texts": {"type": "list", "member": {"shape": "Text"}},
    "Text": {"type": "string"},
    "Gone": {"type": "structure", "members": {}, "exception": True},
    "Other": {"type": "map", "key": {"shape": "Text"}, "value": {"shape": "Number"}},
    "Number": {"type": "integer"},
}
OPERATIONS = {
    "GetTree": {
        "name": "GetTree",
        "input": {"shape": "Asked"},
        "output": {"shape": "Tree"},
        "errors": [{"shape": "Gone"}],
    },
    "PutOther": {"name": "PutOther", "input": {"shape": "Other"}},
    "Ping": {"name": "Ping"},
}


@pytest.mark.parametrize(
    ("operations", "shapes"),
    [
        ({"GetTree"}, {"Asked", "Tree", "Texts", "Text", "Gone"}),
        ({"PutOther"}, {"Other", "Text", "Number"}),
        ({"Ping"}, set()),
        ({"GetTree", "PutOther", "Ping"}, set(SHAPES)),
        ({"Unknown"}, set()),
    ],
)
def test_model_keeps_some_operations_and_the_shapes_that_they_need(
    operations: set[str], shapes: set[str]
) -> None:
    model = {"metadata": {"serviceId": "One"}, "operations": OPERATIONS, "shapes": SHAPES}

    kept = reduced(model, frozenset(operations))

    assert set(kept["operations"]) == operations & set(OPERATIONS)
    assert set(kept["shapes"]) == shapes
    assert kept["metadata"] == model["metadata"]


def test_every_permission_can_be_used() -> None:
    known = {name for service in SERVICES for name in model_of(OURS, service).operation_names}
    allowed = {action.partition(":")[2] for action in strings(json.loads(PERMISSIONS))}

    # IAM's name for ListObjectsV2.
    assert allowed - known == {"ListBucket"}
    whole = set(model_of(DEFAULT, "sts").operation_names)
    assert known - allowed - whole == {
        "ChangeMessageVisibilityBatch",
        "DeleteMessageBatch",
        "HeadBucket",
        "ListObjectsV2",
    }


@pytest.mark.parametrize("service", ["signin", "sso", "sso-oidc", "sts"])
def test_services_of_credentials_are_whole_because_the_sdk_calls_them(service: str) -> None:
    assert model_of(OURS, service).operation_names == model_of(DEFAULT, service).operation_names


def test_every_operation_that_the_code_names_can_be_called() -> None:
    """Also those whose permission has another name, such as the batches of SQS."""
    known = {name for service in SERVICES for name in model_of(DEFAULT, service).operation_names}
    trees = [ast.parse(file.read_text()) for file in PROGRAM.rglob("*.py")]
    constants = (
        node for tree in trees for node in ast.walk(tree) if isinstance(node, ast.Constant)
    )
    named = {one.value for one in constants if isinstance(one.value, str)} & known

    assert {"ListTasks", "ReceiveMessage", "BatchDeleteImage"} <= named
    assert named <= callable_operations()


def members(shape: Any, seen: set[str]) -> Iterator[str]:
    """Yield the name and the type of all that a shape holds."""
    if shape is None or shape.name in seen:
        return
    seen.add(shape.name)
    inner: list[Any] = []
    if isinstance(shape, StructureShape):
        yield f"{shape.name} {sorted(shape.members)}"
        inner = list(shape.members.values())
    elif isinstance(shape, ListShape):
        inner = [shape.member]
    elif isinstance(shape, MapShape):
        inner = [shape.key, shape.value]
    for one in inner:
        yield from members(one, seen)


def content(operation: OperationModel) -> list[str]:
    seen: set[str] = set()
    shapes = [operation.input_shape, operation.output_shape, *operation.error_shapes]
    return [line for shape in shapes for line in members(shape, seen)]


@pytest.mark.parametrize("service", SERVICES)
def test_operation_that_can_be_called_is_as_the_sdk_has_it(service: str) -> None:
    ours, default = model_of(OURS, service), model_of(DEFAULT, service)

    assert ours.operation_names
    for name in ours.operation_names:
        assert content(ours.operation_model(name)) == content(default.operation_model(name))
    assert ours.metadata == default.metadata


# -- Events ------------------------------------------------------------------------------------

# What a client emits for each call, with the hyphenized id of its service and the operation.
EMITTED = (
    *("provide-client-params", "before-parameter-build", "before-endpoint-resolution"),
    *("before-call", "request-created", "choose-signer", "before-sign", "before-send"),
    *("before-parse", "needs-retry", "after-call", "after-call-error", "response-received"),
)


def handlers(emitter: Any, name: str) -> list[str]:
    """Return the handlers of an event, in their order. Nothing public of the SDK returns them."""
    if isinstance(emitter, EventAliaser):
        aliaser: Any = emitter
        name, emitter = aliaser._alias_event_name(name), aliaser._emitter  # noqa: SLF001
    found = emitter._handlers.prefix_search(name)  # noqa: SLF001
    return [getattr(one, "__qualname__", type(one).__qualname__) for one in found]


@pytest.mark.parametrize("service", SERVICES)
def test_calls_have_the_handlers_of_the_sdk(service: str) -> None:
    ours, default = client_of(OURS, service), client_of(DEFAULT, service)
    identity = ours.meta.service_model.service_id.hyphenize()

    for operation in ours.meta.service_model.operation_names:
        for event in EMITTED:
            name = f"{event}.{identity}.{operation}"
            assert handlers(ours.meta.events, name) == handlers(default.meta.events, name), name


def test_documentation_has_no_handlers() -> None:
    events = OURS.get_component("event_emitter")
    names = [event for event, *_ in BUILTIN_HANDLERS if event.startswith("docs.")]

    assert names
    assert not any(handlers(events, name) for name in names)


def test_handlers_of_the_sdk_take_part_in_a_call() -> None:
    """One of them asks S3 to encode keys, and decodes them in the answer."""
    urls: list[str] = []
    content = b"<EncodingType>url</EncodingType><Contents><Key>a%20b</Key></Contents>"
    body = b"<ListBucketResult>" + content + b"</ListBucketResult>"

    def answer(request: Any, **_: Any) -> AWSResponse:
        urls.append(request.url)
        raw: Any = SimpleNamespace(stream=lambda: [body])
        headers: Any = {}
        return AWSResponse(request.url, 200, headers, raw)

    s3 = client_of(core_session(), "s3")
    s3.meta.events.register("before-send", answer)

    assert s3.list_objects_v2(Bucket="bucket")["Contents"] == [{"Key": "a b"}]
    assert "encoding-type=url" in urls[0]
