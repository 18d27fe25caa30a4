"""What the operator reads: a line for each verdict that matters, and the numbers at the end."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from itertools import islice
from types import MappingProxyType
from typing import Any

from structlog.typing import FilteringBoundLogger

from ecr_cleaner.errors import RunFailedError
from ecr_cleaner.inuse import Broken, InUse
from ecr_cleaner.logs import log_error
from ecr_cleaner.model import Action, Guard, Guarded, Plan, Reason, Repository, Verdict
from ecr_cleaner.policy import ENABLED_TAG
from ecr_cleaner.settings import Settings
from ecr_cleaner.sweeper import Outcome
from ecr_cleaner.tally import Result, Tally

WOULD_REMOVE = "Found unused image, should be removed"
REMOVING = "Found unused image, removing"
OLD_IN_USE = "Found old image in use"
KEEPING = "Keeping image"
REPOSITORY_DONE = "Repository finished"
REPOSITORY_FAILED = "Repository failed"
NOT_REMOVED = "Image could not be removed"
LEFT = "Images left for the next run"
TOO_MANY = "More is removable than a run may remove"
GUARDED = "Repository is guarded"
BROKEN = "Found broken reference"
NONE_VISITED = "No repository was visited"
COVERAGE = "Coverage"
SETTING_DOUBTFUL = "Setting may not do what was meant"
NOT_OPTED_IN = "Repository is not opted in: its tag is not exactly true"
RUN_DONE = "Run finished"
RUN_FAILED = "Run failed"
RESTORING = "Restoring image from the archive"
NOT_RESTORED = "Image could not be restored"

_IN_USE = frozenset({Reason.IN_USE, Reason.FAMILY_IN_USE})

# A line has about 600 bytes; what is written at once is held in memory.
LINES_A_WRITE = 100


class Reporter:
    """Writes about one repository; ages are counted to ``now``."""

    def __init__(self, log: FilteringBoundLogger, repository: str, now: datetime) -> None:
        self._log = log.bind(repository=repository)
        self._now = now

    def plan(self, plan: Plan, guards: Sequence[Guarded], *, sweeping: bool) -> None:
        """Write each verdict; those of images that nobody asks about for debugging only."""
        for guarded in guards:
            self._log.warning(GUARDED, guard=guarded.guard.value, why=guarded.why)
        guarded_by = {"guarded_by": [one.guard.value for one in guards]} if guards else {}
        removals = (one for one in plan.verdicts if one.action is not Action.KEEP)
        kept = [one for one in plan.verdicts if one.action is Action.KEEP]
        in_use = (one for one in kept if _is_old_in_use(one))
        others = (one for one in kept if not _is_old_in_use(one))
        self._each(logging.INFO, REMOVING if sweeping else WOULD_REMOVE, removals, guarded_by)
        self._each(logging.INFO, OLD_IN_USE, in_use)
        self._each(logging.DEBUG, KEEPING, others)

    def broken(self, broken: Iterable[Broken]) -> None:
        """Write what consumers hold and cannot pull."""
        for one in broken:
            consumers = list(one.consumers)
            self._log.warning(BROKEN, reference=one.name, problem=one.problem, consumers=consumers)

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


class RunReporter:
    """Writes about the run as a whole."""

    def __init__(
        self, log: FilteringBoundLogger, settings: Settings, clock: Callable[[], datetime]
    ) -> None:
        self._log = log
        self._settings = settings
        self._clock = clock
        self._began = clock()
        self._coverage: dict[str, Any] = {}
        self._total = Tally()
        for sentence in settings.warnings:
            log.warning(SETTING_DOUBTFUL, why=sentence)

    def coverage(self, sources: dict[str, Any]) -> None:
        """Write, before anything is judged, which consumers were looked at."""
        self._coverage = sources
        self._log.info(COVERAGE, sources=sources, waived_guards=list(self._settings.waived_guards))

    def not_opted_in(self, repositories: Iterable[Repository]) -> None:
        """Warn of repositories whose owner probably meant to opt in."""
        for repository in repositories:
            value = repository.tags[ENABLED_TAG]
            self._log.warning(
                NOT_OPTED_IN, repository=repository.name, tag=ENABLED_TAG, value=value
            )

    def missing_repositories(self, repositories: Sequence[Repository], in_use: InUse) -> None:
        """Warn of consumers whose whole repository does not exist."""
        names = {repository.name for repository in repositories}
        for registry in {repository.registry for repository in repositories}:
            for name, use in in_use.repositories_in(registry).items():
                if name not in names:
                    broken = tuple(use.broken(()))
                    self._total.broken_references += len(broken)
                    Reporter(self._log, name, self._began).broken(broken)

    def finish(self, results: Sequence[Result]) -> dict[str, Any]:
        """Write and return the summary; raise RunFailedError where anything failed."""
        for result in results:
            self._total.add(result.tally)
        self._bound()
        self._none_visited(results)
        errors = [*_errors(results, self._settings)]
        unvisited = sum(result.unvisited for result in results)
        summary = {
            "dry_run": self._settings.dry_run,
            "complete": not (errors or unvisited or self._total.failed or self._total.left),
            "repositories": len(results),
            "repositories_unvisited": unvisited,
            "guarded": _guard_counts(results),
            "coverage": self._coverage,
            **self._total.fields(),
            "errors": errors,
            "duration_seconds": round((self._clock() - self._began).total_seconds(), 3),
        }
        self._log.info(RUN_DONE, **summary)
        if errors or self._total.failed:
            failed = [f"{self._total.failed} images could not be removed"] * bool(
                self._total.failed
            )
            raise RunFailedError("; ".join([*failed, *errors]))
        return summary

    def _bound(self) -> None:
        most = self._settings.max_deletions
        if self._total.removable > most:
            self._log.warning(
                TOO_MANY,
                removable=self._total.removable,
                max_deletions=most,
                why="one run removes no more than MAX_DELETIONS and the next goes on; raise it if "
                "so many are right",
            )

    def _none_visited(self, results: Sequence[Result]) -> None:
        """Warn of a run without time: no error, but where every night is like it, none cleans."""
        if results and all(result.unvisited for result in results):
            self._log.warning(
                NONE_VISITED,
                repositories=len(results),
                why="finding what is in use took all the time that there was; raise the timeout or "
                "the memory of the function",
            )


def _errors(results: Iterable[Result], settings: Settings) -> Iterator[str]:
    """A repository that failed is an error; so is a run that should delete and refused to."""
    refused = False
    for result in results:
        if result.error:
            yield str(result.error) or repr(result.error)
        for guarded in result.guards:
            if guarded.guard is Guard.NO_USAGE and not (settings.dry_run or refused):
                refused = True
                yield f"nothing was deleted: {guarded.why}"


def _guard_counts(results: Iterable[Result]) -> dict[str, int]:
    guards = Counter(guarded.guard.value for result in results for guarded in result.guards)
    return dict(sorted(guards.items()))
