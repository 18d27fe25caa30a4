"""The numbers of the last runs."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from core.worlds import NOW
from ecr_cleaner.core.errors import CleanerError
from ecr_cleaner.core.summary import Result, Tally
from ecr_cleaner.core.trend import (
    MOST_RUNS,
    RunNumbers,
    Trend,
    TrendError,
    trend_from,
)

FIRST = RunNumbers("first", NOW, dry_run=True, images=7, images_bytes=70, near_misses=2)
PLAN = "2026-03-01T120000Z-first.jsonl.gz"
LATER = "2026-03-02T120000Z-second.jsonl.gz"
TREND = Trend((FIRST,), PLAN)


def later(run: str, days: float, **numbers: Any) -> RunNumbers:
    return replace(FIRST, run=run, time=NOW + timedelta(days=days), **numbers)


def test_document_is_read_as_it_was_written() -> None:
    second = later("second", 1, applied=True, near_misses=None, removed=3, removed_bytes=30)
    trend = Trend((FIRST, second), PLAN)
    assert trend_from(trend.to_json()) == trend
    assert trend_from(Trend().to_json()) == Trend()


def test_runs_are_in_the_order_of_their_beginning_and_bounded() -> None:
    trend = Trend()
    for day in (*range(MOST_RUNS, 0, -1), 99):
        trend = trend.with_run(later(f"run-{day}", day), PLAN)
    days = [(one.time - NOW).days for one in trend.runs]
    assert days == [*range(2, MOST_RUNS + 1), 99]
    longer = Trend((*trend.runs, *trend.runs))
    assert trend_from(longer.to_json()).runs == trend.runs


def test_run_that_is_added_again_takes_its_own_place() -> None:
    again = replace(FIRST, images=8)
    assert TREND.with_run(again, PLAN).runs == (again,)


def test_latest_plan_is_that_of_a_run_that_judged_everything() -> None:
    assert TREND.with_run(later("applied", 1, applied=True), LATER).plan == PLAN
    assert TREND.with_run(later("second", 1), LATER).plan == LATER


@pytest.mark.parametrize(
    ("numbers", "begun", "plan"),
    [
        (later("second", 1), TREND, LATER),
        (later("second", 1, applied=True), TREND, PLAN),
        (later("second", 1, unjudged=1), TREND, PLAN),
        # A run that began earlier and ends later.
        (later("second", -1), TREND, PLAN),
        # Better than nothing to compare with.
        (later("second", 1, unjudged=1), Trend(), LATER),
        (later("second", 1, applied=True), Trend(), ""),
    ],
)
def test_plan_to_compare_with_is_the_latest_that_left_nothing_out(
    numbers: RunNumbers, begun: Trend, plan: str
) -> None:
    assert begun.with_run(numbers, LATER).plan == plan


def test_numbers_are_those_of_the_results() -> None:
    results = [
        Result(Tally(images=5, images_bytes=50, removable=2, removable_bytes=20, near_misses=1)),
        Result(Tally(images=1, removed=1, removed_bytes=9, near_misses=2), error=CleanerError("x")),
        Result(unvisited=True),
    ]
    begun = RunNumbers("run", NOW, dry_run=False)
    known = begun.with_results(results, compared=True)
    assert known == replace(
        begun,
        unjudged=2,
        images=6,
        images_bytes=50,
        removable=2,
        removable_bytes=20,
        removed=1,
        removed_bytes=9,
        near_misses=3,
    )
    assert begun.with_results(results, compared=False).near_misses is None


def changed(**fields: Any) -> bytes:
    return json.dumps(json.loads(TREND.to_json()) | fields).encode()


def with_run(**fields: Any) -> bytes:
    run = json.loads(TREND.to_json())["runs"][0]
    return changed(runs=[{name: one for name, one in (run | fields).items() if one != "drop"}])


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "damaged"),
        (b"[]", "damaged"),
        (b"[" * 100_000, "damaged"),
        (b"\xff", "damaged"),
        (b"{}", "its schema is None, not 1"),
        (changed(schema=2), "its schema is 2, not 1"),
        (changed(runs={}), "damaged"),
        (changed(runs=[7]), "damaged"),
        (with_run(time="2026-03-01T12:00:00"), "has no zone"),
        (with_run(time="yesterday"), "damaged"),
        (with_run(dry_run=1), "damaged"),
        (with_run(images=-1), "is negative"),
        (with_run(images_bytes=10**400), "too large"),
        (with_run(images=True), "damaged"),
        (with_run(near_misses=-1), "is negative"),
        (with_run(removed="drop"), "damaged"),
        (changed(plan=None), "damaged"),
        (changed(plan="../ledger"), "not the name of a plan"),
        (changed(plan="a/b.jsonl.gz"), "not the name of a plan"),
    ],
)
def test_document_that_is_damaged_or_of_another_schema_is_an_error(
    content: bytes, why: str
) -> None:
    with pytest.raises(TrendError, match=why):
        trend_from(content)
