"""Read what guards need once per run, then check each repository."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import nullcontext
from itertools import chain
from types import MappingProxyType
from typing import Any, NamedTuple

from ecr_cleaner.aws.locations import Locations
from ecr_cleaner.aws.registry import EcrRegistry
from ecr_cleaner.core.errors import naming
from ecr_cleaner.core.guards import (
    cross_account_pull,
    delete_replication,
    deleted_identities,
    eks_clusters,
    no_usage,
)
from ecr_cleaner.core.in_use import InUse
from ecr_cleaner.core.model import ClusterReading, Guard, Repository, StandingGuard
from ecr_cleaner.core.policy import Policy
from ecr_cleaner.core.settings import Settings
from ecr_cleaner.usage.eks import guarded_clusters
from ecr_cleaner.usage.shared.target import Target, in_each, targets_of
from ecr_cleaner.workers import Workers


class Seen(NamedTuple):
    """What the scans saw: usages, the result of each Kubernetes cluster, and replication.

    ``replication`` is the ``replicationConfiguration`` of the registry.
    """

    in_use: InUse
    clusters: Sequence[ClusterReading] = ()
    replication: Mapping[str, Any] = MappingProxyType({})


class Checked(NamedTuple):
    """The guards that stand before a repository, and warnings about its policies."""

    guards: list[StandingGuard]
    warnings: list[str]


class GuardChecks:
    """Finds the guards that stand before each repository."""

    def __init__(
        self, locations: Locations, workers: Workers, registry: EcrRegistry, settings: Settings
    ) -> None:
        self._locations = locations
        self._workers = workers
        self._registry = registry
        self._settings = settings
        self._clusters: list[str] = []
        self._policies: list[str] = []

    def read(self) -> None:
        """Read what holds for the whole registry, for guards that are not waived.

        Raise ApiError if it could not be read: an unknown guard is not an absent one.
        """
        waived = self._settings.waived_guards
        if Guard.EKS_CLUSTERS not in waived:
            targets = targets_of(self._locations, self._settings)
            found = in_each(targets, lambda _, target: _listed_clusters(target), self._workers)
            self._clusters = list(chain.from_iterable(found))
        if Guard.CROSS_ACCOUNT_PULL not in waived:
            self._policies = self._registry.registry_policies()

    def check(self, repository: Repository, policy: Policy, seen: Seen) -> Checked:
        """Return every guard that stands before a sweep of this repository. Call ``read`` first."""
        waived = policy.waived_guards
        policies: list[str] = []
        if Guard.CROSS_ACCOUNT_PULL not in waived:
            policies = [*self._registry.policies(repository), *self._policies]
        checks = self._checks(repository, waived, policies, seen)
        warnings = [
            f"a policy names {identity}, a deleted role or user: nobody can pull by it"
            for identity in deleted_identities(policies)
        ]
        return Checked([standing for standing in checks if standing], warnings)

    def _checks(
        self,
        repository: Repository,
        waived: Collection[str],
        policies: Sequence[str],
        seen: Seen,
    ) -> Iterator[StandingGuard | None]:
        if not self._settings.expect_no_usage:
            used = seen.in_use.repositories_in(repository.registry).values()
            yield no_usage(used, self._settings.function_name)
        if Guard.EKS_CLUSTERS not in waived:
            names = self._settings.waived_clusters
            yield from eks_clusters(repository.registry, self._clusters, seen.clusters, names)
        if Guard.CROSS_ACCOUNT_PULL not in waived:
            waived_sources, scanned = self._settings.waived_sources, self._locations.scanned
            yield cross_account_pull(repository, policies, waived_sources, scanned)
        if Guard.DELETE_REPLICATION not in waived:
            scanned = self._locations.scanned
            yield delete_replication(repository, seen.replication, scanned, seen.in_use)


def _listed_clusters(target: Target) -> list[str]:
    with naming(target.elsewhere) if target.elsewhere else nullcontext():
        return guarded_clusters(target)
