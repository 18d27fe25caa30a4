"""What the page of a plan shows of earlier runs: near misses, and the last runs side by side."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from ecr_cleaner.core.near_misses import NearMiss
from ecr_cleaner.core.text import counted, human_size
from ecr_cleaner.core.trend import Past, RunNumbers
from ecr_cleaner.report.markup import (
    Cell,
    because_of,
    cut,
    digest_of,
    listed,
    name_of,
    number_cell,
    row,
    shown,
    size_cell,
    table,
)
from ecr_cleaner.report.plots import MARK, Column, Part, columns_svg, figure

_LEGEND = (
    ("keep", "stays"),
    ("remove", "would be removed"),
    ("gone", "was removed"),
    ("near", "near misses"),
)


def near_misses(past: Past) -> Iterator[str]:
    """Yield the images that the latest earlier plan removes and that are needed now."""
    yield (
        "<p>Images that the latest earlier plan would have removed, and that are in use or were "
        "pulled since.</p>"
    )
    if past.near_misses is None:
        yield f"<p>Unknown. {shown(past.unknown)}</p>"
    elif not past.near_misses:
        yield "<p>None.</p>"
    elif not past.near:
        yield f"<p>{past.near_misses:,}. The log names them: <code>Found near miss</code>.</p>"
    else:
        yield cut(past.near_misses, len(past.near), "first near misses")
        titles = ("Repository", "Tags", "Digest", "Planned", "Reason now", "Because", "Last pull")
        yield from table("Near misses", titles, map(_near_row, past.near))


def last_runs(past: Past) -> Iterator[str]:
    """Yield the last runs side by side, as plots and as a table."""
    if len(past.runs) <= 1:
        yield "<p>There are no numbers of earlier runs.</p>"
        return
    yield (
        "<p>Opted-in repositories, before anything was removed. Runs that applied a plan judged "
        "only its repositories, so they are not in the plots. The last column counts repositories "
        "that were not judged.</p>"
    )
    yield '<div class="plots latest">'
    yield from _plot(past, "images", "Images by run", "{:,}".format, _image_parts)
    yield from _plot(past, "bytes", "Size by run, upper bounds", human_size, _size_parts)
    yield '</div><details class="short" open><summary>The numbers of these runs</summary>'
    titles = (
        *("Began (UTC)", "Run", "Images", "Size", "To remove", "Size to remove", "Removed"),
        *("Size removed", "Near misses", "Not judged"),
    )
    yield from table("The last runs", titles, map(_row, past.runs[::-1]))
    yield "</details>"


def _plot(
    past: Past,
    name: str,
    caption: str,
    scale: Callable[[int], str],
    parts: Callable[[RunNumbers], tuple[Part, ...]],
) -> Iterator[str]:
    """Yield a plot of the runs that judged all repositories."""
    columns = [
        Column(f"{one.time:%m-%d}", parts(one), *_mark(one)) for one in past.runs if not one.applied
    ]
    yield from figure(caption, _LEGEND, columns_svg(f"runs-{name}", caption, columns, scale))


def _image_parts(run: RunNumbers) -> tuple[Part, ...]:
    begun = f"{run.time:%Y-%m-%d %H:%M}"
    would, stays = _rest(run.removable, run.removed), run.images - run.removable
    return (
        Part("remove", would, f"{begun}: {counted(would, 'image')} would be removed"),
        Part("gone", run.removed, f"{begun}: {counted(run.removed, 'image')} removed"),
        Part("keep", stays, f"{begun}: {counted(stays, 'image')} of {run.images:,} stay"),
    )


def _size_parts(run: RunNumbers) -> tuple[Part, ...]:
    begun = f"{run.time:%Y-%m-%d %H:%M}"
    would = _rest(run.removable_bytes, run.removed_bytes)
    stays = run.images_bytes - run.removable_bytes
    return (
        Part("remove", would, f"{begun}: {human_size(would)} would be removed"),
        Part("gone", run.removed_bytes, f"{begun}: {human_size(run.removed_bytes)} removed"),
        Part("keep", stays, f"{begun}: {human_size(stays)} stay"),
    )


def _rest(removable: int, removed: int) -> int:
    """Return what is left of it. A run that judges again before its sweep may remove more."""
    return max(0, removable - removed)


def _mark(run: RunNumbers) -> tuple[str, str]:
    if not run.near_misses:
        return "", ""
    return f"{MARK} {run.near_misses:,}", f"{run.near_misses:,} near misses"


def _row(run: RunNumbers) -> str:
    near = "unknown" if run.near_misses is None else f"{run.near_misses:,}"
    return row(
        Cell(f"{run.time:%Y-%m-%d %H:%M}", run.time.timestamp(), "time"),
        Cell(_mode(run), kind="time"),
        number_cell(run.images),
        size_cell(run.images_bytes),
        number_cell(run.removable),
        size_cell(run.removable_bytes),
        number_cell(run.removed),
        size_cell(run.removed_bytes),
        Cell(near, -1 if run.near_misses is None else run.near_misses, "number"),
        number_cell(run.unjudged),
    )


def _mode(run: RunNumbers) -> str:
    if run.applied:
        return "applied a plan"
    if run.waits:
        return "waits for approval"
    return "dry run" if run.dry_run else "removes"


def _near_row(near: NearMiss) -> str:
    image, pulled = near.verdict.image, near.verdict.image.pulled_at
    return row(
        Cell(name_of(near.repository), kind="name"),
        Cell(listed(image.tags) if image.tags else '<span class="quiet">none</span>', kind="name"),
        Cell(digest_of(image.digest)),
        Cell(f"{near.planned_at:%Y-%m-%d %H:%M}", near.planned_at.timestamp(), "time"),
        Cell(shown(near.verdict.reason)),
        Cell(", ".join(map(because_of, near.verdict.because)), kind="name"),
        Cell(f"{pulled:%Y-%m-%d}" if pulled else "", pulled.timestamp() if pulled else 0, "time"),
    )
