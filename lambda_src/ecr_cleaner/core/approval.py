"""A plan that somebody approved, against a fresh judgement: what of it may be removed. Pure."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from ecr_cleaner.core.documents import is_in_future
from ecr_cleaner.core.errors import CleanerError
from ecr_cleaner.core.model import Action, Plan, Registry, Verdict
from ecr_cleaner.core.plan_document import PlanError, PlanHeader, PlannedImage, PlanPart
from ecr_cleaner.core.settings import Settings

# In characters. Rules may be long.
_LONGEST_VALUE = 200


class PlanRefusedError(CleanerError):
    """A plan that must not be applied here or now."""


class Stays(StrEnum):
    """Why an image that an approved plan removes stays."""

    GONE = "already_gone"
    KEPT = "kept_now"
    CHANGED = "changed_since_plan"
    OTHER_ACTION = "other_action_now"
    LEADER = "parent_or_subject_stays"


@dataclass(frozen=True, slots=True)
class Approved:
    """The images that a plan removes, by repository and digest."""

    header: PlanHeader
    images: Mapping[str, Mapping[str, PlannedImage]]

    def check(self, settings: Settings, now: datetime) -> None:
        """Raise PlanRefusedError if the plan is too old or was made with other settings."""
        age = now - self.header.time
        most = settings.plan_max_age_days
        if age > timedelta(days=most):
            raise PlanRefusedError(
                f"the plan is of {self.header.time.isoformat()}, more than {most} days ago "
                "(PLAN_MAX_AGE_DAYS); make a new one"
            )
        if is_in_future(self.header.time, now):
            raise PlanRefusedError(f"the plan is of {self.header.time.isoformat()}, in the future")
        mine, others = settings.deciding(), self.header.settings
        different = [
            f"{name} was {_shown(others.get(name))} and is {_shown(mine.get(name))}"
            for name in sorted(mine.keys() | others.keys())
            if mine.get(name) != others.get(name)
        ]
        if different:
            raise PlanRefusedError(
                f"the plan was made with other settings: {'; '.join(different)}. Make a new plan, "
                "or set them as they were"
            )

    def check_registry(self, registry: Registry) -> None:
        """Raise PlanRefusedError if the plan is one of another registry."""
        made = self.header.registry
        if made != registry:
            raise PlanRefusedError(
                f"the plan is of the registry of {made.account} in {made.region}, but this is "
                f"{registry.account} in {registry.region}"
            )


@dataclass(frozen=True, slots=True)
class Restricted:
    """A fresh plan without what was not approved, and why approved images stay, by digest.

    ``verdicts`` are those of the fresh judgement for the images that stay and still exist.
    """

    plan: Plan
    stays: Mapping[str, Stays]
    verdicts: Mapping[str, Verdict]


def approved_by(parts: Iterable[PlanPart]) -> Approved:
    """Return what a plan removes; raise PlanError if it is not whole."""
    header: PlanHeader | None = None
    images: dict[str, dict[str, PlannedImage]] = defaultdict(dict)
    for part in parts:
        if isinstance(part, PlanHeader):
            header = part
        elif isinstance(part, PlannedImage) and not part.is_kept:
            images[part.repository][part.digest] = part
    if header is None:
        raise PlanError("the plan is empty")
    return Approved(header, dict(images))


def restricted(fresh: Plan, approved: Mapping[str, PlannedImage]) -> Restricted:
    """Return the fresh plan, restricted to the removals that were approved as they still are.

    What follows an image that stays must stay as well, or an index would lose its children.
    """
    verdicts = {one.image.digest: one for one in fresh.verdicts}
    stays = {digest: why for digest, one in approved.items() if (why := _stays(one, verdicts))}
    dropped: set[str] = set()
    steps: list[tuple[Verdict, ...]] = []
    for step in fresh.steps:
        chosen = []
        for verdict in step:
            digest = verdict.image.digest
            if digest not in approved or digest in stays:
                dropped.add(digest)
            elif not dropped.isdisjoint(fresh.leaders.get(digest, ())):
                dropped.add(digest)
                stays[digest] = Stays.LEADER
            else:
                chosen.append(verdict)
        if chosen:
            steps.append(tuple(chosen))
    shown = tuple(one for one in fresh.verdicts if one.image.digest not in dropped)
    plan = replace(fresh, verdicts=shown, steps=tuple(steps))
    return Restricted(plan, stays, {d: verdicts[d] for d in stays if d in verdicts})


def _shown(value: Any) -> str:
    """Return the value of a setting as it fits into a message."""
    if value is None:
        return "not set"
    text = json.dumps(value)
    return text if len(text) <= _LONGEST_VALUE else f"{text[:_LONGEST_VALUE]}..."


def _stays(approved: PlannedImage, verdicts: Mapping[str, Verdict]) -> Stays | None:
    """Return why the approved image stays by its own; None: it may be removed."""
    fresh = verdicts.get(approved.digest)
    if fresh is None:
        return Stays.GONE
    if fresh.action is Action.KEEP:
        return Stays.KEPT
    if fresh.action is not approved.verdict:
        return Stays.OTHER_ACTION
    image = fresh.image
    then = (set(approved.tags), approved.pushed_at, approved.pulled_at)
    if then != (set(image.tags), image.pushed_at, image.pulled_at):
        return Stays.CHANGED
    return None
