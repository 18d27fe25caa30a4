"""Kinds of Kubernetes objects, what keeps a cluster from being read, and the fix. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from ecr_cleaner.core.errors import CleanerError

# The group of the access entry and of the ClusterRoleBinding in examples/in-cluster.
READER = "ecr-cleaner"


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of object: API group, version, and name in paths; the core group has no name."""

    group: str
    version: str
    resource: str
    kind: str = ""

    @property
    def path(self) -> str:
        """The path of its list over all namespaces."""
        api = f"/apis/{self.group}" if self.group else "/api"
        return f"{api}/{self.version}/{self.resource}"

    @property
    def name(self) -> str:
        """Its name as ``kubectl`` writes it: ``deployments.apps``."""
        return f"{self.resource}.{self.group}" if self.group else self.resource


# These hold images of running containers or templates of them. Owners are listed before what they
# create: a pod that is created meanwhile is in the list of pods, which is the last one.
REQUIRED = (
    *(Kind("", "v1", resource) for resource in ("replicationcontrollers", "podtemplates")),
    *(
        Kind("apps", "v1", resource)
        for resource in (
            *("deployments", "replicasets", "statefulsets", "daemonsets", "controllerrevisions"),
        )
    ),
    *(Kind("batch", "v1", resource) for resource in ("cronjobs", "jobs")),
    Kind("", "v1", "configmaps"),
    Kind("", "v1", "pods"),
)
# In place of a resource: whatever a version of a group has.
EVERY = "*"
EVERYWHERE = "0.0.0.0/0"

REQUIRED_GROUPS = frozenset(kind.group for kind in REQUIRED)
_REQUIRED_NAMES = tuple(kind.name for kind in REQUIRED)

# Never listed. Secrets: not for this program to read. The others are written by Kubernetes itself
# about what happens; nothing is started from them, and nodes list each image in their cache.
SKIPPED = frozenset(
    {
        "secrets",
        *("componentstatuses", "endpoints", "endpointslices.discovery.k8s.io", "nodes"),
        *("events", "events.events.k8s.io", "leases.coordination.k8s.io"),
    }
)
# Groups that serve measurements, not objects.
SKIPPED_GROUPS = frozenset(
    {"metrics.k8s.io", "custom.metrics.k8s.io", "external.metrics.k8s.io"},
)


def in_order(kinds: Iterable[Kind]) -> list[Kind]:
    """Return what to list, in this order: custom resources, owners, pods last.

    A kind that several versions of its group serve is listed once, in the first of them.
    """
    unique: dict[str, Kind] = {}
    for kind in kinds:
        if kind.name not in SKIPPED:
            unique.setdefault(kind.name, kind)
    required = [unique.pop(name) for name in _REQUIRED_NAMES if name in unique]
    return [*unique.values(), *required]


def missing_kinds(read: Iterable[str]) -> list[str]:
    """Return the required kinds that are not among these names."""
    names = set(read)
    return [name for name in _REQUIRED_NAMES if name not in names]


class Obstacle(StrEnum):
    """What keeps a cluster from being read in full."""

    NOT_ACTIVE = "it is not active"
    CONNECTED = "it is only connected to EKS"
    NOT_REACHED = "its API server could not be reached"
    NOT_FORWARDED = "the proxy did not connect to its API server"
    NOT_TRUSTED = "the certificate of its API server is not signed by the cluster's CA"
    NOT_IDENTIFIED = "no token could be made for it"
    NOT_AUTHENTICATED = "it does not know the caller"
    FORBIDDEN = "it denies a list"
    VANISHED = "a kind that it serves vanished"
    EXPIRED = "a list expired again and again"
    REDIRECTED = "it redirects to another address"
    GARBLED = "it gave an answer that is not a Kubernetes API's"
    FAILED = "it answered with an error"


class ClusterError(CleanerError):
    """A Kubernetes cluster could not be read in full.

    ``kind`` names the list that failed; ``kinds`` also the others that failed in the same way.
    """

    def __init__(
        self,
        cluster: str,
        obstacle: Obstacle,
        detail: str,
        kind: Kind | None = None,
        others: Sequence[Kind] = (),
    ) -> None:
        self.kinds = (kind, *others) if kind else ()
        names = ", ".join(one.name for one in self.kinds)
        listed = f" ({names})" if names else ""
        self.reason = f"{obstacle.value}{listed}: {detail}"
        named = {"kind": names} if names else {}
        super().__init__(
            f"Kubernetes cluster {cluster}: {self.reason}",
            cluster=cluster,
            reason=self.reason,
            **named,
        )
        self.cluster = cluster
        self.obstacle = obstacle
        self.detail = detail
        self.kind = kind


def denied(errors: Sequence[ClusterError]) -> ClusterError:
    """Return one error for several lists that a cluster denies, so that one fix names them all."""
    first, *others = errors
    kinds = [one.kind for one in others if one.kind]
    return ClusterError(first.cluster, first.obstacle, first.detail, first.kind, kinds)


@dataclass(frozen=True, slots=True)
class Access:
    """What DescribeCluster returns about the ways into a cluster; empty for one's own cluster."""

    name: str = ""
    arn: str = ""
    authentication_mode: str = ""
    is_public: bool = False
    public_cidrs: Sequence[str] = field(default=())
    vpc: str = ""
    subnets: Sequence[str] = field(default=())
    security_group: str = ""


# Of these, only one list failed: another way is not to need it.
_OF_ONE_KIND = frozenset(
    {
        *(Obstacle.FORBIDDEN, Obstacle.VANISHED, Obstacle.EXPIRED),
        *(Obstacle.GARBLED, Obstacle.FAILED),
    }
)


def fix_for(error: ClusterError, access: Access) -> str:
    """Return what to do, as a sentence without its end."""
    waiver = _waiver(error.kinds) if error.obstacle in _OF_ONE_KIND else ""
    return _fix_for(error, access) + waiver


def _fix_for(error: ClusterError, access: Access) -> str:
    if error.obstacle is Obstacle.NOT_REACHED:
        return _fix_network(access)
    if error.obstacle is Obstacle.NOT_IDENTIFIED:
        return _fix_token(access)
    if error.obstacle is Obstacle.NOT_AUTHENTICATED:
        return _fix_entry(access)
    if error.obstacle is Obstacle.FORBIDDEN and error.kind and error.kind.resource != EVERY:
        return _fix_role(error.kinds, access)
    if error.obstacle is Obstacle.CONNECTED:
        return _document(access)
    fix = _FIXES[error.obstacle]
    return _or_document(fix, access) if error.obstacle in _OF_THE_WAY else fix


_FIXES = {
    Obstacle.NOT_ACTIVE: "wait until it is active, or delete it",
    Obstacle.NOT_FORWARDED: "let the proxy that HTTPS_PROXY names connect to this address, or name "
    "its host in NO_PROXY",
    Obstacle.NOT_TRUSTED: "find out what answers in place of the API server, such as a proxy that "
    "ends TLS",
    Obstacle.FORBIDDEN: "allow the caller to read the API's list of resources (ClusterRole "
    "system:discovery)",
    Obstacle.VANISHED: "the next run reads it again; if this repeats, repair the API service of "
    "this kind",
    Obstacle.EXPIRED: "the API server drops lists faster than they can be read: raise the memory "
    "of the function, or the CPU of the pod",
    Obstacle.REDIRECTED: "find out what answers in place of the API server",
    Obstacle.GARBLED: "find out what changes the answers of the API server, such as a proxy, or "
    "repair the API service of this kind",
    Obstacle.FAILED: "the next run reads it again; if this repeats, look into the log of the API "
    "server (an API service without a backend also answers so)",
}
# Of these, reading the cluster from within is a fix as well.
_OF_THE_WAY = frozenset(
    {
        *(Obstacle.NOT_FORWARDED, Obstacle.NOT_TRUSTED, Obstacle.EXPIRED),
        *(Obstacle.REDIRECTED, Obstacle.GARBLED),
    }
)


def _document(access: Access) -> str:
    """Return how to read a cluster from within; a document of an EKS cluster counts by its ARN."""
    return (
        f"run scan-cluster in the cluster (examples/in-cluster) with --cluster={access.arn}, and "
        "name its document in CLUSTER_DOCUMENTS"
    )


def _or_document(fix: str, access: Access) -> str:
    return f"{fix}, or {_document(access)}" if access.name else fix


def _fix_network(access: Access) -> str:
    if not access.name:
        return "let the network policies of the namespace allow the pod to call the API server"
    inside = "let the function run in subnets that reach its API server (vpc_subnet_ids)"
    if access.subnets:
        inside = (
            f"let the function run in subnets of {access.vpc} or of a network that is connected "
            f"with it (vpc_subnet_ids, such as {access.subnets[0]}), and let the cluster's "
            f"security group {access.security_group} accept port 443 from the function's"
        )
    if not access.is_public:
        return _or_document(inside, access)
    cidrs = ", ".join(access.public_cidrs)
    outside = (
        "allow the address that the function comes from, which is that of its NAT gateway, in "
        f"publicAccessCidrs (now {cidrs})"
    )
    if EVERYWHERE in access.public_cidrs:
        outside = "give the function's subnets a way to the internet, such as a NAT gateway"
    return _or_document(f"{outside}, or {inside}", access)


def _fix_token(access: Access) -> str:
    if not access.name:
        return "let the pod mount the token of its service account (automountServiceAccountToken)"
    return "give the program AWS credentials, which on Lambda are those of the function's role"


def _fix_entry(access: Access) -> str:
    if not access.name:
        return f"let the pod use the service account {READER} (examples/in-cluster)"
    name, first = access.name, ""
    if access.authentication_mode == "CONFIG_MAP":
        first = (
            f"allow access entries (aws eks update-cluster-config --name {name} --access-config "
            "authenticationMode=API_AND_CONFIG_MAP), then "
        )
    return (
        f"{first}create an access entry for the role of the function (variable eks_clusters of the "
        f"module, or: aws eks create-access-entry --cluster-name {name} --principal-arn ROLE_ARN "
        f"--kubernetes-groups {READER})"
    )


def _waiver(kinds: Iterable[Kind]) -> str:
    """Return the second way, for kinds whose groups need not be read."""
    groups = sorted({kind.group for kind in kinds} - REQUIRED_GROUPS)
    if not groups:
        return ""
    return (
        f"; if nothing in the API group {' or '.join(groups)} runs images of this registry, name "
        "the group in WAIVED_API_GROUPS"
    )


def _fix_role(kinds: Iterable[Kind], access: Access) -> str:
    by_group: dict[str, list[str]] = {}
    for kind in kinds:
        by_group.setdefault(kind.group, []).append(kind.resource)
    rules = ", ".join(
        f'{{apiGroups: ["{group}"], resources: {json.dumps(resources)}, verbs: ["list"]}}'
        for group, resources in by_group.items()
    )
    entry = f", and name that group in the access entry of {access.name}" if access.name else ""
    return (
        f"add {rules} to the ClusterRole {READER}, bind it to the group {READER} "
        f"(examples/in-cluster/cluster-role.yaml){entry}"
    )
