"""The guards before a sweep: what they need to know is read once, and only where not waived."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ecr_cleaner.aws import Aws
from ecr_cleaner.guards import cross_account_pull, delete_replication, eks_clusters, no_usage
from ecr_cleaner.inuse import InUse
from ecr_cleaner.model import Guard, Guarded, Repository
from ecr_cleaner.policy import Policy
from ecr_cleaner.registry import EcrRegistry
from ecr_cleaner.settings import Settings


class Guards:
    """Tells, for each repository, which guards stand before it.

    What holds for the whole registry is read when this is made, for guards that are not waived.
    Raises ApiError where it could not be read: an unknown guard is not an absent one.
    """

    def __init__(self, aws: Aws, registry: EcrRegistry, settings: Settings) -> None:
        waived = settings.waived_guards
        self._registry = registry
        self._expect_no_usage = settings.expect_no_usage
        self._own_function = settings.function_name
        self._clusters: list[str] = []
        self._policies: list[str] = []
        self._replication: dict[str, Any] = {}
        if Guard.EKS_CLUSTERS not in waived and aws.offers("eks"):
            self._clusters = list(aws.api("eks").each("ListClusters", "clusters", maxResults=100))
        if Guard.CROSS_ACCOUNT_PULL not in waived:
            self._policies = registry.registry_policies()
        if Guard.DELETE_REPLICATION not in waived:
            self._replication = registry.replication()

    def before(self, repository: Repository, policy: Policy, in_use: InUse) -> list[Guarded]:
        """Return every guard that stands before a sweep of this repository."""
        standing = self._standing(repository, policy.waived_guards, in_use)
        return [guarded for guarded in standing if guarded]

    def _standing(
        self, repository: Repository, waived: tuple[str, ...], in_use: InUse
    ) -> Iterator[Guarded | None]:
        if not self._expect_no_usage:
            used = in_use.repositories_in(repository.registry).values()
            yield no_usage(used, self._own_function)
        if Guard.EKS_CLUSTERS not in waived:
            yield eks_clusters(self._clusters)
        if Guard.CROSS_ACCOUNT_PULL not in waived:
            policies = [*self._registry.policies(repository), *self._policies]
            yield cross_account_pull(repository, policies)
        if Guard.DELETE_REPLICATION not in waived:
            yield delete_replication(repository, self._replication)
