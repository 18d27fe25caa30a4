"""The numbers of a repository and of a run, and whether the run failed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from ecr_cleaner.core.graph import own_bytes
from ecr_cleaner.core.in_use import Broken
from ecr_cleaner.core.model import Action, Guard, Plan, StandingGuard
from ecr_cleaner.core.outcome import Outcome
from ecr_cleaner.core.settings import Mode, Settings

# A summary names so many errors: CloudWatch splits a longer line, and no metric could read it.
MOST_ERRORS = 20


@dataclass(slots=True)
class Tally:
    """The numbers of one repository, or of a run. Sizes are in bytes.

    ``removable`` counts what the plan removes, and ``near_misses`` what an earlier plan removes and
    is needed now, None if that is unknown. ``stays`` counts the images that stay although the plan
    that is applied removes them, by reason. A sum of image sizes is an upper bound of what is
    stored or saved: layers that images share are counted in each of them and stored once. An index
    has no size of its own.
    """

    images: int = 0
    images_bytes: int = 0
    removable: int = 0
    removable_bytes: int = 0
    removed: int = 0
    removed_bytes: int = 0
    already_gone: int = 0
    failed: int = 0
    left: int = 0
    broken_references: int = 0
    near_misses: int | None = None
    kept: Counter[str] = field(default_factory=Counter)
    stays: Counter[str] = field(default_factory=Counter)

    def add(self, other: Tally) -> None:
        """Add the numbers of another tally."""
        self.images += other.images
        self.images_bytes += other.images_bytes
        self.removable += other.removable
        self.removable_bytes += other.removable_bytes
        self.removed += other.removed
        self.removed_bytes += other.removed_bytes
        self.already_gone += other.already_gone
        self.failed += other.failed
        self.left += other.left
        self.broken_references += other.broken_references
        if other.near_misses is not None:
            self.near_misses = (self.near_misses or 0) + other.near_misses
        self.kept.update(other.kept)
        self.stays.update(other.stays)

    def count_plan(self, plan: Plan, broken: Sequence[Broken]) -> None:
        """Count the verdicts and the broken references."""
        self.broken_references = len(broken)
        self.images = len(plan.verdicts)
        for verdict in plan.verdicts:
            size = own_bytes(verdict.image)
            self.images_bytes += size
            if verdict.action is Action.KEEP:
                self.kept[verdict.reason.value] += 1
            else:
                self.removable += 1
                self.removable_bytes += size

    def count_stays(self, reasons: Iterable[str]) -> None:
        """Count the images of an applied plan that stay."""
        self.stays.update(reasons)

    def count_outcome(self, outcome: Outcome) -> None:
        """Count what a sweep did."""
        self.removed = len(outcome.removed)
        self.removed_bytes = sum(own_bytes(one.image) for one in outcome.removed.values())
        self.already_gone = len(outcome.gone)
        self.failed = len(outcome.failed)
        self.left = len(outcome.left)

    def fields(self) -> dict[str, Any]:
        """Return the numbers as fields of a log line."""
        return {
            "images": self.images,
            "images_bytes": self.images_bytes,
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
            **({} if self.near_misses is None else {"near_misses": self.near_misses}),
            **({"stays": dict(sorted(self.stays.items()))} if self.stays else {}),
        }


@dataclass(slots=True)
class Result:
    """The result of one repository, by its name.

    ``error`` is why it was not cleaned in full. ``unvisited``: the run was out of time before it.
    """

    tally: Tally = field(default_factory=Tally)
    guards: Sequence[StandingGuard] = ()
    error: Exception | None = None
    unvisited: bool = False
    repository: str = ""


@dataclass(frozen=True, slots=True)
class Facts:
    """What a summary says of a run besides the results of its repositories.

    ``missing`` holds the broken references to repositories that do not exist, ``coverage`` what
    was scanned, in so many ``targets``: accounts and regions. ``remembers_since`` is the day since
    which uses are remembered, None if they are not. ``not_matching`` counts the opted-in
    repositories that are not in ``REPOSITORY_FILTER``. ``problems`` are the reasons why the run
    failed as a whole.
    """

    missing: Mapping[str, Sequence[Broken]] = field(default_factory=dict)
    coverage: Mapping[str, Any] = field(default_factory=dict)
    targets: int = 1
    remembers_since: date | None = None
    not_matching: int = 0
    problems: Sequence[str] = ()
    seconds: float = 0
    slowest_scan_seconds: float = 0


@dataclass(frozen=True, slots=True)
class Summary:
    """The result of a run.

    ``errors`` are the reasons why it failed, besides images that could not be removed.
    """

    dry_run: bool
    mode: Mode
    total: Tally
    repositories: int
    unvisited: int
    guarded: Mapping[str, int]
    errors: tuple[str, ...]
    facts: Facts

    @property
    def complete(self) -> bool:
        """Whether every repository was cleaned in full."""
        return not (self.errors or self.unvisited or self.total.failed or self.total.left)

    @property
    def failure(self) -> str | None:
        """Why the run failed; None if it did not. A run that is out of time has not failed."""
        failed = self.total.failed
        problems = [f"{failed} images could not be removed"] if failed else []
        return "; ".join([*problems, *self.errors]) or None

    def fields(self) -> dict[str, Any]:
        """Return the summary as fields of a log line."""
        since = self.facts.remembers_since
        return {
            "dry_run": self.dry_run,
            "mode": self.mode.value,
            "complete": self.complete,
            "repositories": self.repositories,
            "repositories_unvisited": self.unvisited,
            "repositories_not_matching": self.facts.not_matching,
            "guarded": dict(self.guarded),
            "targets": self.facts.targets,
            "coverage": dict(self.facts.coverage),
            "remembers_since": since.isoformat() if since else None,
            **self.total.fields(),
            "errors": list(self.errors),
            "duration_seconds": round(self.facts.seconds, 3),
        }


def summarize(results: Sequence[Result], settings: Settings, facts: Facts | None = None) -> Summary:
    """Return the summary of a run from the results of its repositories."""
    facts = facts or Facts()
    total = Tally(broken_references=sum(map(len, facts.missing.values())))
    for result in results:
        total.add(result.tally)
    return Summary(
        dry_run=settings.dry_run,
        mode=settings.mode,
        total=total,
        repositories=len(results),
        unvisited=sum(result.unvisited for result in results),
        guarded=_guard_counts(results),
        errors=_named([*_errors(results), *_refused(results, settings), *facts.problems]),
        facts=facts,
    )


def _errors(results: Iterable[Result]) -> Iterator[str]:
    """Yield each error once: if a scan fails, each repository that waits for it fails with it."""
    found = Counter(str(one.error) or repr(one.error) for one in results if one.error)
    for error, times in found.items():
        yield error if times == 1 else f"{error} (in {times} repositories)"


def _named(errors: Sequence[str]) -> tuple[str, ...]:
    left = len(errors) - MOST_ERRORS
    more = [f"{left} more errors, all of which are in the log"] if left > 0 else []
    return (*errors[:MOST_ERRORS], *more)


def _refused(results: Iterable[Result], settings: Settings) -> list[str]:
    """A run that was asked to delete and found no usage at all has failed: say so once."""
    if settings.dry_run:
        return []
    standing = (guard for result in results for guard in result.guards)
    refused = (f"nothing was deleted: {one.why}" for one in standing if one.guard is Guard.NO_USAGE)
    return list(refused)[:1]


def _guard_counts(results: Iterable[Result]) -> dict[str, int]:
    """Count the repositories behind each guard; there may be a guard for each of many clusters."""
    guards = Counter(
        guard for result in results for guard in {one.guard.value for one in result.guards}
    )
    return dict(sorted(guards.items()))
