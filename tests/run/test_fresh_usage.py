"""When a scan is made again, and when there is no time for it."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta

import pytest

from core.worlds import NOW, REGISTRY, usage
from ecr_cleaner.core.errors import ApiError, OutOfTimeError, ScanError
from ecr_cleaner.deadline import RESERVE, Deadline
from ecr_cleaner.run.fresh_usage import FRESH_FOR, FreshUsage
from ecr_cleaner.usage.scan import Reading, Scan, SourceReading, State

DENIED = ApiError("ecs", "ListClusters", code="AccessDenied", message="no")


@dataclass
class Run:
    """A run with a clock, and scans of a given duration in seconds."""

    seconds_a_scan: float = 1
    seconds_left: float = 900
    fails: Exception | None = None
    now: datetime = NOW
    scans: int = 0
    usage: FreshUsage = field(init=False)

    def __post_init__(self) -> None:
        self.usage = self.with_max_age(180)

    def with_max_age(self, seconds: int) -> FreshUsage:
        deadline = Deadline(lambda: self.now, lambda: self.seconds_left)
        return FreshUsage(self.scan, deadline, timedelta(seconds=seconds))

    def scan(self) -> Scan:
        if self.fails:
            raise self.fails
        self.scans += 1
        self.passes(self.seconds_a_scan)
        found = usage("app", digest=f"sha256:{self.scans:064}")
        reading = Reading("stub", State.SCANNED, (found,))
        return Scan((SourceReading("stub", (reading,)),))

    def passes(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)
        self.seconds_left -= seconds


def test_second_scan_confirms_the_first_before_anything_is_removed() -> None:
    run = Run()
    run.usage.begin()
    assert run.usage.renew()
    assert run.usage.renew()
    assert run.scans == 2


@pytest.mark.parametrize(
    ("max_age", "duration", "seconds_later", "scans"),
    [
        (180, 1, 178, 2),
        (180, 1, 179, 3),
        (0, 1, 0, 2),
        (0, 0, 0, 3),
        (900, 1, 898, 2),
        (900, 1, 899, 3),
        # Slower than the setting: fresh for a multiple of its duration.
        (180, 200, 0, 2),
        (180, 200, FRESH_FOR * 200 - 201, 2),
        (180, 200, FRESH_FOR * 200 - 200, 3),
    ],
)
def test_scan_is_fresh_for_the_setting_or_a_multiple_of_its_duration(
    max_age: int, duration: int, seconds_later: int, scans: int
) -> None:
    run = Run(seconds_a_scan=duration, seconds_left=9_000)
    fresh = run.with_max_age(max_age)
    fresh.begin()
    fresh.renew()
    run.passes(seconds_later)
    assert fresh.renew()
    assert run.scans == scans


@pytest.mark.parametrize(
    ("seconds_left", "fits"), [(RESERVE.seconds + 100, True), (RESERVE.seconds + 99, False)]
)
def test_scan_begins_only_if_one_like_the_last_ends_in_time(
    seconds_left: int, *, fits: bool
) -> None:
    run = Run(seconds_a_scan=100, seconds_left=9_000)
    run.usage.begin()
    run.seconds_left = seconds_left
    assert run.usage.renew() is fits
    assert run.scans == 1 + fits


def test_scan_that_runs_out_of_time_is_no_failure_and_nothing_is_fresh() -> None:
    run = Run()
    run.usage.begin()
    run.fails = OutOfTimeError("no time")
    assert not run.usage.renew()
    assert run.usage.scans == 1


def test_scan_that_failed_fails_every_later_caller() -> None:
    run = Run()
    run.usage.begin()
    run.fails = ScanError("ecs", DENIED)
    with pytest.raises(ScanError):
        run.usage.renew()
    run.fails = None
    with pytest.raises(ScanError):
        run.usage.renew()
    assert run.scans == 1


def test_what_any_scan_found_stays_in_use() -> None:
    run = Run()
    run.usage.begin()
    run.usage.renew()
    (use,) = run.usage.in_use.repositories_in(REGISTRY).values()
    assert len(use.digests) == 2


@pytest.mark.parametrize("attribute", ["began", "scanned_at", "ended_at"])
def test_times_are_those_of_the_first_and_of_the_last_scan(attribute: str) -> None:
    run = Run(seconds_a_scan=10)
    run.usage.begin()
    run.passes(5)
    run.usage.renew()
    seconds = (getattr(run.usage, attribute) - NOW).total_seconds()
    assert seconds == {"began": 0, "scanned_at": 15, "ended_at": 25}[attribute]


def test_the_longest_scan_is_remembered() -> None:
    run = Run(seconds_a_scan=200)
    run.usage.begin()
    run.seconds_a_scan = 1
    run.usage.renew()
    assert run.usage.longest == timedelta(seconds=200)
