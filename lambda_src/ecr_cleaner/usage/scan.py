"""Scan: ask every usage source what is in use, in every account and region."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from functools import partial
from itertools import chain
from threading import Condition
from typing import Any, TypeVar

from ecr_cleaner.aws.api import counted_calls
from ecr_cleaner.core.copies import Copies, with_origins
from ecr_cleaner.core.errors import InvalidSettingError, OutOfTimeError, ScanError
from ecr_cleaner.core.locations import Location, NamedElsewhere
from ecr_cleaner.core.model import ClusterReading, Usage
from ecr_cleaner.core.settings import Settings
from ecr_cleaner.usage.shared.target import Target, in_each
from ecr_cleaner.usage.shared.uses import usages_from_elsewhere
from ecr_cleaner.usage.source import UsageSource
from ecr_cleaner.workers import Workers

Key = TypeVar("Key")

# The name of pull through caches in the coverage, if a region does not offer them.
CACHES = "pull-through-caches"


class State(StrEnum):
    """The state of a source after a scan. A source that failed has none: it ends the run."""

    SCANNED = "scanned"
    NOT_IN_REGION = "not in this region"
    WAIVED = "waived"


@dataclass(frozen=True, slots=True)
class Reading:
    """The result of one source in one target, with the seconds and the AWS calls that it took.

    ``absent_operations`` are those that the region does not offer; ``notes`` are further facts on
    what the source read. ``target`` names the account and region, if not those of the registry.
    ``count`` is the number of usages if ``usages`` does not hold them.
    ``named_elsewhere`` are task definitions that have to be described in another target.
    """

    source: str
    state: State
    usages: tuple[Usage, ...] = ()
    seconds: float = 0
    calls: int = 0
    absent_operations: tuple[str, ...] = ()
    notes: Mapping[str, Any] = field(default_factory=dict)
    target: Location | None = None
    named_elsewhere: tuple[NamedElsewhere, ...] = ()
    count: int | None = None

    @property
    def found(self) -> int:
        """The number of usages."""
        return len(self.usages) if self.count is None else self.count


@dataclass(frozen=True, slots=True)
class SourceReading:
    """The result of one source in all targets, that of the registry first.

    A target may be read again, for task definitions that consumers in others name.
    """

    source: str
    readings: tuple[Reading, ...]

    @property
    def usages(self) -> tuple[Usage, ...]:
        """What it found, target by target."""
        return tuple(chain.from_iterable(reading.usages for reading in self.readings))

    @property
    def seconds(self) -> float:
        """The seconds of the slowest target."""
        return max(reading.seconds for reading in self.readings)

    @property
    def calls(self) -> int:
        """The number of AWS calls."""
        return sum(reading.calls for reading in self.readings)

    @property
    def state(self) -> State:
        """Whether it was scanned anywhere; if not, why not beside the registry."""
        scanned = any(one.state is State.SCANNED for one in self.readings)
        return State.SCANNED if scanned else self.readings[0].state

    def fields(self) -> dict[str, Any]:
        """Return its fields in the summary: no more of them for many targets."""
        count = sum(one.found for one in self.readings)
        counted = {"usages": count} if self.state is State.SCANNED else {}
        # By region: with many accounts, a line of the log would become too long for CloudWatch.
        absent = sorted(
            {
                f"{operation} in {one.target.region}" if one.target else operation
                for one in self.readings
                for operation in one.absent_operations
            }
        )
        return {
            "state": self.state.value,
            **counted,
            **({"absent_operations": absent} if absent else {}),
            **self.readings[0].notes,
        }

    def by_target(self) -> dict[str, Any]:
        """Return where else it found usages, and which other regions lack its service."""
        others = [one for one in self.readings if one.target]
        used: Counter[str] = Counter()
        for one in others:
            used[str(one.target)] += one.found
        lacking = [one.target for one in others if one.state is State.NOT_IN_REGION]
        regions = sorted({target.region for target in lacking if target})
        return {
            **({"usages_elsewhere": dict(+used)} if +used else {}),
            **({"not_in": regions} if regions else {}),
        }


@dataclass(frozen=True, slots=True)
class Scan:
    """The results of all sources, in the order of the sources, and of each Kubernetes cluster.

    ``unseen`` are the ARNs of task definitions in accounts and regions that were not scanned, each
    with the consumers that name it.
    ``copies`` are the registries that hold copies: who uses a copy uses the image.
    ``absent_operations`` are those for copies that a region does not offer. ``replication`` is the
    ``replicationConfiguration`` of the registry.
    """

    readings: tuple[SourceReading, ...]
    clusters: tuple[ClusterReading, ...] = ()
    unseen: Mapping[str, Sequence[str]] = field(default_factory=dict)
    copies: tuple[Copies, ...] = ()
    absent_operations: tuple[str, ...] = ()
    replication: Mapping[str, Any] = field(default_factory=dict)

    @property
    def usages(self) -> Iterator[Usage]:
        """Yield what all sources found, and for each copy in use what it is a copy of."""
        readings = chain.from_iterable(source.readings for source in self.readings)
        found = chain.from_iterable(reading.usages for reading in readings)
        return with_origins(found, self.copies)

    def coverage(self) -> dict[str, dict[str, Any]]:
        """Return the state of each source, with its number of usages if it was scanned."""
        found = {reading.source: reading.fields() for reading in self.readings}
        if self.absent_operations:
            absent = sorted(set(self.absent_operations))
            found[CACHES] = {"state": State.SCANNED.value, "absent_operations": absent}
        return found


def check_waived(settings: Settings, sources: Iterable[UsageSource]) -> None:
    """Raise InvalidSettingError if ``WAIVED_SOURCES`` names an unknown source."""
    names = [source.name for source in sources]
    unknown = [name for name in settings.waived_sources if name not in names]
    if unknown:
        value = ",".join(settings.waived_sources)
        allowed = f"a comma-separated list of {', '.join(names)}; unknown: {', '.join(unknown)}"
        raise InvalidSettingError("WAIVED_SOURCES", value, allowed)


def scan(
    home: Target,
    sources: Sequence[UsageSource],
    on_reading: Callable[[SourceReading], None] = lambda _: None,
    others: Sequence[Callable[[], Target]] = (),
    on_target: Callable[[Target], None] = lambda _: None,
) -> Scan:
    """Ask every source in every target; raise ScanError if one could not be read in full.

    ``home`` is the target of the registry. Each of the others is made when its turn comes and
    forgotten when it is read, because its clients take memory and connections; it is made again if
    a consumer in another target names a task definition there. ``on_reading`` is called as each
    source ends in the last target, and ``on_target`` as each target ends. After the first source
    that fails, no other one begins; the error names all that failed. Raise OutOfTimeError, which
    names the sources that were not finished, if the deadline came first.
    """
    progress = _Progress(sources, 1 + len(others), on_reading)
    targets: list[Callable[[], Target]] = [lambda: home, *others]
    made: dict[Location, Callable[[], Target]] = {}

    def ask(number: int, target: Target) -> list[ClusterReading]:
        made[target.location] = targets[number]

        def read(source: UsageSource) -> None:
            with progress.under_way():
                reading = _read(source, target)
            progress.add(number, reading)

        asked = [source for source in sources if source.everywhere or target is home]
        target.workers.map(read, asked)
        on_target(target)
        return target.clusters

    try:
        clusters = in_each(targets, ask, home.workers)
        followed = follow(progress.named_elsewhere(), made, home.workers)
        progress.end(followed.readings)
    except OutOfTimeError as error:
        raise OutOfTimeError(
            f"the scan ran out of time, not finished: {', '.join(progress.unfinished())}; raise "
            "the timeout or the memory of the function"
        ) from error
    except ScanError as error:
        failures = progress.failures()
        if len(failures) > 1:
            raise failures[0].together_with(failures[1:]) from error
        raise
    return Scan(progress.readings(), tuple(chain.from_iterable(clusters)), followed.unseen)


@dataclass(frozen=True, slots=True)
class Followed:
    """What was read of task definitions that consumers in other targets name.

    ``unseen`` are the ARNs of those whose account or region is not scanned, with their consumers.
    """

    readings: tuple[Reading, ...]
    unseen: Mapping[str, Sequence[str]]


def follow(
    named: Iterable[NamedElsewhere], made: Mapping[Location, Callable[[], Target]], workers: Workers
) -> Followed:
    """Describe, in their own targets, the task definitions that consumers in others name.

    These may name more of them. ``made`` makes the targets that are scanned. Raise ScanError if one
    could not be described.
    """
    unseen: dict[str, list[str]] = {}
    found: list[Reading] = []
    known: dict[NamedElsewhere, None] = {}
    while named := [one for one in dict.fromkeys(named) if one not in known]:
        known.update(dict.fromkeys(named))
        for one in named:
            if one.location not in made:
                unseen.setdefault(one.definition, []).append(one.consumer)
        places = _grouped((one.location, one) for one in named if one.location in made)
        asked = [_grouped((one.source, one) for one in group) for group in places.values()]
        describe = partial(_read_from_elsewhere, asked)
        read = in_each([made[place] for place in places], describe, workers)
        new = list(chain.from_iterable(read))
        found += new
        named = chain.from_iterable(reading.named_elsewhere for reading in new)
    return Followed(tuple(found), unseen)


def _grouped(pairs: Iterable[tuple[Key, NamedElsewhere]]) -> dict[Key, list[NamedElsewhere]]:
    groups: dict[Key, list[NamedElsewhere]] = {}
    for key, one in pairs:
        groups.setdefault(key, []).append(one)
    return groups


class _Progress:
    """Collects the results of the sources, target by target.

    A source whose consumers name task definitions of other targets ends when these are described.
    """

    def __init__(
        self,
        sources: Iterable[UsageSource],
        targets: int,
        on_reading: Callable[[SourceReading], None],
    ) -> None:
        self._expected = {one.name: targets if one.everywhere else 1 for one in sources}
        self._found: dict[str, dict[int, Reading]] = {name: {} for name in self._expected}
        self._more: dict[str, list[Reading]] = {name: [] for name in self._expected}
        self._open: set[str] = set()
        self._on_reading = on_reading
        self._lock = Condition()
        self._under_way = 0
        self._failed: list[ScanError] = []

    @contextmanager
    def under_way(self) -> Iterator[None]:
        """Count one reading, and note why it failed."""
        with self._lock:
            self._under_way += 1
        try:
            yield
        except ScanError as error:
            self._failed.append(error)
            raise
        finally:
            with self._lock:
                self._under_way -= 1
                self._lock.notify_all()

    def failures(self) -> list[ScanError]:
        """Return why sources failed, in the order of the sources, when all that began have ended.

        The run waits for them in any case, before it ends.
        """
        with self._lock:
            self._lock.wait_for(lambda: not self._under_way)
        order = list(self._expected)
        return sorted(self._failed, key=lambda one: (order.index(one.source), one.target or ""))

    def add(self, number: int, reading: Reading) -> None:
        name = reading.source
        found = self._found[name]
        with self._lock:
            found[number] = reading
            is_last = len(found) == self._expected[name]
            if reading.named_elsewhere:
                self._open.add(name)
            is_open = name in self._open
        if is_last and not is_open:
            self._on_reading(self._reading(name))

    def named_elsewhere(self) -> Iterator[NamedElsewhere]:
        """Yield the task definitions that were found to be in another target."""
        for name in self._expected:
            for reading in self._reading(name).readings:
                yield from reading.named_elsewhere

    def end(self, more: Iterable[Reading]) -> None:
        """End the sources that waited for what was read for consumers in other targets."""
        for one in more:
            self._more[one.source].append(one)
        for name in self._expected:
            if name in self._open:
                self._open.remove(name)
                self._on_reading(self._reading(name))

    def readings(self) -> tuple[SourceReading, ...]:
        return tuple(map(self._reading, self._expected))

    def unfinished(self) -> Iterator[str]:
        for name, expected in self._expected.items():
            read = len(self._found[name])
            if read < expected:
                yield f"{name} ({read} of {expected} targets)" if expected > 1 else name
            elif name in self._open:
                yield f"{name} (task definitions that other targets name)"

    def _reading(self, name: str) -> SourceReading:
        found = self._found[name]
        readings = (found[number] for number in sorted(found))
        return SourceReading(name, (*readings, *self._more[name]))


def _read(source: UsageSource, target: Target) -> Reading:
    if source.name in target.settings.waived_sources:
        return Reading(source.name, State.WAIVED, target=target.elsewhere)

    def read(asked: Target) -> Iterable[Usage] | None:
        return source.usages(asked) if asked.offers(source.service) else None

    return _measured(source.name, target, read)


def _read_from_elsewhere(
    asked: Sequence[Mapping[str, Sequence[NamedElsewhere]]], number: int, target: Target
) -> list[Reading]:
    """Read, by source, the task definitions of one target that consumers in others name."""

    def read(source: str) -> Reading:
        named = asked[number][source]
        return _measured(source, target, lambda one: usages_from_elsewhere(one, source, named))

    return target.workers.map(read, asked[number])


def _measured(
    source: str, target: Target, read: Callable[[Target], Iterable[Usage] | None]
) -> Reading:
    """Return what was read; None means that the region does not have the service."""
    began = target.deadline.now()
    asked = target.for_source()
    try:
        with counted_calls() as count:
            found = read(asked)
            usages = tuple(found or ())
    except OutOfTimeError:
        raise
    except Exception as error:
        # Any error, an unexpected shape of an answer included, means: not read in full.
        where = str(target.elsewhere) if target.elsewhere else None
        raise ScanError(source, error, where) from error
    return Reading(
        source,
        State.NOT_IN_REGION if found is None else State.SCANNED,
        usages,
        seconds=(target.deadline.now() - began).total_seconds(),
        calls=count.calls,
        absent_operations=tuple(sorted(asked.absent_operations)),
        notes=asked.notes,
        target=target.elsewhere,
        named_elsewhere=tuple(asked.named_elsewhere),
    )
