"""What a run takes with the processor that Lambda gives to a size of memory.

``table`` is that of the README: measured seconds, and prices by arithmetic.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from bench.fan_out import GB_SECOND, MEMORY_OF_A_PROCESSOR

SIZES = (512, 1024, 1769)
# In us-east-1, in dollars (https://aws.amazon.com/lambda/pricing/); GB_SECOND is that of x86_64.
GB_SECOND_OF_ARM = 0.0000133334
RUNS_A_MONTH = 30

# Seconds of a dry run, by what is scanned and MB of memory: the shorter of two runs of
# ``python -m bench --sizes``.
MEASURED: dict[str, dict[int, float]] = {
    "the account above": {512: 33.8, 1024: 18.8, 1769: 14.6},
    "a small account in 17 regions": {512: 32.1, 1024: 15.3, 1769: 13.2},
}


# Seconds of the processor that a process may make up for after others had it.
_BANKED = 0.5


@dataclass(slots=True)
class Throttle:
    """Stops and continues a process, so that it gets a share of one processor."""

    pid: int
    share: float
    _began: float
    _is_stopped: bool = False

    @classmethod
    def of(cls, pid: int, memory: int) -> Throttle:
        """Return the throttle of a process with the share that comes with this memory."""
        return cls(pid, share_of(memory), time.monotonic())

    def apply(self) -> None:
        """Stop the process if it has used up its share, or continue it. Call this often."""
        due = self.share * (time.monotonic() - self._began)
        used = _processor_seconds(self.pid)
        if due - used > _BANKED:
            self._began += (due - used - _BANKED) / self.share
        if (used > due) is not self._is_stopped:
            self._is_stopped = used > due
            os.kill(self.pid, signal.SIGSTOP if self._is_stopped else signal.SIGCONT)


def _processor_seconds(pid: int) -> float:
    # The number of the clock of a process, as clock_getcpuclockid(3) returns it on Linux.
    return time.clock_gettime((~pid << 3) | 2)


def share_of(memory: int) -> float:
    """Return the share of one processor that comes with so many MB of memory."""
    return min(1.0, memory / MEMORY_OF_A_PROCESSOR)


def table(measured: Mapping[str, Mapping[int, float]] = MEASURED) -> Iterator[str]:
    """Yield the lines of the table of the README."""
    yield "| what is scanned | memory | seconds | GB-seconds | dollars a month, arm64 and x86_64 |"
    yield "| --- | --- | --- | --- | --- |"
    for name, by_size in measured.items():
        for memory, seconds in by_size.items():
            used = seconds * memory / 1024
            prices = (RUNS_A_MONTH * used * price for price in (GB_SECOND_OF_ARM, GB_SECOND))
            dollars = ", ".join(f"{price:.4f}" for price in prices)
            yield f"| {name} | {memory:,} MB | {seconds:.0f} | {used:.1f} | {dollars} |"
