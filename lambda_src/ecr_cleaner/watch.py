"""What is in use, scanned again before it is too old to delete by."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from threading import Lock

from ecr_cleaner.errors import CleanerError
from ecr_cleaner.inuse import InUse
from ecr_cleaner.usage import Scan


class UsageWatch:
    """The usages of all scans of a run together: what any one of them saw stays protected.

    ``in_use`` only ever grows, so repositories that are judged at the same time may read it.
    ``scanned_at`` and ``ended_at`` are the begin and the end of the last scan.
    ``scans`` counts those that it holds in full: a judgement from before the last is out of date.
    """

    def __init__(
        self,
        scan: Callable[[], Scan],
        clock: Callable[[], datetime],
        max_age: timedelta,
        has_time_for: Callable[[timedelta], bool] = lambda _: True,
    ) -> None:
        self._scan = scan
        self._clock = clock
        self._max_age = max_age
        self._has_time_for = has_time_for
        self._lock = Lock()
        self._failure: CleanerError | None = None
        self.began = self.scanned_at = clock()
        first = scan()
        self.ended_at = clock()
        self.coverage = first.coverage()
        self.in_use = InUse(first.usages)
        self.scans = 1

    def renew(self) -> bool:
        """Scan again where the last scan is too old; False: that would take longer than there is.

        Raise what the scan raised, for every later caller as well: from then on, what is in use
        is unknown.
        """
        with self._lock:
            if self._failure:
                raise self._failure
            if self._clock() - self.scanned_at < self._max_age:
                return True
            if not self._has_time_for(self.ended_at - self.scanned_at):
                return False
            self._scan_again()
            return True

    def _scan_again(self) -> None:
        scanned_at = self._clock()
        try:
            self.in_use.add(self._scan().usages)
        except CleanerError as error:
            self._failure = error
            raise
        self.scanned_at, self.ended_at = scanned_at, self._clock()
        self.scans += 1
