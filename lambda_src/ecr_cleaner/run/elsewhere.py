"""Which digests exist in the registry, for artifacts about images of other repositories."""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from threading import Lock

from ecr_cleaner.aws.registry import EcrRegistry
from ecr_cleaner.core.digests import number_of
from ecr_cleaner.core.model import Repository
from ecr_cleaner.workers import Workers

# Each of them holds a page of a listing in memory.
_REPOSITORIES_AT_ONCE = 4


class Elsewhere:
    """The digests of a whole registry, listed if they are needed, at most once per run.

    What this run removes stays in it: a signature outlives its subject by a run. Of a digest, the
    first 64 bits are kept, which takes 8 bytes for each image. If two images shared them, an
    artifact would stay.
    """

    def __init__(
        self, registry: EcrRegistry, workers: Workers, repositories: Sequence[Repository]
    ) -> None:
        self._registry = registry
        self._workers = workers
        self._repositories = repositories
        self._lock = Lock()
        self._listed: list[array[int]] | None = None

    def those_that_exist(self, digests: Iterable[str]) -> frozenset[str]:
        """Return the digests that exist in any repository of the registry."""
        listed = self._all()
        return frozenset(
            digest for digest in digests if any(_holds(one, number_of(digest)) for one in listed)
        )

    def _all(self) -> list[array[int]]:
        with self._lock:
            if self._listed is None:
                self._listed = self._workers.map(
                    self._list, self._repositories, at_once=_REPOSITORIES_AT_ONCE
                )
            return self._listed

    def _list(self, repository: Repository) -> array[int]:
        return array("Q", sorted(map(number_of, self._registry.digests(repository))))


def _holds(keys: array[int], key: int) -> bool:
    position = bisect_left(keys, key)
    return position < len(keys) and keys[position] == key
