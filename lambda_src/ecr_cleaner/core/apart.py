"""References whose parts stand apart in one object: ``{repository: ..., tag: ...}``. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from ecr_cleaner.core.reference import is_digest, is_tag, parse

# Breaks the grammar of tags, so that the reference means any image of the repository.
ANY_TAG = "*"
# Beside more tags and digests than that, a repository means any image: the work stays linear.
MOST_ENDS = 16

_REGISTRIES = frozenset({"registry", "imageregistry", "dockerregistry"})
_REPOSITORIES = frozenset(
    {"repository", "image", "name", "imagename", "imagerepository", "repo", "repositoryname"}
)
_ENDS = frozenset(
    {
        *("tag", "imagetag", "newtag", "tags", "imagetags"),
        *("version", "imageversion", "digest", "imagedigest"),
    }
)
_NOTHING: tuple[Any, ...] = (None, "", [], {})


def put_together(node: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield the references that neighbours in the object make, each with the name of its field.

    A tag or digest that is computed or not understood may be any: the repository as a whole.
    """
    hosted = with_registry(node)
    yield from hosted.items()
    bare = [
        (key, value)
        for key, value in (*node.items(), *hosted.items())
        if isinstance(value, str) and is_untagged(value)
    ]
    if not bare:
        return
    exact, likely = tags_of(node)
    ends = [*(f":{tag}" for tag in (*exact, *likely)), *(f"@{one}" for one in digests_of(node))]
    if len(ends) > MOST_ENDS or has_computed_end(node):
        ends = [f":{ANY_TAG}"]
    for key, value in bare:
        yield from ((key, value + end) for end in ends)


def with_registry(node: Mapping[str, Any]) -> dict[str, str]:
    """Return ``HOST/NAME`` by the field of the name, if the host stands in ``registry``."""
    names = {key: _plain(key) for key, value in node.items() if isinstance(value, str)}
    hosts = [node[key].strip("/") for key, name in names.items() if name in _REGISTRIES]
    joined = {
        key: f"{host}/{node[key].lstrip('/')}"
        for host in hosts
        for key, name in names.items()
        if name in _REPOSITORIES and not parse(node[key])
    }
    return {key: text for key, text in joined.items() if parse(text)}


def has_computed_end(node: Mapping[str, Any]) -> bool:
    """Return whether a field that is named as a tag or digest holds what is neither."""
    return any(
        _plain(key) in _ENDS and value not in _NOTHING and not _is_end(value)
        for key, value in node.items()
    )


def _is_end(value: Any) -> bool:
    return type(value) is int or (isinstance(value, str) and (is_tag(value) or is_digest(value)))


def _plain(name: str) -> str:
    """Return the name of a field without its case, its joints and the mark of a path."""
    return name.lower().removesuffix(".$").replace("_", "").replace("-", "")


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
