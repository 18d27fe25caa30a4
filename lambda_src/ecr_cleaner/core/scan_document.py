"""What one scan of one target found, and what all of them found together, as JSON lines. Pure.

Each document has a line with a header, a line for each reference with its consumers, and a line
that counts them. A document without the last line is not whole.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from ecr_cleaner.core.copies import Copies, Origins
from ecr_cleaner.core.documents import (
    MALFORMED,
    Reference,
    broken_fields,
    broken_from,
    is_in_future,
    json_object,
    minutes,
    of_type,
    reference_fields,
    reference_from,
    time_from,
)
from ecr_cleaner.core.fan_out import SCHEMA, StepError, location_from
from ecr_cleaner.core.in_use import Broken
from ecr_cleaner.core.locations import Location, NamedElsewhere
from ecr_cleaner.core.model import ClusterReading, ImageReference, Registry, Usage
from ecr_cleaner.core.usage_document import HeldReferences


@dataclass(frozen=True, slots=True)
class ScanHeader:
    """What was scanned in one target; without ``problem``: all of it.

    ``sources`` holds the fields of each reading. ``listed_clusters`` are the names of all EKS
    clusters, for the guard. ``replication`` is the ``replicationConfiguration`` of the registry, in
    the document of the registry's own target. ``copies`` are the repositories of this target that
    cache others, and in that document also those that replication fills. ``absent_operations`` are
    those for copies that the region does not offer. ``named_elsewhere`` are the task definitions of
    other targets that consumers here name, which the next step describes.
    """

    run: str
    round: int
    target: Location
    started: datetime
    ended: datetime
    problem: str = ""
    sources: Sequence[Mapping[str, Any]] = ()
    clusters: Sequence[ClusterReading] = ()
    listed_clusters: Sequence[str] = ()
    copies: Sequence[Copies] = ()
    absent_operations: Sequence[str] = ()
    named_elsewhere: Sequence[NamedElsewhere] = ()
    replication: Mapping[str, Any] = field(default_factory=dict)

    def to_line(self) -> str:
        """Return the line of the document, without its end."""
        return json.dumps(
            {
                "schema": SCHEMA,
                "run": self.run,
                "round": self.round,
                "target": asdict(self.target),
                "started": self.started.isoformat(),
                "ended": self.ended.isoformat(),
                "complete": not self.problem,
                "problem": self.problem,
                "sources": list(self.sources),
                "clusters": [asdict(one) for one in self.clusters],
                "listed_clusters": list(self.listed_clusters),
                "copies": [asdict(one) for one in self.copies],
                "absent_operations": list(self.absent_operations),
                "named_elsewhere": [asdict(one) for one in self.named_elsewhere],
                "replication": self.replication,
            }
        )

    def doubt(self, wanted: Wanted, now: datetime) -> str:
        """Return why the document does not say what the target runs now, or nothing."""
        if (self.run, self.round) != (wanted.run, wanted.round):
            return f"it is of round {self.round} of the run {self.run}"
        if self.target != wanted.target:
            return f"it is of {self.target}"
        if self.problem:
            return f"it is incomplete: {self.problem}"
        missing = sorted({*wanted.sources} - {str(one["source"]) for one in self.sources})
        if missing:
            return f"it lacks {', '.join(missing)}"
        if wanted.after and self.started < wanted.after:
            return "it began before the scan that it confirms had ended"
        return age_doubt(self.started, now, wanted.max_age)


@dataclass(frozen=True, slots=True)
class Wanted:
    """The document that is needed: what it is of, and how old it may be.

    ``sources`` are the names of all usage sources that are asked in the target. ``after`` is when
    the scan ended that this one confirms, None in the first round.
    """

    run: str
    round: int
    target: Location
    sources: Sequence[str]
    max_age: timedelta
    after: datetime | None = None


def age_doubt(started: datetime, now: datetime, max_age: timedelta) -> str:
    """Return why something that began then is not believed now, or nothing."""
    # What started after the first list was read may be missing in the document.
    age = now - started
    if age > max_age:
        return f"it began {minutes(age)} minutes ago, more than MAX_SCAN_AGE_MINUTES"
    if is_in_future(started, now):
        return f"it is {minutes(-age)} minutes from the future"
    return ""


def scan_header(line: bytes) -> ScanHeader:
    """Return the header in the first line; raise StepError if it is not one of this schema."""
    found = _object(line)
    try:
        problem = "" if found["complete"] is True else str(found["problem"]) or "no reason is given"
        return ScanHeader(
            run=str(found["run"]),
            round=int(found["round"]),
            target=location_from(found["target"]),
            started=time_from(found["started"]),
            ended=time_from(found["ended"]),
            problem=problem,
            sources=tuple({**one, "source": str(one["source"])} for one in found["sources"]),
            clusters=_clusters(found),
            listed_clusters=tuple(map(str, found["listed_clusters"])),
            copies=tuple(map(_copies, found["copies"])),
            absent_operations=tuple(map(str, found["absent_operations"])),
            named_elsewhere=tuple(map(_named_elsewhere, found["named_elsewhere"])),
            replication=dict(found["replication"]),
        )
    except MALFORMED as error:
        raise StepError(f"it cannot be parsed: {error!r}") from error


@dataclass(frozen=True, slots=True)
class GatheredHeader:
    """What all targets together were found to run; without ``problem``: all of them.

    ``scanned_at`` is when the first scan of the last round began, that of ``oldest``, and
    ``ended_at`` when the last one ended. ``may_remove`` is False if events were left in the queue.
    ``remembers_since`` is the day since which uses are remembered, None if they are not.
    ``missing`` holds the broken references to repositories that do not exist.
    """

    run: str
    scanned_at: datetime
    ended_at: datetime
    oldest: str = ""
    rounds: int = 0
    problem: str = ""
    coverage: Mapping[str, Any] = field(default_factory=dict)
    clusters: Sequence[ClusterReading] = ()
    listed_clusters: Sequence[str] = ()
    replication: Mapping[str, Any] = field(default_factory=dict)
    may_remove: bool = True
    problems: Sequence[str] = ()
    remembers_since: str | None = None
    slowest_seconds: float = 0
    missing: Mapping[str, tuple[Broken, ...]] = field(default_factory=dict)

    def to_line(self) -> str:
        """Return the line of the document, without its end."""
        return json.dumps(
            {
                "schema": SCHEMA,
                **{name: getattr(self, name) for name in self.__slots__},
                "scanned_at": self.scanned_at.isoformat(),
                "ended_at": self.ended_at.isoformat(),
                "complete": not self.problem,
                "clusters": [asdict(one) for one in self.clusters],
                "missing": {name: [*map(broken_fields, one)] for name, one in self.missing.items()},
            }
        )

    def check(self, run: str, rounds: int) -> None:
        """Raise StepError if this does not say what the targets of the run were found to run."""
        if self.run != run:
            raise StepError(f"the usages are of the run {self.run}, not of {run}")
        if self.problem:
            raise StepError(self.problem)
        if self.rounds != rounds:
            raise StepError(f"the usages are of {self.rounds} rounds of scans, not of {rounds}")

    def check_age(self, now: datetime, max_age: timedelta) -> None:
        """Raise StepError if the last round of scans is too old to remove anything by it."""
        doubt = age_doubt(self.scanned_at, now, max_age)
        if doubt:
            raise StepError(f"the scan of {self.oldest} is not believed: {doubt}")


def gathered_header(line: bytes) -> GatheredHeader:
    """Return the header in the first line; raise StepError if it is not one of this schema."""
    found = _object(line)
    try:
        problem = "" if found["complete"] is True else str(found["problem"]) or "no reason is given"
        since = found["remembers_since"]
        return GatheredHeader(
            run=str(found["run"]),
            scanned_at=time_from(found["scanned_at"]),
            ended_at=time_from(found["ended_at"]),
            oldest=str(found["oldest"]),
            rounds=int(found["rounds"]),
            problem=problem,
            coverage=dict(found["coverage"]),
            clusters=_clusters(found),
            listed_clusters=tuple(map(str, found["listed_clusters"])),
            replication=dict(found["replication"]),
            may_remove=found["may_remove"] is True,
            problems=tuple(map(str, found["problems"])),
            remembers_since=None if since is None else str(since),
            slowest_seconds=float(found["slowest_seconds"]),
            missing={name: broken_from(one) for name, one in found["missing"].items()},
        )
    except MALFORMED as error:
        raise StepError(f"it cannot be parsed: {error!r}") from error


def usage_lines(usages: Iterable[Usage]) -> Iterator[str]:
    """Yield the lines after the header: the usages, and how many lines there are."""
    held: dict[str, HeldReferences] = {}
    for usage in usages:
        held.setdefault(usage.source, HeldReferences()).add(usage.reference, usage.consumer)
    count = 0
    for source, references in held.items():
        for reference, consumers in references.items():
            count += 1
            named = {"source": source, "consumers": consumers}
            yield json.dumps({**reference_fields(reference), **named})
    yield json.dumps({"end": count})


def usages_from(lines: Iterable[bytes]) -> Iterator[Usage]:
    """Yield the usages in the lines after the header; raise StepError if they are not whole."""
    count, ended = 0, False
    for line in lines:
        if ended:
            raise StepError("it goes on after its end")
        found = _object(line, schema=None)
        try:
            if "end" in found:
                ended = True
                if found["end"] != count:
                    raise StepError(f"it has {count} of {found['end']} references")
                continue
            reference, source = reference_from(found), str(found["source"])
            consumers = [str(one) for one in found["consumers"]]
        except MALFORMED as error:
            raise StepError(f"it cannot be parsed: {error!r}") from error
        if not consumers:
            raise StepError("it has a reference without a consumer")
        count += 1
        for consumer in consumers:
            yield Usage(reference, consumer, source)
    if not ended:
        raise StepError("it has no end")


class OriginsOf:
    """Finds what is used of one registry, directly or as a copy, among the usages of any target.

    What is used of the registries that hold its copies stays as well: a guard looks at it. So does
    what is used by digest of any other: an artifact about it may be in this registry.
    """

    def __init__(self, registry: Registry, copies: Iterable[Copies]) -> None:
        copies = tuple(copies)
        self._origins = Origins(copies)
        self._registries = {registry, *(one.registry for one in copies if one.origin == registry)}

    def of(self, usage: Usage) -> Iterator[Usage]:
        """Yield the usage if it may be one of these registries, and what it uses as a copy."""
        for reference in (usage.reference, *self._origins.of(usage.reference)):
            if self._matters(reference):
                yield replace(usage, reference=reference)

    def _matters(self, reference: Reference) -> bool:
        if reference.digest is not None:
            return True
        if isinstance(reference, ImageReference):
            return reference.registry in self._registries
        return any(
            reference.account in {None, one.account} and reference.region in {None, one.region}
            for one in self._registries
        )


def _object(line: bytes, schema: int | None = SCHEMA) -> dict[str, Any]:
    try:
        found = json_object(line)
    except MALFORMED as error:
        raise StepError(f"it cannot be parsed: {error!r}") from error
    if schema is not None and found.get("schema") != schema:
        raise StepError(f"it is of the unknown schema {found.get('schema')!r}")
    return found


def _clusters(found: Mapping[str, Any]) -> tuple[ClusterReading, ...]:
    return tuple(
        ClusterReading(*(str(one[name]) for name in ("source", "cluster", "problem", "fix")))
        for one in found["clusters"]
    )


def _named_elsewhere(found: Mapping[str, Any]) -> NamedElsewhere:
    source, consumer, definition = (
        of_type(str, found[name]) for name in ("source", "consumer", "definition")
    )
    return NamedElsewhere(source, consumer, definition, location_from(found["location"]))


def _copies(found: Mapping[str, Any]) -> Copies:
    registry, origin = (
        Registry(str(found[name]["account"]), str(found[name]["region"]))
        for name in ("registry", "origin")
    )
    return Copies(registry, str(found["prefix"]), origin, str(found["origin_prefix"]))
