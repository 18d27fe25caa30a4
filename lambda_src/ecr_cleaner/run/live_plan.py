"""A plan that follows new scans."""

from __future__ import annotations

from collections.abc import Callable, Container
from datetime import datetime
from threading import Lock

from ecr_cleaner.core.model import Plan
from ecr_cleaner.run.fresh_usage import FreshUsage


class LivePlan:
    """The plan of one repository, judged again after each new scan.

    ``scans`` is how many scans there had been when ``plan`` was made.
    """

    def __init__(
        self, usage: FreshUsage, plan: Plan, scans: int, judge_again: Callable[[], Plan]
    ) -> None:
        self._usage = usage
        self._plan = plan
        self._scans = scans
        self._judge_again = judge_again
        self._lock = Lock()

    def renew(self) -> bool:
        """Make sure that the last scan is fresh; return False if there is not enough time."""
        return self._usage.renew()

    def current(self) -> Plan:
        """Return the plan by the newest scan, whichever repository asked for that scan."""
        with self._lock:
            scans = self._usage.scans
            if scans > self._scans:
                self._plan = self._judge_again()
                self._scans = scans
            return self._plan

    def removable(self) -> Container[str]:
        """Return the digests that the newest scan still lets us remove."""
        return self.current().leaders.keys()

    def scanned_since(self, time: datetime) -> bool:
        """Return whether the last scan ended after ``time``."""
        return self._usage.ended_at > time
