"""The step that judges and cleans one share of the repositories, by what was gathered."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import date, timedelta

from ecr_cleaner.aws.locations import Locations
from ecr_cleaner.aws.registry import EcrRegistry
from ecr_cleaner.aws.session import Aws
from ecr_cleaner.core.documents import minutes
from ecr_cleaner.core.errors import LedgerError
from ecr_cleaner.core.fan_out import Frozen, Share, ShareResult, StepError
from ecr_cleaner.core.in_use import InUse
from ecr_cleaner.core.ledger import Ledger, Use
from ecr_cleaner.core.model import Guard
from ecr_cleaner.core.scan_document import (
    GatheredHeader,
    age_doubt,
    gathered_header,
    usages_from,
)
from ecr_cleaner.core.settings import Settings
from ecr_cleaner.deadline import Deadline
from ecr_cleaner.run.fresh_usage import FreshUsage
from ecr_cleaner.run.guard_checks import GuardChecks
from ecr_cleaner.run.later_step import LaterStep
from ecr_cleaner.run.memory import Memory
from ecr_cleaner.run.run_objects import GATHERED, share_name
from ecr_cleaner.usage.scan import Scan
from ecr_cleaner.workers import Workers


class GatheredUsage(FreshUsage):
    """What the scans of the run found; nothing is scanned again.

    A share cannot scan all targets in its time. So the last round of scans confirms every batch,
    and what replaces RESCAN_AFTER_SECONDS is MAX_SCAN_AGE_MINUTES: the share stops when the oldest
    scan of that round began longer ago. ``grew_old``: it did.
    """

    def __init__(
        self,
        frozen: Frozen,
        gathered: GatheredHeader,
        in_use: InUse,
        deadline: Deadline,
        max_age: timedelta,
    ) -> None:
        super().__init__(_no_scan, deadline, max_age)
        self._gathered = gathered
        self.began = frozen.time
        self.scanned_at = gathered.scanned_at
        self.ended_at = gathered.ended_at
        self.coverage = gathered.coverage
        self.clusters = tuple(gathered.clusters)
        self.in_use = in_use
        self.replication = gathered.replication
        self.scans = gathered.rounds
        self.grew_old = False

    def renew(self) -> bool:
        """Return whether the scans may still be believed. If not, the rest waits for a new run."""
        if age_doubt(self.scanned_at, self._deadline.now(), self._max_age):
            self.grew_old = True
        return not self.grew_old


def _no_scan() -> Scan:
    raise StepError("this step does not scan")


class GatheredGuards(GuardChecks):
    """The guards, with the clusters that the scans listed."""

    def __init__(
        self,
        locations: Locations,
        workers: Workers,
        registry: EcrRegistry,
        settings: Settings,
        clusters: Sequence[str],
    ) -> None:
        super().__init__(locations, workers, registry, settings)
        self._listed = clusters

    def read(self) -> None:
        """Read what holds for the whole registry, for guards that are not waived."""
        if Guard.EKS_CLUSTERS not in self._settings.waived_guards:
            self._clusters = list(self._listed)
        if Guard.CROSS_ACCOUNT_PULL not in self._settings.waived_guards:
            self._policies = self._registry.registry_policies()


class ShareMemory(Memory):
    """The ledger of the run, which is not written here, and what this share adds to it.

    ``added`` is None if nothing is remembered.
    """

    def __init__(self, aws: Aws, settings: Settings, gathered: GatheredHeader) -> None:
        super().__init__(aws, replace(settings, event_queue=None))
        self.is_whole = gathered.may_remove
        self._expected = gathered.remembers_since
        self.added: Ledger | None = None

    def read(self) -> None:
        """Read the ledger; raise LedgerError if it is not the one that was written before."""
        super().read()
        if self._expected is None or self.since is None:
            return
        if self.since > date.fromisoformat(self._expected):
            raise LedgerError(
                f"the ledger {self.where} remembers uses since {self.since} only, and "
                f"{self._expected} earlier in this run: somebody deleted or replaced it"
            )
        self.added = Ledger(self.since)

    def _record(self, ledger: Ledger, digest: str, use: Use) -> None:
        super()._record(ledger, digest, use)
        if self.added:
            self.added.record(digest, use)


class ShareCleaner(LaterStep):
    """Cleans the repositories of one share."""

    def clean(self, number: int) -> ShareResult:
        """Clean the share and write its result; raise StepError before if anything is doubtful.

        A share is cleaned once: a second call could remove as much again.
        """
        share = self._frozen.shares[number]
        self._locations.take(self._frozen.targets, self._frozen.organization)
        gathered, in_use = self._read()
        self._take(gathered, in_use, share)
        self._guards.read()
        self._pull_times.read()
        self._memory.read()
        self._trends.read(self._locations.home.registry, frozenset(share.repositories))
        self._objects.begin(share_name(number, "begun"))
        names = set(share.repositories)
        repositories = self._frozen.repositories
        self._begin_plan(self._frozen.time, repositories, gathered.missing, gathered.coverage)
        results = self._clean([one for one in repositories if one.name in names], repositories)
        if self._gathered.grew_old:
            self._report.doubtful([_grew_old(gathered.oldest, self._max_age)])
        problems = self._plans.finish()
        self._report.plan((), problems)
        result = ShareResult(
            self._frozen.run, number, tuple(results), tuple(problems), self._trends.compared
        )
        if self._share_memory.added:
            self._objects.put(share_name(number, "ledger"), self._share_memory.added.stored())
        self._objects.put(share_name(number, "json"), result.to_json())
        return result

    def _read(self) -> tuple[GatheredHeader, InUse]:
        lines = self._objects.lines(GATHERED)
        gathered = gathered_header(next(lines, b""))
        gathered.check(self._frozen.run, self._frozen.rounds)
        gathered.check_age(self._deadline.now(), self._max_age)
        return gathered, InUse(usages_from(lines))

    def _take(self, gathered: GatheredHeader, in_use: InUse, share: Share) -> None:
        """Judge by what was gathered, and remove no more than the share may."""
        self._settings = replace(self._settings, max_deletions=share.most_deletions)
        self._usage = self._gathered = GatheredUsage(
            self._frozen, gathered, in_use, self._deadline, self._max_age
        )
        self._guards = GatheredGuards(
            self._locations,
            self._aws.workers,
            self._registry,
            self._settings,
            gathered.listed_clusters,
        )
        self._memory = self._share_memory = ShareMemory(self._aws, self._settings, gathered)


def _grew_old(oldest: str, max_age: timedelta) -> str:
    return (
        f"MAX_SCAN_AGE_MINUTES is {minutes(max_age)}, and the second scan of {oldest} became older "
        "while the share was cleaned, so the rest is left for the next run; raise the memory of "
        "the function, or the setting"
    )
