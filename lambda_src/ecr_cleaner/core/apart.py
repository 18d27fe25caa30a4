"""References whose parts stand apart in one object: ``{repository: ..., tag: ...}``. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any

from ecr_cleaner.core.fields import Fields
from ecr_cleaner.core.reference import is_digest, is_tag, parse, registry_of

# Breaks the grammar of tags, so that the reference means any image of the repository.
ANY_TAG = "*"
# Beside more tags and digests than that, a repository means any image, and of more hosts beside
# each other, so many count: the work stays linear.
MOST_ENDS = 16

_REGISTRIES = frozenset({"registry", "imageregistry", "dockerregistry", "hub", "imagehub"})
_REPOSITORIES = frozenset(
    {"repository", "image", "name", "imagename", "imagerepository", "repo", "repositoryname"}
)
# Fields that hold the begin of names: by a part of their name, or by all of it.
_PLACES = ("registr", "hub", "mirror", "prefix")
_PLACES_NAMED = frozenset({"imagerepository", "defaultrepo", "repos"})
_NO_PLACES = frozenset({"chart", "name", "newname"})
# What may stand between the host and the name.
_NAMESPACES = frozenset(
    {
        *("namespace", "imagenamespace", "org", "organization", "project", "imageproject"),
        *("prefix", "imageprefix", "repositoryprefix"),
    }
)
_ENDS = frozenset(
    {
        *("tag", "imagetag", "newtag", "tags", "imagetags"),
        *("version", "imageversion", "digest", "imagedigest"),
    }
)
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
    if bare:
        ends = _ends(fields)
        for key, value in bare:
            yield from ((key, value + end) for end in ends)


def _ends(fields: Fields) -> list[str]:
    """Return the tags and digests among the fields; any tag if one is computed or there are many.

    Each begins with the sign that separates it from the name.
    """
    exact, likely = tags_of(fields)
    ends = [*(f":{tag}" for tag in (*exact, *likely)), *(f"@{one}" for one in digests_of(fields))]
    if len(ends) > MOST_ENDS or has_computed_end(fields):
        return [f":{ANY_TAG}"]
    return ends


def hosts_in(fields: Fields) -> Iterator[str]:
    """Yield the hosts that stand alone in a field."""
    for _, value in fields:
        if isinstance(value, str) and _is_host(value):
            yield value.rpartition("://")[2].strip("/")


def named_without_host(
    parent: str, fields: Fields, hosts: Sequence[str]
) -> Iterator[tuple[str, str]]:
    """Yield the images among the fields that name no host, as references to each of these hosts.

    ``parent`` is the name of the field that holds these. An image without a tag beside it may have
    one elsewhere, so any is meant. If a host is among the fields, they belong to that.
    """
    has_host = any(hosts_in(fields))
    names = [
        (key, name)
        for key, value in fields
        if not (has_host and isinstance(value, str))
        for name in _names(parent, key, value, fields)
    ]
    if not names:
        return
    ends = _ends(fields) or [f":{ANY_TAG}"]
    for key, name in names:
        has_end = not {":", "@"}.isdisjoint(name.rpartition("/")[2])
        for end in [""] if has_end else ends:
            yield from ((key, f"{host}/{name}{end}") for host in hosts)


def _names(parent: str, key: str, value: Any, fields: Fields) -> Iterator[str]:
    """Yield the names of images or repositories in a field, if it is named as one."""
    name, is_in_image = _plain(key), "image" in _plain(parent)
    is_named_so = "repo" in name or name.endswith(("image", "imagename", "images", "chart"))
    if name == "name":
        is_named_so = is_in_image or any(_plain(one) in _ENDS for one, _ in fields)
    for text in value if isinstance(value, list | tuple) else (value,):
        if not (isinstance(text, str) and _is_name(text)):
            continue
        # images: {web: team/web:v1}
        is_like_one = is_in_image and name not in _ENDS and not {":", "/"}.isdisjoint(text)
        if is_named_so or is_like_one:
            yield text


def _is_name(text: str) -> bool:
    """Return whether this may be the name of an image in a registry that stands elsewhere.

    It is not if it is a path, an address or an expression, or has a registry of its own.
    """
    first, slash, _ = text.partition("/")
    has_registry = bool(slash) and not {".", ":"}.isdisjoint(first)
    return first[:1].isalnum() and not has_registry and "://" not in text and len(text.split()) == 1


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
    spaces = ["", *(f"{text.strip('/')}/" for _, name, text in texts if name in _NAMESPACES)]
    places = [f"{host}/{space}" for space in spaces for host in hosts[:MOST_ENDS]]
    for place in places[: 2 * MOST_ENDS]:
        yield from ((key, place + name) for key, name in named if parse(place + name))


def _charts(
    texts: Iterable[tuple[str, str, str]], hosts: Iterable[str]
) -> Iterator[tuple[str, str]]:
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


def may_be_place(key: str) -> bool:
    """Return whether a reference without a tag in this field may be the begin of longer names.

    It is not if the field is named as an image or a repository.
    """
    name = _plain(key)
    if name in _PLACES_NAMED or any(one in name for one in _PLACES):
        return True
    return not ("image" in name or "repo" in name or name in _NO_PLACES)


def has_computed_end(fields: Fields) -> bool:
    """Return whether a field that is named as a tag or digest holds what is neither."""
    return any(
        _plain(key) in _ENDS and value not in _NOTHING and not _is_end(value)
        for key, value in fields
    )


def _is_end(value: Any) -> bool:
    return type(value) is int or (isinstance(value, str) and (is_tag(value) or is_digest(value)))


@lru_cache(4096)
def _plain(name: str) -> str:
    """Return the name of a field without its case, its joints and what a dot separates from it."""
    last = name.lower().removesuffix(".$").rpartition(".")[2]
    return last.replace("_", "").replace("-", "")


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
