"""References whose parts stand apart in one object: ``{repository: ..., tag: ...}``. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from ecr_cleaner.core.reference import is_digest, is_tag, parse

# Breaks the grammar of tags, so that the reference means any image of the repository.
ANY_TAG = "*"
# Beside more tags and digests than that, a repository means any image: the work stays linear.
MOST_ENDS = 16


def put_together(node: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield the references that neighbours in the object make, each with the name of its field."""
    hosted = with_registry(node)
    yield from hosted.items()
    exact, likely = tags_of(node)
    ends = [*(f":{tag}" for tag in (*exact, *likely)), *(f"@{one}" for one in digests_of(node))]
    if len(ends) > MOST_ENDS:
        ends = [f":{ANY_TAG}"]
    for key, value in (*node.items(), *hosted.items()):
        if isinstance(value, str) and is_untagged(value):
            yield from ((key, value + end) for end in ends)


def with_registry(node: Mapping[str, Any]) -> dict[str, str]:
    """Return ``HOST/NAME`` by the field of the name, if the host stands in ``registry``."""
    host = node.get("registry")
    names = {key: node.get(key) for key in ("repository", "image", "name")}
    joined = {key: f"{host}/{name}" for key, name in names.items() if isinstance(name, str)}
    return {key: text for key, text in joined.items() if is_untagged(text)}


def is_untagged(text: str) -> bool:
    """Return whether this is a reference with neither tag nor digest."""
    last = text.rpartition("/")[2]
    return bool(last) and not {":", "@"} & set(last) and parse(text) is not None


def tags_of(node: Mapping[str, Any]) -> tuple[list[str], list[str]]:
    """Return the tags in fields that are named so, and those in fields that may hold one."""
    exact = _beside(node, _is_tag_name)
    likely = _beside(
        node, lambda name: not _is_tag_name(name) and ("tag" in name or "version" in name)
    )
    return [*filter(is_tag, exact)], [*filter(is_tag, likely)]


def digests_of(node: Mapping[str, Any]) -> list[str]:
    """Return the digests in fields that are named so."""
    return [*filter(is_digest, _beside(node, lambda name: "digest" in name))]


def _is_tag_name(name: str) -> bool:
    return name.replace("_", "") in {"tag", "imagetag", "newtag"}


def _beside(node: Mapping[str, Any], has_name: Callable[[str], bool]) -> Iterator[str]:
    for key, value in node.items():
        if has_name(key.lower()) and (isinstance(value, str) or type(value) is int):
            yield str(value)
