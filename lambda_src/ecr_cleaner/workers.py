"""The one place with threads: call a function for many items; one error ends all."""

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
    """Not called, because another item of the same call, or of an enclosing one, failed.

    Like KeyboardInterrupt, it must not be caught by ``except Exception``.
    """


class _Scope:
    """One call of ``map``. Nested calls end with it."""

    def __init__(self, around: _Scope | None) -> None:
        self._around = around
        self._failed = False

    @contextmanager
    def entered(self) -> Iterator[None]:
        """Make what this thread does part of the call: if it fails, the call fails."""
        outer = _scope.set(self)
        try:
            yield
        except BaseException:
            self._failed = True
            raise
        finally:
            _scope.reset(outer)

    def check(self) -> None:
        """Raise if the call, or one around it, has failed, so that nothing more begins."""
        if self._failed:
            raise _Stopped
        if self._around:
            self._around.check()


_scope: ContextVar[_Scope | None] = ContextVar("scope", default=None)


class Workers:
    """A bounded pool of threads. ``map`` may be called from within a worker.

    A waiting caller does the work that no thread has started. So it waits only for work in
    progress, and nested calls cannot block the pool.
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

        An error also cancels what nested calls have not begun. ``at_once`` bounds how many items
        are in progress, below the size of the pool.
        """
        scope = _Scope(_scope.get())
        scope.check()

        def guarded(item: Item) -> Result:
            scope.check()
            with scope.entered():
                return function(item)

        # The caller enters it too: an interrupt while it waits ends the rest.
        with scope.entered():
            if at_once is None:
                return self._map(guarded, list(items))
            numbered = _Shared(enumerate(items))
            lanes = self._map(lambda _: [(n, guarded(one)) for n, one in numbered], range(at_once))
            return [result for _, result in sorted(chain(*lanes), key=itemgetter(0))]

    def both(self, first: Callable[[], Item], second: Callable[[], Result]) -> tuple[Item, Result]:
        """Make two calls at the same time; return what they return."""
        calls: list[Callable[[], Any]] = [first, second]
        one, other = self.map(lambda call: call(), calls)
        return one, other

    def _map(self, function: Callable[[Item], Result], items: Sequence[Item]) -> list[Result]:
        # Context variables of the caller, such as the counter of AWS calls, hold in the workers.
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
            # The error belongs to a later item or an enclosing call: continue until it is found.
            stopped = error
    if stopped:
        raise stopped
    return results
