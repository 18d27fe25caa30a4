"""What a run asks a person to approve: its plan, and what applying it would remove. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from ecr_cleaner.core.model import Registry
from ecr_cleaner.core.settings import Settings
from ecr_cleaner.core.summary import Result, Summary

# The message is for a first look; the page has all repositories.
MOST_NAMED = 5


@dataclass(frozen=True, slots=True)
class Gain:
    """What removing would free, at most: layers that images share are counted in each of them."""

    repositories: int = 0
    images: int = 0
    size_bytes: int = 0


@dataclass(frozen=True, slots=True)
class ApprovalRequest:
    """What one run asks for: its ``plan``, by its address, and what applying it would remove.

    ``most`` are the repositories with the most images to remove, at most ``MOST_NAMED``. ``page``
    is empty if there was no time to write it. ``guarded`` is what guards keep until they are
    lifted.
    """

    registry: Registry
    until: datetime
    plan: str
    page: str
    gain: Gain
    guarded: Gain
    broken_references: int
    near_misses: int
    unvisited: int
    most: tuple[tuple[str, Gain], ...] = ()


@dataclass(frozen=True, slots=True)
class Planned:
    """The plan of a run that began at ``began``: its address and that of its page, if stored."""

    registry: Registry
    began: datetime
    stored: Sequence[str]


def approval_request(
    planned: Planned, settings: Settings, results: Sequence[Result], summary: Summary
) -> ApprovalRequest | None:
    """Return what a run that waits for approval asks for; None if applying would remove nothing.

    A run that failed asks for nothing either: its plan may lack what matters.
    """
    gain = _gain(results, guarded=False)
    if summary.failure or not (settings.waits_for_approval and gain.images and planned.stored):
        return None
    plan, *pages = planned.stored
    return ApprovalRequest(
        registry=planned.registry,
        until=planned.began + timedelta(days=settings.plan_max_age_days),
        plan=plan,
        page="".join(pages),
        gain=gain,
        guarded=_gain(results, guarded=True),
        broken_references=summary.total.broken_references,
        near_misses=summary.total.near_misses or 0,
        unvisited=summary.unvisited,
        most=_most(results),
    )


def _most(results: Iterable[Result]) -> tuple[tuple[str, Gain], ...]:
    gains = [(one.repository, _gain([one], guarded=False)) for one in results]
    chosen = [one for one in gains if one[1].images]
    chosen.sort(key=lambda one: (-one[1].images, -one[1].size_bytes, one[0]))
    return tuple(chosen[:MOST_NAMED])


def _gain(results: Iterable[Result], *, guarded: bool) -> Gain:
    chosen = [one.tally for one in results if bool(one.guards) == guarded and one.tally.removable]
    return Gain(
        repositories=len(chosen),
        images=sum(one.removable for one in chosen),
        size_bytes=sum(one.removable_bytes for one in chosen),
    )
