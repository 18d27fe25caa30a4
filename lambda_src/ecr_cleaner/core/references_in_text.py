"""References in a text, alone or among other words; what is computed in it is a HOLE. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace

from ecr_cleaner.core.field_names import field_name
from ecr_cleaner.core.model import NOT_ECR, ImageReference, ReferencePattern, Registry
from ecr_cleaner.core.reference import DNS_SUFFIXES, DUAL_STACK_SUFFIXES, is_digest, is_tag, parse
from ecr_cleaner.core.templates import HOLE

Reference = ImageReference | ReferencePattern

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
_OCI = "oci://"


def whole_references(key: str, text: str) -> list[Reference]:
    """Return the reference that a string is, with what else it may mean; nothing if it is none."""
    whole = _whole(key, text)
    if not whole:
        return []
    is_place = field_name(key).may_be_place or text.lstrip()[:6].lower() == _OCI
    return list(_with_others(whole, is_place=is_place))


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
    if ":" in last or "@" in last or field_name(key).is_image:
        return reference
    return ImageReference(reference.registry, reference.repository)


def _with_others(reference: Reference, *, is_place: bool) -> Iterator[Reference]:
    """Yield a reference, and what else may be meant by it.

    A place is named without what is below it: a Helm repository ``oci://HOST/PREFIX``, or the
    registry of a mirror.
    """
    yield reference
    names = [reference.repository]
    if reference.repository.startswith(_API):
        names = [_API_CALL.split(reference.repository.removeprefix(_API), maxsplit=1)[0]]
        yield replace(possible(reference), repository=names[0], tag=None, digest=None)
    elif reference.tag or reference.digest or names[0].endswith("*") or not is_place:
        return
    yield replace(possible(reference), repository=f"{names[0]}/*", tag=None, digest=None)


def references_in(key: str, text: str) -> Iterator[Reference]:
    """Yield each reference in a text of which at least the end of the host is written."""
    whole = whole_references(key, text)
    if whole:
        yield from whole
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
) -> Iterator[Reference]:
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
                yield replace(possible(one), repository=f"{begin}*")


def _is_assigned_as_place(before: str) -> bool:
    assigned = _ASSIGNED.search(before)
    return assigned is not None and field_name(assigned["key"] or assigned["flag"]).may_be_place


def may_lack_host(key: str, text: str) -> bool:
    """Return whether a computed part of the text may be the host of an image."""
    is_computed = "/" in text and _COMPUTES.search(text) is not None
    return is_computed and _MENTIONS_IMAGES.search(f"{key} {text}") is not None


def references_without_host(key: str, text: str) -> Iterator[Reference]:
    """Yield the images in a text that mentions images, of which the host is computed."""
    for match in _WITHOUT_HOST.finditer(text):
        if match["name"].strip(HOLE + "./-"):
            # The computed part may hold more of the name than the host.
            for one in _at((None, None), match):
                yield one
                yield replace(one, repository=f"*/{one.repository}")
    is_image = bool(key) and field_name(key).is_image
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


def _at(registry: tuple[str | None, str | None], match: re.Match[str]) -> Iterator[Reference]:
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


def references_outside_ecr(text: str) -> Iterator[ImageReference]:
    """Yield what is named by digest in other registries: its signatures may be in ECR."""
    for match in _AT_DIGEST.finditer(text):
        before = text[max(0, match.start() - _LONGEST_NAME) : match.start()]
        name = _NOT_IN_A_NAME.split(before)[-1]
        if name and "dkr" not in name.lower():
            yield ImageReference(NOT_ECR, name, digest=match["digest"])


def possible(reference: Reference) -> ReferencePattern:
    """Return the reference as a pattern: if it is wrong, it is not a broken one."""
    if isinstance(reference, ReferencePattern):
        return reference
    registry = reference.registry
    return ReferencePattern(
        reference.repository, registry.account, registry.region, reference.tag, reference.digest
    )
