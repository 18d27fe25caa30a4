"""What was in use in earlier runs and between them, read and written once a run."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from threading import Lock
from typing import Protocol

from ecr_cleaner.aws.event_queue import EventQueue, Message
from ecr_cleaner.aws.ledger_object import LedgerObject
from ecr_cleaner.aws.session import Aws
from ecr_cleaner.core.errors import CleanerError, LedgerError, OutOfTimeError
from ecr_cleaner.core.events import uses_in
from ecr_cleaner.core.in_use import InUse
from ecr_cleaner.core.ledger import Ledger, Use, day_of, is_recent
from ecr_cleaner.core.model import Image, Plan, Reason, Registry
from ecr_cleaner.core.settings import Settings
from ecr_cleaner.run.ledger_file import LedgerFile

# How often another run may write between our reading and our writing before we give up.
MOST_ATTEMPTS = 5


class LedgerStore(Protocol):
    """Where a ledger is stored."""

    where: str

    def read(self) -> tuple[bytes, str] | None:
        """Return the content and its version; None if there is none yet."""

    def write(self, content: bytes, version: str | None) -> str | None:
        """Write over this version and return the new one; None if it is not the current one."""


class Memory:
    """The ledger of a run. Without one configured, nothing is remembered."""

    def __init__(self, aws: Aws, settings: Settings) -> None:
        self._deadline = aws.deadline
        self._days = settings.most_used_days
        self._lock = Lock()
        self._store = store_at(aws, settings.ledger) if settings.ledger else None
        self._queue = _queue(aws, settings)
        self._version: str | None = None
        self._ledger: Ledger | None = None
        self._messages: list[Message] = []
        self.problems: list[str] = []
        self.is_whole = True

    @property
    def where(self) -> str | None:
        """Where the ledger is stored; None if nothing is remembered."""
        return self._store.where if self._store else None

    @property
    def since(self) -> date | None:
        """The day since which uses are remembered; None if nothing is."""
        return self._ledger.since if self._ledger else None

    @property
    def images(self) -> int:
        """The number of images whose last use is remembered."""
        return self._ledger.images if self._ledger else 0

    def read(self) -> None:
        """Read the ledger, or begin one; raise LedgerError if it cannot be read or understood."""
        if self._store:
            self._ledger = self._read(self._store) or Ledger(self._today())

    def take_events(self, registry: Registry) -> list[str]:
        """Take up what ran between the runs; return warnings.

        The messages are deleted after the ledger was written. A message that is not understood
        stays in the queue: it is one of the ``problems``, which fail the run. ``is_whole`` is False
        if there are such messages or ones that were not read; nothing may be removed then.
        """
        if not (self._queue and self._ledger):
            return []
        received, is_whole = self._queue.receive(lambda: not self._deadline.is_near())
        self._messages = [one for one in received if self._take(self._ledger, one, registry)]
        strange, warnings = len(received) - len(self._messages), []
        if strange:
            self.problems.append(
                f"{strange} messages in EVENT_QUEUE are not events, so nothing is removed; read "
                "them, correct what sends them, and delete them"
            )
        if not is_whole:
            warnings.append(
                f"EVENT_QUEUE holds more than the {len(received)} events that were read, so "
                "nothing is removed; the next run continues"
            )
        self.is_whole = is_whole and not strange
        return [*self.problems, *warnings]

    def take_usages(self, in_use: InUse, registry: Registry) -> None:
        """Record what the scans found in use, whether its repository is judged in this run or not.

        Thread-safe only while no scan adds usages.
        """
        if not self._ledger:
            return
        today = self._today()
        with self._lock:
            for reference, consumer in in_use.written_in(registry):
                self._ledger.record_reference(reference, Use(consumer, today))

    def last_use(self, repository: str, image: Image, today: date, days: int) -> tuple[str, ...]:
        """Return the last consumer of the image, and the day; nothing if it was longer ago."""
        if not self._ledger:
            return ()
        with self._lock:
            use = self._ledger.last_use(repository, image)
        if use is None or not is_recent(use, today, days):
            return ()
        return use.consumer, use.day.isoformat()

    def remember(self, plan: Plan) -> None:
        """Record the images that are in use, and those that an event named by a tag."""
        if not self._ledger:
            return
        today = self._today()
        with self._lock:
            for verdict in plan.verdicts:
                use = None
                if verdict.reason is Reason.IN_USE:
                    use = Use(verdict.because[0], today)
                elif verdict.reason is Reason.RECENTLY_USED:
                    use = self._ledger.last_use(plan.repository.name, verdict.image)
                if use:
                    self._record(self._ledger, verdict.image.digest, use)

    def merge(self, other: Ledger) -> None:
        """Take over what another ledger knows."""
        if self._ledger:
            with self._lock:
                self._ledger.merge(other)

    def write(self) -> list[str]:
        """Write the ledger, then delete the events that it holds; return warnings.

        Raise LedgerError if it cannot be written.
        """
        if not (self._store and self._ledger):
            return []
        self._write(self._store, self._ledger)
        messages, self._messages = self._messages, []
        left = self._queue.delete(messages) if self._queue else 0
        return [f"{left} events stay in EVENT_QUEUE: they could not be deleted"] if left else []

    def _record(self, ledger: Ledger, digest: str, use: Use) -> None:
        ledger.record(digest, use)

    def _take(self, ledger: Ledger, message: Message, registry: Registry) -> bool:
        uses = uses_in(message.body)
        for reference, use in uses or ():
            if reference.registry == registry:
                ledger.record_reference(reference, use)
        return uses is not None

    def _write(self, store: LedgerStore, ledger: Ledger) -> None:
        for _ in range(MOST_ATTEMPTS):
            with _explained(store, "written"):
                with self._lock:
                    ledger = self._ledger = ledger.pruned(self._today(), self._days)
                    content = ledger.stored()
                version = store.write(content, self._version)
            if version:
                self._version = version
                return
            # Another run wrote it meanwhile: what it knows must not be lost.
            other = self._read(store)
            if other:
                with self._lock:
                    ledger.merge(other)
        raise LedgerError(
            f"the ledger {store.where} could not be written: other runs write it all the time"
        )

    def _read(self, store: LedgerStore) -> Ledger | None:
        with _explained(store, "read"):
            found = store.read()
            self._version = found and found[1]
            return Ledger.read(found[0]) if found else None

    def _today(self) -> date:
        return day_of(self._deadline.now())


@contextmanager
def _explained(store: LedgerStore, done: str) -> Iterator[None]:
    """Have every error say what it means, and the way on."""
    try:
        yield
    except OutOfTimeError:
        raise
    except Exception as error:
        details = dict(error.fields) if isinstance(error, CleanerError) else {}
        details.pop("error", None)
        problem = str(error) if isinstance(error, CleanerError) else repr(error)
        raise LedgerError(
            f"the ledger {store.where} cannot be {done}: {problem}", **details
        ) from error


def store_at(aws: Aws, where: str) -> LedgerStore:
    """Return the store at ``s3://BUCKET/KEY`` or at the path of a file."""
    return LedgerObject(aws.api("s3"), where) if where.startswith("s3://") else LedgerFile(where)


def _queue(aws: Aws, settings: Settings) -> EventQueue | None:
    if settings.event_queue is None or settings.ledger is None:
        return None
    return EventQueue(aws.api("sqs"), settings.event_queue, aws.workers)
