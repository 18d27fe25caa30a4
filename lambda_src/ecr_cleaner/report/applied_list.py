"""The images of an applied plan, as a person at a terminal reads them after the run."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import TextIO

from ecr_cleaner.core.applied_plan import AppliedPlan, End
from ecr_cleaner.core.plan_document import PlannedImage
from ecr_cleaner.core.text import counted, human_size, short_digest, visible
from ecr_cleaner.report.applied import WORDS

# A screen or two; the page of the run and its log have all.
MOST_IMAGES = 40
_MOST_TAGS = 3
_IN_PAGE = "see the page of the run, in PLANS"
# The log is not written if its place shows this list.
_NEXT_TIME = (
    "to see all of them the next time, set PLANS, or write standard output, the log, to a file"
)
_GAP = "  "


def write_list(applied: AppliedPlan, stream: TextIO, *, has_page: bool) -> None:
    """Write the images that were removed, or would be, and then the others with the reason.

    ``has_page``: the run stores a page, which names those that this list leaves out.
    """
    removed = (one for one in applied.images() if one[1].is_removal)
    others = (one for one in applied.images() if not one[1].is_removal)
    for images in (removed, others):
        stream.writelines(f"{line}\n" for line in _lines(images, has_page=has_page))


def _lines(images: Iterator[tuple[PlannedImage, End]], *, has_page: bool) -> Iterator[str]:
    """Yield aligned lines of the first images, and one with the number of the others."""
    rows = [_cells(image, end) for image, end in islice(images, MOST_IMAGES)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for cells in rows:
        padded = (cell.ljust(width) for cell, width in zip(cells, widths, strict=True))
        yield _GAP.join(padded).rstrip()
    more = sum(1 for _ in images)
    if more:
        yield f"and {counted(more, 'more image')}: {_IN_PAGE if has_page else _NEXT_TIME}"


def _cells(image: PlannedImage, end: End) -> tuple[str, ...]:
    tags = [visible(tag) for tag in image.tags[:_MOST_TAGS]]
    more = ["..."] if len(image.tags) > _MOST_TAGS else []
    return (
        visible(image.repository),
        ", ".join([*tags, *more]) or "(untagged)",
        short_digest(image.digest),
        human_size(image.size_bytes),
        WORDS[end.became] + "".join(f": {visible(one)}" for one in _whys(end)),
    )


def _whys(end: End) -> Iterable[str]:
    if end.detail:
        yield end.detail
    if end.verdict:
        yield end.verdict.reason.value
        yield from end.verdict.because[:1]
