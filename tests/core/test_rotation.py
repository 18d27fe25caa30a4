"""Whose turn comes first, when time may not suffice for all."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ecr_cleaner.core.rotation import rotated

START = datetime(2026, 3, 1, tzinfo=UTC)


@given(st.lists(st.integers(), unique=True), st.datetimes(timezones=st.just(UTC)))
def test_everyone_has_a_turn_in_the_order_of_the_list(items: list[int], now: datetime) -> None:
    turns = rotated(items, now)
    start = items.index(turns[0]) if items else 0
    assert turns == items[start:] + items[:start]


@given(st.integers(1, 24))
def test_every_item_comes_first_within_some_runs_however_often_they_come(hours: int) -> None:
    runs = [START + timedelta(hours=hours * run) for run in range(200)]
    assert {rotated(range(10), run)[0] for run in runs} == set(range(10))


def test_within_an_hour_the_turns_are_the_same() -> None:
    assert rotated(range(9), START) == rotated(range(9), START + timedelta(minutes=59))


@pytest.mark.parametrize("count", [2, 10, 100])
@pytest.mark.parametrize("hours", [1, 2, 6, 8, 12, 24, 48, 168])
def test_runs_that_get_through_a_tenth_reach_everyone_soon(count: int, hours: int) -> None:
    """The schedules that people choose, above all the daily one."""
    reached: set[int] = set()
    for run in range(100):
        turns = rotated(range(count), START + timedelta(hours=hours * run))
        reached.update(turns[: max(1, count // 10)])

    assert reached == set(range(count))


def test_hours_begin_at_many_places() -> None:
    starts = [rotated(range(1000), START + timedelta(hours=hour))[0] for hour in range(24)]

    assert len(set(starts)) > 20


def test_the_list_itself_is_left_as_it_is() -> None:
    items = ["a", "b", "c"]
    for hour in range(10):
        rotated(items, START + timedelta(hours=hour))

    assert items == ["a", "b", "c"]
