"""What a run that applied a plan did with the images of the plan, in one paragraph for a person."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from threading import Lock
from typing import Any

from structlog.typing import EventDict

from ecr_cleaner.core.applied_plan import Became
from ecr_cleaner.core.approval import Stays
from ecr_cleaner.core.text import counted, human_size
from ecr_cleaner.report import events

# What became of an image of a plan.
WORDS: Mapping[Became | Stays, str] = {
    Became.REMOVED: "removed",
    Became.WOULD_BE_REMOVED: "would be removed",
    Stays.KEPT: "kept now",
    Stays.CHANGED: "changed since the plan",
    Stays.OTHER_ACTION: "with another action now",
    Stays.LEADER: "with an index or a subject that stays",
    Stays.GONE: "already gone",
    Became.GUARDED: "behind a guard",
    Became.LEFT: "left for the next run",
    Became.FAILED: "failed",
    Became.NOT_SWEPT: "in a repository that was not swept",
    Became.NOT_JUDGED: "in a repository that was not judged",
}
_IN_ORDER = (Stays.KEPT, Stays.CHANGED, Stays.OTHER_ACTION, Stays.LEADER, Stays.GONE)


@dataclass(slots=True)
class Applied:
    """Collects the numbers from the lines of the run's log.

    ``planned`` is None until a plan is applied. ``shown`` are images that this run would remove but
    does not, ``guarded`` those of them that a guard keeps. ``ended`` is the last line.
    """

    planned: int | None = None
    shown: int = 0
    guarded: int = 0
    ended: Mapping[str, Any] = field(default_factory=dict)
    _lock: Lock = field(default_factory=Lock)

    def watch(self, _: Any, __: str, event: EventDict) -> EventDict:
        """Take what a line of the log says; a processor of loggers."""
        name = event["event"]
        with self._lock:
            if name == events.APPLYING:
                self.planned = event["images"]
            elif name == events.WOULD_REMOVE:
                self.shown += len(event["each"])
                self.guarded += len(event["each"]) if "guarded_by" in event else 0
            elif name == events.RUN_DONE:
                self.ended = dict(event)
        return event

    def sentences(self) -> str:
        """Return what was removed, what was not, and why; nothing if the run ended early."""
        if self.planned is None or not self.ended:
            return ""
        if not self.planned:
            return "The plan removes nothing."
        done = self.shown - self.guarded if self.ended["dry_run"] else self.ended["removed"]
        left = self.planned - done
        if self.ended["dry_run"]:
            first = (
                f"Removed nothing, because DRY_RUN is not false. {done:,} of the "
                f"{counted(self.planned, 'image')} of the plan would be removed."
            )
            rest = "Would not be removed"
        else:
            size = human_size(self.ended["removed_bytes"])
            first = f"Removed {done:,} of the {counted(self.planned, 'image')} of the plan"
            first += f", up to {size}." if done else "."
            rest = "Not removed"
        return f"{first} {rest}: {', '.join(self._whys(left))}." if left else first

    def _whys(self, left: int) -> Iterator[str]:
        """Yield so many images by the reason why they were not removed."""
        stays = self.ended.get("stays", {})
        numbers = {WORDS[why]: stays.get(why, 0) for why in _IN_ORDER}
        numbers[WORDS[Stays.GONE]] += self.ended["already_gone"]
        numbers |= {
            WORDS[Became.GUARDED]: self.guarded,
            WORDS[Became.LEFT]: self.ended["left"],
            WORDS[Became.FAILED]: self.ended["failed"],
        }
        numbers["in repositories that were not judged or not swept"] = left - sum(numbers.values())
        return (f"{number:,} {text}" for text, number in numbers.items() if number)
