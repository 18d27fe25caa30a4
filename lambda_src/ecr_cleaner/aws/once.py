"""Answers that several threads need and one of them asks for."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from concurrent.futures import Future
from threading import Lock
from typing import Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")


class Once(Generic[Key, Value]):
    """The results of calls by key; the first thread that needs one makes the call.

    If the call raises, it raises for every thread that asks; unless it ``keeps_errors``, only for
    those that waited for it.
    """

    def __init__(self, *, keeps_errors: bool = True) -> None:
        self._keeps_errors = keeps_errors
        self._known: dict[Key, Future[Value]] = {}
        self._lock = Lock()

    def get(self, key: Key, make: Callable[[], Value]) -> Value:
        """Return the result for the key; wait if another thread is making it."""
        with self._lock:
            mine = key not in self._known
            future = self._known.setdefault(key, Future())
        if mine:
            try:
                future.set_result(make())
            except BaseException as error:
                if not self._keeps_errors:
                    with self._lock:
                        del self._known[key]
                future.set_exception(error)
                raise
        return future.result()
