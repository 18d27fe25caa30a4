"""Find what an answer refers to: every string of it, JSON and base64 inside strings too.

What is written decides, what is computed may be anything. A reference is found as it was meant or
wider: if its tag is unclear, it means the whole repository.
"""

from __future__ import annotations

import binascii
import json
import re
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any

from ecr_cleaner.core.apart import put_together, put_together_in_lines
from ecr_cleaner.core.model import ImageReference, ReferencePattern, Registry
from ecr_cleaner.core.reference import DNS_SUFFIXES, DUAL_STACK_SUFFIXES, is_digest, is_tag, parse
from ecr_cleaner.core.templates import HOLE, is_join, joined, templates, written

# The most that a gzipped text may grow; scripts stay far below.
MOST_UNPACKED = 100
_SHORTEST_BASE64 = 40

_ACCOUNT_DIGITS = 12
_ANCHOR = re.compile(r"(?<=[.\x00])dkr(?P<kind>[.-])ecr(?:-fips)?", re.IGNORECASE)
_BEFORE_ANCHOR = re.compile(r"[0-9A-Za-z_\x00-]*+\.?\Z", re.ASCII)
_REGION = re.compile(r"[a-z]{2,}+(?:-[a-z]++)++-[0-9]++")
# Bounds a little above those of ECR: without them, many hosts in a row take quadratic time.
_PATH = (
    r"[\"']?/(?P<name>[\w./\x00-]{0,300}+)(?P<tagged>:(?P<tag>[\w.\x00-]{0,150}+))?"
    r"(?P<pinned>@(?P<digest>[\w.+:=\x00-]{0,200}+))?(?P<next>.?)"
)
_AFTER_ANCHOR = re.compile(
    r"[.\x00](?P<domain>[A-Za-z0-9.\x00-]{1,100}+)(?::[0-9\x00]{1,9}+)?" + _PATH,
    re.ASCII | re.DOTALL,
)
# The whole host is computed: what follows is a repository if the text mentions images.
_WITHOUT_HOST = re.compile(
    r"(?<![^\s\"'=(\[,;|])(?:(?:docker|docker-[a-z]++|oci|https?)://)?\x00(?::[0-9\x00]++)?"
    + _PATH,
    re.ASCII | re.DOTALL | re.IGNORECASE,
)
_MENTIONS_IMAGES = re.compile(
    r"image|docker|podman|nerdctl|\becr|container|registry", re.IGNORECASE
)
_COMPUTES = re.compile(r"[${<%&+\x00]")
# What ends a reference for certain. Any other character may begin a part that is computed.
_ENDS = frozenset(" \t\r\n\"'`,;)]}|&>")
_PINNED = re.compile(r"sha256:[a-f0-9]{64}(?![\w\x00])", re.ASCII)
_PLAIN_NAME = re.compile(r"\w++(?:[./-]++\w++)*+", re.ASCII)
# A script that pushes an image does not run it.
_PUSHES = re.compile(
    r"\b(?:docker|podman|nerdctl|buildah|finch)\s++(?:image\s++)?(?:push|tag)\b[^\n;&|]*+\Z"
    r"|\s(?:-t|--tag)[\s=]++\S*+\Z"
)

_FAMILY = r"(?P<family>[A-Za-z0-9_-]++)(?P<revision>:[0-9]++)?(?P<rest>:?\x00)?"
_TASK_DEFINITION = re.compile(
    r"(?:arn:[a-z\x00-]*+:ecs:(?P<region>[a-z0-9\x00-]*+):(?P<account>[0-9\x00]*+):|(?<=[\x00:]))"
    r"task-definition/" + _FAMILY
)
_NAMED_FAMILY = re.compile(r"\s*+" + _FAMILY + r"\s*+")

_BASE64 = re.compile(rf"[A-Za-z0-9+/_-]{{{_SHORTEST_BASE64},}}+(?:\s++[A-Za-z0-9+/_-]++)*+")
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
    waiting: list[tuple[str, Any]] = [(name, answer)]
    while waiting:
        key, node = waiting.pop()
        if isinstance(node, Mapping):
            waiting += reversed(list(_inside(key, node, found)))
        elif isinstance(node, list | tuple):
            waiting += [(key, one) for one in reversed(node)]
        elif isinstance(node, bytes | bytearray):
            waiting.append((key, node.decode("utf-8", "replace")))
        elif isinstance(node, str) and _is_worth_reading(key, node):
            waiting += reversed(list(_of_string(key, written(node), found)))
    return found


def _is_worth_reading(key: str, text: str) -> bool:
    """Fast path: most strings are short words."""
    return (
        len(text) >= _SHORTEST_BASE64
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
        pins=stem if name.endswith("digest") else None,
    )


def _inside(key: str, node: Mapping[str, Any], found: Found) -> Iterator[tuple[str, Any]]:
    if is_join(node):
        computed: list[object] = []
        _scan(key, joined(node, computed), found)
        yield from ((key, one) for one in computed if one is not node)
        return
    _combine_digests(node, found)
    names_image = False
    for name, value in node.items():
        if "dkr" in name:
            yield _TEXT, name
        names_image = names_image or (isinstance(value, str) and "dkr" in value)
        # An intrinsic function stands for the field that holds it.
        yield (key if ":" in name else name), value
    if names_image:
        yield from put_together(node.items())


def _of_string(key: str, text: str, found: Found) -> Iterator[tuple[str, Any]]:
    """Yield what the string holds as JSON or in base64; scan anything else as text."""
    if text.lstrip()[:1] in {"{", "[", '"'}:
        try:
            yield key, json.loads(text, object_pairs_hook=_with_repeats)
        except (ValueError, RecursionError):
            pass
        else:
            return
    _scan(key, text, found)
    if "\n" in text:
        yield from put_together_in_lines(text)
    if len(text) >= _SHORTEST_BASE64:
        yield from ((_TEXT, one) for one in _unpacked(text))


def _with_repeats(pairs: list[tuple[str, Any]]) -> Any:
    """Keep every value if an object has a name twice."""
    node = dict(pairs)
    return node if len(node) == len(pairs) else [{name: value} for name, value in pairs]


def _unpacked(text: str) -> Iterator[str]:
    """Yield each text that stands in this one as base64, gzipped or not."""
    for run in _BASE64.finditer(text):
        signs = "".join(run[0].split()).replace("-", "+").replace("_", "/")
        content = binascii.a2b_base64(signs[: len(signs) // 4 * 4] + _tail(signs))
        if content[:2] == b"\x1f\x8b":
            content = _unzipped(content)
        # PowerShell encodes UTF-16.
        content = content.replace(b"\x00", b"")
        if b"dkr" in content or b"task-definition" in content or _is_text(content):
            yield content.decode("utf-8", "replace")


def _tail(signs: str) -> str:
    left = signs[len(signs) // 4 * 4 :]
    return left + "=" * (4 - len(left)) if len(left) > 1 else ""


def _is_text(content: bytes) -> bool:
    try:
        return content.decode("ascii").isprintable() or b"\n" in content
    except UnicodeDecodeError:
        return False


def _unzipped(content: bytes) -> bytes:
    reader = zlib.decompressobj(zlib.MAX_WBITS | 16)
    try:
        return reader.decompress(content, MOST_UNPACKED * len(content))
    except zlib.error:
        return b""


def _combine_digests(node: Mapping[str, Any], found: Found) -> None:
    """Add ``imageDigest`` and the like to the reference that stands beside it."""
    for name, digest in node.items():
        pins = _field(name).pins
        if pins is None or not isinstance(digest, str) or not _SHA256.fullmatch(digest):
            continue
        for other, image in node.items():
            if isinstance(image, str) and other.lower().removesuffix("uri") == pins:
                reference = parse(image)
                if reference:
                    pinned = replace(reference, tag=None, digest=digest.lower())
                    found.references[pinned] = None


# -- Text ---------------------------------------------------------------------------------------


def _scan(key: str, text: str, found: Found) -> None:
    lowered = text.lower()
    names_task = _field(key).names_task_definition
    if _field(key).is_repository_prefix and text:
        found.references[ReferencePattern(f"{text}/*")] = None
    hosted = "dkr" in lowered
    tasks = names_task or "task-definition/" in lowered
    computed = "/" in text and _COMPUTES.search(text) is not None
    computed = computed and _MENTIONS_IMAGES.search(f"{key} {text}") is not None
    if not (hosted or tasks or computed):
        return
    whole = _whole(key, text)
    if whole:
        found.references.update(dict.fromkeys(_with_charts(whole, text.lstrip()[:6])))
        return
    for template in templates(text):
        if tasks:
            found.task_definitions.update(dict.fromkeys(_task_definitions(template)))
            if names_task:
                found.task_definitions.update(dict.fromkeys(_families(template)))
        if hosted or computed:
            references = _references(key, template)
            found.references.update(dict.fromkeys(references))


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


def _with_charts(
    reference: ImageReference | ReferencePattern, scheme: str
) -> Iterator[ImageReference | ReferencePattern]:
    """Yield a reference, and the charts that are below it if it is one to a place of charts.

    A Helm repository is named without its charts: ``oci://HOST/PREFIX``.
    """
    yield reference
    named = reference.tag or reference.digest
    if scheme.lower() == "oci://" and isinstance(reference, ImageReference) and not named:
        registry = reference.registry
        yield ReferencePattern(f"{reference.repository}/*", registry.account, registry.region)


def _references(key: str, text: str) -> Iterator[ImageReference | ReferencePattern]:
    whole = _whole(key, text)
    if whole:
        yield whole
        return
    for anchor in _ANCHOR.finditer(text):
        match = _AFTER_ANCHOR.match(text, anchor.end())
        begin = max(0, anchor.start() - 80)
        before = _BEFORE_ANCHOR.search(text[begin : anchor.start()])
        scheme = text[begin : begin + before.start()][-6:] if before else ""
        registry = _registry(before[0] if before else "", anchor["kind"], match)
        if match and registry:
            yield from (
                more
                for one in _at(registry, match)
                if not _is_pushed(one, text, begin, anchor)
                for more in _with_charts(one, scheme)
            )
    if HOLE in text and _MENTIONS_IMAGES.search(f"{key} {text}"):
        for match in _WITHOUT_HOST.finditer(text):
            if match["name"].strip(HOLE + "./-"):
                # The computed part may hold more of the name than the host.
                for one in _at((None, None), match):
                    yield one
                    yield replace(one, repository=f"*/{one.repository}")


def _is_pushed(
    reference: ImageReference | ReferencePattern, text: str, begin: int, anchor: re.Match[str]
) -> bool:
    """Return whether a script pushes there, to a repository of which nothing is written.

    Otherwise, the usual build script would protect every repository.
    """
    before = text[max(0, begin - 200) : anchor.start()]
    return reference.repository == "*" and _PUSHES.search(before) is not None


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


def _at(
    registry: tuple[str | None, str | None], match: re.Match[str]
) -> Iterator[ImageReference | ReferencePattern]:
    """Yield the reference below a host: exact if its end is certain, otherwise wider."""
    name, tag, digest = match["name"], match["tag"], match["digest"] or ""
    ends = not match["next"] or match["next"] in _ENDS
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
