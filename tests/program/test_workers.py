"""Parallel work: results in order, all or an error, and no deadlock."""

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
def test_batches_have_every_item_and_all_but_the_last_are_full(items: list[int], size: int) -> None:
    made = list(batches(items, size))
    assert [item for batch in made for item in batch] == items
    assert all(len(batch) == size for batch in made[:-1])
    assert all(1 <= len(batch) <= size for batch in made)


def test_results_have_the_order_of_the_items(workers: Workers) -> None:
    assert workers.map(lambda number: number * 2, range(100)) == list(range(0, 200, 2))
    assert workers.map(str, []) == []


def test_later_item_may_finish_before_an_earlier_one() -> None:
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
def test_maps_nested_deeper_than_the_number_of_threads_do_not_deadlock(workers: Workers) -> None:
    def leaves(depth: int) -> int:
        return sum(workers.map(leaves, [depth - 1] * 3)) if depth else 1

    assert leaves(6) == 3**6


@pytest.mark.timeout(60)
def test_waiting_caller_does_work_that_is_not_started() -> None:
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


def test_error_is_raised_unchanged(workers: Workers) -> None:
    def work(number: int) -> int:
        if number == 3:
            raise KeyError(number)
        return number

    with pytest.raises(KeyError, match="3"):
        workers.map(work, range(10))


def test_innermost_of_nested_errors_is_raised(workers: Workers) -> None:
    def fail(number: int) -> int:
        raise ValueError(number)

    with pytest.raises(ValueError, match="7"):
        workers.map(lambda number: workers.map(fail, [number]), [7])


def test_first_error_cancels_work_that_is_not_started() -> None:
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
        # Queued work is done before this.
        one._pool.submit(str).result()  # noqa: SLF001
    # One thread and the caller: at most one item ran beside the one that failed.
    assert len(done) <= 2


def test_error_is_raised_even_if_it_stopped_an_earlier_part() -> None:
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
def test_error_stops_nested_work_beside_it() -> None:
    """A source that cannot be read ends the scan, even if another has many calls left."""
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
            # A source reports what it could not read; being stopped is something else.
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
def test_interrupt_starts_nothing_more(monkeypatch: pytest.MonkeyPatch) -> None:
    """As after Ctrl+C in a sweep, which interrupts the main thread while it waits."""
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


def test_error_handled_by_nested_work_stops_nothing(workers: Workers) -> None:
    def work(number: int) -> int:
        with pytest.raises(ZeroDivisionError):
            workers.map(lambda one: 1 // one, [0])
        return sum(workers.map(int, ["1"] * number))

    assert workers.map(work, range(5)) == list(range(5))


def test_no_more_items_run_at_once_than_requested(workers: Workers) -> None:
    under_way = 0
    most = 0
    lock = Lock()

    def work(number: int) -> int:
        nonlocal under_way, most
        with lock:
            under_way += 1
            most = max(most, under_way)
        # Lets the other threads run as well.
        inner = sum(workers.map(int, ["1"] * 3))
        with lock:
            under_way -= 1
        return number * inner

    assert workers.map(work, range(50), at_once=2) == [number * 3 for number in range(50)]
    assert most <= 2


def test_workers_can_be_used_after_an_error(workers: Workers) -> None:
    with pytest.raises(ZeroDivisionError):
        workers.map(lambda number: 1 // number, [1, 0, 1])
    assert workers.map(lambda number: 1 // number, [1, 1]) == [1, 1]
