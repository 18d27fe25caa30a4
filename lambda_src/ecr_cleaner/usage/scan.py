"""Scan: ask every usage source what is in use."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from itertools import chain

from ecr_cleaner.core.errors import InvalidSettingError, ScanError
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
    """The result of one source."""

    source: str
    state: State
    usages: tuple[Usage, ...] = ()

    def fields(self) -> dict[str, str | int]:
        """Return its fields in a log line and in the summary."""
        counted = {"usages": len(self.usages)} if self.state is State.SCANNED else {}
        return {"state": self.state.value, **counted}


@dataclass(frozen=True, slots=True)
class Scan:
    """The results of all sources, in the order of the sources, and of each Kubernetes cluster."""

    readings: tuple[Reading, ...]
    clusters: tuple[ClusterReading, ...] = ()

    @property
    def usages(self) -> Iterable[Usage]:
        return chain.from_iterable(reading.usages for reading in self.readings)

    def coverage(self) -> dict[str, dict[str, str | int]]:
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


def scan(target: Target, sources: Iterable[UsageSource]) -> Scan:
    """Ask every source; raise ScanError if any one of them could not be read in full."""
    readings = tuple(target.workers.map(lambda source: _read(source, target), sources))
    return Scan(readings, tuple(target.clusters))


def _read(source: UsageSource, target: Target) -> Reading:
    if source.name in target.settings.waived_sources:
        return Reading(source.name, State.WAIVED)
    if not target.offers(source.service):
        return Reading(source.name, State.NOT_IN_REGION)
    try:
        return Reading(source.name, State.SCANNED, tuple(source.usages(target)))
    except Exception as error:
        # Any error, an unexpected shape of an answer included, means: not read in full.
        raise ScanError(source.name, error) from error
