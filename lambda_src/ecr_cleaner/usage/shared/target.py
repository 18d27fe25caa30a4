"""A target: the account and region that usage sources ask."""

from __future__ import annotations

from threading import Lock

from ecr_cleaner.aws.api import Api
from ecr_cleaner.aws.kubernetes import KubernetesApi
from ecr_cleaner.aws.session import Aws
from ecr_cleaner.core.model import ClusterReading
from ecr_cleaner.core.settings import Settings
from ecr_cleaner.deadline import Deadline
from ecr_cleaner.usage.shared.described_task_definitions import DescribedTaskDefinitions
from ecr_cleaner.workers import Workers


class Target:
    """One account and region during one scan.

    Answers that several sources need are asked for once and shared. ``clusters`` collects the
    result of each Kubernetes cluster that was read.
    """

    def __init__(self, aws: Aws, settings: Settings) -> None:
        self._aws = aws
        self._clusters: list[str] | None = None
        self._listing = Lock()
        self.clusters: list[ClusterReading] = []
        self.settings = settings
        self.task_definitions = DescribedTaskDefinitions(aws)

    @property
    def workers(self) -> Workers:
        return self._aws.workers

    @property
    def deadline(self) -> Deadline:
        return self._aws.deadline

    def api(self, service: str) -> Api:
        """Return the Api of an AWS service."""
        return self._aws.api(service)

    def kubernetes(self, cluster: str, url: str, authority: str) -> KubernetesApi:
        """Return the API of an EKS cluster."""
        return self._aws.kubernetes(cluster, url, authority)

    def offers(self, service: str) -> bool:
        """Return whether the region has this AWS service."""
        return self._aws.offers(service)

    def ecs_clusters(self) -> list[str]:
        """Return the ARN of every ECS cluster."""
        with self._listing:
            if self._clusters is None:
                listing = self.api("ecs").each("ListClusters", "clusterArns", maxResults=100)
                self._clusters = list(listing)
            return self._clusters
