"""The step that scans one target and writes down what it found."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from itertools import chain
from typing import Any

from ecr_cleaner.aws.locations import Locations
from ecr_cleaner.aws.registry import EcrRegistry
from ecr_cleaner.aws.session import Aws
from ecr_cleaner.core.copies import unscanned_replicas
from ecr_cleaner.core.errors import CleanerError, text_of
from ecr_cleaner.core.fan_out import Frozen
from ecr_cleaner.core.locations import Location
from ecr_cleaner.core.model import Guard, Usage
from ecr_cleaner.core.scan_document import ScanHeader, usage_lines
from ecr_cleaner.core.settings import Settings
from ecr_cleaner.report.run_report import RunReport
from ecr_cleaner.run.run_objects import RunObjects, scan_name
from ecr_cleaner.run.stored_answers import StoredAnswers
from ecr_cleaner.usage.copies import CopiesRead, read_copies
from ecr_cleaner.usage.eks import guarded_clusters
from ecr_cleaner.usage.scan import Reading, scan
from ecr_cleaner.usage.shared.target import Target, target_at
from ecr_cleaner.usage.source import UsageSource


def sources_in(sources: Sequence[UsageSource], *, home: bool) -> list[UsageSource]:
    """Return the sources that are asked in the registry's own target, or in any other."""
    return [one for one in sources if one.everywhere or home]


@dataclass(frozen=True, slots=True)
class TargetScanner:
    """Scans one target of a run."""

    aws: Aws
    settings: Settings
    report: RunReport
    sources: Sequence[UsageSource]
    frozen: Frozen
    objects: RunObjects

    def scan(self, number: int, target: Location) -> dict[str, Any]:
        """Write the document of one target; return what is worth a log line.

        If it could not be read in full, the document says why, and the error is raised.
        """
        began = self.aws.deadline.now()
        empty = ScanHeader(self.frozen.run, number, target, began, began)
        name = scan_name(number, target)
        try:
            header, usages = self._scan(empty)
        except Exception as error:
            problem = text_of(error)
            failed = replace(empty, ended=self._now(), problem=problem or repr(error))
            # Without it, the target is known to be missing.
            with suppress(CleanerError):
                self.objects.put_lines(name, [failed.to_line(), *usage_lines([])])
            raise
        self.objects.put_lines(name, chain([header.to_line()], usage_lines(usages)))
        return {"usages": len(usages), "calls": sum(one["calls"] for one in header.sources)}

    def _scan(self, empty: ScanHeader) -> tuple[ScanHeader, list[Usage]]:
        locations = Locations(self.aws, self.settings)
        locations.take(self.frozen.targets, self.frozen.organization)
        is_home = empty.target == locations.home
        sources = sources_in(self.sources, home=is_home)
        with self._answers(empty.target).used() as answers:
            make = partial(target_at, locations, empty.target, self.settings, answers)
            found, (replication, read) = self.aws.workers.both(
                lambda: scan(make(), sources), lambda: self._copies(make, is_home=is_home)
            )
        readings = [reading for source in found.readings for reading in source.readings]
        if empty.round == 1:
            regions = self.settings.scan_regions
            self.report.doubtful(unscanned_replicas(replication, locations.scanned, regions))
        header = replace(
            empty,
            ended=self._now(),
            sources=[_fields(one) for one in readings],
            clusters=found.clusters,
            listed_clusters=self._listed_clusters(make),
            copies=read.copies,
            absent_operations=read.absent_operations,
            named_elsewhere=list(chain.from_iterable(one.named_elsewhere for one in readings)),
            replication=replication,
        )
        return header, list(found.usages)

    def _copies(
        self, make: partial[Target], *, is_home: bool
    ) -> tuple[Mapping[str, Any], CopiesRead]:
        home = self.frozen.home.registry
        if not is_home:
            return {}, read_copies(home, {}, [make], self.aws.workers)
        registry = EcrRegistry(self.aws)
        replication = registry.replication()
        return replication, read_copies(home, replication, [], self.aws.workers)

    def _listed_clusters(self, make: partial[Target]) -> list[str]:
        if Guard.EKS_CLUSTERS in self.settings.waived_guards:
            return []
        with make() as target:
            return guarded_clusters(target)

    def _answers(self, target: Location) -> StoredAnswers:
        """Return the cache of this target: scans of several targets are made at the same time."""
        ledger = self.settings.ledger
        where = f"{ledger}.{target.account}.{target.region}" if ledger else None
        return StoredAnswers(self.aws, replace(self.settings, ledger=where), self.report)

    def _now(self) -> datetime:
        return self.aws.deadline.now()


def _fields(reading: Reading) -> dict[str, Any]:
    return {
        "source": reading.source,
        "state": reading.state.value,
        "usages": len(reading.usages),
        "seconds": reading.seconds,
        "calls": reading.calls,
        "absent_operations": list(reading.absent_operations),
        "notes": dict(reading.notes),
    }
