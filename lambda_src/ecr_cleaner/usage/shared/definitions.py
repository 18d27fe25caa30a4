"""Image references in definitions written as JSON, such as state machines. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any

from ecr_cleaner.core.model import ImageReference
from ecr_cleaner.core.reference import parse

# Whatever may stand in a reference, from the account on; parse() decides whether it is one.
_EMBEDDED = re.compile(r"[0-9]{12}\.dkr[.-]ecr[\w./:@-]*", re.IGNORECASE | re.ASCII)


def texts(node: Any, key: str = "") -> Iterator[tuple[str, str]]:
    """Yield every string of a parsed JSON document, with the name of the field it stands in."""
    if isinstance(node, str):
        yield key, node
    elif isinstance(node, dict):
        for name, value in node.items():
            yield from texts(value, name)
    elif isinstance(node, list):
        for value in node:
            yield from texts(value, key)


def references(strings: Iterable[str]) -> Iterator[ImageReference]:
    """Yield each reference once, from strings that are one and from those that contain one.

    A part of an expression or a template says where the images are, not which of them will be
    run: without a digest, that means any image of the repository.
    """
    found = (one for text in strings for one in _references(text.strip()))
    yield from dict.fromkeys(found)


def _references(text: str) -> Iterator[ImageReference]:
    for match in _EMBEDDED.finditer(text):
        reference = parse(match[0])
        if reference:
            yield reference if match[0] == text else replace(reference, tag=None)
