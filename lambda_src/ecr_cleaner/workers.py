"""The one place with threads: do the same thing to many items, in order, all or nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import ContextVar, copy_context
from itertools import chain
from operator import itemgetter
from threading import Lock
from types import TracebackType
from typing import Any, Self, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


def batches(items: Sequence[Item], size: int) -> Iterator[list[Item]]:
    """Yield the items in lists of at most ``size``."""
    for start in range(0, len(items), size):
        yield list(items[start : start + size])


class _Stopped(BaseException):
    """Not done, because another item of the same call, or of one around it, failed.

    As with KeyboardInterrupt, no ``except Exception`` may take it for a failure of its own.
    """


class _Scope:
    """One call of ``map``; what is called from within ends with it."""

    def __init__(self, around: _Scope | None) -> None:
        self._around = around
        self._failed = False

    @contextmanager
    def entered(self) -> Iterator[None]:
        """What this thread does is part of the call: where it fails, so does the whole call."""
        outer = _scope.set(self)
        try:
            yield
        except BaseException:
            self._failed = True
            raise
        finally:
            _scope.reset(outer)

    def check(self) -> None:
        """Raise where there is no need to begin anything any more."""
        if self._failed:
            raise _Stopped
        if self._around:
            self._around.check()


_scope: ContextVar[_Scope | None] = ContextVar("scope", default=None)


class Workers:
    """A bounded pool of threads. ``map`` may be called from within a worker.

    A caller that waits does the work nobody has started yet itself; so it waits only for work
    that is under way, and the pool cannot lock up however deep such calls are nested.
    """

    def __init__(self, threads: int) -> None:
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="worker")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        self._pool.shutdown(wait=True, cancel_futures=True)

    def map(
        self,
        function: Callable[[Item], Result],
        items: Iterable[Item],
        at_once: int | None = None,
    ) -> list[Result]:
        """Return the results in the order of the items; the first error cancels the rest.

        So do such calls that are made from within: what they have not begun is not begun.
        ``at_once`` bounds how many of them are under way, below what the pool would take.
        """
        scope = _Scope(_scope.get())
        scope.check()

        def guarded(item: Item) -> Result:
            scope.check()
            with scope.entered():
                return function(item)

        # The caller enters it as well: an interrupt that meets it while it waits ends the rest.
        with scope.entered():
            if at_once is None:
                return self._map(guarded, list(items))
            numbered = _Shared(enumerate(items))
            lanes = self._map(lambda _: [(n, guarded(one)) for n, one in numbered], range(at_once))
            return [result for _, result in sorted(chain(*lanes), key=itemgetter(0))]

    def both(self, first: Callable[[], Item], second: Callable[[], Result]) -> tuple[Item, Result]:
        """Return what two calls return that are made at the same time."""
        calls: list[Callable[[], Any]] = [first, second]
        one, other = self.map(lambda call: call(), calls)
        return one, other

    def _map(self, function: Callable[[Item], Result], items: Sequence[Item]) -> list[Result]:
        # What is known of the caller, such as who counts its calls, holds for what it hands on.
        waiting = [(item, self._pool.submit(copy_context().run, function, item)) for item in items]
        return _in_order(function, waiting)


class _Shared(Iterator[Item]):
    """An iterator that several threads may take from."""

    def __init__(self, items: Iterable[Item]) -> None:
        self._items = iter(items)
        self._lock = Lock()

    def __next__(self) -> Item:
        with self._lock:
            return next(self._items)


def _in_order(
    function: Callable[[Item], Result], waiting: list[tuple[Item, Future[Result]]]
) -> list[Result]:
    results: list[Result] = []
    stopped: _Stopped | None = None
    for item, future in waiting:
        try:
            results.append(function(item) if future.cancel() else future.result())
        except _Stopped as error:
            # The failure itself stands at a later item or around this call: go on until it is met.
            stopped = error
    if stopped:
        raise stopped
    return results
