"""Many items at once: in order, all or nothing, and never locked up."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future
from threading import Event, Lock, Timer, current_thread, main_thread
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ecr_cleaner.workers import Workers, batches


@pytest.fixture(params=[1, 2, 8])
def workers(request: pytest.FixtureRequest) -> Iterator[Workers]:
    with Workers(request.param) as made:
        yield made


@given(st.lists(st.integers()), st.integers(1, 5))
def test_batches_are_full_but_the_last_and_lose_nothing(items: list[int], size: int) -> None:
    made = list(batches(items, size))
    assert [item for batch in made for item in batch] == items
    assert all(len(batch) == size for batch in made[:-1])
    assert all(1 <= len(batch) <= size for batch in made)


def test_results_come_in_the_order_of_the_items(workers: Workers) -> None:
    assert workers.map(lambda number: number * 2, range(100)) == list(range(0, 200, 2))
    assert workers.map(str, []) == []


def test_a_later_item_may_be_done_before_an_earlier_one() -> None:
    second_is_done = Event()

    def work(item: str) -> str:
        if item == "first":
            assert second_is_done.wait(timeout=30)
        else:
            second_is_done.set()
        return item

    with Workers(2) as workers:
        assert workers.map(work, ["first", "second"]) == ["first", "second"]


@pytest.mark.timeout(60)
def test_maps_nested_deeper_than_there_are_threads_do_not_lock_up(workers: Workers) -> None:
    def leaves(depth: int) -> int:
        return sum(workers.map(leaves, [depth - 1] * 3)) if depth else 1

    assert leaves(6) == 3**6


@pytest.mark.timeout(60)
def test_who_waits_does_the_work_that_nobody_has_started() -> None:
    others_are_busy = Event()
    done_by = {}

    def work(item: int) -> None:
        done_by[item] = current_thread()
        if item == 0:
            assert others_are_busy.wait(timeout=30)

    with Workers(1) as one:
        # The only thread waits in its own work; the caller does the rest.
        blocking = one._pool.submit(one.map, work, [0])  # noqa: SLF001 - to occupy the thread
        one.map(work, [1, 2])
        assert {done_by[1], done_by[2]} == {current_thread()}
        others_are_busy.set()
        blocking.result()


def test_an_error_is_raised_as_it_was(workers: Workers) -> None:
    def work(number: int) -> int:
        if number == 3:
            raise KeyError(number)
        return number

    with pytest.raises(KeyError, match="3"):
        workers.map(work, range(10))


def test_of_nested_errors_the_innermost_comes_out(workers: Workers) -> None:
    def fail(number: int) -> int:
        raise ValueError(number)

    with pytest.raises(ValueError, match="7"):
        workers.map(lambda number: workers.map(fail, [number]), [7])


def test_the_first_error_cancels_what_has_not_been_started() -> None:
    done = []
    lock = Lock()

    def work(number: int) -> None:
        with lock:
            done.append(number)
        if number == 0:
            raise ValueError(number)

    with Workers(1) as one:
        with pytest.raises(ValueError, match="0"):
            one.map(work, range(1000))
        # Whatever is still queued comes before this.
        one._pool.submit(str).result()  # noqa: SLF001
    # One thread and the caller: at most one item was under way beside the one that failed.
    assert len(done) <= 2


def test_an_error_comes_out_although_an_earlier_part_was_stopped_by_it() -> None:
    failing = Event()

    def work(item: str) -> None:
        if item == "slow":
            assert failing.wait(timeout=30)
        if item == "failing":
            failing.set()
            raise ValueError(item)

    # Two at once: the slow one and its successors are stopped, the other one has failed.
    with Workers(2) as two, pytest.raises(ValueError, match="failing"):
        two.map(work, ["slow", "failing", *["other"] * 10_000], at_once=2)


@pytest.mark.timeout(60)
def test_an_error_ends_what_goes_on_within_beside_it() -> None:
    """A source that may not be read ends the scan, however much another has still to ask."""
    begun = Event()
    over = Event()

    def ask_on_and_on() -> None:
        while not over.is_set():
            two.map(int, ["1"])
            begun.set()

    def work(item: str) -> None:
        if item == "denied":
            assert begun.wait(timeout=30)
            raise PermissionError
        try:
            ask_on_and_on()
        except Exception as error:
            # A source would tell what it could not read: that it was stopped is no such thing.
            raise RuntimeError(item) from error
        raise AssertionError("it was never stopped")

    watchdog = Timer(30, over.set)
    watchdog.start()
    with Workers(2) as two:
        with pytest.raises(PermissionError):
            two.map(work, ["endless", "denied"])
        assert two.map(int, ["1"]) == [1]
    watchdog.cancel()
    assert not over.is_set()


@pytest.mark.timeout(60)
def test_an_interrupt_begins_nothing_more(monkeypatch: pytest.MonkeyPatch) -> None:
    """As after Ctrl+C in a sweep, which meets the main thread while it waits for the others."""
    begun: list[int] = []
    sweeping, interrupted = Event(), Event()

    class Interrupted(Workers):
        def __exit__(self, *_: object) -> None:
            interrupted.set()
            super().__exit__(None, None, None)

    def batch(number: int) -> None:
        begun.append(number)
        sweeping.set()
        assert interrupted.wait(timeout=30)

    def repository(name: str) -> None:
        if name == "swept":
            two.map(batch, range(100), at_once=1)
        assert sweeping.wait(timeout=30)

    def result(future: Future[Any]) -> Any:
        if current_thread() is main_thread():
            assert sweeping.wait(timeout=30)
            raise KeyboardInterrupt
        return wait_for(future)

    wait_for = Future.result
    monkeypatch.setattr(Future, "result", result)
    with pytest.raises(KeyboardInterrupt), Interrupted(2) as two:
        two.map(repository, ["left to the main thread", "swept"])
    assert begun == [0]


def test_an_error_that_was_handled_within_ends_nothing_around_it(workers: Workers) -> None:
    def work(number: int) -> int:
        with pytest.raises(ZeroDivisionError):
            workers.map(lambda one: 1 // one, [0])
        return sum(workers.map(int, ["1"] * number))

    assert workers.map(work, range(5)) == list(range(5))


def test_no_more_are_under_way_at_once_than_was_asked(workers: Workers) -> None:
    under_way = 0
    most = 0
    lock = Lock()

    def work(number: int) -> int:
        nonlocal under_way, most
        with lock:
            under_way += 1
            most = max(most, under_way)
        # What is done here gives the others their chance to be under way as well.
        inner = sum(workers.map(int, ["1"] * 3))
        with lock:
            under_way -= 1
        return number * inner

    assert workers.map(work, range(50), at_once=2) == [number * 3 for number in range(50)]
    assert most <= 2


def test_after_an_error_the_workers_go_on_working(workers: Workers) -> None:
    with pytest.raises(ZeroDivisionError):
        workers.map(lambda number: 1 // number, [1, 0, 1])
    assert workers.map(lambda number: 1 // number, [1, 1]) == [1, 1]
