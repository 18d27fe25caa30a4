"""EKS: everything in every cluster of the region that can hold a reference to an image."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from ecr_cleaner.core.guards import EKS_SOURCE
from ecr_cleaner.core.kubernetes import Access, ClusterError, Obstacle
from ecr_cleaner.core.model import ClusterReading, Usage
from ecr_cleaner.core.usage_document import HeldReferences
from ecr_cleaner.usage.shared.cluster import explained, read_cluster
from ecr_cleaner.usage.shared.target import Target

Description = Mapping[str, Any]


class Eks:
    """Reads each cluster through its own API.

    A cluster that cannot be read does not fail the scan: it is reported, and a guard stands before
    every repository. What EKS itself answers has to be whole.
    """

    name = EKS_SOURCE
    service = "eks"
    everywhere = True
    what = (
        "in every EKS cluster, every object except secrets, events, nodes, endpoints and leases: "
        "workloads (also those scaled to zero), old ReplicaSets, jobs, templates, config maps and "
        "custom resources, every string of them; running pods also by the digest that they run"
    )

    def usages(self, target: Target) -> Iterable[Usage]:
        """Yield the references in all clusters; the result of each is added to the target."""
        waived = target.settings.waived_clusters
        names = [name for name in listed_clusters(target) if _named(target, name) not in waived]
        for reading, held in target.workers.map(lambda name: self._read(target, name), names):
            target.clusters.append(reading)
            for reference, consumer in held:
                yield Usage(reference, consumer, self.name)

    def _read(self, target: Target, name: str) -> tuple[ClusterReading, HeldReferences]:
        found = target.api("eks").find("DescribeCluster", "ResourceNotFoundException", name=name)
        if found is None:  # deleted since the listing: nothing runs in it
            return ClusterReading(self.name, _named(target, name)), HeldReferences()
        return self._read_described(target, name, found["cluster"])

    def _read_described(
        self, target: Target, name: str, cluster: Description
    ) -> tuple[ClusterReading, HeldReferences]:
        access, cluster_name = _access(name, cluster), _named(target, name)
        endpoint, authority = _endpoint(cluster)
        if not endpoint:
            error = _without_endpoint(cluster_name, cluster)
            unread = ClusterReading(
                self.name, cluster_name, *explained(cluster_name, error, access)
            )
            return unread, HeldReferences()
        document = read_cluster(
            cluster_name,
            target.kubernetes(name, endpoint, authority),
            target.deadline,
            waived_api_groups=target.settings.waived_api_groups,
            access=access,
        )
        reading = ClusterReading(self.name, cluster_name, document.problem, document.fix)
        return reading, document.held


def listed_clusters(target: Target) -> Iterator[str]:
    """Yield the name of every cluster, those that are only connected to EKS included."""
    return target.api("eks").each("ListClusters", "clusters", include=["all"], maxResults=100)


def guarded_clusters(target: Target) -> list[str]:
    """Return every cluster as a ClusterReading of this source names it."""
    if not target.offers("eks"):
        return []
    return [_named(target, name) for name in listed_clusters(target)]


def _named(target: Target, name: str) -> str:
    return target.named("eks", f"cluster/{name}", name)


def _endpoint(cluster: Description) -> tuple[str, str]:
    """Return address and CA; a cluster that is being made or only connected has none."""
    authority = (cluster.get("certificateAuthority") or {}).get("data") or ""
    return cluster.get("endpoint") or "", authority


def _without_endpoint(name: str, cluster: Description) -> ClusterError:
    where = "it has no API server that the function could call"
    obstacle = Obstacle.CONNECTED if cluster.get("connectorConfig") else Obstacle.NOT_ACTIVE
    return ClusterError(name, obstacle, f"its status is {cluster.get('status')}, and {where}")


def _access(name: str, cluster: Description) -> Access:
    network = cluster.get("resourcesVpcConfig") or {}
    return Access(
        name=name,
        arn=cluster.get("arn", ""),
        authentication_mode=(cluster.get("accessConfig") or {}).get("authenticationMode", ""),
        is_public=bool(network.get("endpointPublicAccess")),
        public_cidrs=tuple(network.get("publicAccessCidrs") or ()),
        vpc=network.get("vpcId", ""),
        subnets=tuple(network.get("subnetIds") or ()),
        security_group=network.get("clusterSecurityGroupId", ""),
    )
