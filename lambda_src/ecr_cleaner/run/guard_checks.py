"""Read what guards need once per run, then check each repository."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import Any, NamedTuple

from ecr_cleaner.aws.registry import EcrRegistry
from ecr_cleaner.aws.session import Aws
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


class Checked(NamedTuple):
    """The guards that stand before a repository, and warnings about its policies."""

    guards: list[StandingGuard]
    warnings: list[str]


class GuardChecks:
    """Finds the guards that stand before each repository."""

    def __init__(self, aws: Aws, registry: EcrRegistry, settings: Settings) -> None:
        self._aws = aws
        self._registry = registry
        self._settings = settings
        self._clusters: list[str] = []
        self._policies: list[str] = []
        self._replication: dict[str, Any] = {}

    def read(self) -> None:
        """Read what holds for the whole registry, for guards that are not waived.

        Raise ApiError if it could not be read: an unknown guard is not an absent one.
        """
        waived = self._settings.waived_guards
        if Guard.EKS_CLUSTERS not in waived and self._aws.offers("eks"):
            clusters = self._aws.api("eks").each(
                "ListClusters", "clusters", include=["all"], maxResults=100
            )
            self._clusters = list(clusters)
        if Guard.CROSS_ACCOUNT_PULL not in waived:
            self._policies = self._registry.registry_policies()
        if Guard.DELETE_REPLICATION not in waived:
            self._replication = self._registry.replication()

    def check(
        self,
        repository: Repository,
        policy: Policy,
        in_use: InUse,
        clusters: Sequence[ClusterReading] = (),
    ) -> Checked:
        """Return every guard that stands before a sweep of this repository. Call ``read`` first.

        ``clusters`` are the results of the Kubernetes clusters that were read.
        """
        waived = policy.waived_guards
        policies: list[str] = []
        if Guard.CROSS_ACCOUNT_PULL not in waived:
            policies = [*self._registry.policies(repository), *self._policies]
        checks = self._checks(repository, waived, policies, in_use, clusters)
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
        in_use: InUse,
        clusters: Sequence[ClusterReading],
    ) -> Iterator[StandingGuard | None]:
        if not self._settings.expect_no_usage:
            used = in_use.repositories_in(repository.registry).values()
            yield no_usage(used, self._settings.function_name)
        if Guard.EKS_CLUSTERS not in waived:
            names = self._settings.waived_clusters
            yield from eks_clusters(repository.registry, self._clusters, clusters, names)
        if Guard.CROSS_ACCOUNT_PULL not in waived:
            yield cross_account_pull(repository, policies, self._settings.waived_sources)
        if Guard.DELETE_REPLICATION not in waived:
            yield delete_replication(repository, self._replication)
