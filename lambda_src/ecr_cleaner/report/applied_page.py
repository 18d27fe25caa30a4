"""What the page of a run that applied a plan shows: which plan, and what became of its images."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice

from ecr_cleaner.core.applied_plan import AppliedPlan, End
from ecr_cleaner.core.plan_document import PlannedImage
from ecr_cleaner.core.plan_summary import Sum
from ecr_cleaner.core.text import counted, dollars, human_size
from ecr_cleaner.report.applied import WORDS
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

MOST_IMAGES = 1_000
MOST_REPOSITORIES = 2_000


def done(applied: AppliedPlan, *, dry_run: bool) -> str:
    """Return the sentence that says which plan was applied."""
    header = applied.approved.header
    what = "Applied, as a dry run that removed nothing," if dry_run else "Applied"
    return (
        f"{what} the plan of {header.time:%Y-%m-%d %H:%M} UTC, run "
        f"<code>{shown(header.run)}</code>: <code>{shown(applied.address)}</code>."
    )


def figures(applied: AppliedPlan, price: float, *, dry_run: bool) -> str:
    """Return the numbers at the top of the page."""
    removed, planned = Sum(), 0
    for image, end in applied.images():
        planned += 1
        if end.is_removal:
            removed.add(image)
    title = "Would be removed" if dry_run else "Images removed"
    size = removed.size_bytes
    return (
        f'<div><dt>{title}</dt><dd class="remove">{removed.images:,}</dd></div>\n'
        f"<div><dt>Of images of the plan</dt><dd>{planned:,}</dd></div>\n"
        f"<div><dt>Storage, up to</dt><dd>{human_size(size)}</dd></div>\n"
        f"<div><dt>A month, up to</dt><dd>{shown(dollars(size, price))}</dd></div>\n"
        f"<div><dt>Not removed</dt><dd>{planned - removed.images:,}</dd></div>\n"
    )


def word_of(applied: AppliedPlan, image: PlannedImage) -> str:
    """Return what became of an image that was judged, beside its verdict."""
    end = applied.end_of(image)
    if end is None:
        return "" if image.is_kept else "not in the plan, stays"
    return WORDS[end.became]


def section(applied: AppliedPlan) -> Iterator[str]:
    """Yield what became of the images of the plan: numbers, repositories, single images."""
    yield (
        "<p>Only images that the plan removes, and that this run removes as well, are removed. The "
        "other sections show what this run judged in the repositories of the plan, before it "
        "removed anything.</p>"
    )
    counts = applied.counts()
    numbers = (
        row(Cell(shown(word)), number_cell(counts[became]))
        for became, word in WORDS.items()
        if counts[became]
    )
    yield from table("Images of the plan, by what became of them", ("It is", "Images"), numbers)
    names = sorted(applied.approved.images)
    chosen = names[:MOST_REPOSITORIES]
    yield cut(len(names), len(chosen), "first repositories of the plan")
    titles = ("Repository", "Images", "Removed", "Size removed", "Not removed")
    rows = (_repository_row(applied, name) for name in chosen)
    yield from table("Repositories of the plan", titles, rows)
    yield from _images(applied, counts.total())


def _repository_row(applied: AppliedPlan, name: str) -> str:
    removed, stays = Sum(), 0
    for image, end in applied.images(name):
        if end.is_removal:
            removed.add(image)
        else:
            stays += 1
    return row(
        Cell(name_of(name), kind="name"),
        number_cell(removed.images + stays),
        number_cell(removed.images),
        size_cell(removed.size_bytes),
        number_cell(stays),
    )


def _images(applied: AppliedPlan, number: int) -> Iterator[str]:
    if number > MOST_IMAGES:
        yield (
            f'<p class="note">Of {counted(number, "image")}, {MOST_IMAGES:,} are shown: those that '
            "were not removed first. The log has the others.</p>"
        )
    titles = ("Repository", "Tags", "Digest", "Size", "It is", "Reason now", "Because")
    rows = (_image_row(image, end) for image, end in islice(_in_order(applied), MOST_IMAGES))
    yield from table("Images of the plan", titles, rows)


def _in_order(applied: AppliedPlan) -> Iterator[tuple[PlannedImage, End]]:
    """Yield the images that stay before those that were removed."""
    yield from (one for one in applied.images() if not one[1].is_removal)
    yield from (one for one in applied.images() if one[1].is_removal)


def _image_row(image: PlannedImage, end: End) -> str:
    return row(
        Cell(name_of(image.repository), kind="name"),
        Cell(listed(image.tags) if image.tags else '<span class="quiet">none</span>', kind="name"),
        Cell(digest_of(image.digest)),
        size_cell(image.size_bytes),
        Cell(shown(WORDS[end.became]), kind="remove" if end.is_removal else ""),
        Cell(shown(end.verdict.reason) if end.verdict else ""),
        Cell(", ".join(map(because_of, _becauses(end))), kind="name"),
    )


def _becauses(end: End) -> Iterable[str]:
    if end.detail:
        yield end.detail
    if end.verdict:
        yield from end.verdict.because
