"""What a plan comes to: sums by repository, by age and by consumer, and some of its images. Pure.

A plan may hold a million images: they are read one at a time, and only bounded numbers are kept.
"""

from __future__ import annotations

import heapq
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from ecr_cleaner.core.model import Reason
from ecr_cleaner.core.plan_document import (
    PlanEnd,
    PlanHeader,
    PlannedImage,
    PlannedRepository,
    PlanPart,
)

# Consumers are names of services, tasks and objects: there may be very many.
MOST_CONSUMERS = 2_000

# The age groups of the page: the first day that is no longer in each.
AGES = ((7, "< 1 week"), (30, "< 30 days"), (90, "< 90 days"), (180, "< 180 days"), (365, "< 1 y"))
OLDEST = "1 y and more"
UNKNOWN_AGE = "unknown"
AGE_NAMES = (*(name for _, name in AGES), OLDEST, UNKNOWN_AGE)

_BY_USE = frozenset({Reason.IN_USE, Reason.FAMILY_IN_USE})


class Fate(StrEnum):
    """What becomes of an image, as a person distinguishes it."""

    REMOVE = "remove"
    IN_USE = "in use"
    USED_LATELY = "used lately"
    KEEP = "kept otherwise"


def fate_of(image: PlannedImage) -> Fate:
    """Return what becomes of the image."""
    if not image.is_kept:
        return Fate.REMOVE
    # What an index lists is in use with it.
    reason = image.leader_reason or image.reason
    if reason is Reason.RECENTLY_USED:
        return Fate.USED_LATELY
    return Fate.IN_USE if reason in _BY_USE else Fate.KEEP


def age_days(image: PlannedImage, now: datetime) -> int | None:
    """Return the days since the push; None if ECR does not return it."""
    return None if image.pushed_at is None else (now - image.pushed_at).days


def age_name(days: int | None) -> str:
    """Return the age group of so many days."""
    if days is None:
        return UNKNOWN_AGE
    return next((name for end, name in AGES if days < end), OLDEST)


@dataclass(slots=True)
class Sum:
    """A number of images, and their sizes in bytes together: an upper bound.

    An index has no size of its own.
    """

    images: int = 0
    size_bytes: int = 0

    def add(self, image: PlannedImage) -> None:
        """Count an image."""
        self.images += 1
        self.size_bytes += image.own_bytes


@dataclass(slots=True)
class RepositorySum:
    """The numbers of one repository, by what becomes of its images and by reason."""

    planned: PlannedRepository
    fates: dict[Fate, Sum] = field(default_factory=lambda: {fate: Sum() for fate in Fate})
    reasons: Counter[Reason] = field(default_factory=Counter)

    @property
    def name(self) -> str:
        return self.planned.repository

    @property
    def removable(self) -> Sum:
        return self.fates[Fate.REMOVE]

    @property
    def guarded(self) -> Sum:
        """Of those, what guards keep until they are lifted: all or nothing."""
        return self.removable if self.planned.guards else Sum()

    @property
    def total(self) -> Sum:
        """All images."""
        return _total(self.fates.values())


@dataclass(slots=True)
class PlanSummary:
    """The numbers of a plan.

    ``repositories`` are in the order of what there is to gain. ``consumers`` counts the images
    that each keeps, at most ``MOST_CONSUMERS`` of them; ``consumers_left_out`` says whether there
    are more. ``rows`` are single images: those to remove first, then the largest. ``left_out``
    counts the images that ``rows`` does not hold.
    """

    header: PlanHeader
    repositories: list[RepositorySum] = field(default_factory=list)
    ages: dict[str, dict[Fate, Sum]] = field(
        default_factory=lambda: {name: {fate: Sum() for fate in Fate} for name in AGE_NAMES}
    )
    consumers: dict[str, Sum] = field(default_factory=lambda: defaultdict(Sum))
    consumers_left_out: bool = False
    rows: list[PlannedImage] = field(default_factory=list)
    left_out: int = 0

    @property
    def removable(self) -> Sum:
        return _total(one.removable for one in self.repositories)

    @property
    def guarded(self) -> Sum:
        """Of those, what guards keep until they are lifted."""
        return _total(one.guarded for one in self.repositories)

    @property
    def unguarded(self) -> Sum:
        """Of those, what a run removes today."""
        return _total(one.removable for one in self.repositories if not one.planned.guards)

    @property
    def total(self) -> Sum:
        """All images."""
        return _total(one.total for one in self.repositories)

    @property
    def reasons(self) -> Counter[Reason]:
        """The images by reason."""
        return sum((one.reasons for one in self.repositories), Counter[Reason]())

    def count(self, image: PlannedImage, repository: RepositorySum) -> None:
        """Count an image of the repository."""
        fate = fate_of(image)
        repository.fates[fate].add(image)
        repository.reasons[image.reason] += 1
        self.ages[age_name(age_days(image, self.header.time))][fate].add(image)
        for consumer in _consumers(image):
            if consumer in self.consumers or len(self.consumers) < MOST_CONSUMERS:
                kept = self.consumers[consumer]
                kept.images += 1
                # Of an index, that of the largest image that it lists.
                kept.size_bytes += image.size_bytes
            else:
                self.consumers_left_out = True


def summarize_plan(parts: Iterable[PlanPart], most_rows: int = 0) -> PlanSummary | None:
    """Return the summary of a plan, with at most ``most_rows`` single images; None without parts.

    Raise PlanError if the plan is not whole.
    """
    summary: PlanSummary | None = None
    current: RepositorySum | None = None
    # The least important of the chosen rows is on top. The number makes every entry different.
    chosen: list[tuple[bool, int, int, PlannedImage]] = []
    for number, part in enumerate(parts):
        if isinstance(part, PlanHeader):
            summary = PlanSummary(part)
        elif isinstance(part, PlannedRepository) and summary:
            current = RepositorySum(part)
            summary.repositories.append(current)
        elif isinstance(part, PlannedImage) and summary and current:
            summary.count(part, current)
            entry = (not part.is_kept, part.size_bytes, -number, part)
            if len(chosen) < most_rows:
                heapq.heappush(chosen, entry)
            elif chosen:
                heapq.heappushpop(chosen, entry)
        elif isinstance(part, PlanEnd) and summary:
            summary.left_out = part.images - len(chosen)
    if summary:
        summary.rows = [image for *_, image in sorted(chosen, reverse=True)]
        summary.repositories.sort(key=lambda one: (-one.removable.size_bytes, one.name))
    return summary


def _consumers(image: PlannedImage) -> tuple[str, ...]:
    if image.reason is Reason.RECENTLY_USED:
        return image.because[:1]
    return image.because if image.reason in _BY_USE else ()


def _total(sums: Iterable[Sum]) -> Sum:
    total = Sum()
    for one in sums:
        total.images += one.images
        total.size_bytes += one.size_bytes
    return total
