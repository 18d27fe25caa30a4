"""Find what an answer refers to: every string of it, JSON and base64 inside strings too.

What is written decides, what is computed may be anything. A reference is found as it was meant or
wider: if its tag is unclear, it means the whole repository.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any

from ecr_cleaner.core.apart import (
    MOST_ENDS,
    hosts_in,
    may_be_place,
    named_without_host,
    put_together,
)
from ecr_cleaner.core.encoded import SHORTEST_BASE64, decoded
from ecr_cleaner.core.fields import Fields, of_items, of_list, of_text
from ecr_cleaner.core.model import NOT_ECR, ImageReference, ReferencePattern, Registry
from ecr_cleaner.core.reference import DNS_SUFFIXES, DUAL_STACK_SUFFIXES, is_digest, is_tag, parse
from ecr_cleaner.core.templates import HOLE, is_join, joined, templates, written

_ACCOUNT_DIGITS = 12
_ANCHOR = re.compile(r"(?<=[.\x00])dkr(?P<kind>[.-])ecr(?:-fips)?", re.IGNORECASE)
_BEFORE_ANCHOR = re.compile(r"[0-9A-Za-z_\x00-]*+\.?\Z", re.ASCII)
_REGION = re.compile(r"[a-z]{2,}+(?:-[a-z]++)++-[0-9]++")
# Bounds a little above those of ECR: without them, many hosts in a row take quadratic time.
_NAME = (
    r"(?P<name>[\w./\x00-]{0,300}+)(?P<tagged>:(?P<tag>[\w.\x00-]{0,150}+))?"
    r"(?P<pinned>@(?P<digest>[\w.+:=\x00-]{0,200}+))?(?P<next>.?)"
)
_PATH = r"[\"']?/" + _NAME
_AFTER_ANCHOR = re.compile(
    rf"[.\x00](?P<domain>[A-Za-z0-9.\x00-]{{1,100}}+)(?::[0-9\x00]{{1,9}}+)?(?:{_PATH})?",
    re.ASCII | re.DOTALL,
)
# The whole host is computed: what follows is a repository if the text mentions images.
_WITHOUT_HOST = re.compile(
    r"(?<![^\s\"'=(\[,;|])(?:(?:docker|docker-[a-z]++|oci|https?)://)?\x00(?::[0-9\x00]++)?"
    + _PATH,
    re.ASCII | re.DOTALL | re.IGNORECASE,
)
# A prefix is computed, which may hold the host.
_WITHOUT_BEGIN = re.compile(r"(?<![^\s\"'=(\[,;|])\x00(?=[\w-])" + _NAME, re.ASCII | re.DOTALL)
# What comes before a reference that is assigned to something.
_ASSIGNED = re.compile(
    r"(?:(?P<key>[\w.-]++)[\"']?\s*+[:?+]?[:=>]\s*+|(?P<flag>--[\w-]++)\s++)[\"']?(?:[a-z]++://)?\Z",
    re.ASCII,
)
# The registry's own API: https://HOST/v2/NAME/manifests/TAG; also how containerd names mirrors.
_API = "v2/"
_API_CALL = re.compile(r"/(?:manifests|blobs|tags|referrers)(?:/|\Z)")
_MENTIONS_IMAGES = re.compile(
    r"image|docker|podman|nerdctl|\becr|container|registry", re.IGNORECASE
)
_COMPUTES = re.compile(r"[${<%&+\x00]")
# What ends a reference for certain. Any other character may begin a part that is computed.
_ENDS = frozenset(" \t\r\n\"'`,;)]}|&>")
_PINNED = re.compile(r"sha256:[a-f0-9]{64}(?![\w\x00])", re.ASCII)
_AT_DIGEST = re.compile(r"@(?P<digest>sha256:[a-f0-9]{64})(?!\w)", re.ASCII)
_NOT_IN_A_NAME = re.compile(r"[^\w./:-]|//", re.ASCII)
_LONGEST_NAME = 300
_PLAIN_NAME = re.compile(r"\w++(?:[./-]++\w++)*+", re.ASCII)
# A script that pushes an image does not run it.
_PUSHES = re.compile(
    r"\b(?:docker|podman|nerdctl|buildah|finch|helm)\s++(?:image\s++)?(?:push|tag)\b[^\n;&|]*+\Z"
    r"|\s(?:-t|--tag)[\s=]++\S*+\Z"
)

_FAMILY = r"(?P<family>[A-Za-z0-9_-]++)(?P<revision>:[0-9]++)?(?P<rest>:?\x00)?"
_TASK_DEFINITION = re.compile(
    r"(?:arn:[a-z\x00-]*+:ecs:(?P<region>[a-z0-9\x00-]*+):(?P<account>[0-9\x00]*+):|(?<=[\x00:]))"
    r"task-definition/" + _FAMILY
)
_NAMED_FAMILY = re.compile(r"\s*+" + _FAMILY + r"\s*+")

# Fast path: most hosts have the name of a repository behind them.
_HOST_ALONE = re.compile(r"dkr[.-]ecr[\w.:-]*+/?+(?![\w/])", re.ASCII)
_OCI = "oci://"
# The name of a field that is none, so that no tag does not mean ``latest``.
_TEXT = "text"
_SHA256 = re.compile(r"sha256:[a-f0-9]{64}", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class TaskDefinition:
    """An ECS task definition: its ARN or ``FAMILY[:REVISION]``; None: in whatever account, region.

    Without a revision it means the latest ACTIVE one.
    """

    name: str
    region: str | None = None
    account: str | None = None


@dataclass(slots=True)
class Found:
    """What one answer refers to, each once and in the order in which it was found."""

    references: dict[ImageReference | ReferencePattern, None] = field(default_factory=dict)
    task_definitions: dict[TaskDefinition, None] = field(default_factory=dict)


def find(answer: Any, name: str = "") -> Found:
    """Return what the whole answer refers to; ``name`` is that of the field that holds it.

    The walk takes linear time and does not recurse, whatever the depth.
    """
    found = Found()
    hosts = _Walk(found).over(answer, name)
    if hosts:
        _Walk(found, tuple(hosts)[:MOST_ENDS]).over(answer, name)
    return found


def _is_worth_reading(key: str, text: str) -> bool:
    """Fast path: most strings are short words."""
    return (
        len(text) >= SHORTEST_BASE64
        or "/" in text
        or text[:1] in {"{", "[", '"', " "}
        or _field(key).is_special
    )


@dataclass(frozen=True, slots=True)
class _Field:
    """What the name of a field says about the string in it."""

    names_task_definition: bool
    is_repository_prefix: bool
    is_image: bool
    may_be_place: bool
    pins: str | None

    @property
    def is_special(self) -> bool:
        return self.names_task_definition or self.is_repository_prefix


@lru_cache(4096)
def _field(key: str) -> _Field:
    """Understand a name; the SDK writes ``imageUri``, an environment variable is in capitals.

    ``pins`` is what a digest belongs to: ``image`` for ``imageDigest`` or ``resolvedImageDigest``.
    """
    name = key.lower().removesuffix(".$").replace("_", "")
    is_image = not name or "image" in name or name.endswith("uri")
    stem = name.removesuffix("digest").removeprefix("resolved")
    return _Field(
        names_task_definition=name in {"taskdefinition", "taskdefinitionarn"},
        is_repository_prefix=name == "ecrrepositoryprefix",
        is_image=is_image and "repo" not in name and not key.isupper(),
        may_be_place=may_be_place(key),
        pins=stem if name.endswith("digest") else None,
    )


class _Walk:
    """One walk over an answer.

    ``around`` are the hosts that an earlier walk found alone in the answer: an image that names no
    host may be in each of these registries.
    """

    def __init__(self, found: Found, around: Sequence[str] = ()) -> None:
        self._found = found
        self._around = around
        self._hosts: dict[str, None] = {}

    def over(self, answer: Any, name: str) -> Iterable[str]:
        """Add what the answer refers to; return the hosts that stand alone in it."""
        waiting: list[tuple[str, Any]] = [(name, answer)]
        while waiting:
            key, node = waiting.pop()
            if isinstance(node, Mapping):
                waiting += reversed(list(self._inside(key, node)))
            elif isinstance(node, list | tuple):
                waiting += [(key, one) for one in reversed(node)]
                if self._around or _mentions_host(node):
                    self._of_list(key, of_list(node))
            elif isinstance(node, bytes | bytearray):
                waiting.append((key, node.decode("utf-8", "replace")))
            elif isinstance(node, str) and (self._around or _is_worth_reading(key, node)):
                waiting += reversed(list(self._of_string(key, written(node))))
        return self._hosts

    def _inside(self, key: str, node: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
        if is_join(node):
            computed: list[object] = []
            _scan(key, joined(node, computed), self._found)
            yield from ((key, one) for one in computed if one is not node)
            return
        _combine_digests(node, self._found)
        names_image = False
        for name, value in node.items():
            if "dkr" in name:
                yield _TEXT, name
            names_image = names_image or (isinstance(value, str) and "dkr" in value)
            # An intrinsic function stands for the field that holds it.
            yield (key if ":" in name else name), value
        if names_image or self._around:
            yield from self._of_fields(key, node.items())

    def _of_fields(self, key: str, fields: Fields) -> Iterator[tuple[str, Any]]:
        self._add_around(key, fields)
        yield from put_together(fields)

    def _of_list(self, key: str, fields: Fields) -> None:
        """Variables that stand beside each other may have nothing to do with each other."""
        self._add_around(key, fields)
        self._add_possible(put_together(fields))

    def _add_around(self, key: str, fields: Fields) -> None:
        self._hosts.update(dict.fromkeys(hosts_in(fields)))
        if self._around:
            self._add_possible(named_without_host(key, fields, self._around))

    def _add_possible(self, texts: Iterable[tuple[str, str]]) -> None:
        for name, text in texts:
            for template in templates(text):
                references = map(_possible, _references(name, template))
                self._found.references.update(dict.fromkeys(references))

    def _of_string(self, key: str, text: str) -> Iterator[tuple[str, Any]]:
        """Yield what the string holds as JSON or encoded; scan anything else as text."""
        if text.lstrip()[:1] in {"{", "[", '"'}:
            try:
                yield key, json.loads(text, object_pairs_hook=_with_repeats)
            except (ValueError, RecursionError):
                pass
            else:
                return
        _scan(key, text, self._found)
        if self._around or ("dkr" in text and _HOST_ALONE.search(text)):
            mappings = list(of_text(text))
            for fields in mappings:
                yield from self._of_fields("", fields)
            self._of_list("", of_items(mappings))
        if len(text) >= SHORTEST_BASE64:
            yield from ((_TEXT, one) for one in decoded(text))


def _mentions_host(items: Sequence[Any]) -> bool:
    """Fast path: few lists of names and values hold a host. Plain loops take half of the time."""
    for item in items:
        if type(item) is str:
            if "dkr" in item:
                return True
        elif type(item) is dict:
            for value in item.values():
                if type(value) is str and "dkr" in value:
                    return True
    return False


def _possible(reference: ImageReference | ReferencePattern) -> ReferencePattern:
    """Return the reference as a pattern: if it is wrong, it is not a broken one."""
    if isinstance(reference, ReferencePattern):
        return reference
    registry = reference.registry
    return ReferencePattern(
        reference.repository, registry.account, registry.region, reference.tag, reference.digest
    )


def _with_repeats(pairs: list[tuple[str, Any]]) -> Any:
    """Keep every value if an object has a name twice."""
    node = dict(pairs)
    return node if len(node) == len(pairs) else [{name: value} for name, value in pairs]


def _combine_digests(node: Mapping[str, Any], found: Found) -> None:
    """Add ``imageDigest`` and the like to the reference that stands beside it."""
    for name, digest in node.items():
        pins = _field(name).pins
        if pins is None or not isinstance(digest, str) or not _SHA256.fullmatch(digest):
            continue
        for other, image in node.items():
            if isinstance(image, str) and other.lower().removesuffix("uri") == pins:
                reference = parse(image) or ImageReference(NOT_ECR, image)
                pinned = replace(reference, tag=None, digest=digest.lower())
                found.references[pinned] = None


# -- Text ---------------------------------------------------------------------------------------


def _scan(key: str, text: str, found: Found) -> None:
    lowered = text.lower()
    names_task = _field(key).names_task_definition
    if _field(key).is_repository_prefix and text:
        found.references[ReferencePattern(f"{text}/*")] = None
    hosted = "dkr" in lowered
    if "@sha256:" in text:
        found.references.update(dict.fromkeys(_outside_ecr(text)))
    tasks = names_task or "task-definition/" in lowered
    computed = "/" in text and _COMPUTES.search(text) is not None
    computed = computed and _MENTIONS_IMAGES.search(f"{key} {text}") is not None
    if not (hosted or tasks or computed):
        return
    whole = _whole(key, text)
    if whole:
        is_place = _field(key).may_be_place or text.lstrip()[:6].lower() == _OCI
        found.references.update(dict.fromkeys(_with_others(whole, is_place=is_place)))
        return
    for template in templates(text):
        if tasks:
            found.task_definitions.update(dict.fromkeys(_task_definitions(template)))
            if names_task:
                found.task_definitions.update(dict.fromkeys(_families(template)))
        if hosted:
            found.references.update(dict.fromkeys(_references(key, template)))
        if computed and HOLE in template:
            found.references.update(dict.fromkeys(_without_host(key, template)))


def _outside_ecr(text: str) -> Iterator[ImageReference]:
    """Yield what is named by digest in other registries: its signatures may be in ECR."""
    for match in _AT_DIGEST.finditer(text):
        before = text[max(0, match.start() - _LONGEST_NAME) : match.start()]
        name = _NOT_IN_A_NAME.split(before)[-1]
        if name and "dkr" not in name.lower():
            yield ImageReference(NOT_ECR, name, digest=match["digest"])


def _whole(key: str, text: str) -> ImageReference | None:
    """Return the reference that the string is, or None if it is not exactly one.

    Without a tag it means ``latest`` in a field for an image, and any image in any other.
    """
    reference = parse(text)
    if reference is None or not _PLAIN_NAME.fullmatch(reference.repository):
        return None
    if reference.tag is None and reference.digest is None:
        return None
    last = text.strip().rpartition("/")[2]
    if ":" in last or "@" in last or _field(key).is_image:
        return reference
    return ImageReference(reference.registry, reference.repository)


def _with_others(
    reference: ImageReference | ReferencePattern, *, is_place: bool
) -> Iterator[ImageReference | ReferencePattern]:
    """Yield a reference, and what else may be meant by it.

    A place is named without what is below it: a Helm repository ``oci://HOST/PREFIX``, or the
    registry of a mirror.
    """
    yield reference
    names = [reference.repository]
    if reference.repository.startswith(_API):
        names = [_API_CALL.split(reference.repository.removeprefix(_API), maxsplit=1)[0]]
        yield replace(_possible(reference), repository=names[0], tag=None, digest=None)
    elif reference.tag or reference.digest or names[0].endswith("*") or not is_place:
        return
    yield replace(_possible(reference), repository=f"{names[0]}/*", tag=None, digest=None)


def _references(key: str, text: str) -> Iterator[ImageReference | ReferencePattern]:
    whole = _whole(key, text)
    if whole:
        yield whole
        return
    for anchor in _ANCHOR.finditer(text):
        match = _AFTER_ANCHOR.match(text, anchor.end())
        begin = max(0, anchor.start() - 80)
        before = _BEFORE_ANCHOR.search(text[begin : anchor.start()])
        registry = _registry(before[0] if before else "", anchor["kind"], match)
        if match is not None and registry and before:
            host = begin + before.start()
            yield from _of_host(registry, match, text[max(0, host - 200) : host])


def _of_host(
    registry: tuple[str | None, str | None], match: re.Match[str], before: str
) -> Iterator[ImageReference | ReferencePattern]:
    """Yield what stands below a host; ``before`` is the text before that."""
    is_oci = before[-6:].lower() == _OCI
    is_pushed = _PUSHES.search(before) is not None
    if not match["name"] and _ends(match):
        if is_oci and not is_pushed:
            yield ReferencePattern("*", *registry, charts=True)
        return
    is_place = is_oci or match["name"].endswith("/") or _is_assigned_as_place(before)
    for one in _at(registry, match):
        # A script that pushes to a repository of which nothing is written would protect all.
        if not (is_pushed and one.repository == "*"):
            yield from _with_others(one, is_place=is_place)
            if match["name"][-1:] in {"-", "_"} and _ends(match):
                # No name ends so: the rest stands elsewhere.
                begin = match["name"].replace(HOLE, "*")
                yield replace(_possible(one), repository=f"{begin}*")


def _is_assigned_as_place(before: str) -> bool:
    assigned = _ASSIGNED.search(before)
    return assigned is not None and _field(assigned["key"] or assigned["flag"]).may_be_place


def _without_host(key: str, text: str) -> Iterator[ImageReference | ReferencePattern]:
    """Yield the images in a text that mentions images, of which the host is computed."""
    for match in _WITHOUT_HOST.finditer(text):
        if match["name"].strip(HOLE + "./-"):
            # The computed part may hold more of the name than the host.
            for one in _at((None, None), match):
                yield one
                yield replace(one, repository=f"*/{one.repository}")
    is_image = bool(key) and _field(key).is_image
    for match in _WITHOUT_BEGIN.finditer(text):
        is_whole = is_image and match[0] == text
        if (is_whole or match["tag"] or match["digest"]) and "dkr" not in match["name"]:
            for one in _at((None, None), match):
                yield replace(one, repository=f"*{one.repository}")


def _registry(
    before: str, kind: str, match: re.Match[str] | None
) -> tuple[str | None, str | None] | None:
    """Return account and region, None for a computed one; None if this is not a host of ECR."""
    if not match:
        return None
    written_account = before.removesuffix(".")
    account: str | None = written_account[-_ACCOUNT_DIGITS:]
    longer = written_account[-_ACCOUNT_DIGITS - 1 : -_ACCOUNT_DIGITS]
    if not (account and account.isdigit() and len(account) == _ACCOUNT_DIGITS):
        if written_account.isdigit():
            return None
        account = None
    elif longer.isdigit():
        return None
    domain = match["domain"].lower().strip(".")
    region, _, suffix = domain.partition(".")
    suffixes = DNS_SUFFIXES if kind == "." else DUAL_STACK_SUFFIXES
    if HOLE not in domain:
        return (account, region) if suffix in suffixes else None
    last = domain.rpartition(HOLE)[2].lstrip(".")
    if not any(one.endswith(last) for one in suffixes):
        return None
    return account, (region if _REGION.fullmatch(region) else None)


def _ends(match: re.Match[str]) -> bool:
    """Return whether a reference ends there for certain."""
    return not match["next"] or match["next"] in _ENDS


def _at(
    registry: tuple[str | None, str | None], match: re.Match[str]
) -> Iterator[ImageReference | ReferencePattern]:
    """Yield the reference below a host: exact if its end is certain, otherwise wider."""
    name, tag, digest = match["name"], match["tag"], match["digest"] or ""
    ends = _ends(match)
    if not match["tagged"] and not match["pinned"] and not ends:
        name += HOLE
    if not match["tagged"] and HOLE in name:
        # The computed part may hold the tag, so what follows it may not be of the name.
        name = name.partition(HOLE)[0] + HOLE
    name = re.sub(rf"{HOLE}++", "*", name.rstrip("./-_"))
    pinned = _PINNED.match(digest)
    certain_digest = pinned[0] if pinned else digest if ends and is_digest(digest) else None
    certain = ends and not match["pinned"] and tag and is_tag(tag) and not tag.endswith(".")
    certain_tag = tag if certain else None
    account, region = registry
    if not name:
        return
    if "*" in name or account is None or region is None:
        yield ReferencePattern(name, account, region, certain_tag, certain_digest)
    else:
        yield ImageReference(Registry(account, region), name, certain_tag, certain_digest)


# -- Task definitions ---------------------------------------------------------------------------


def _task_definitions(text: str) -> Iterator[TaskDefinition]:
    for match in _TASK_DEFINITION.finditer(text):
        region, account = match["region"], match["account"]
        written_out = region and account and HOLE not in match[0]
        name = match[0] if written_out else _family(match)
        if name:
            yield TaskDefinition(name, _known(region), _known(account))


def _families(text: str) -> Iterator[TaskDefinition]:
    match = _NAMED_FAMILY.fullmatch(text)
    if match and _family(match):
        yield TaskDefinition(_family(match))


def _family(match: re.Match[str]) -> str:
    """Return ``FAMILY[:REVISION]``; a computed revision means the latest, as none does."""
    if match["rest"] == HOLE and not match["revision"]:
        return ""
    return str(match["family"]) + (match["revision"] or "" if not match["rest"] else "")


def _known(part: str | None) -> str | None:
    return part if part and HOLE not in part else None
