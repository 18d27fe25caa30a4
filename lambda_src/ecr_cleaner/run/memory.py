"""What was in use in earlier runs and between them, read and written once a run."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, datetime, timedelta
from functools import cached_property
from threading import Lock
from typing import Protocol
from uuid import uuid4

from ecr_cleaner.aws.event_queue import INVISIBLE_SECONDS, EventQueue, Message, Received
from ecr_cleaner.aws.ledger_object import LedgerObject
from ecr_cleaner.aws.session import Aws
from ecr_cleaner.core.errors import CleanerError, LedgerError, OutOfTimeError, text_of
from ecr_cleaner.core.events import uses_in
from ecr_cleaner.core.in_use import InUse
from ecr_cleaner.core.ledger import Ledger, Use, day_of, is_recent
from ecr_cleaner.core.model import Image, Plan, Reason, Registry
from ecr_cleaner.core.settings import Settings
from ecr_cleaner.run.ledger_file import LedgerFile

# How often another run may write between our reading and our writing before we give up.
MOST_ATTEMPTS = 5

# A run receives events for so long, and then one call may last as long as all its repetitions.
_RECEIVES_FOR = timedelta(seconds=300)
# From the beginning until all that was received is visible again, whatever becomes of the run.
READER_FOR = timedelta(seconds=2 * INVISIBLE_SECONDS)


class LedgerStore(Protocol):
    """Where a ledger is stored."""

    where: str

    def read(self) -> tuple[bytes, str] | None:
        """Return the content and its version; None if there is none yet."""

    def write(self, content: bytes, version: str | None) -> str | None:
        """Write over this version and return the new one; None if it is not the current one."""


class Memory:
    """The ledger of a run. Without one configured, nothing is remembered.

    An event is safe in the queue or in the ledger. Between the two, a run holds it: it is invisible
    to other runs, which must not take the queue for empty. SQS counts invisible messages, but
    approximately: the number may be wrong until a minute after the last activity. So the ledger
    also names the run that receives events, its reader. It does so before the first event is
    received, until the events are in the ledger. The writes are conditional: there is one reader at
    a time, and who becomes the next one has read the events of the one before. A run that ends
    early stays the reader until what it received is visible again.

    The number of SQS is for what no ledger knows: a delivery that got lost, and other programs that
    receive from the queue.
    https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_GetQueueAttributes.html
    """

    def __init__(self, aws: Aws, settings: Settings) -> None:
        self._aws = aws
        self._settings = settings
        self._deadline = aws.deadline
        self._lock = Lock()
        self._version: str | None = None
        self._ledger: Ledger | None = None
        self._messages: list[Message] = []
        self._run = ""
        self._reads_until: datetime | None = None
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
        stays in the queue, visible to the next run: it is one of the ``problems``, which fail the
        run. ``is_whole`` is False if there are such messages or ones that were not read; nothing
        may be removed then.
        """
        if not (self._store and self._queue and self._ledger):
            return []
        began = self._deadline.now()
        until = began + READER_FOR
        self._run, self._reads_until = uuid4().hex, until
        ledger = self._write(self._store, self._ledger)
        if ledger.reader and ledger.reader.run != self._run:
            self._reads_until, self.is_whole = None, False
            why = (
                "another run, or one that failed, may hold events of EVENT_QUEUE until "
                f"{_shown(ledger.reader.until)}, so nothing is removed; a run after that receives "
                "them"
            )
            return [why]

        received = self._queue.receive(
            lambda: not self._deadline.is_near() and self._deadline.now() < began + _RECEIVES_FOR,
            lambda body: self._take(ledger, body, registry),
        )
        self._messages = [message for message in received.messages if message.taken]
        strange = [message for message in received.messages if not message.taken]
        if strange:
            self.problems.append(
                f"{len(strange)} messages in EVENT_QUEUE are not events, so nothing is removed; "
                "read them, correct what sends them, and delete them"
            )
        warnings = _warnings(received, until)
        self.is_whole = not (strange or warnings)
        is_doubtful = received.held_elsewhere or received.may_be_lost
        if not (self._queue.release(strange) or is_doubtful):
            self._reads_until = None
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
        """Record the images that are in use, and those that an event named by a tag.

        An artifact is in use with its subject, which may be in another registry.
        """
        if not self._ledger:
            return
        today = self._today()
        with self._lock:
            for verdict in plan.verdicts:
                use = None
                if verdict.reason in {Reason.IN_USE, Reason.FAMILY_IN_USE}:
                    use = Use(verdict.because[0], today)
                elif verdict.reason is Reason.RECENTLY_USED:
                    use = self._ledger.last_use(plan.repository.name, verdict.image)
                if use:
                    self._record(self._ledger, verdict.image.digest, use)

    def merge(self, other: Ledger) -> None:
        """Take over what another ledger knows of uses; the reader of events stays."""
        if self._ledger:
            with self._lock:
                reader = self._ledger.reader
                self._ledger.merge(other)
                self._ledger.reader = reader

    def write(self) -> list[str]:
        """Write the ledger, then delete the events that it holds; return warnings.

        Raise LedgerError if it cannot be written; the events are visible again then.
        """
        if not (self._store and self._ledger):
            return []
        messages, self._messages = self._messages, []
        try:
            self._write(self._store, self._ledger)
        except BaseException:
            if self._queue:
                self._queue.release(messages)
            raise
        left = self._queue.delete(messages) if self._queue else 0
        return [f"{left} events stay in EVENT_QUEUE: they could not be deleted"] if left else []

    @cached_property
    def _store(self) -> LedgerStore | None:
        where = self._settings.ledger
        return store_at(self._aws, where) if where else None

    @cached_property
    def _queue(self) -> EventQueue | None:
        url = self._settings.event_queue
        if url is None or self._settings.ledger is None:
            return None
        return EventQueue(self._aws.api("sqs"), url, self._aws.workers)

    def _record(self, ledger: Ledger, digest: str, use: Use) -> None:
        ledger.record(digest, use)

    def _take(self, ledger: Ledger, body: str, registry: Registry) -> bool:
        uses = uses_in(body)
        with self._lock:
            for reference, use in uses or ():
                if reference.registry == registry:
                    ledger.record_reference(reference, use)
        return uses is not None

    def _write(self, store: LedgerStore, ledger: Ledger) -> Ledger:
        """Write the ledger and return it as it was written."""
        for _ in range(MOST_ATTEMPTS):
            with _explained(store, "written"):
                with self._lock:
                    ledger = self._ledger = ledger.pruned(
                        self._today(), self._settings.most_used_days
                    )
                    ledger.set_reader(self._run, self._reads_until, self._deadline.now())
                    content = ledger.stored()
                version = store.write(content, self._version)
            if version:
                self._version = version
                return ledger
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
        problem = text_of(error)
        raise LedgerError(
            f"the ledger {store.where} cannot be {done}: {problem}", **details
        ) from error


def _warnings(received: Received, until: datetime) -> list[str]:
    """Return why the events that were received may not be all, and what to do."""
    warnings = []
    if not received.is_all:
        warnings.append(
            f"EVENT_QUEUE holds more than the {len(received.messages)} events that were read, so "
            "nothing is removed; the next run continues. If this repeats, run more often, or unset "
            "EVENT_QUEUE (events_enabled of the module)"
        )
    if received.held_elsewhere:
        warnings.append(
            f"{received.held_elsewhere} more events of EVENT_QUEUE are invisible: another run, one "
            "that failed or another program received them, or a delivery was lost. So nothing is "
            f"removed; a run after {_shown(until)} receives them"
        )
    if received.may_be_lost:
        warnings.append(
            "a call that receives events of EVENT_QUEUE was repeated, and what it received first "
            f"may be invisible until {_shown(until)}, so nothing is removed; a run after that "
            "receives it"
        )
    return warnings


def _shown(time: datetime) -> str:
    return time.isoformat(timespec="seconds")


def store_at(aws: Aws, where: str) -> LedgerStore:
    """Return the store at ``s3://BUCKET/KEY`` or at the path of a file."""
    return LedgerObject(aws.api("s3"), where) if where.startswith("s3://") else LedgerFile(where)
