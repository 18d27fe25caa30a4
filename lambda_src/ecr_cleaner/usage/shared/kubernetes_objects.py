"""References to images in objects of Kubernetes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from itertools import chain
from typing import Any

from ecr_cleaner.core.model import ImageReference, ReferencePattern
from ecr_cleaner.core.reference import parse
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
    yield from _running(item)


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
    host = node.get("registry")
    for key in ("repository", "image", "name"):
        name = node.get(key)
        if isinstance(host, str) and isinstance(name, str) and _untagged(f"{host}/{name}"):
            node[key] = f"{host}/{name}"
    for key, value in list(node.items()):
        if isinstance(value, str) and _untagged(value):
            node[key] = _joined(key, value, node)


def _joined(key: str, value: str, node: Mapping[str, Any]) -> list[str]:
    """Return the references that a repository and its neighbours make.

    An image without a tag means ``latest``. A repository means any image, unless a tag is written.
    """
    tags, others = _beside(node, _is_tag_name), _beside(node, _may_be_tag_name)
    digests = _beside(node, lambda name: "digest" in name)
    pinned = [f"{value}@{one}" for one in digests if _is(f"{value}@{one}", digest=one)]
    exact = [f"{value}:{one}" for one in tags if _is(f"{value}:{one}", tag=one)]
    likely = [f"{value}:{one}" for one in others if _is(f"{value}:{one}", tag=one)]
    lowered = key.lower()
    if "image" in lowered and "repo" not in lowered:
        return [value, *exact, *likely, *pinned]
    return [*exact, *likely, *pinned] if exact or pinned else [f"{value}:{_ANY_TAG}"]


# Breaks the grammar of tags, so that the reference means any image of the repository.
_ANY_TAG = "*"


def _is_tag_name(name: str) -> bool:
    return name.replace("_", "") in {"tag", "imagetag", "newtag"}


def _may_be_tag_name(name: str) -> bool:
    return not _is_tag_name(name) and ("tag" in name or "version" in name)


def _beside(node: Mapping[str, Any], has_name: Callable[[str], bool]) -> Iterator[str]:
    for key, value in node.items():
        if has_name(key.lower()) and (isinstance(value, str) or type(value) is int):
            yield str(value)


def _is(text: str, **expected: str) -> bool:
    reference = parse(text)
    return reference is not None and all(
        getattr(reference, name) == value for name, value in expected.items()
    )


def _untagged(text: str) -> bool:
    last = text.rpartition("/")[2]
    return bool(last) and not {":", "@"} & set(last) and parse(text) is not None


def _running(item: Mapping[str, Any]) -> Iterator[ImageReference]:
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
    reference = parse(f"{_SOME_REPOSITORY}@{digest}")
    return reference.digest if reference else None


_SOME_REPOSITORY = "000000000000.dkr.ecr.us-east-1.amazonaws.com/any"


def _objects(node: Mapping[str, Any], keys: Iterable[str]) -> Iterator[Mapping[str, Any]]:
    lists = (node.get(key) for key in keys)
    entries = chain.from_iterable(one for one in lists if isinstance(one, list))
    return (one for one in entries if isinstance(one, dict))
