"""Log lines about one repository: a line for each verdict that matters, and its numbers."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from itertools import groupby, islice
from operator import attrgetter
from types import MappingProxyType
from typing import Any

from structlog.typing import FilteringBoundLogger

from ecr_cleaner.core.approval import Restricted
from ecr_cleaner.core.in_use import Broken
from ecr_cleaner.core.model import Action, Plan, Reason, StandingGuard, Verdict
from ecr_cleaner.core.near_misses import NearMiss
from ecr_cleaner.core.outcome import Outcome
from ecr_cleaner.core.plan_document import PlannedImage
from ecr_cleaner.core.summary import Tally
from ecr_cleaner.report import events
from ecr_cleaner.report.lines import log_error

_IN_USE = frozenset({Reason.IN_USE, Reason.FAMILY_IN_USE})

# A line has about 600 bytes. This many are held in memory and written at once.
LINES_A_WRITE = 100


class RepositoryReport:
    """Writes about one repository. Ages of images are counted to ``now``."""

    def __init__(self, log: FilteringBoundLogger, repository: str, now: datetime) -> None:
        self._log = log.bind(repository=repository)
        self._now = now

    def plan(self, plan: Plan, guards: Sequence[StandingGuard], *, sweeping: bool) -> None:
        """Write each verdict. Those of young or unused images that are kept are for debugging."""
        for standing in guards:
            self._log.warning(events.GUARDED, guard=standing.guard.value, why=standing.why)
        guarded_by = {"guarded_by": [one.guard.value for one in guards]} if guards else {}
        removals = (one for one in plan.verdicts if one.action is not Action.KEEP)
        kept = [one for one in plan.verdicts if one.action is Action.KEEP]
        in_use = (one for one in kept if _is_old_in_use(one))
        others = (one for one in kept if not _is_old_in_use(one))
        removal = events.REMOVING if sweeping else events.WOULD_REMOVE
        self._each(logging.INFO, removal, removals, guarded_by)
        self._each(logging.INFO, events.OLD_IN_USE, in_use)
        self._each(logging.DEBUG, events.KEEPING, others)

    def near_misses(self, found: Sequence[NearMiss]) -> None:
        """Write each image that an earlier plan removes and that is needed now."""
        for planned_at, group in groupby(found, key=attrgetter("planned_at")):
            common = {"planned_at": planned_at.isoformat()}
            verdicts = (one.verdict for one in group)
            self._each(logging.WARNING, events.NEAR_MISS, verdicts, common)

    def not_applied(self, approved: Restricted, images: Mapping[str, PlannedImage]) -> None:
        """Write each image that an approved plan removes and that stays, and why."""
        for digest, stays in approved.stays.items():
            verdict = approved.verdicts.get(digest)
            self._log.info(
                events.NOT_APPLIED,
                digest=digest,
                tags=images[digest].tags,
                stays=stays.value,
                reason=verdict.reason if verdict else None,
                because=verdict.because if verdict else (),
            )

    def doubtful(self, sentences: Iterable[str]) -> None:
        """Warn of tags and policies that are valid but may not do what was meant."""
        for sentence in sentences:
            self._log.warning(events.SETTING_DOUBTFUL, why=sentence)

    def broken(self, broken: Iterable[Broken]) -> None:
        """Write each reference that consumers hold and cannot pull."""
        for one in broken:
            self._log.warning(
                events.BROKEN,
                reference=one.name,
                problem=one.problem,
                consumers=list(one.consumers),
            )

    def outcome(self, outcome: Outcome) -> None:
        """Write what a sweep did not remove: each failure, and how many were left and why."""
        for digest, code in outcome.failed.items():
            self._log.error(events.NOT_REMOVED, digest=digest, code=code)
        for reason, count in Counter(outcome.left.values()).items():
            self._log.warning(events.LEFT, reason=reason.value, count=count)
        if outcome.error:
            self.failure(outcome.error)

    def failure(self, error: Exception) -> None:
        """Write why this repository was not cleaned in full."""
        log_error(self._log, events.REPOSITORY_FAILED, error)

    def done(self, tally: Tally) -> None:
        """Write the numbers of the repository."""
        self._log.info(events.REPOSITORY_DONE, **tally.fields())

    def _each(
        self,
        level: int,
        event: str,
        verdicts: Iterable[Verdict],
        common: Mapping[str, Any] = MappingProxyType({}),
    ) -> None:
        """Write a line for each verdict, many at a time."""
        if self._log.is_enabled_for(level):
            lines = map(self._fields, verdicts)
            while block := list(islice(lines, LINES_A_WRITE)):
                self._log.log(level, event, **common, each=block)

    def _fields(self, verdict: Verdict) -> dict[str, Any]:
        image = verdict.image
        pushed = image.pushed_at
        return {
            "action": verdict.action,
            "digest": image.digest,
            "tags": image.tags,
            "pushed_at": pushed.isoformat() if pushed else None,
            "age_days": (self._now - pushed).days if pushed else None,
            "size_bytes": image.size_bytes,
            "reason": verdict.reason,
            "because": verdict.because,
        }


def _is_old_in_use(verdict: Verdict) -> bool:
    return verdict.old and verdict.reason in _IN_USE
