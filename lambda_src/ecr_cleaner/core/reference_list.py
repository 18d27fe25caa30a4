"""Lists of image references that an operator brings: what people produce with one command. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from ecr_cleaner.core.errors import CleanerError
from ecr_cleaner.core.kubernetes_objects import running
from ecr_cleaner.core.model import ImageReference, ReferencePattern, Registry
from ecr_cleaner.core.reference import parse
from ecr_cleaner.core.references_in_text import references_outside_ecr
from ecr_cleaner.core.walk import find

_ENTRY = re.compile(r"(?:[A-Za-z][\w+.-]*+://)?\w[\w.:/@+=-]*+", re.ASCII)
_LOOKS_LIKE_ECR = re.compile(r"\.dkr[.-]ecr", re.IGNORECASE)
_REGION = re.compile(r"[a-z]+(?:-[a-z]+)+-[0-9]+")
_IMAGE_FIELDS = frozenset({"image", "imageID"})


@dataclass(frozen=True, slots=True)
class Place:
    """Where a list is, and what is allowed of it: ``s3://BUCKET/KEY?owner=ACCOUNT``.

    ``may_be_empty``: it may name no image of this registry.
    """

    where: str
    owner: str | None
    may_be_empty: bool

    @classmethod
    def of(cls, setting: str) -> Place:
        """Read one entry of ``REFERENCE_LISTS``, which the settings have checked."""
        where, _, options = setting.partition("?")
        chosen = dict(option.split("=") for option in options.split("&") if option)
        return cls(where, chosen.get("owner"), "empty" in chosen)


@dataclass(frozen=True, slots=True)
class Listed:
    """What a list refers to, and the number of its entries."""

    references: tuple[ImageReference | ReferencePattern, ...]
    entries: int
    in_registry: int


def read_list(
    place: Place, text: str | bytes, repositories: Collection[str], registry: Registry | None
) -> Listed:
    """Read a JSON array, references with white space between them, or objects of Kubernetes.

    Raise CleanerError if an entry is not understood, or if the list says nothing about this
    registry (None: a registry without repositories). An entry is named by its position: the list
    may be secret.
    """
    document = _document(place, text)
    if isinstance(document, dict):
        items = [document, *_items(document)]
        ran = (one for item in items for one in running(item))
        references = list(dict.fromkeys((*find(document).references, *ran)))
        entries = sum(1 for _ in _images(document))
    else:
        for number, entry in enumerate(document, start=1):
            _check(place, number, entry, repositories)
        references = [one for entry in document for one in _named_by(entry)]
        entries = len(document)
    here = sum(_is_in(one, registry) for one in references)
    says_nothing = not entries or (registry is not None and not here)
    if says_nothing and not place.may_be_empty:
        found = f"{entries} entries and none" if entries else "no entries, so none"
        raise CleanerError(
            f"{place.where} has {found} of this registry; if that is right, write it as "
            f"{place.where}?empty=allowed"
        )
    return Listed(tuple(dict.fromkeys(references)), entries, here)


def check_age(place: Place, changed: datetime | None, now: datetime, days: int) -> None:
    """Raise CleanerError if the list was last changed too long ago to be believed."""
    if changed is None:
        raise CleanerError(f"{place.where} has no time of its last change")
    if now - changed > timedelta(days=days):
        raise CleanerError(
            f"{place.where} was last changed on {changed:%Y-%m-%d}, more than "
            f"REFERENCE_LISTS_MAX_AGE_DAYS = {days} days ago"
        )


def _document(place: Place, text: str | bytes) -> list[Any] | dict[str, Any]:
    try:
        content = text.decode("utf-8-sig") if isinstance(text, bytes) else text
    except UnicodeDecodeError as error:
        raise CleanerError(f"{place.where} is not text") from error
    try:
        document = json.loads(content)
    except (ValueError, RecursionError) as error:
        if content.lstrip()[:1] in {"[", "{", '"'}:
            raise CleanerError(f"{place.where} is not JSON") from error
        return content.split()
    if isinstance(document, list) or _is_kubernetes(document):
        found: list[Any] | dict[str, Any] = document
        return found
    raise CleanerError(
        f"{place.where} is not a JSON array of image references, nor objects of Kubernetes"
    )


def _is_kubernetes(document: Any) -> bool:
    return isinstance(document, dict) and "kind" in document and "apiVersion" in document


def _items(document: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the objects of a list, which ``kubectl get`` writes for more than one."""
    items = document.get("items")
    return [one for one in items if isinstance(one, dict)] if isinstance(items, list) else []


def _images(document: Any) -> Iterator[str]:
    """Yield what stands in the fields of Kubernetes objects that name an image."""
    waiting = [document]
    while waiting:
        node = waiting.pop()
        if isinstance(node, dict):
            waiting += node.values()
            images = (value for name, value in node.items() if name in _IMAGE_FIELDS)
            yield from (one for one in images if isinstance(one, str) and one)
        elif isinstance(node, list):
            waiting += node


def _check(place: Place, number: int, entry: Any, repositories: Collection[str]) -> None:
    if not isinstance(entry, str) or not _ENTRY.fullmatch(entry.strip()):
        raise CleanerError(f"entry {number} of {place.where} is not an image reference")
    reference = parse(entry)
    if reference is None and _LOOKS_LIKE_ECR.search(entry):
        raise CleanerError(f"entry {number} of {place.where} is not an image reference")
    if reference and not _REGION.fullmatch(reference.registry.region):
        raise CleanerError(f"entry {number} of {place.where} names a region that cannot exist")
    if reference is None and _name(entry) in repositories:
        raise CleanerError(
            f"entry {number} of {place.where} names a repository of this registry without the "
            "registry's host"
        )


def _named_by(entry: str) -> Iterator[ImageReference | ReferencePattern]:
    reference = parse(entry)
    return iter([reference]) if reference else references_outside_ecr(entry)


def _name(entry: str) -> str:
    name = entry.strip().partition("@")[0]
    slash = name.rfind("/") + 1
    return name[:slash] + name[slash:].partition(":")[0]


def _is_in(reference: ImageReference | ReferencePattern, registry: Registry | None) -> bool:
    return isinstance(reference, ImageReference) and reference.registry == registry
