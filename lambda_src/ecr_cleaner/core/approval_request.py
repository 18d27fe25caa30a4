"""What a run asks a person to approve: its plans, and what applying them would remove. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from ecr_cleaner.core.model import Registry
from ecr_cleaner.core.settings import Settings
from ecr_cleaner.core.summary import Result, Summary


@dataclass(frozen=True, slots=True)
class Gain:
    """What removing would free, at most: layers that images share are counted in each of them."""

    repositories: int = 0
    images: int = 0
    size_bytes: int = 0


@dataclass(frozen=True, slots=True)
class PlanToApprove:
    """One stored plan; ``page`` is empty if there was no time to write it."""

    address: str
    page: str
    gain: Gain


@dataclass(frozen=True, slots=True)
class ApprovalRequest:
    """What one run asks for. A run in steps has a plan for each share of the repositories.

    ``gain`` is that of all plans. ``guarded`` is what guards keep until they are lifted.
    """

    registry: Registry
    until: datetime
    plans: tuple[PlanToApprove, ...]
    gain: Gain
    guarded: Gain
    broken_references: int
    unvisited: int


@dataclass(frozen=True, slots=True)
class Planned:
    """The addresses of a plan and of its page, and the results of the repositories in it."""

    stored: Sequence[str]
    results: Sequence[Result]


def approval_request(
    registry: Registry,
    began: datetime,
    settings: Settings,
    summary: Summary,
    planned: Sequence[Planned],
) -> ApprovalRequest | None:
    """Return what a run that waits for approval asks for; None if applying would remove nothing.

    A run that failed asks for nothing either: its plan may lack what matters.
    """
    if summary.failure or not settings.waits_for_approval:
        return None
    plans = tuple(
        PlanToApprove(one.stored[0], "".join(one.stored[1:]), gain)
        for one in planned
        if (gain := _gain(one.results, guarded=False)).images and one.stored
    )
    results = [result for one in planned for result in one.results]
    if not plans:
        return None
    return ApprovalRequest(
        registry=registry,
        until=began + timedelta(days=settings.plan_max_age_days),
        plans=plans,
        gain=_gain(results, guarded=False),
        guarded=_gain(results, guarded=True),
        broken_references=summary.total.broken_references,
        unvisited=summary.unvisited,
    )


def _gain(results: Iterable[Result], *, guarded: bool) -> Gain:
    chosen = [one.tally for one in results if bool(one.guards) == guarded and one.tally.removable]
    return Gain(
        repositories=len(chosen),
        images=sum(one.removable for one in chosen),
        size_bytes=sum(one.removable_bytes for one in chosen),
    )
