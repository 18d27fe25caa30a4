"""Answers of AWS that never change: what earlier scans found in them. Thread-safe."""

from __future__ import annotations

from threading import Lock
from typing import Any

from ecr_cleaner.core.answer_cache import AnswerCache, found_as_json, found_from, names_from
from ecr_cleaner.core.walk import Found


class KnownAnswers:
    """What was found in answers, by key; without a cache, nothing is known or remembered.

    A key names one thing that AWS does not change: it begins with the full ARN, so that accounts
    and regions cannot be confused. Only what a list names now is looked up, so a thing that is new
    is always asked for. What is not understood is unknown.
    """

    def __init__(self, cache: AnswerCache | None = None) -> None:
        self._cache = cache
        self._lock = Lock()

    def found(self, key: str) -> Found | None:
        """Return what the walk found in an answer; None if that is unknown."""
        return found_from(self._get(key))

    def remember(self, key: str, found: Found) -> None:
        """Remember what the walk found in an answer."""
        self._put(key, found_as_json(found))

    def names(self, key: str) -> list[str] | None:
        """Return the names that an answer holds; None if they are unknown."""
        return names_from(self._get(key))

    def remember_names(self, key: str, names: list[str]) -> None:
        """Remember the names that an answer holds."""
        self._put(key, names)

    def changed(self) -> bytes | None:
        """Return the cache as it is stored; None if nothing changed since it was read."""
        if self._cache is None:
            return None
        with self._lock:
            has_changed, self._cache.has_changed = self._cache.has_changed, False
            return self._cache.stored() if has_changed else None

    def _get(self, key: str) -> Any:
        if self._cache is None:
            return None
        with self._lock:
            return self._cache.get(key)

    def _put(self, key: str, content: Any) -> None:
        if self._cache is not None:
            with self._lock:
                self._cache.put(key, content)
