"""Plain text for people: headings, aligned columns, short digests, human sizes."""

from __future__ import annotations

import os
import re
import sys
import textwrap
from collections.abc import Mapping, Sequence
from enum import Enum

WIDTH = 100
_SHORT_DIGEST = 8
_UNIQUE_ID = re.compile(r"[0-9a-f-]{32,36}")
_LONG_TAG = 16


class Colour(Enum):
    """ANSI colours; see https://no-color.org for NO_COLOR."""

    BOLD = "1"
    GREEN = "32"
    RED = "31"


def paint(text: str, colour: Colour) -> str:
    """Colour a text if the output is a terminal."""
    if not sys.stdout.isatty() or os.environ.get("NO_COLOR"):
        return text
    return f"\033[{colour.value}m{text}\033[0m"


def heading(text: str) -> str:
    """Return a heading with an empty line above and a rule below."""
    return f"\n{paint(text, Colour.BOLD)}\n{'-' * WIDTH}"


def paragraph(text: str) -> str:
    """Wrap a text without breaking names; indent the second and later lines."""
    return textwrap.fill(text, WIDTH, subsequent_indent="  ", break_on_hyphens=False)


def table(
    titles: Sequence[str],
    rows: Sequence[Sequence[str]],
    *,
    right: Sequence[str] = (),
    colours: Mapping[str, Colour] | None = None,
) -> str:
    """Return a table; ``right`` names right-aligned columns, ``colours`` is by text of a cell."""
    widths = [max(map(len, column)) for column in zip(titles, *rows, strict=True)]

    def line(cells: Sequence[str]) -> str:
        padded = [
            cell.rjust(width) if title in right else cell.ljust(width)
            for title, cell, width in zip(titles, cells, widths, strict=True)
        ]
        return "  ".join(_painted(cell, colours or {}) for cell in padded).rstrip()

    return "\n".join([paint(line(titles), Colour.BOLD), *map(line, rows)])


def _painted(cell: str, colours: Mapping[str, Colour]) -> str:
    colour = colours.get(cell.strip())
    return paint(cell, colour) if colour else cell


def without_repeats(names: Sequence[str]) -> list[str]:
    """Replace each name that equals the name above it with an empty string."""
    above = [None, *names]
    return ["" if name == before else name for name, before in zip(names, above, strict=False)]


def short_digest(digest: str) -> str:
    """Return the first hexadecimal digits, enough to distinguish the images of a repository."""
    return digest.partition(":")[2][:_SHORT_DIGEST]


def short_tags(tags: Sequence[str]) -> str:
    """Return the tags; long tags, such as those of signatures, are shortened in the middle."""
    return ", ".join(map(_short_tag, tags)) or "(untagged)"


def _short_tag(tag: str) -> str:
    return tag if len(tag) <= _LONG_TAG else f"{tag[:10]}...{tag[-3:]}"


def short_arn(arn: str) -> str:
    """Return the resource of an ARN, with unique identifiers shortened."""
    name = arn.split(":", 5)[-1]
    return _UNIQUE_ID.sub(lambda match: match[0][:_SHORT_DIGEST], name)


def human_size(size: int) -> str:
    """Return a size in B, kB, MB or GB (powers of 1000)."""
    for unit, divisor in (("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if size >= divisor:
            number = size / divisor
            return f"{number:.1f} {unit}" if unit == "GB" else f"{number:.0f} {unit}"
    return f"{size} B"


def count(number: int, noun: str) -> str:
    """Return a number and its noun in singular or plural."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
