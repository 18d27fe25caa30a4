"""Scan: ask every usage source what is in use."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import chain
from typing import Any

from ecr_cleaner.aws.api import counted_calls
from ecr_cleaner.core.errors import InvalidSettingError, OutOfTimeError, ScanError
from ecr_cleaner.core.model import ClusterReading, Usage
from ecr_cleaner.core.settings import Settings
from ecr_cleaner.usage.shared.target import Target
from ecr_cleaner.usage.source import UsageSource


class State(StrEnum):
    """The state of a source after a scan. A source that failed has none: it ends the run."""

    SCANNED = "scanned"
    NOT_IN_REGION = "not in this region"
    WAIVED = "waived"


@dataclass(frozen=True, slots=True)
class Reading:
    """The result of one source, with the seconds and the AWS calls that it took.

    ``absent_operations`` are those that the region does not offer; ``notes`` are further facts on
    what the source read.
    """

    source: str
    state: State
    usages: tuple[Usage, ...] = ()
    seconds: float = 0
    calls: int = 0
    absent_operations: tuple[str, ...] = ()
    notes: Mapping[str, Any] = field(default_factory=dict)

    def fields(self) -> dict[str, Any]:
        """Return its fields in a log line and in the summary."""
        counted = {"usages": len(self.usages)} if self.state is State.SCANNED else {}
        operations = list(self.absent_operations)
        absent = {"absent_operations": operations} if operations else {}
        return {"state": self.state.value, **counted, **absent, **self.notes}


@dataclass(frozen=True, slots=True)
class Scan:
    """The results of all sources, in the order of the sources, and of each Kubernetes cluster."""

    readings: tuple[Reading, ...]
    clusters: tuple[ClusterReading, ...] = ()

    @property
    def usages(self) -> Iterable[Usage]:
        return chain.from_iterable(reading.usages for reading in self.readings)

    def coverage(self) -> dict[str, dict[str, Any]]:
        """Return the state of each source, with its number of usages if it was scanned."""
        return {reading.source: reading.fields() for reading in self.readings}


def check_waived(settings: Settings, sources: Iterable[UsageSource]) -> None:
    """Raise InvalidSettingError if ``WAIVED_SOURCES`` names an unknown source."""
    names = [source.name for source in sources]
    unknown = [name for name in settings.waived_sources if name not in names]
    if unknown:
        value = ",".join(settings.waived_sources)
        allowed = f"a comma-separated list of {', '.join(names)}; unknown: {', '.join(unknown)}"
        raise InvalidSettingError("WAIVED_SOURCES", value, allowed)


def scan(
    target: Target,
    sources: Iterable[UsageSource],
    on_reading: Callable[[Reading], None] = lambda _: None,
) -> Scan:
    """Ask every source; raise ScanError if any one of them could not be read in full.

    ``on_reading`` is called as each source ends. Raise OutOfTimeError, which names the sources that
    were not finished, if the deadline came first.
    """
    unfinished = {source.name: source for source in sources}

    def read(source: UsageSource) -> Reading:
        reading = _read(source, target)
        on_reading(reading)
        del unfinished[source.name]
        return reading

    try:
        readings = target.workers.map(read, list(unfinished.values()))
    except OutOfTimeError as error:
        names = ", ".join(unfinished)
        raise OutOfTimeError(
            f"the scan ran out of time, not finished: {names}; raise the timeout or the memory of "
            "the function"
        ) from error
    return Scan(tuple(readings), tuple(target.clusters))


def _read(source: UsageSource, target: Target) -> Reading:
    if source.name in target.settings.waived_sources:
        return Reading(source.name, State.WAIVED)
    began = target.deadline.now()
    asked = target.for_source()
    try:
        with counted_calls() as count:
            offered = target.offers(source.service)
            usages = tuple(source.usages(asked)) if offered else ()
    except OutOfTimeError:
        raise
    except Exception as error:
        # Any error, an unexpected shape of an answer included, means: not read in full.
        raise ScanError(source.name, error) from error
    return Reading(
        source.name,
        State.SCANNED if offered else State.NOT_IN_REGION,
        usages,
        seconds=(target.deadline.now() - began).total_seconds(),
        calls=count.calls,
        absent_operations=tuple(sorted(asked.absent_operations)),
        notes=asked.notes,
    )
