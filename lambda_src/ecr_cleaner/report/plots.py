"""Plots of a page as SVG: each with a title, a description and its numbers as a table."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from ecr_cleaner.core.plan_summary import Fate, Sum
from ecr_cleaner.core.text import counted, human_size
from ecr_cleaner.report.markup import Cell, name_of, row, scrolling, shown, size_cell, table

CLASSES = {
    Fate.REMOVE: "remove",
    Fate.IN_USE: "use",
    Fate.USED_LATELY: "lately",
    Fate.KEEP: "keep",
}
LABELS = {
    Fate.REMOVE: "would be removed",
    Fate.IN_USE: "in use",
    Fate.USED_LATELY: "used lately",
    Fate.KEEP: "kept otherwise",
}

# Stands above a column.
MARK = "▲"

_FATES = tuple((CLASSES[fate], LABELS[fate]) for fate in Fate)

Bars = Sequence[tuple[str, Mapping[Fate, Sum]]]

_WIDTH, _HEIGHT, _LEFT, _RIGHT, _TOP, _BOTTOM = 640, 300, 70, 10, 24, 30
_PLOT = _HEIGHT - _TOP - _BOTTOM
_BAR, _NAMES = 26, 210
# More dates than that would overlap.
_MOST_DATES = 10


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a column: its CSS class, its number, and the words for both."""

    kind: str
    number: int
    label: str


@dataclass(frozen=True, slots=True)
class Column:
    """A stacked column with the mark above it, if there is one."""

    name: str
    parts: tuple[Part, ...]
    mark: str = ""
    mark_label: str = ""


def ages_figure(ages: Bars) -> Iterator[str]:
    """Yield the plot of sizes by age."""
    columns = [
        Column(name, tuple(_part(name, fate, fates[fate]) for fate in Fate)) for name, fates in ages
    ]
    caption = "Size by age and verdict"
    svg = columns_svg("ages", caption, columns, human_size)
    yield from figure(caption, _FATES, svg, _numbers(caption, "Age", "ages", ages))


def repositories_figure(bars: Bars, *, are_all: bool) -> Iterator[str]:
    """Yield the plot of sizes by repository."""
    caption = "Size by repository and verdict"
    if not are_all:
        caption = f"{caption}, the {len(bars)} largest"
    numbers = _numbers(caption, "Repository", "sizes", bars)
    yield from figure(caption, _FATES, _rows_of_bars(caption, bars), numbers)


def figure(
    caption: str, legend: Iterable[tuple[str, str]], svg: str, numbers: Iterable[str] = ()
) -> Iterator[str]:
    """Yield a plot with its numbers as a table, for those who cannot see it.

    ``legend`` holds CSS classes with what they mean. Without ``numbers``, the table of several
    plots comes after the last of them.
    """
    yield f"<figure><figcaption>{shown(caption)}</figcaption>"
    yield from _legend(legend)
    yield f"{scrolling(caption)}{svg}</div>"
    if numbers:
        yield "<details><summary>The numbers of this plot</summary>"
        yield from numbers
        yield "</details>"
    yield "</figure>"


def columns_svg(
    name: str,
    title: str,
    columns: Sequence[Column],
    scale: Callable[[int], str],
) -> str:
    """Return stacked columns. ``scale`` writes the numbers of the axis."""
    most = max((sum(part.number for part in one.parts) for one in columns), default=0) or 1
    step = (_WIDTH - _LEFT - _RIGHT) / max(len(columns), 1)
    shapes = [*_axis(most, scale)]
    every = -(-len(columns) // _MOST_DATES) or 1
    for number, column in enumerate(columns):
        x, y = _LEFT + step * (number + 0.15), float(_HEIGHT - _BOTTOM)
        for part in column.parts:
            height = _PLOT * part.number / most
            y -= height
            shapes.append(_rect(part, x, y, step * 0.7, height))
        middle = x + step * 0.35
        if column.mark:
            shapes.append(_mark(middle, y - 6, column))
        # From the end, so that the latest one has its name.
        if (len(columns) - 1 - number) % every == 0:
            shapes.append(_label(middle, _HEIGHT - 10, column.name, "middle"))
    return _svg(name, title, "columns", _HEIGHT, shapes)


def _axis(most: int, scale: Callable[[int], str]) -> Iterator[str]:
    for share in (0, 0.5, 1):
        y = _HEIGHT - _BOTTOM - _PLOT * share
        yield f'<line class="axis" x1="{_LEFT}" x2="{_WIDTH}" y1="{y:.1f}" y2="{y:.1f}"/>'
        yield _label(_LEFT - 8, y + 4, scale(round(most * share)), "end", quiet=True)


def _rows_of_bars(title: str, bars: Bars) -> str:
    """Return stacked bars, one for each repository."""
    most = max((_total(fates) for _, fates in bars), default=0) or 1
    plot = _WIDTH - _NAMES - 75
    shapes = []
    for number, (name, fates) in enumerate(bars):
        x, y = float(_NAMES), 4 + _BAR * number
        for fate in Fate:
            width = plot * fates[fate].size_bytes / most
            shapes.append(_rect(_part(name, fate, fates[fate]), x, y, width, _BAR - 8))
            x += width
        shapes.append(_label(_NAMES - 8, y + 13, _short(name), "end"))
        shapes.append(_label(x + 6, y + 13, human_size(_total(fates)), "start", quiet=True))
    return _svg("sizes", title, "bars", _BAR * len(bars) + 4, shapes)


def _numbers(caption: str, what: str, name: str, bars: Bars) -> Iterator[str]:
    titles = (what, *(LABELS[fate].capitalize() for fate in Fate))
    rows = (
        row(Cell(name_of(label)), *(size_cell(fates[fate].size_bytes) for fate in Fate))
        for label, fates in bars
    )
    yield from table(f"{caption}: {name}", titles, rows)


def _part(name: str, fate: Fate, value: Sum) -> Part:
    size, images = human_size(value.size_bytes), counted(value.images, "image")
    return Part(CLASSES[fate], value.size_bytes, f"{name}: {size} {LABELS[fate]}, {images}")


def _svg(name: str, title: str, form: str, height: int, shapes: Iterable[str]) -> str:
    return (
        f'<svg viewBox="0 0 {_WIDTH} {height}" role="img" '
        f'aria-labelledby="plot-{name}-title plot-{name}-text">'
        f'<title id="plot-{name}-title">{shown(title)}</title>'
        f'<desc id="plot-{name}-text">Stacked {form}. The numbers are in the table below.</desc>'
        f"{''.join(shapes)}</svg>"
    )


def _legend(entries: Iterable[tuple[str, str]]) -> Iterator[str]:
    """Yield what the colours mean. Outside of the plot, it stays in sight if that is scrolled."""
    yield '<ul class="legend">'
    for kind, label in entries:
        mark = MARK if kind == "near" else ""
        yield f'<li><span class="{kind}" aria-hidden="true">{mark}</span>{shown(label)}</li>'
    yield "</ul>"


def _rect(part: Part, x: float, y: float, width: float, height: float) -> str:
    if not part.number:
        return ""
    return (
        f'<rect class="{part.kind}" x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" '
        f'height="{height:.1f}"><title>{shown(part.label)}</title></rect>'
    )


def _mark(x: float, y: float, column: Column) -> str:
    return (
        f'<text class="near" x="{x:.1f}" y="{y:.1f}" text-anchor="middle">{shown(column.mark)}'
        f"<title>{shown(column.mark_label)}</title></text>"
    )


def _label(x: float, y: float, text: str, anchor: str, *, quiet: bool = False) -> str:
    kind = ' class="quiet"' if quiet else ""
    return f'<text{kind} x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{shown(text)}</text>'


def _short(name: str) -> str:
    most = 27
    return name if len(name) <= most else f"…{name[1 - most :]}"


def _total(fates: Mapping[Fate, Sum]) -> int:
    return sum(one.size_bytes for one in fates.values())
