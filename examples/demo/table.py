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
    """ANSI colours (https://no-color.org says when not to use them)."""

    BOLD = "1"
    GREEN = "32"
    RED = "31"


def paint(text: str, colour: Colour) -> str:
    """Colour a text where a person reads it on a terminal."""
    if not sys.stdout.isatty() or os.environ.get("NO_COLOR"):
        return text
    return f"\033[{colour.value}m{text}\033[0m"


def heading(text: str) -> str:
    """Return a heading with a line below and an empty line above."""
    return f"\n{paint(text, Colour.BOLD)}\n{'-' * WIDTH}"


def paragraph(text: str) -> str:
    """Break a text into lines, never within a name; the second and later ones are indented."""
    return textwrap.fill(text, WIDTH, subsequent_indent="  ", break_on_hyphens=False)


def table(
    titles: Sequence[str],
    rows: Sequence[Sequence[str]],
    *,
    right: Sequence[str] = (),
    colours: Mapping[str, Colour] | None = None,
) -> str:
    """Align the columns, those named in ``right`` to the right; ``colours`` is by a cell's text."""
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
    """Blank each name that is the same as the one above it."""
    above = [None, *names]
    return ["" if name == before else name for name, before in zip(names, above, strict=False)]


def short_digest(digest: str) -> str:
    """Return the first hexadecimal digits: enough to tell the images of a repository apart."""
    return digest.partition(":")[2][:_SHORT_DIGEST]


def short_tags(tags: Sequence[str]) -> str:
    """Return the tags; of a long one, such as a signature's, its two ends."""
    return ", ".join(map(_short_tag, tags)) or "(untagged)"


def _short_tag(tag: str) -> str:
    return tag if len(tag) <= _LONG_TAG else f"{tag[:10]}...{tag[-3:]}"


def short_arn(arn: str) -> str:
    """Return what an ARN names, without account and region; of a unique identifier its start."""
    name = arn.split(":", 5)[-1]
    return _UNIQUE_ID.sub(lambda match: match[0][:_SHORT_DIGEST], name)


def human_size(size: int) -> str:
    """Return bytes, kB, MB or GB, as registries bill them: by thousands."""
    for unit, divisor in (("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if size >= divisor:
            number = size / divisor
            return f"{number:.1f} {unit}" if unit == "GB" else f"{number:.0f} {unit}"
    return f"{size} B"


def count(number: int, noun: str) -> str:
    """Return a number with its noun in singular or plural."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
