"""What the operator reads: a line for each verdict that matters, and the numbers at the end."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from structlog.typing import FilteringBoundLogger

from ecr_cleaner.logs import log_error
from ecr_cleaner.model import Action, Plan, Reason, Verdict
from ecr_cleaner.sweeper import Outcome

WOULD_REMOVE = "Found unused image, should be removed"
REMOVING = "Found unused image, removing"
OLD_IN_USE = "Found old image in use"
KEEPING = "Keeping image"
REPOSITORY_DONE = "Repository finished"
REPOSITORY_FAILED = "Repository failed"
NOT_REMOVED = "Image could not be removed"
LEFT = "Images left for the next run"
RUN_DONE = "Run finished"
RUN_FAILED = "Run failed"
RESTORING = "Restoring image from the archive"
NOT_RESTORED = "Image could not be restored"


@dataclass(slots=True)
class Tally:
    """The numbers of one repository, or of a run. Sizes are in bytes.

    ``removable`` is what the plan wanted; a sum of image sizes is an upper bound of what is
    saved, because layers that images share are counted in each of them and stored once.
    """

    images: int = 0
    removable: int = 0
    removable_bytes: int = 0
    removed: int = 0
    removed_bytes: int = 0
    already_gone: int = 0
    failed: int = 0
    left: int = 0
    kept: Counter[str] = field(default_factory=Counter)

    def add(self, other: Tally) -> None:
        """Add the numbers of another tally."""
        self.images += other.images
        self.removable += other.removable
        self.removable_bytes += other.removable_bytes
        self.removed += other.removed
        self.removed_bytes += other.removed_bytes
        self.already_gone += other.already_gone
        self.failed += other.failed
        self.left += other.left
        self.kept.update(other.kept)

    def count_plan(self, plan: Plan) -> None:
        """Count what was judged."""
        self.images = len(plan.verdicts)
        for verdict in plan.verdicts:
            if verdict.action is Action.KEEP:
                self.kept[verdict.reason.value] += 1
            else:
                self.removable += 1
                self.removable_bytes += verdict.image.size_bytes

    def count_outcome(self, outcome: Outcome) -> None:
        """Count what was done."""
        self.removed = len(outcome.removed)
        self.removed_bytes = sum(one.image.size_bytes for one in outcome.removed.values())
        self.already_gone = len(outcome.gone)
        self.failed = len(outcome.failed)
        self.left = len(outcome.left)

    def fields(self) -> dict[str, Any]:
        """Return the numbers as a log line and the summary tell them."""
        return {
            "images": self.images,
            "kept": dict(sorted(self.kept.items())),
            "removable": self.removable,
            "removable_bytes": self.removable_bytes,
            "removed": self.removed,
            "removed_bytes": self.removed_bytes,
            "already_gone": self.already_gone,
            "failed": self.failed,
            "left": self.left,
        }


class Reporter:
    """Writes about one repository."""

    def __init__(self, log: FilteringBoundLogger, repository: str, now: datetime) -> None:
        self._log = log.bind(repository=repository)
        self._now = now

    def plan(self, plan: Plan, *, removing: bool, guards: Iterable[str] = ()) -> None:
        """Write each verdict; those of images that nobody asks about for debugging only."""
        guarded = {"guarded_by": list(guards)} if guards else {}
        for verdict in plan.verdicts:
            fields = self._fields(verdict)
            if verdict.action is not Action.KEEP:
                event = REMOVING if removing else WOULD_REMOVE
                self._log.info(event, action=verdict.action.value, **guarded, **fields)
            elif verdict.old and verdict.reason in {Reason.IN_USE, Reason.FAMILY_IN_USE}:
                self._log.info(OLD_IN_USE, consumers=list(verdict.because), **fields)
            else:
                self._log.debug(KEEPING, **fields)

    def outcome(self, outcome: Outcome) -> None:
        """Write what a sweep did not remove: each failure, and how many were left and why."""
        for digest, code in outcome.failed.items():
            self._log.error(NOT_REMOVED, digest=digest, code=code)
        for reason, count in Counter(outcome.left.values()).items():
            self._log.warning(LEFT, reason=reason.value, count=count)
        if outcome.error:
            self.failure(outcome.error)

    def failure(self, error: Exception) -> None:
        """Write why this repository was not, or not wholly, cleaned."""
        log_error(self._log, REPOSITORY_FAILED, error)

    def done(self, tally: Tally) -> None:
        """Write the numbers of the repository."""
        self._log.info(REPOSITORY_DONE, **tally.fields())

    def _fields(self, verdict: Verdict) -> dict[str, Any]:
        image = verdict.image
        pushed = image.pushed_at
        return {
            "digest": image.digest,
            "tags": list(image.tags),
            "pushed_at": pushed.isoformat() if pushed else None,
            "age_days": (self._now - pushed).days if pushed else None,
            "size_bytes": image.size_bytes,
            "reason": verdict.reason.value,
            "because": list(verdict.because),
        }
