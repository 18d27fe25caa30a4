"""References to images in objects of Kubernetes. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from itertools import chain
from typing import Any

from ecr_cleaner.core.apart import (
    ANY_TAG,
    digests_of,
    has_computed_end,
    is_untagged,
    may_be_place,
    tags_of,
    with_registry,
)
from ecr_cleaner.core.model import ImageReference, ReferencePattern
from ecr_cleaner.core.reference import is_digest, parse
from ecr_cleaner.core.walk import find

Object = dict[str, Any]

_STATUSES = ("initContainerStatuses", "containerStatuses", "ephemeralContainerStatuses")
_CONTAINERS = ("initContainers", "containers", "ephemeralContainers")


def references_of(item: Object) -> Iterator[ImageReference | ReferencePattern]:
    """Yield each reference of an object. The object is changed: its parts are joined."""
    metadata = item.get("metadata")
    if isinstance(metadata, dict):
        # A third of a pod: the names of its fields, whose values stand in the fields themselves.
        metadata.pop("managedFields", None)
    combine(item)
    yield from find(item).references
    yield from running(item)


def combine(item: Object) -> None:
    """Join a repository with the tag and the digest that stand beside it.

    Charts and operators write them apart: ``image: {repository: ..., tag: ...}``. Whatever cannot
    be joined for certain stays as it is, which means any image of the repository.
    """
    waiting: list[Any] = [item]
    while waiting:
        node = waiting.pop()
        is_object = type(node) is dict
        names_image = False
        # Every member of every object comes by here: plain loops take a quarter of the time.
        for value in node.values() if is_object else node:
            kind = type(value)
            if kind is dict or kind is list:
                waiting.append(value)
            elif kind is str and "dkr" in value:
                names_image = True
        if is_object and names_image:
            _combine(node)


def _combine(node: Object) -> None:
    node.update(with_registry(node))
    for key, value in list(node.items()):
        if isinstance(value, str) and is_untagged(value):
            node[key] = _joined(key, value, node)


def _joined(key: str, value: str, node: Mapping[str, Any]) -> list[str]:
    """Return the references that a repository and its neighbours make.

    An image without a tag means ``latest``. A repository means any image, unless a tag is written.
    """
    exact, likely = ([f"{value}:{tag}" for tag in tags] for tags in tags_of(node.items()))
    pinned = [f"{value}@{digest}" for digest in digests_of(node.items())]
    whole = [f"{value}:{ANY_TAG}"] if has_computed_end(node.items()) else []
    below = [f"{value}/*"] if may_be_place(key) else []
    lowered = key.lower()
    if "image" in lowered and "repo" not in lowered:
        return [value, *exact, *likely, *pinned, *whole, *below]
    is_certain = (exact or pinned) and not whole
    return [*exact, *likely, *pinned, *below] if is_certain else [f"{value}:{ANY_TAG}", *below]


def running(item: Mapping[str, Any]) -> Iterator[ImageReference]:
    """Yield what a pod runs by digest: in the repository of ``imageID`` and in that of the spec.

    The runtime may name another repository that holds the same digest.
    """
    spec, status = item.get("spec"), item.get("status")
    if not isinstance(spec, dict) or not isinstance(status, dict):
        return
    images = {one.get("name"): one.get("image") for one in _objects(spec, _CONTAINERS)}
    for container in _objects(status, _STATUSES):
        digest = _digest(container.get("imageID"))
        for image in (images.get(container.get("name")), *_written(container)):
            reference = parse(image) if digest and isinstance(image, str) else None
            if reference:
                yield replace(reference, tag=None, digest=digest)


def _written(container: Mapping[str, Any]) -> Iterator[Any]:
    yield container.get("image")
    image_id = container.get("imageID")
    yield image_id.rpartition("//")[2] if isinstance(image_id, str) else None


def _digest(image_id: Any) -> str | None:
    """Return the digest of ``HOST/REPOSITORY@sha256:...``, with or without a scheme before it."""
    text = image_id.rpartition("@")[2] if isinstance(image_id, str) else ""
    digest = text.rpartition("//")[2]
    return digest if is_digest(digest) else None


def _objects(node: Mapping[str, Any], keys: Iterable[str]) -> Iterator[Mapping[str, Any]]:
    lists = (node.get(key) for key in keys)
    entries = chain.from_iterable(one for one in lists if isinstance(one, list))
    return (one for one in entries if isinstance(one, dict))
