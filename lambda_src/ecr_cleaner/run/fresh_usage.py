"""What is in use, scanned again before it is too old to delete by."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from threading import Lock
from typing import Any

from ecr_cleaner.core.errors import (
    CleanerError,
    IncompleteAnswerError,
    OutOfTimeError,
    ScanError,
)
from ecr_cleaner.core.guards import EKS_SOURCE
from ecr_cleaner.core.in_use import InUse
from ecr_cleaner.core.model import ClusterReading
from ecr_cleaner.deadline import Deadline
from ecr_cleaner.usage.scan import Scan

# How many times its own duration a scan is fresh for, counted from its begin.
FRESH_FOR = 3

_NEVER = datetime.min.replace(tzinfo=UTC)


class FreshUsage:
    """The usages of all scans of a run: what any one of them found stays protected.

    ``in_use`` only grows, so repositories that are judged at the same time may read it. ``began``
    is the begin of the first scan; ``scanned_at`` and ``ended_at`` are the begin and the end of the
    last one, ``longest`` the duration of the slowest. ``scans`` counts the scans that ``in_use``
    holds in full: a judgement from before the last one is out of date.
    ``clusters`` are the results of the Kubernetes clusters in the first scan: a later scan that
    reads less of them fails. ``replication`` is how the registry was replicated in the last scan.
    """

    def __init__(self, scan: Callable[[], Scan], deadline: Deadline, max_age: timedelta) -> None:
        self._scan = scan
        self._deadline = deadline
        self._max_age = max_age
        self._lock = Lock()
        self._failure: CleanerError | None = None
        self.began = self.scanned_at = self.ended_at = _NEVER
        self.coverage: Mapping[str, Any] = {}
        self.clusters: tuple[ClusterReading, ...] = ()
        self.in_use = InUse()
        self.replication: Mapping[str, Any] = {}
        self.scans = 0
        self.longest = timedelta()

    def begin(self) -> None:
        """Make the first scan of the run."""
        self.began = self._deadline.now()
        self._add_scan()

    def renew(self) -> bool:
        """Make sure that the last scan is fresh; return False if there is not enough time.

        The first call of a run always scans: before anything is removed, a second scan confirms
        the first, which may have missed a deployment that was in progress. Raise what the scan
        raised, for every later caller as well: from then on, what is in use is unknown.
        """
        with self._lock:
            if self._failure:
                raise self._failure
            if self.scans > 1 and not self._is_stale():
                return True
            if not self._deadline.allows(self.ended_at - self.scanned_at):
                return False
            try:
                self._add_scan()
            except OutOfTimeError:
                return False
            except CleanerError as error:
                self._failure = error
                raise
            return True

    def _is_stale(self) -> bool:
        """A scan is fresh for a multiple of its duration, or a slow one would never be fresh."""
        duration = self.ended_at - self.scanned_at
        return self._deadline.now() - self.scanned_at >= max(self._max_age, FRESH_FOR * duration)

    def _add_scan(self) -> None:
        scanned_at = self._deadline.now()
        scan = self._scan()
        self.in_use.add(scan.usages)
        self.replication = scan.replication
        self._keep_clusters(scan.clusters)
        self.coverage = self.coverage or scan.coverage()
        self.scanned_at, self.ended_at = scanned_at, self._deadline.now()
        self.longest = max(self.longest, self.ended_at - self.scanned_at)
        self.scans += 1

    def _keep_clusters(self, clusters: tuple[ClusterReading, ...]) -> None:
        """Fail if a cluster was not read in full for which no guard was set up at the start.

        A cluster of EKS that is no longer listed was deleted. A usage document that is no longer
        there says nothing about its cluster.
        """
        if not self.scans:
            self.clusters = clusters
        gone = {(one.source, one.cluster) for one in self.clusters if one.source != EKS_SOURCE}
        for source, cluster in sorted(gone - {(one.source, one.cluster) for one in clusters}):
            problem = f"the usages of Kubernetes cluster {cluster} are no longer there"
            raise ScanError(source, IncompleteAnswerError(problem))
        known = {(one.source, one.cluster) for one in self.clusters if one.problem}
        for one in clusters:
            if one.problem and (one.source, one.cluster) not in known:
                problem = f"Kubernetes cluster {one.cluster}: {one.problem}; to fix it, {one.fix}"
                raise ScanError(one.source, IncompleteAnswerError(problem))
