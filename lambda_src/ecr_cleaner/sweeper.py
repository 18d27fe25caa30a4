"""Carry a plan out, so that nothing is lost when something fails or changes half-way."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from threading import Lock
from typing import Protocol

from ecr_cleaner.errors import ApiError
from ecr_cleaner.graph import may_have_children
from ecr_cleaner.model import Action, Image, Plan, Repository, Verdict
from ecr_cleaner.registry import IMAGES_A_CALL, EcrRegistry
from ecr_cleaner.workers import Workers, batches

# A listing older than this is not trusted: a batch is described once more before it goes.
LISTING_IS_FRESH = timedelta(minutes=1)

# Batches may have to wait for a new scan of what is in use, and that needs threads to be free.
BATCHES_AT_ONCE = 4

# https://docs.aws.amazon.com/AmazonECR/latest/APIReference/API_ImageFailure.html
REFERENCED = "ImageReferencedByManifestList"
NOT_FOUND = frozenset({"ImageNotFound", "ImageNotFoundException"})


class Left(StrEnum):
    """Why an image that a plan wanted to remove was left alone."""

    CHANGED = "changed_since_listing"
    CAME_INTO_USE = "came_into_use"
    LEADER_STAYED = "parent_or_subject_stayed"
    MAX_DELETIONS = "max_deletions_reached"
    AFTER_ERROR = "after_error"
    OUT_OF_TIME = "out_of_time"


class Budget:
    """The upper bound of removals in a run, shared by all repositories."""

    def __init__(self, most: int) -> None:
        self._left = most
        self._lock = Lock()

    def take(self, wanted: int) -> int:
        """Return how many of the wanted removals the run may still try."""
        with self._lock:
            granted = min(wanted, self._left)
            self._left -= granted
            return granted

    def give_back(self, unused: int) -> None:
        """Take note of removals that were granted and did not come about."""
        with self._lock:
            self._left += unused


@dataclass(slots=True)
class Outcome:
    """What became of the images that a plan wanted to remove, each digest in one place only.

    ``removed`` is what ECR confirmed, ``gone`` what someone else had deleted before, ``failed``
    leads to ECR's failure code, ``left`` to why nothing was tried. ``error`` ended the sweep.
    """

    removed: dict[str, Verdict] = field(default_factory=dict)
    gone: dict[str, Verdict] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)
    left: dict[str, Left] = field(default_factory=dict)
    error: Exception | None = None

    def add(self, other: Outcome) -> None:
        """Add what became of other images."""
        self.removed |= other.removed
        self.gone |= other.gone
        self.failed |= other.failed
        self.left |= other.left
        self.error = self.error or other.error

    def knows(self, digest: str) -> bool:
        """Tell whether it is settled what became of this image."""
        return digest in self.removed or digest in self.gone or self.stays(digest)

    def stays(self, digest: str) -> bool:
        """Tell whether the image is still there, so that what follows it must stay as well."""
        return digest in self.failed or digest in self.left

    def take_back(self) -> set[str]:
        """Forget, and return, what may succeed once more of its parents are gone."""
        waiting = {digest for digest, code in self.failed.items() if code == REFERENCED}
        if not waiting:
            return waiting
        waiting |= {digest for digest, why in self.left.items() if why is Left.LEADER_STAYED}
        for digest in waiting:
            self.failed.pop(digest, None)
            self.left.pop(digest, None)
        return waiting


class Lookout(Protocol):
    """Sees what changes while a sweep is under way."""

    def renew(self) -> bool:
        """Make sure that what is in use is known anew; False: there is no time left for that."""

    def removable(self) -> Container[str]:
        """Return the digests that may still go, by all that is known now."""

    def scanned_since(self, time: datetime) -> bool:
        """Tell whether what is in use is known better than what was listed then."""


class Sweeper:
    """Removes by digest, in full batches, leaders before followers."""

    def __init__(
        self,
        registry: EcrRegistry,
        workers: Workers,
        budget: Budget,
        clock: Callable[[], datetime],
        out_of_time: Callable[[], bool] = lambda: False,
    ) -> None:
        self._registry = registry
        self._workers = workers
        self._budget = budget
        self._clock = clock
        self._out_of_time = out_of_time

    def sweep(self, plan: Plan, listed_at: datetime, lookout: Lookout) -> Outcome:
        """Carry the plan out; what it was made from was listed at ``listed_at``."""
        outcome = Outcome()
        steps = plan.steps
        while True:
            before = len(outcome.removed)
            for step in steps:
                self._step(plan, step, listed_at, lookout, outcome)
            if outcome.error or len(outcome.removed) == before:
                return outcome
            again = outcome.take_back()
            steps = tuple(
                tuple(one for one in step if one.image.digest in again) for step in plan.steps
            )

    def _step(
        self,
        plan: Plan,
        step: Iterable[Verdict],
        listed_at: datetime,
        lookout: Lookout,
        outcome: Outcome,
    ) -> None:
        ready = []
        for verdict in step:
            digest = verdict.image.digest
            if outcome.error:
                outcome.left[digest] = Left.AFTER_ERROR
            elif any(map(outcome.stays, plan.leaders.get(digest, ()))):
                outcome.left[digest] = Left.LEADER_STAYED
            else:
                ready.append(verdict)
        for done in self._workers.map(
            lambda batch: self._batch(plan.repository, batch, listed_at, lookout),
            batches(ready, IMAGES_A_CALL),
            at_once=BATCHES_AT_ONCE,
        ):
            outcome.add(done)

    def _batch(
        self, repository: Repository, batch: list[Verdict], listed_at: datetime, lookout: Lookout
    ) -> Outcome:
        outcome = Outcome()
        try:
            due = self._due(repository, batch, listed_at, lookout, outcome)
            granted = self._budget.take(len(due))
            outcome.left |= {one.image.digest: Left.MAX_DELETIONS for one in due[granted:]}
            self._remove(repository, due[:granted], outcome)
            self._budget.give_back(granted - len(outcome.removed))
        except Exception as error:  # noqa: BLE001 - what was removed by then must be counted
            outcome.error = error
            undecided = [one.image.digest for one in batch if not outcome.knows(one.image.digest)]
            outcome.failed |= dict.fromkeys(undecided, getattr(error, "code", type(error).__name__))
        return outcome

    def _due(
        self,
        repository: Repository,
        batch: list[Verdict],
        listed_at: datetime,
        lookout: Lookout,
        outcome: Outcome,
    ) -> list[Verdict]:
        """Return what may go now, after a look at all that may have changed since the judgement."""
        if self._out_of_time() or not lookout.renew():
            outcome.left = {one.image.digest: Left.OUT_OF_TIME for one in batch}
            return []
        removable = lookout.removable()
        outcome.left = {
            one.image.digest: Left.CAME_INTO_USE
            for one in batch
            if one.image.digest not in removable
        }
        due = [one for one in batch if one.image.digest in removable]
        old = self._clock() - listed_at > LISTING_IS_FRESH
        if due and (old or lookout.scanned_since(listed_at)):
            return self._unchanged(repository, due, outcome)
        return due

    def _unchanged(
        self, repository: Repository, batch: list[Verdict], outcome: Outcome
    ) -> list[Verdict]:
        there = self._registry.still_there(repository, [one.image.digest for one in batch])
        unchanged = []
        for verdict in batch:
            now = there.get(verdict.image.digest)
            if now is None:
                outcome.gone[verdict.image.digest] = verdict
            elif _is_unchanged(verdict.image, now):
                unchanged.append(verdict)
            else:
                outcome.left[verdict.image.digest] = Left.CHANGED
        return unchanged

    def _remove(self, repository: Repository, batch: list[Verdict], outcome: Outcome) -> None:
        self._archive(repository, [one for one in batch if one.action is Action.ARCHIVE], outcome)
        self._delete(repository, [one for one in batch if one.action is Action.DELETE], outcome)

    def _delete(self, repository: Repository, batch: list[Verdict], outcome: Outcome) -> None:
        if not batch:
            return
        answer = self._registry.delete(repository, [one.image.digest for one in batch])
        for verdict in batch:
            digest = verdict.image.digest
            code = answer.failures.get(digest)
            if digest in answer.deleted:
                outcome.removed[digest] = verdict
            elif code in NOT_FOUND:
                outcome.gone[digest] = verdict
            else:
                outcome.failed[digest] = str(code)

    def _archive(self, repository: Repository, batch: Sequence[Verdict], outcome: Outcome) -> None:
        def archive(verdict: Verdict) -> ApiError | None:
            try:
                self._registry.archive(repository, verdict.image.digest)
            except ApiError as error:
                return error
            return None

        for verdict, error in zip(batch, self._workers.map(archive, batch), strict=True):
            digest = verdict.image.digest
            if error is None:
                outcome.removed[digest] = verdict
            elif error.code in NOT_FOUND:
                outcome.gone[digest] = verdict
            else:
                outcome.failed[digest] = error.code
                outcome.error = outcome.error or (error if error.action else None)


def _is_unchanged(listed: Image, now: Image) -> bool:
    """Nobody has tagged, archived or pulled it since; to read a manifest, as we do, is a pull."""
    pulled = now.pulled_at != listed.pulled_at and not may_have_children(listed)
    return set(now.tags) == set(listed.tags) and now.status == listed.status and not pulled
