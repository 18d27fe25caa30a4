"""Sessions of the SDK whose clients take little time and memory.

A run makes a client for each service in each region and account. With the SDK's defaults, that
takes most of the time of a run. Tests compare what is changed here with the SDK's defaults.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

from botocore.handlers import BUILTIN_HANDLERS
from botocore.hooks import HierarchicalEmitter
from botocore.loaders import JSONFileLoader, Loader, create_loader
from botocore.session import Session
from botocore.utils import parse_timestamp

from ecr_cleaner.aws.certificates import share_certificates

_PERMISSIONS = Path(__file__).parent.parent / "permissions.json"
# Operations that need no permission, or one of another name. The SDK itself calls HeadBucket to
# find the region of a bucket.
_WITHOUT_ACTION = frozenset(
    {
        "ChangeMessageVisibilityBatch",
        "DeleteMessageBatch",
        "GetCallerIdentity",
        "HeadBucket",
        "ListObjectsV2",
    }
)
# The SDK calls them for credentials: of web identities, roles and single sign-on.
_OF_CREDENTIALS = frozenset({"signin", "sso", "sso-oidc", "sts"})


def core_session() -> Session:
    """Return a session of the SDK. All of them share what was read of its models."""
    share_certificates()
    hooks = HierarchicalEmitter()
    core = Session(event_hooks=hooks)
    # The SDK's own emitter, for each client again, also translates old names of events. What the
    # SDK registers and emits has the names of today.
    core.register_component("event_emitter", hooks)
    # Each client copies what is registered; these write the SDK's documentation.
    for event, handler, *_ in BUILTIN_HANDLERS:
        if event.startswith("docs."):
            core.unregister(event, handler)
    factory = core.get_component("response_parser_factory")
    factory.set_parser_defaults(timestamp_parser=_time)
    core.register_component("data_loader", _loader(core.get_config_variable("data_path")))
    return core


@cache
def callable_operations() -> frozenset[str]:
    """Return the names of all operations that the program may call, of any service."""
    permissions = json.loads(_PERMISSIONS.read_text())
    return _WITHOUT_ACTION | {action.partition(":")[2] for action in _strings(permissions)}


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    else:
        for one in value.values() if isinstance(value, dict) else value:
            yield from _strings(one)


def reduced(model: Mapping[str, Any], operations: frozenset[str]) -> dict[str, Any]:
    """Return the model of a service with these operations only, and the shapes that they need.

    Each client has a method, and more, for each operation of its model. EC2 has 700 of them.
    """
    kept = {name: one for name, one in model["operations"].items() if name in operations}
    shapes = model["shapes"]
    found: dict[str, Any] = {}
    waiting = [kept]
    while waiting:
        for name in _shape_names(waiting.pop()):
            if name not in found:
                found[name] = shapes[name]
                waiting.append(shapes[name])
    return {**model, "operations": kept, "shapes": found}


def _shape_names(value: Any) -> Iterator[str]:
    """Yield the names of the shapes that an operation or a shape refers to."""
    if isinstance(value, dict):
        name = value.get("shape")
        if isinstance(name, str):
            yield name
        for one in value.values():
            yield from _shape_names(one)
    elif isinstance(value, list):
        for one in value:
            yield from _shape_names(one)


class _Models(JSONFileLoader):
    """Reads the files of the SDK; of most models, only what the program may call is kept."""

    def load_file(self, file_path: str) -> Any:
        content = super().load_file(file_path)
        *_, service, _, name = Path(file_path).parts
        is_whole = content is None or name != "service-2" or service in _OF_CREDENTIALS
        return content if is_whole else reduced(content, callable_operations())


@cache
def _loader(path: str | None) -> Loader:
    loader = create_loader(path)
    loader.file_loader = _Models()
    return loader


def _time(value: Any) -> datetime:
    """Parse a time of an answer. Faster than the SDK, which looks up the local zone each time."""
    if isinstance(value, int | float):
        return datetime.fromtimestamp(value, UTC)
    return parse_timestamp(value)
