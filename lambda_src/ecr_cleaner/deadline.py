"""The one place with a clock: what time it is, and how much of it a run has left."""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

# How long one attempt of an AWS call waits for a connection, and then for an answer.
CONNECT_TIMEOUT = timedelta(seconds=5)
READ_TIMEOUT = timedelta(seconds=30)

# An attempt may begin if it ends, at the latest, this long before the deadline: time enough to
# write the summary.
_SUMMARY = timedelta(seconds=5)
_CALL_RESERVE = CONNECT_TIMEOUT + READ_TIMEOUT + _SUMMARY

# Nothing new begins in the last minute: the calls of what is in progress are still allowed.
RESERVE = timedelta(seconds=60)


class Deadline:
    """The time of a run.

    ``clock`` returns the current time in UTC; ``seconds_left`` the seconds until the platform ends
    the run, infinite if nothing does.
    """

    def __init__(
        self,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        seconds_left: Callable[[], float] = lambda: math.inf,
    ) -> None:
        self._clock = clock
        self._seconds_left = seconds_left

    def now(self) -> datetime:
        """Return the current time in UTC."""
        return self._clock()

    def is_near(self) -> bool:
        """Return whether only the reserve is left, so that nothing new may begin."""
        return not self.allows(timedelta(0))

    def allows(self, duration: timedelta) -> bool:
        """Return whether work of this duration ends before the reserve begins."""
        return self._seconds_left() >= (duration + RESERVE).total_seconds()

    def allows_call(self) -> bool:
        """Return whether one attempt of an AWS call, timeouts included, ends in time."""
        return self._seconds_left() >= _CALL_RESERVE.total_seconds()
