"""The numbers of a repository and of a run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from ecr_cleaner.inuse import Broken
from ecr_cleaner.model import Action, Guarded, Plan
from ecr_cleaner.sweeper import Outcome


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
    broken_references: int = 0
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
        self.broken_references += other.broken_references
        self.kept.update(other.kept)

    def count_plan(self, plan: Plan, broken: Sequence[Broken]) -> None:
        """Count what was judged, and what was found broken."""
        self.broken_references = len(broken)
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
            "kept_total": self.kept.total(),
            "removable": self.removable,
            "removable_bytes": self.removable_bytes,
            "removed": self.removed,
            "removed_bytes": self.removed_bytes,
            "already_gone": self.already_gone,
            "failed": self.failed,
            "left": self.left,
            "broken_references": self.broken_references,
        }


@dataclass(slots=True)
class Result:
    """What one repository came to.

    ``error`` is why it was not, or not wholly, cleaned; ``unvisited`` that time had run out.
    """

    tally: Tally = field(default_factory=Tally)
    guards: Sequence[Guarded] = ()
    error: Exception | None = None
    unvisited: bool = False
