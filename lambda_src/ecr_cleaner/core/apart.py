"""References whose parts stand apart in one object: ``{repository: ..., tag: ...}``. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any

from ecr_cleaner.core.reference import is_digest, is_tag, parse, registry_of

# The names and values of an object, or of lines of a text: there, a name may stand twice.
Fields = Collection[tuple[str, Any]]

# Breaks the grammar of tags, so that the reference means any image of the repository.
ANY_TAG = "*"
# Beside more tags and digests than that, a repository means any image, and of more hosts beside
# each other, so many count: the work stays linear.
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
# YAML, properties and assignments of a shell; also a key of YAML without a value in its line.
_LINE = re.compile(
    r"^(?P<indent>[ \t]*+(?P<item>- *+)?)(?:(?:export|local|readonly|set) ++)?"
    r"(?P<key>[\w.-]++) *+[:=] *+[\"']?"
    r"(?P<value>[^\s\"'#]*+)",
    re.ASCII | re.MULTILINE,
)
# Fast path: most hosts have the name of a repository behind them.
_HOST_ALONE = re.compile(r"dkr[.-]ecr[\w.:-]*+/?+(?![\w/])", re.ASCII)
_NOTHING: tuple[Any, ...] = (None, "", [], {})


def put_together(fields: Fields) -> Iterator[tuple[str, str]]:
    """Yield the references that neighbours among the fields make, each with the name of its field.

    A tag or digest that is computed or not understood may be any: the repository as a whole.
    """
    hosted = list(_hosted(fields))
    yield from hosted
    bare = [
        (key, value)
        for key, value in (*fields, *hosted)
        if isinstance(value, str) and is_untagged(value)
    ]
    if not bare:
        return
    exact, likely = tags_of(fields)
    ends = [*(f":{tag}" for tag in (*exact, *likely)), *(f"@{one}" for one in digests_of(fields))]
    if len(ends) > MOST_ENDS or has_computed_end(fields):
        ends = [f":{ANY_TAG}"]
    for key, value in bare:
        yield from ((key, value + end) for end in ends)


def put_together_in_lines(text: str) -> Iterator[tuple[str, str]]:
    """Yield the same for the lines of a text, such as YAML, if the host stands there alone."""
    if not _HOST_ALONE.search(text):
        return
    for fields in _mappings(text):
        if any(_is_host(value) for _, value in fields):
            yield from put_together(fields)


def _mappings(text: str) -> Iterator[list[tuple[str, str]]]:
    """Yield the keys and values of lines with the same indent, as far as they belong together."""
    waiting: list[tuple[int, list[tuple[str, str]]]] = []
    for line in _LINE.finditer(text):
        indent = len(line["indent"])
        # An item of a list ends the one before, which has the same indent.
        least = indent - 1 if line["item"] else indent
        while waiting and waiting[-1][0] > least:
            yield waiting.pop()[1]
        if not waiting or waiting[-1][0] < indent:
            waiting.append((indent, []))
        waiting[-1][1].append((line["key"], line["value"]))
    yield from (fields for _, fields in waiting)


def with_registry(node: Mapping[str, Any]) -> dict[str, str]:
    """Return ``HOST/NAME`` by the field of the name; nothing if there are several hosts."""
    hosted = list(_hosted(node.items()))
    return dict(hosted) if len(dict(hosted)) == len(hosted) else {}


def _hosted(fields: Fields) -> Iterator[tuple[str, str]]:
    """Yield ``HOST/NAME`` with the field of the name, if the host stands in a field of its own.

    That field is named as a registry, or holds the host of one in ECR and nothing else.
    """
    texts = [(key, _plain(key), one) for key, one in fields if isinstance(one, str)]
    by_name = [one for _, name, one in texts if name in _REGISTRIES]
    by_value = [one for *_, one in texts if _is_host(one)]
    hosts = list(dict.fromkeys(one.strip("/") for one in (*by_name, *by_value)))
    yield from _charts(texts, hosts)
    if not hosts:
        return
    named = [
        (key, text.lstrip("/"))
        for key, name, text in texts
        if _names_repository(name, text, is_certain=bool(by_name)) and not parse(text)
    ]
    for host in hosts[:MOST_ENDS]:
        yield from ((key, f"{host}/{name}") for key, name in named if parse(f"{host}/{name}"))


def _charts(texts: list[tuple[str, str, str]], hosts: list[str]) -> Iterator[tuple[str, str]]:
    """Yield the repository of a Helm chart, whose name stands beside what comes before it.

    Argo CD has ``{repoURL: HOST/PREFIX, chart: NAME, targetRevision: VERSION}``.
    """
    charts = [(key, text) for key, name, text in texts if name == "chart" and text]
    if charts:
        places = [*hosts, *(text.rstrip("/") for *_, text in texts if is_untagged(text))]
        for place in places[:MOST_ENDS]:
            yield from ((key, f"{place}/{one}") for key, one in charts if parse(f"{place}/{one}"))


def _is_host(text: str) -> bool:
    return "dkr" in text and registry_of(text.rpartition("://")[2].strip("/")) is not None


def _names_repository(name: str, text: str, *, is_certain: bool) -> bool:
    """Return whether a field of this name holds the name of a repository or an image.

    If no field is named as a registry, ``name`` may be that of anything.
    """
    if is_certain and name in _REPOSITORIES:
        return True
    is_named_so = "repo" in name or name.endswith(("image", "imagename"))
    return is_named_so and "/" not in text[:1] and "://" not in text and not _is_host(text)


def has_computed_end(fields: Fields) -> bool:
    """Return whether a field that is named as a tag or digest holds what is neither."""
    return any(
        _plain(key) in _ENDS and value not in _NOTHING and not _is_end(value)
        for key, value in fields
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


def tags_of(fields: Fields) -> tuple[list[str], list[str]]:
    """Return the tags in fields that are named so, and those in fields that may hold one."""
    exact = _beside(fields, _is_tag_name)
    likely = _beside(
        fields, lambda name: not _is_tag_name(name) and ("tag" in name or "version" in name)
    )
    return [*filter(is_tag, exact)], [*filter(is_tag, likely)]


def digests_of(fields: Fields) -> list[str]:
    """Return the digests in fields that are named so."""
    return [*filter(is_digest, _beside(fields, lambda name: "digest" in name))]


def _is_tag_name(name: str) -> bool:
    return name.replace("_", "") in {"tag", "imagetag", "newtag"}


def _beside(fields: Fields, has_name: Callable[[str], bool]) -> Iterator[str]:
    for key, value in fields:
        if has_name(key.lower()) and (isinstance(value, str) or type(value) is int):
            yield str(value)
