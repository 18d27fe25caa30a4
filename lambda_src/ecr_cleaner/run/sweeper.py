"""Carry a plan out, so that nothing is lost if something fails or changes half-way."""

from __future__ import annotations

from collections.abc import Container, Iterable, Sequence
from datetime import datetime, timedelta
from threading import Lock
from typing import Protocol

from ecr_cleaner.aws.registry import IMAGES_A_CALL, EcrRegistry
from ecr_cleaner.core.errors import ApiError, OutOfTimeError
from ecr_cleaner.core.graph import may_have_children
from ecr_cleaner.core.model import Action, Image, Plan, Verdict
from ecr_cleaner.core.outcome import NOT_FOUND, Left, Outcome
from ecr_cleaner.deadline import Deadline
from ecr_cleaner.workers import Workers, batches

# A listing older than this is stale: a batch is described again before it is removed.
LISTING_IS_FRESH = timedelta(minutes=1)

# Batches may wait for a new scan, and a scan needs free threads.
BATCHES_AT_ONCE = 4


class Budget:
    """The upper bound of removals in a run, shared by all repositories.

    What was tried is charged, whatever became of it: if the answer to a deletion is lost, only the
    registry knows whether it happened.
    """

    def __init__(self, most: int) -> None:
        self._left = most
        self._lock = Lock()

    def take(self, wanted: int) -> int:
        """Return how many of the wanted removals the run may still try."""
        with self._lock:
            granted = min(wanted, self._left)
            self._left -= granted
            return granted


class RemovableNow(Protocol):
    """Knows what may still be removed while a sweep is in progress."""

    def renew(self) -> bool:
        """Make sure that the last scan is fresh; return False if there is not enough time."""

    def removable(self) -> Container[str]:
        """Return the digests that the newest scan still lets us remove."""

    def scanned_since(self, time: datetime) -> bool:
        """Return whether the last scan ended after ``time``."""


class Sweeper:
    """Carries plans out: by digest, in full batches, leaders before followers.

    ``reads_are_pulls``: ECR may record our own reading of a manifest as a pull.
    """

    def __init__(
        self,
        registry: EcrRegistry,
        workers: Workers,
        budget: Budget,
        deadline: Deadline,
        *,
        reads_are_pulls: bool = True,
    ) -> None:
        self.reads_are_pulls = reads_are_pulls
        self.registry = registry
        self.workers = workers
        self.budget = budget
        self.deadline = deadline

    def sweep(self, plan: Plan, listed_at: datetime, live: RemovableNow) -> Outcome:
        """Carry the plan out; its images were listed at ``listed_at``."""
        return _Sweep(self, plan, listed_at, live).run()


class _Sweep:
    """One plan being carried out."""

    def __init__(
        self, sweeper: Sweeper, plan: Plan, listed_at: datetime, live: RemovableNow
    ) -> None:
        self.sweeper = sweeper
        self.plan = plan
        self.listed_at = listed_at
        self.live = live
        self.outcome = Outcome()

    def run(self) -> Outcome:
        steps = self.plan.steps
        while True:
            before = len(self.outcome.removed)
            for step in steps:
                self._step(step)
            if self.outcome.error or len(self.outcome.removed) == before:
                return self.outcome
            again = self.outcome.take_back()
            steps = tuple(
                tuple(one for one in step if one.image.digest in again) for step in self.plan.steps
            )

    def _step(self, step: Iterable[Verdict]) -> None:
        due = [verdict for verdict in step if self._is_due(verdict.image.digest)]
        for done in self.sweeper.workers.map(
            lambda batch: _Batch(self, batch).run(),
            batches(due, IMAGES_A_CALL),
            at_once=BATCHES_AT_ONCE,
        ):
            self.outcome.add(done)

    def _is_due(self, digest: str) -> bool:
        """Return whether nothing that came before keeps the image; if not, say why."""
        if self.outcome.error:
            self.outcome.left[digest] = Left.AFTER_ERROR
        elif any(map(self.outcome.stays, self.plan.leaders.get(digest, ()))):
            self.outcome.left[digest] = Left.LEADER_STAYED
        else:
            return True
        return False


class _Batch:
    """Up to ``IMAGES_A_CALL`` images of a sweep, checked again and then removed."""

    def __init__(self, sweep: _Sweep, batch: Sequence[Verdict]) -> None:
        self._sweeper = sweep.sweeper
        self._registry = sweep.sweeper.registry
        self._repository = sweep.plan.repository
        self._listed_at = sweep.listed_at
        self._live = sweep.live
        self._batch = batch
        self._outcome = Outcome()

    def run(self) -> Outcome:
        outcome = self._outcome
        try:
            self._remove(self._within_budget(self._still_due()))
        except OutOfTimeError:
            self._leave(self._undecided(), Left.OUT_OF_TIME)
        except Exception as error:  # noqa: BLE001 - what was removed before it must be counted
            outcome.error = error
            code = getattr(error, "code", type(error).__name__)
            outcome.failed |= {one.image.digest: code for one in self._undecided()}
        return outcome

    def _undecided(self) -> list[Verdict]:
        return [one for one in self._batch if not self._outcome.knows(one.image.digest)]

    def _still_due(self) -> list[Verdict]:
        """Return the images that may still be removed, whatever changed since the judgement."""
        if self._sweeper.deadline.is_near() or not self._live.renew():
            self._leave(self._batch, Left.OUT_OF_TIME)
            return []
        removable = self._live.removable()
        used = [one for one in self._batch if one.image.digest not in removable]
        self._leave(used, Left.CAME_INTO_USE)
        due = [one for one in self._batch if one.image.digest in removable]
        stale = self._sweeper.deadline.now() - self._listed_at > LISTING_IS_FRESH
        if due and (stale or self._live.scanned_since(self._listed_at)):
            return self._unchanged(due)
        return due

    def _unchanged(self, batch: Sequence[Verdict]) -> list[Verdict]:
        """Describe the images again; return those that are as they were when they were listed."""
        digests = [one.image.digest for one in batch]
        there = self._registry.still_there(self._repository, digests)
        unchanged = []
        for verdict in batch:
            now = there.get(verdict.image.digest)
            if now is None:
                self._outcome.gone[verdict.image.digest] = verdict
            elif _is_unchanged(verdict.image, now, self._sweeper.reads_are_pulls):
                unchanged.append(verdict)
            else:
                self._leave([verdict], Left.CHANGED)
        return unchanged

    def _within_budget(self, due: Sequence[Verdict]) -> Sequence[Verdict]:
        granted = self._sweeper.budget.take(len(due))
        self._leave(due[granted:], Left.MAX_DELETIONS)
        return due[:granted]

    def _remove(self, batch: Sequence[Verdict]) -> None:
        self._archive([one for one in batch if one.action is Action.ARCHIVE])
        self._delete([one for one in batch if one.action is Action.DELETE])

    def _delete(self, batch: Sequence[Verdict]) -> None:
        if not batch:
            return
        answer = self._registry.delete(self._repository, [one.image.digest for one in batch])
        for verdict in batch:
            digest = verdict.image.digest
            code = None if digest in answer.deleted else str(answer.failures.get(digest))
            self._record(verdict, code)

    def _archive(self, batch: Sequence[Verdict]) -> None:
        errors = self._sweeper.workers.map(self._archive_one, batch)
        for verdict, error in zip(batch, errors, strict=True):
            if isinstance(error, OutOfTimeError):
                self._leave([verdict], Left.OUT_OF_TIME)
                continue
            self._record(verdict, error.code if error else None)
            if error and error.action and verdict.image.digest in self._outcome.failed:
                self._outcome.error = self._outcome.error or error

    def _archive_one(self, verdict: Verdict) -> ApiError | OutOfTimeError | None:
        try:
            self._registry.archive(self._repository, verdict.image.digest)
        except (ApiError, OutOfTimeError) as error:
            return error
        return None

    def _record(self, verdict: Verdict, code: str | None) -> None:
        """Note what ECR answered for one image: a failure code, or None for success."""
        digest = verdict.image.digest
        if code is None:
            self._outcome.removed[digest] = verdict
        elif code in NOT_FOUND:
            self._outcome.gone[digest] = verdict
        else:
            self._outcome.failed[digest] = code

    def _leave(self, batch: Iterable[Verdict], why: Left) -> None:
        self._outcome.left |= {one.image.digest: why for one in batch}


def _is_unchanged(listed: Image, now: Image, reads_are_pulls: bool) -> bool:  # noqa: FBT001 - private
    """Return whether nobody tagged, archived or pulled it since.

    A new pull time of an index does not count if it may come from our reading of its manifest.
    """
    ours = reads_are_pulls and may_have_children(listed)
    pulled = now.pulled_at != listed.pulled_at and not ours
    return set(now.tags) == set(listed.tags) and now.status == listed.status and not pulled
