"""The step that takes all scans together, if each of them is whole, and remembers what they found.

Whether a scan is there and whole is decided here, by the documents and the frozen list. That Step
Functions saw every call succeed counts for nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from itertools import chain
from typing import Any

from ecr_cleaner.core.errors import ApiError, CleanerError, OutOfTimeError, text_of
from ecr_cleaner.core.fan_out import StepError
from ecr_cleaner.core.in_use import missing_repositories
from ecr_cleaner.core.locations import Location, NamedElsewhere
from ecr_cleaner.core.model import Usage
from ecr_cleaner.core.policy import is_opted_in
from ecr_cleaner.core.scan_document import (
    GatheredHeader,
    OriginsOf,
    ScanHeader,
    Wanted,
    age_doubt,
    scan_header,
    usage_lines,
    usages_from,
)
from ecr_cleaner.run.later_step import LaterStep
from ecr_cleaner.run.run_objects import GATHERED, scan_name
from ecr_cleaner.run.step_scan import sources_in
from ecr_cleaner.usage.scan import Reading, Scan, SourceReading, State, follow
from ecr_cleaner.usage.shared.target import target_at
from ecr_cleaner.workers import batches

# The usages of so many documents are held in memory at once.
DOCUMENTS_AT_ONCE = 16


@dataclass(frozen=True, slots=True)
class ReadDocument:
    """The document of one scan: its header, and its content as it is stored."""

    header: ScanHeader
    name: str
    content: bytes


@dataclass(frozen=True, slots=True)
class StoredScan(Scan):
    """A scan whose usages are read from documents each time they are asked for."""

    read: Callable[[], Iterator[Usage]] = field(default=lambda: iter(()))

    @property
    def usages(self) -> Iterator[Usage]:
        return self.read()


class Gatherer(LaterStep):
    """Takes the scans of all targets together."""

    _headers: list[list[ScanHeader]]
    _named: set[NamedElsewhere]

    def gather(self) -> GatheredHeader:
        """Write what is in use in the registry; return the header of that document.

        If it is unknown, the document says why, and the error is raised.
        """
        self._headers = []
        self._named = set()
        try:
            gathered = self._gather()
        except Exception as error:
            now = self._deadline.now()
            why = text_of(error)
            failed = GatheredHeader(self._frozen.run, now, now, problem=why or repr(error))
            with suppress(CleanerError):
                self._objects.put_lines(GATHERED, [failed.to_line(), *usage_lines([])])
            raise
        usages = self._usage.in_use.held()
        self._objects.put_lines(GATHERED, chain([gathered.to_line()], usage_lines(usages)))
        return gathered

    def _gather(self) -> GatheredHeader:
        repositories = self._frozen.repositories
        self._locations.take(self._frozen.targets, self._frozen.organization)
        if any(map(is_opted_in, repositories)):
            self._memory.read()
            self._pull_times.read()
            self._report.pull_times(self._pull_times.own, self._pull_times.warnings)
        self._usage.begin()
        for _ in range(1, self._frozen.rounds):
            if not self._usage.renew():
                raise OutOfTimeError("there was no time left to read the scans")
        self._check_list()
        self._report.coverage(self._usage.coverage)
        self._report.clusters(self._usage.clusters)
        self._remember_events(repositories)
        missing = missing_repositories(repositories, self._usage.in_use)
        self._report.missing_repositories(missing, self._frozen.time)
        # Without its end; it proves that the plan can be stored before anything is removed.
        self._begin_plan(self._frozen.time, repositories, missing, self._usage.coverage)
        self._report.plan((), self._plans.problems)
        headers = self._headers[-1]
        oldest = min(headers, key=lambda one: one.started)
        listed = dict.fromkeys(
            name for number in self._headers for one in number for name in one.listed_clusters
        )
        since = self._memory.since
        return GatheredHeader(
            run=self._frozen.run,
            scanned_at=oldest.started,
            ended_at=max(one.ended for one in headers),
            oldest=str(oldest.target),
            rounds=len(self._headers),
            coverage=self._usage.coverage,
            clusters=self._usage.clusters,
            listed_clusters=tuple(listed),
            replication=self._usage.replication,
            may_remove=self._memory.is_whole and self._plans.may_sweep,
            problems=(*self._memory.problems, *self._plans.problems),
            remembers_since=since.isoformat() if since else None,
            slowest_seconds=max(map(_seconds, chain(*self._headers))),
            missing=missing,
        )

    def _check_list(self) -> None:
        """Raise StepError if the frozen list is too old.

        An execution that was stopped can be continued days later. New scans do not help then: they
        are of the accounts and regions that there were.
        """
        doubt = age_doubt(self._frozen.time, self._deadline.now(), self._max_age)
        if doubt:
            raise StepError(
                "the frozen list of targets and repositories is not believed, so nothing is "
                f"removed: {doubt}; start a new run, and raise MAX_SCAN_AGE_MINUTES if runs take "
                "that long"
            )

    def _scan(self) -> Scan:
        """Return the next round of scans; raise StepError if a document of it is not believed."""
        number = len(self._headers) + 1
        before = {one.target: one.ended for headers in self._headers for one in headers}

        def read(target: Location) -> ReadDocument:
            return self._document(number, target, before.get(target))

        documents = self._aws.workers.map(read, self._frozen.targets)
        headers = [one.header for one in documents]
        self._headers.append(headers)
        followed = self._follow(headers)
        readings = self._readings(headers, followed)
        for reading in readings:
            self._report.scanned(
                reading.source,
                again=number > 1,
                **reading.fields(),
                **reading.by_target(),
                seconds=round(reading.seconds, 3),
                calls=reading.calls,
            )
        (home, *_) = headers
        return StoredScan(
            readings,
            clusters=tuple(chain.from_iterable(one.clusters for one in headers)),
            absent_operations=tuple(chain.from_iterable(one.absent_operations for one in headers)),
            replication=home.replication,
            read=lambda: self._usages(documents, followed),
        )

    def _document(self, number: int, target: Location, after: datetime | None) -> ReadDocument:
        is_home = target == self._frozen.home
        wanted = Wanted(
            self._frozen.run,
            number,
            target,
            [one.name for one in sources_in(self._sources, home=is_home)],
            self._max_age,
            after,
        )
        name = scan_name(number, target)
        try:
            content = self._objects.get(name)
            header = scan_header(next(self._objects.unpacked(name, content), b""))
            doubt = header.doubt(wanted, self._deadline.now())
        except (StepError, ApiError) as error:
            raise _disbelieved(number, target, str(error), error) from error
        if doubt:
            raise _disbelieved(number, target, doubt)
        return ReadDocument(header, name, content)

    def _follow(self, headers: Sequence[ScanHeader]) -> tuple[Reading, ...]:
        """Describe the task definitions that consumers in other targets name, each once in a run.

        A target was scanned without those of the others. Raise ScanError if one of a scanned target
        could not be described.
        """
        named = chain.from_iterable(one.named_elsewhere for one in headers)
        new = [one for one in named if one not in self._named]
        if not new:
            return ()
        self._named.update(new)
        with self._answers.used() as answers:
            made = {
                one: partial(target_at, self._locations, one, self._settings, answers)
                for one in self._frozen.targets
            }
            followed = follow(new, made, self._aws.workers)
        self._report.unseen(followed.unseen)
        return followed.readings

    def _usages(
        self, documents: Sequence[ReadDocument], followed: Sequence[Reading]
    ) -> Iterator[Usage]:
        """Yield what is used of the registry; raise StepError for a document that is not whole."""
        copies = chain.from_iterable(one.header.copies for one in documents)
        origins = OriginsOf(self._frozen.home.registry, copies)

        def read(document: ReadDocument) -> list[Usage]:
            try:
                return list(self._used(document, origins))
            except StepError as error:
                header = document.header
                raise _disbelieved(header.round, header.target, str(error), error) from error

        for batch in batches(documents, DOCUMENTS_AT_ONCE):
            yield from chain.from_iterable(self._aws.workers.map(read, batch))
        for reading in followed:
            yield from chain.from_iterable(map(origins.of, reading.usages))

    def _used(self, document: ReadDocument, origins: OriginsOf) -> Iterator[Usage]:
        lines = self._objects.unpacked(document.name, document.content)
        next(lines)
        for usage in usages_from(lines):
            yield from origins.of(usage)

    def _readings(
        self, headers: Sequence[ScanHeader], followed: Sequence[Reading]
    ) -> tuple[SourceReading, ...]:
        found: dict[str, list[Reading]] = {one.name: [] for one in self._sources}
        for header in headers:
            elsewhere = None if header.target == self._frozen.home else header.target
            for one in header.sources:
                if one["source"] in found:
                    found[one["source"]].append(_reading(one, elsewhere))
        for reading in followed:
            found[reading.source].append(reading)
        return tuple(SourceReading(name, tuple(readings)) for name, readings in found.items())


def _reading(found: Mapping[str, Any], target: Location | None) -> Reading:
    return Reading(
        found["source"],
        State(found["state"]),
        seconds=found["seconds"],
        calls=found["calls"],
        absent_operations=tuple(found["absent_operations"]),
        notes=found["notes"],
        target=target,
        count=found["usages"],
    )


def _seconds(header: ScanHeader) -> float:
    return (header.ended - header.started).total_seconds()


def _disbelieved(
    number: int, target: Location, why: str, cause: CleanerError | None = None
) -> StepError:
    details: dict[str, Any] = {} if cause is None else dict(cause.fields)
    details.pop("error", None)
    details |= {"target": str(target)}
    text = f"scan {number} of {target} is not believed, so nothing is removed: {why}"
    return StepError(text, **details)
