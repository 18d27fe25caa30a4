"""Fields of the SDK's models that can name a container image, and which of them are read.

A field is found by its name or by its documentation, in any answer of an operation that reads.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import botocore.session

from ecr_cleaner.core.settings import Settings
from ecr_cleaner.usage.shared.reading import Rows
from ecr_cleaner.usage.sources import sources_for

REVIEWED = Path(__file__).resolve().parent / "usage" / "image_fields.json"
PERMISSIONS = (
    Path(__file__).resolve().parent.parent / "lambda_src" / "ecr_cleaner" / "permissions.json"
)

_READS = re.compile(r"(?:BatchGet|Describe|Get|List|Query|Search)")
_NAME = re.compile(
    r"(?:^|container_?)image$|images?_?(?:ur[il]|identifier|digest)$|container_?uri$"
    r"|^ecr|ecr_?(?:uri|image|repo)",
    re.IGNORECASE,
)
_TEXT = re.compile(
    r"\bECR\b|Elastic Container Registry|container image|docker image|dkr\.ecr", re.IGNORECASE
)
_TAG = re.compile(r"<[^>]+>")

Model = Mapping[str, Any]


def models() -> Iterator[tuple[str, Model]]:
    """Yield the raw model of each service that the SDK knows."""
    session = botocore.session.get_session()
    loader = session.get_component("data_loader")
    for service in session.get_available_services():
        yield service, loader.load_service_model(service, "service-2")


def candidates(model: Model, operations: Iterator[str] | None = None) -> set[str]:
    """Return ``Shape.member`` of each field in the answers of these operations."""
    shapes = model["shapes"]
    return {
        f"{name}.{member}"
        for name in _reachable(model, operations)
        for member, reference in shapes[name].get("members", {}).items()
        if _is_text(shapes, reference["shape"]) and _names_image(shapes, member, reference)
    }


def _reachable(model: Model, operations: Iterator[str] | None) -> set[str]:
    """Return the shapes of all that the operations answer; None: all that read."""
    every = model["operations"]
    chosen = filter(_READS.match, every) if operations is None else operations
    waiting = [every[one]["output"]["shape"] for one in chosen if "output" in every[one]]
    seen: set[str] = set()
    while waiting:
        name = waiting.pop()
        if name not in seen:
            seen.add(name)
            waiting += _inner(model["shapes"][name])
    return seen


def _inner(shape: Model) -> list[str]:
    parts = [*shape.get("members", {}).values()]
    parts += [shape[one] for one in ("member", "value") if one in shape]
    return [part["shape"] for part in parts]


def _is_text(shapes: Model, name: str) -> bool:
    """Return whether this is a string without a fixed set of values, or a list of such."""
    shape = shapes[name]
    while shape["type"] == "list":
        shape = shapes[shape["member"]["shape"]]
    return shape["type"] == "string" and "enum" not in shape


def _names_image(shapes: Model, member: str, reference: Model) -> bool:
    if _NAME.search(member):
        return True
    texts = (
        reference.get("documentation", ""),
        shapes[reference["shape"]].get("documentation", ""),
    )
    return any(_TEXT.search(_TAG.sub("", text)) for text in texts if text)


@cache
def operations_read() -> dict[str, set[str]]:
    """Return, by service, the operations whose answers are walked whole."""
    read: dict[str, set[str]] = {}
    permissions = json.loads(PERMISSIONS.read_text())
    actions = permissions["usage"] | permissions["optional"]
    session = botocore.session.get_session()
    for source in sources_for(Settings(inspector_coverage=True)):
        own = read.setdefault(source.service, set())
        if isinstance(source, Rows):
            own |= {row.steps[-1].operation for row in source.rows}
        else:
            known = session.get_service_model(source.service).operation_names
            own |= {one.partition(":")[2] for one in actions[source.name]} & set(known)
    return read


def unread() -> dict[str, set[str]]:
    """Return, by service, the fields that no source reads."""
    left = {}
    for service, model in models():
        read = candidates(model, iter(operations_read().get(service, ())))
        fields = candidates(model) - read
        if fields:
            left[service] = fields
    return left


def reviewed() -> dict[str, dict[str, list[str]]]:
    """Return, by service and reason, the fields that were decided upon."""
    known: dict[str, dict[str, list[str]]] = json.loads(REVIEWED.read_text())
    return known
