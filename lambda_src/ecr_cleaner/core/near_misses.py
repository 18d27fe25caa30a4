"""Images that an earlier plan removes and that are needed now. Pure.

An earlier plan may remove a million images: of each, a few bytes are kept.
"""

from __future__ import annotations

import json
from array import array
from bisect import bisect_left
from collections.abc import Container, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from operator import itemgetter
from typing import cast

from ecr_cleaner.core.digests import number_of
from ecr_cleaner.core.graph import may_have_children
from ecr_cleaner.core.model import Action, Image, Plan, Reason, Registry, Verdict
from ecr_cleaner.core.plan_document import PlanError, PlanHeader, read_plan

# Lines of images that are kept are not parsed, which saves most of the time. Within a string,
# each quotation mark has a backslash before it, so no tag and no name can hold this text.
_KEPT = b'"verdict":"keep"'
_VERDICT = b'{"line":"verdict"'
_END = b'{"line":"end"'
_USED = frozenset({Reason.IN_USE, Reason.FAMILY_IN_USE})


@dataclass(frozen=True, slots=True)
class NearMiss:
    """An image that an earlier plan, begun at ``planned_at``, removes and that is needed now."""

    repository: str
    planned_at: datetime
    verdict: Verdict


@dataclass(frozen=True, slots=True)
class PlannedRemovals:
    """What an earlier plan removes of one repository: sorted digests, each with its last pull.

    Of a digest, the first 64 bits are kept, and of a pull the second; 0: none was recorded.
    """

    time: datetime
    keys: array[int]
    pulls: array[int]

    @classmethod
    def of(cls, time: datetime, images: Iterable[tuple[int, int]]) -> PlannedRemovals:
        """Return those of images by the number of the digest and the second of the last pull."""
        ordered = sorted(images)
        keys = array("Q", (key for key, _ in ordered))
        return cls(time, keys, array("Q", (pull for _, pull in ordered)))

    def last_pull(self, image: Image) -> int | None:
        """Return the second of the last pull as the plan has it; None if the image is not in it."""
        key = number_of(image.digest)
        position = bisect_left(self.keys, key)
        is_there = position < len(self.keys) and self.keys[position] == key
        return self.pulls[position] if is_there else None

    def is_pulled_since(self, image: Image) -> bool:
        """Return whether the image is in the plan and was pulled later than that knew.

        False for an index: reading its manifest is a pull, and this program reads it.
        """
        if image.pulled_at is None or may_have_children(image):
            return False
        known = self.last_pull(image)
        return known is not None and _second(image.pulled_at) > known


def near_misses(plan: Plan, earlier: PlannedRemovals | None) -> list[NearMiss]:
    """Return the images of a repository that the earlier plan removes and that are needed now.

    They are in use, were in use since that plan, or are kept by a pull that it did not know. The
    children of such an index are not counted again.
    """
    if earlier is None:
        return []
    pulled = {one.image.digest for one in plan.verdicts if earlier.is_pulled_since(one.image)}
    # An index is kept by the pulls of what it lists.
    pulled |= {leader for digest in pulled for leader in plan.follows.get(digest, ())}
    return [
        NearMiss(plan.repository.name, earlier.time, verdict)
        for verdict in plan.verdicts
        if _is_needed(verdict, earlier.time, pulled)
        and earlier.last_pull(verdict.image) is not None
    ]


def _is_needed(verdict: Verdict, since: datetime, pulled: Container[str]) -> bool:
    if verdict.action is not Action.KEEP:
        return False
    if verdict.reason is Reason.RECENTLY_USED:
        # The consumer, and the day.
        return verdict.because[-1:] >= (since.date().isoformat(),)
    if verdict.reason is Reason.RECENTLY_PULLED:
        return verdict.image.digest in pulled
    return verdict.reason in _USED


def removals_in(
    lines: Iterable[bytes], registry: Registry, only: Container[str] | None = None
) -> Mapping[str, PlannedRemovals]:
    """Return what the plan in these lines removes, by repository; ``only`` those, None: all.

    Raise PlanError if it is damaged, not whole or of another registry.
    """
    try:
        rest = iter(lines)
        header = cast("PlanHeader", next(read_plan(rest)))  # the reader takes nothing else first
        if header.registry != registry:
            made = header.registry
            raise PlanError(f"it is of the registry of {made.account} in {made.region}")
        return {
            name: PlannedRemovals.of(header.time, (image for _, image in images))
            for name, images in groupby(_removed(rest, only), key=itemgetter(0))
        }
    except (ValueError, TypeError, KeyError, OverflowError, RecursionError) as error:
        raise PlanError(f"it is damaged: {error!r}") from error


def _removed(
    lines: Iterable[bytes], only: Container[str] | None
) -> Iterator[tuple[str, tuple[int, int]]]:
    """Yield repository, number and second of the last pull of each image that is removed."""
    last = b""
    for line in lines:
        last = line
        if _KEPT in line or not line.startswith(_VERDICT):
            continue
        found = json.loads(line)
        name, pulled = found["repository"], found["pulled_at"]
        if only is None or name in only:
            second = _second(datetime.fromisoformat(pulled)) if pulled else 0
            yield name, (number_of(found["digest"]), second)
    if not last.startswith(_END):
        raise PlanError("it is not whole: its last line is missing")


def _second(time: datetime) -> int:
    return max(0, int(time.timestamp()))
