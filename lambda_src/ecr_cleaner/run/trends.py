"""The trend beside the plans, and what the latest earlier plan removes, compared with this run."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from threading import Lock

from ecr_cleaner.aws.session import Aws
from ecr_cleaner.core.errors import text_of
from ecr_cleaner.core.model import Plan, Registry
from ecr_cleaner.core.near_misses import NearMiss, PlannedRemovals, near_misses, removals_in
from ecr_cleaner.core.settings import Settings
from ecr_cleaner.core.trend import (
    NO_PAST,
    Past,
    RunNumbers,
    Trend,
    trend_from,
)
from ecr_cleaner.report.run_report import RunReport
from ecr_cleaner.run.memory import LedgerStore, store_at
from ecr_cleaner.run.plan_places import address, stored_lines

# So many are named on the page; the log has all.
MOST_NAMED = 200
# For a moment, a plan is in memory twice. One of a million images has up to 46 MiB.
_MOST_BYTES = 64 * 1024 * 1024
# How often another run may write between our reading and our writing before we give up.
_MOST_ATTEMPTS = 3


class Trends:
    """What is known of earlier runs beside their plans; nothing without a place for plans.

    It is only shown: no failure here ends a run, and no verdict depends on it. A document that
    cannot be understood is written over. The writes are conditional, so that of two runs that end
    at the same time, neither is lost.
    """

    def __init__(self, aws: Aws, settings: Settings, report: RunReport) -> None:
        self._aws = aws
        self._plans = settings.plans
        self._report = report
        self._lock = Lock()
        self._trend = Trend()
        self._removals: Mapping[str, PlannedRemovals] = {}
        self._near: list[NearMiss] = []
        self._unknown = NO_PAST.unknown
        self._warned: set[str] = set()

    @property
    def compared(self) -> bool:
        """Whether an earlier plan was read, so that near misses are known."""
        return not self._unknown

    def read(self, registry: Registry, only: Collection[str] | None = None) -> None:
        """Read the trend and what the latest plan removes of these repositories; None: of all."""
        if self._plans is None:
            return
        self._trend, _ = self._stored(self._store(self._plans, registry))
        if not self._trend.plan:
            return
        where = address(self._plans, self._trend.plan)
        try:
            with stored_lines(self._aws, where, _MOST_BYTES) as lines:
                self._removals = removals_in(lines, registry, only)
        except Exception as error:  # noqa: BLE001 - no judgement depends on it
            self._unknown = f"The earlier plan {where} could not be read: {text_of(error)}"
            self._report.earlier_plan_failed(where, text_of(error))
            return
        self._unknown = ""

    def read_runs(self, registry: Registry) -> None:
        """Read the trend alone; near misses stay unknown."""
        if self._plans is not None:
            self._trend, _ = self._stored(self._store(self._plans, registry))

    def near_misses(self, plan: Plan) -> list[NearMiss]:
        """Return the images of a repository that the latest plan removes and that are needed now.

        Thread-safe.
        """
        found = near_misses(plan, self._removals.get(plan.repository.name))
        with self._lock:
            self._near += found[: MOST_NAMED - len(self._near)]
        return found

    def past(self, numbers: RunNumbers) -> Past:
        """Return what the page shows of earlier runs and of this one."""
        trend = self._trend.with_run(numbers, "")
        return Past(trend.runs, tuple(self._near), numbers.near_misses, self._unknown)

    def add(self, registry: Registry, numbers: RunNumbers, plan: str) -> None:
        """Add this run, whose plan of that name is stored, to the trend."""
        if self._plans is None:
            return
        store = self._store(self._plans, registry)
        try:
            for _ in range(_MOST_ATTEMPTS):
                trend, version = self._stored(store)
                if store.write(trend.with_run(numbers, plan).to_json(), version):
                    return
            failure = "other runs write it all the time"
        except Exception as error:  # noqa: BLE001 - no judgement depends on it
            failure = text_of(error)
        self._failed(store, failure)

    def _store(self, plans: str, registry: Registry) -> LedgerStore:
        name = f"trend-{registry.account}-{registry.region}.json"
        return store_at(self._aws, address(plans, name))

    def _stored(self, store: LedgerStore) -> tuple[Trend, str | None]:
        """Return the stored trend and its version; an empty one if it cannot be read."""
        version = None
        try:
            found = store.read()
            if found:
                version = found[1]
                return trend_from(found[0]), version
        except Exception as error:  # noqa: BLE001 - no judgement depends on it
            self._failed(store, text_of(error))
        return Trend(), version

    def _failed(self, store: LedgerStore, why: str) -> None:
        """Warn of it once: what cannot be read at the beginning is not better at the end."""
        if why not in self._warned:
            self._warned.add(why)
            self._report.trend_failed(store.where, why)
