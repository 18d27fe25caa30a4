"""Which registries hold copies of images, because ECR replicates or caches them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import chain
from typing import Any

from ecr_cleaner.core.copies import Copies, cached, replicas
from ecr_cleaner.core.errors import CleanerError, OperationAbsentError, OutOfTimeError, TargetError
from ecr_cleaner.core.model import Registry
from ecr_cleaner.usage.shared.target import Target
from ecr_cleaner.workers import Workers

RULES_A_PAGE = 1000


def read_copies(
    home: Registry,
    replication: Mapping[str, Any],
    others: Sequence[Callable[[], Target]],
    workers: Workers,
) -> tuple[Copies, ...]:
    """Return the copies that replication makes, and those of pull through caches elsewhere.

    ``replication`` is the ``replicationConfiguration`` of the registry ``home``. Raise TargetError
    if the rules of a registry could not be read.
    """
    rules = workers.map(_cached, others)
    return (*replicas(home, replication), *chain.from_iterable(rules))


def _cached(make: Callable[[], Target]) -> list[Copies]:
    target = make()
    location = target.elsewhere
    if location is None:  # the registry itself holds no copies of itself
        return []
    try:
        rules = target.api("ecr").each(
            "DescribePullThroughCacheRules", "pullThroughCacheRules", maxResults=RULES_A_PAGE
        )
        return list(cached(location.registry, rules))
    except OperationAbsentError:
        return []
    except OutOfTimeError:
        raise
    except CleanerError as error:
        raise TargetError(str(location), error) from error
