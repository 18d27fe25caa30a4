"""Which registries hold copies of images, because ECR replicates or caches them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

from ecr_cleaner.core.copies import Copies, cached, replicas
from ecr_cleaner.core.errors import OperationAbsentError, naming
from ecr_cleaner.core.model import Registry
from ecr_cleaner.usage.shared.target import Target, in_each
from ecr_cleaner.workers import Workers

RULES_A_PAGE = 1000


@dataclass(frozen=True, slots=True)
class CopiesRead:
    """The copies, and the operations that a region does not offer, with the region."""

    copies: tuple[Copies, ...]
    absent_operations: tuple[str, ...] = ()


def read_copies(
    home: Registry,
    replication: Mapping[str, Any],
    others: Sequence[Callable[[], Target]],
    workers: Workers,
) -> CopiesRead:
    """Return the copies that replication makes, and those of pull through caches elsewhere.

    ``replication`` is the ``replicationConfiguration`` of the registry ``home``. Raise TargetError
    if the rules of a registry could not be read.
    """
    read = in_each(others, lambda _, target: _cached(target), workers)
    return CopiesRead(
        (*replicas(home, replication), *chain.from_iterable(one.copies for one in read)),
        tuple(chain.from_iterable(one.absent_operations for one in read)),
    )


def _cached(target: Target) -> CopiesRead:
    location = target.elsewhere
    if location is None:  # the registry itself holds no copies of itself
        return CopiesRead(())
    with naming(location):
        try:
            rules = target.api("ecr").each(
                "DescribePullThroughCacheRules", "pullThroughCacheRules", maxResults=RULES_A_PAGE
            )
            return CopiesRead(tuple(cached(location.registry, rules)))
        except OperationAbsentError as error:
            return CopiesRead((), (f"{error.fields['operation']} in {location.region}",))
