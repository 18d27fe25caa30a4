"""A plan as a table for a person: repositories by what there is to gain."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from typing import TextIO

from ecr_cleaner.core.model import StandingGuard
from ecr_cleaner.core.plan_document import State
from ecr_cleaner.core.plan_summary import Fate, PlanSummary, RepositorySum, Sum
from ecr_cleaner.core.policy import ENABLED_TAG
from ecr_cleaner.core.text import counted, dollars, human_size, price_tag, visible

_TITLES = (
    "REPOSITORY",
    "IMAGES",
    "REMOVE",
    "UP TO",
    "A MONTH",
    "IN USE",
    "KEPT",
    "NOTES",
)
_NUMBERS = _TITLES[1:-1]
_ELLIPSIS = "…"
_LEAST = 10
_LEAST_NAME = 24
_LEAST_NOTES = 24
_MOST_NAMES = 3
_GAP = "  "
_INDENT = "  "


def write_table(summary: PlanSummary, stream: TextIO, width: int) -> None:
    """Write the table of a plan, and what stands in the way of removals.

    To a terminal, it is written with the library rich if that is installed, and no line is longer
    than ``width``; in a narrow one, each repository has several lines. Anywhere else, it is plain
    text in full.
    """
    rows = [_cells(one, summary.header.price_per_gb_month) for one in summary.repositories]
    if not stream.isatty():
        stream.write(_plain(rows))
    elif _is_narrow(rows, width):
        stream.writelines(f"{line}\n" for line in _stacked(rows, width))
    elif not _write_rich(rows, stream, width):
        stream.write(_plain(rows, width))
    stream.write("\n")
    for paragraph in _paragraphs(summary):
        if stream.isatty():
            paragraph = _wrapped(paragraph, width)  # noqa: PLW2901 - only for eyes
        stream.write(f"{paragraph}\n")


def _cells(one: RepositorySum, price: float) -> tuple[str, ...]:
    guarded = one.guarded
    kept = one.fates[Fate.USED_LATELY].images + one.fates[Fate.KEEP].images + guarded.images
    # While a guard stands, none of them is removed.
    remove = Sum() if guarded.images else one.removable
    return (
        visible(one.name),
        f"{one.total.images:,}",
        f"{remove.images:,}",
        human_size(remove.size_bytes) if remove.images else "",
        dollars(remove.size_bytes, price) if remove.images else "",
        f"{one.fates[Fate.IN_USE].images:,}",
        f"{kept:,}",
        visible(", ".join(_notes(one))),
    )


def _notes(one: RepositorySum) -> Iterator[str]:
    names = ", ".join(dict.fromkeys(guard.guard.value for guard in one.planned.guards))
    if names:
        guarded = f"{counted(one.guarded.images, 'image')}, {human_size(one.guarded.size_bytes)}"
        yield f"guarded: {guarded} ({names})"
    if one.planned.state is not State.JUDGED:
        yield f"{one.planned.state}: {one.planned.problem}"
    if one.planned.broken:
        yield counted(len(one.planned.broken), "broken reference")


def _plain(rows: Sequence[tuple[str, ...]], width: int | None = None) -> str:
    """Return the table as text; with a width, long names and notes are cut."""
    widths = _widths(rows, width)
    return "".join(f"{_row(cells, widths)}\n" for cells in [_TITLES, *rows])


def _is_narrow(rows: Sequence[tuple[str, ...]], width: int) -> bool:
    """Return whether a line for each repository would cut names or notes that are not long."""
    full, cut = _widths(rows, None), _widths(rows, width)
    names_fit = cut[0] >= min(full[0], _LEAST_NAME)
    return not names_fit or cut[-1] < min(full[-1], _LEAST_NOTES)


def _stacked(rows: Sequence[tuple[str, ...]], width: int) -> Iterator[str]:
    """Yield the table with the names and the notes of repositories on lines of their own."""
    sizes = _widths(rows, None)[1:-1]
    for name, *numbers, notes in [_TITLES, *rows]:
        yield _cut(name, width)
        padded = (cell.rjust(size) for cell, size in zip(numbers, sizes, strict=True))
        yield (_INDENT + _GAP.join(padded)).rstrip()
        if notes and notes != _TITLES[-1]:
            yield textwrap.fill(notes, width, initial_indent=_INDENT, subsequent_indent=_INDENT)


def _widths(rows: Sequence[tuple[str, ...]], width: int | None) -> list[int]:
    """Return the width of each column. Names and notes share what numbers leave; notes may wrap."""
    name, *numbers, notes = (max(map(len, column)) for column in zip(_TITLES, *rows, strict=True))
    if width is not None:
        left = width - sum(numbers) - len(_GAP) * (len(numbers) + 1)
        name = min(name, max(_LEAST, left - min(notes, _LEAST_NOTES)))
        notes = min(notes, max(_LEAST, left - name))
    return [name, *numbers, notes]


def _row(cells: Sequence[str], widths: Sequence[int]) -> str:
    padded = [
        _cut(cell, size).rjust(size) if title in _NUMBERS else _cut(cell, size).ljust(size)
        for title, cell, size in zip(_TITLES, cells, widths, strict=True)
    ]
    return _GAP.join(padded).rstrip()


def _cut(text: str, width: int) -> str:
    return text if len(text) <= width else text[: width - 1] + _ELLIPSIS


def _write_rich(rows: Sequence[tuple[str, ...]], stream: TextIO, width: int) -> bool:
    """Write the table with rich; return False if it is not installed."""
    try:
        from rich.console import Console  # noqa: PLC0415 - optional, and slow to import
        from rich.table import Table  # noqa: PLC0415
        from rich.text import Text  # noqa: PLC0415
    except ImportError:
        return False
    table = Table(box=None, pad_edge=False, header_style="bold")
    for title, size in zip(_TITLES, _widths(rows, width), strict=True):
        if title in _NUMBERS:
            # A number is never cut.
            table.add_column(title, justify="right", no_wrap=True, min_width=size)
        else:
            is_name = title != "NOTES"
            table.add_column(title, no_wrap=is_name, overflow="ellipsis", max_width=size)
    for cells in rows:
        styles = [
            "bold",
            "",
            "red" if cells[2] != "0" else "dim",
            "",
            "",
            "green",
            "",
            "yellow",
        ]
        table.add_row(*map(Text, cells, styles))
    Console(file=stream, width=width).print(table)
    return True


def _paragraphs(summary: PlanSummary) -> Iterator[str]:
    """Yield what stands below the table, a paragraph each."""
    if not summary.repositories:
        yield f"No repository is opted in: tag those to clean with {ENABLED_TAG} = true."
    yield (
        f"{_removals(summary)} An index is counted once, by the images that it lists; layers that "
        "images share are counted in each of them."
    )
    behind: dict[StandingGuard, list[str]] = {}
    for one in summary.repositories:
        for guard in dict.fromkeys(one.planned.guards):
            behind.setdefault(guard, []).append(one.name)
    for guard, names in behind.items():
        yield f"Guard {guard.guard}, in {_few(names)}: {visible(guard.why)}"
    for one in summary.repositories:
        for broken in one.planned.broken:
            name, users = visible(f"{one.name} {broken.name}"), _names(broken.consumers)
            yield f"Broken reference: {name} is {broken.problem}, used by {users}"
    for name, found in summary.header.missing.items():
        users = _names([consumer for broken in found for consumer in broken.consumers])
        yield f"Broken reference: there is no repository {visible(name)}, used by {users}"
    if summary.total.images:
        yield (
            "For single images, write the page (plan --output plan.html) or the lines (plan "
            "--output plan.jsonl) of the plan, or run explain REPOSITORY:TAG."
        )
    waived = [name for name, one in summary.header.coverage.items() if one.get("state") == "waived"]
    if waived:
        yield f"Not scanned, because waived: {', '.join(waived)}"


def _removals(summary: PlanSummary) -> str:
    """Return what would be removed, and what guards keep."""
    price = summary.header.price_per_gb_month
    all_images = counted(summary.total.images, "image")
    removable, guarded = summary.removable, summary.guarded

    def worth(size: int) -> str:
        cost = f"up to {dollars(size, price)} a month at {price_tag(price)} per GB"
        return f"up to {human_size(size)}, {cost}"

    if removable.images and guarded.images == removable.images:
        return (
            "Nothing would be removed until the guards below are lifted. They keep "
            f"{guarded.images:,} of {all_images}: {worth(guarded.size_bytes)}."
        )
    size = removable.size_bytes - guarded.size_bytes
    number = removable.images - guarded.images
    text = f"{number:,} of {all_images} would be removed, {worth(size)}."
    if guarded.images:
        text += (
            f" The guards below keep {guarded.images:,} more until they are lifted, up to "
            f"{human_size(guarded.size_bytes)}."
        )
    return text


def _few(names: Sequence[str]) -> str:
    """Return the first names, and the number of the others."""
    more = [f"{len(names) - _MOST_NAMES:,} more"] if len(names) > _MOST_NAMES else []
    return ", ".join([*map(visible, names[:_MOST_NAMES]), *more])


def _names(consumers: Sequence[str]) -> str:
    return ", ".join(visible(one) for one in dict.fromkeys(consumers))


def _wrapped(text: str, width: int) -> str:
    return textwrap.fill(text, width, subsequent_indent=_INDENT, break_on_hyphens=False)
