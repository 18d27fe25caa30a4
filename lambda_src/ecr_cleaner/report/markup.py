"""HTML of a page: texts, cells and tables.

Whatever an account holds is text here, never markup: all of it passes ``shown``.
"""

from __future__ import annotations

import html
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from ecr_cleaner.core.reference import is_digest
from ecr_cleaner.core.text import human_size, short_digest, visible

# The titles of columns that hold numbers.
_NUMBERS = frozenset(
    {
        *("Images", "Remove", "Up to", "A month", "In use", "Used lately", "Kept otherwise"),
        *("Size", "Usages", "Age in days", "Would be removed", "To remove", "Size to remove"),
        *("Removed", "Size removed", "Not removed", "Near misses", "Not judged"),
    }
)


@dataclass(frozen=True, slots=True)
class Cell:
    """A cell of a table: HTML, with a number to sort by if it is not sorted by its text."""

    content: str
    number: float | None = None
    kind: str = ""

    def html(self) -> str:
        sort = "" if self.number is None else f' data-sort="{self.number:.15g}"'
        kind = f' class="{self.kind}"' if self.kind else ""
        return f"<td{kind}{sort}>{self.content}</td>"


def shown(text: str) -> str:
    """Return any text as HTML that shows it, in elements and in quoted attributes."""
    return html.escape(visible(text), quote=True)


def name_of(text: str) -> str:
    """Return a name that may be in any script: what follows keeps its direction."""
    return f"<bdi>{shown(text)}</bdi>"


def listed(names: Iterable[str]) -> str:
    """Return names, one after the other."""
    return ", ".join(map(name_of, names))


def digest_of(digest: str) -> str:
    """Return the first digits of a digest, with the whole of it to hover over."""
    return f'<code title="{shown(digest)}">{shown(short_digest(digest))}</code>'


def because_of(text: str) -> str:
    """Return what a reason refers to: a digest or a name."""
    is_one = text.startswith("sha256:") and is_digest(text)
    return digest_of(text) if is_one else name_of(text)


def number_cell(number: int) -> Cell:
    """Return a cell with a number."""
    return Cell(f"{number:,}", number, "number")


def size_cell(size_bytes: int) -> Cell:
    """Return a cell with a size."""
    return Cell(human_size(size_bytes), size_bytes, "number")


def section(name: str, title: str, content: Iterable[str]) -> Iterator[str]:
    """Yield a section with its heading."""
    yield f'<section aria-labelledby="{name}"><h2 id="{name}">{shown(title)}</h2>'
    yield from content
    yield "</section>"


def cut(there: int, chosen: int, which: str) -> str:
    """Return a note that not all are shown; nothing if they are."""
    if chosen == there:
        return ""
    return f'<p class="note">Of {there:,}, the {chosen:,} {which} are shown.</p>'


def row(*cells: Cell, fate: str = "") -> str:
    """Return a row of a table."""
    kind = f' data-fate="{fate}"' if fate else ""
    return f"<tr{kind}>{''.join(cell.html() for cell in cells)}</tr>\n"


def table(
    caption: str, titles: Sequence[str], rows: Iterable[str], name: str = ""
) -> Iterator[str]:
    """Yield a table that can be sorted, and scrolled sideways on its own."""
    identity = f' id="{name}"' if name else ""
    heads = "".join(_head(title) for title in titles)
    yield (
        f'{scrolling(caption)}<table class="sortable"{identity}>'
        f"<caption>{shown(caption)}</caption>"
        f"<thead><tr>{heads}</tr></thead><tbody>\n"
    )
    yield from rows
    yield "</tbody></table></div>"


def scrolling(label: str) -> str:
    """Return the begin of what is scrolled sideways on a narrow screen, by keyboard too."""
    return f'<div class="scroll" tabindex="0" role="region" aria-label="{shown(label)}">'


def _head(title: str) -> str:
    kind = ' class="number"' if title in _NUMBERS else ""
    return f'<th scope="col"{kind}>{shown(title)}</th>'
