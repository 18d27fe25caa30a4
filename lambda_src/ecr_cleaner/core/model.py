"""Immutable domain types."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum


@dataclass(frozen=True, slots=True)
class Registry:
    """One private ECR registry. A region's name is unique over all partitions."""

    account: str
    region: str


# Any registry that is not a private one of ECR, such as Docker Hub.
NOT_ECR = Registry("", "")


@dataclass(frozen=True, slots=True)
class ImageReference:
    """``registry-host/repository[:tag][@digest]`` of a private ECR registry.

    A tag beside a digest does not matter, so at most one of the two is set. With neither, any image
    of the repository may be meant. In ``NOT_ECR``, ``repository`` is the name with its host, and
    the digest is set: artifacts about that image may be in ECR.
    """

    registry: Registry
    repository: str
    tag: str | None = None
    digest: str | None = None


@dataclass(frozen=True, slots=True)
class ReferencePattern:
    """A reference of which a part is computed when it is used: what is written decides.

    ``*`` in ``repository`` stands for any text; ECR allows it in no name. An account or region that
    is computed is None and may be any, the one of the repository that is judged included. As in
    ``ImageReference``, neither tag nor digest means any image; with ``charts``, any Helm chart.
    """

    repository: str
    account: str | None = None
    region: str | None = None
    tag: str | None = None
    digest: str | None = None
    charts: bool = False

    def matches(self, repository: Repository) -> bool:
        """Return whether this may refer to the repository."""
        registry = repository.registry
        return (
            self.account in {None, registry.account}
            and self.region in {None, registry.region}
            and _matches(self.repository, repository.name)
        )


def _matches(pattern: str, name: str) -> bool:
    """Match ``*`` only, in linear time: each piece is taken as early as possible."""
    first, *pieces = pattern.split("*")
    if not pieces:
        return pattern == name
    *middle, last = pieces
    rest = name.removeprefix(first)
    if len(first) + len(rest) != len(name):
        return False
    for piece in middle:
        _, found, rest = rest.partition(piece) if piece else ("", "*", rest)
        if not found:
            return False
    return rest.endswith(last)


@dataclass(frozen=True, slots=True)
class Usage:
    """One reference held by one consumer, found by one usage source."""

    reference: ImageReference | ReferencePattern
    consumer: str
    source: str


@dataclass(frozen=True, slots=True)
class ClusterReading:
    """The result of reading one Kubernetes cluster; without a ``problem`` it was read in full.

    In a reading of the source ``eks``, ``cluster`` is the name of a cluster beside the registry, or
    the ARN of one elsewhere. In that of a usage document it is the ARN of an EKS cluster, or any
    name of another cluster.
    """

    source: str
    cluster: str
    problem: str = ""
    fix: str = ""


@dataclass(frozen=True, slots=True)
class Repository:
    """An ECR repository with its resource tags."""

    registry: Registry
    name: str
    arn: str
    tags: Mapping[str, str] = field(default_factory=dict)


class ImageStatus(StrEnum):
    """ECR's ``imageStatus``.

    Source: https://docs.aws.amazon.com/AmazonECR/latest/APIReference/API_ImageDetail.html
    """

    ACTIVE = "ACTIVE"
    ARCHIVED = "ARCHIVED"
    ACTIVATING = "ACTIVATING"


@dataclass(frozen=True, slots=True)
class Image:
    """One image or artifact of a repository, as DescribeImages returns it.

    Times are in UTC, None if ECR returned none. ``size_bytes`` is the compressed size; layers that
    images share are counted in each of them.
    """

    digest: str
    tags: tuple[str, ...] = ()
    pushed_at: datetime | None = None
    size_bytes: int = 0
    media_type: str | None = None
    pulled_at: datetime | None = None
    subject: str | None = None
    artifact_type: str | None = None
    status: ImageStatus = ImageStatus.ACTIVE
    archived_at: datetime | None = None
    activated_at: datetime | None = None


class Guard(StrEnum):
    """What may hide consumers, so that a repository is judged and reported but not swept."""

    EKS_CLUSTERS = "eks-clusters"
    CROSS_ACCOUNT_PULL = "cross-account-pull"
    DELETE_REPLICATION = "delete-replication"
    NO_USAGE = "no-usage"


# The guards that WAIVED_GUARDS may name. NO_USAGE has its own setting, EXPECT_NO_USAGE.
WAIVABLE_GUARDS = (Guard.EKS_CLUSTERS, Guard.CROSS_ACCOUNT_PULL, Guard.DELETE_REPLICATION)


@dataclass(frozen=True, slots=True)
class StandingGuard:
    """A guard that stands before a repository, with what was found and how to lift the guard."""

    guard: Guard
    why: str


class Action(StrEnum):
    """What is done with an image, from the mildest to the most severe."""

    KEEP = "keep"
    ARCHIVE = "archive"
    DELETE = "delete"

    @property
    def severity(self) -> int:
        """The position in the order of the actions, 0 for the mildest."""
        return tuple(Action).index(self)


class Reason(StrEnum):
    """The reason of a verdict: of the rules that keep an image, the first."""

    IN_USE = "in_use"
    RECENTLY_USED = "recently_used"
    TIME_UNKNOWN = "time_unknown"
    PUSHED_DURING_RUN = "pushed_during_run"
    RESTORED = "restored"
    FAMILY_IN_USE = "family_in_use"
    PARENT_KEPT = "parent_kept"
    SUBJECT_KEPT = "subject_kept"
    TOO_YOUNG = "too_young"
    TAG_PATTERN = "tag_pattern"
    RECENTLY_PULLED = "recently_pulled"
    NEWEST = "newest"
    ARCHIVED = "archived"
    GRAPH_UNCLEAR = "graph_unclear"
    UNUSED = "unused"
    PARENT_REMOVED = "parent_removed"
    SUBJECT_REMOVED = "subject_removed"


@dataclass(frozen=True, slots=True)
class Verdict:
    """Keep or remove one image, and why.

    ``because`` names what the reason refers to: the consumers of an image in use, the digest of the
    parent or subject that an image follows, the pattern that matched a tag. ``old``: the age alone
    would not have kept the image.
    """

    image: Image
    action: Action
    reason: Reason
    because: tuple[str, ...] = ()
    old: bool = False


@dataclass(frozen=True, slots=True)
class Plan:
    """All verdicts for one repository, and the order in which removals are safe.

    ``steps`` holds the images to remove. Each step is removed before the next: indexes before their
    children, subjects before their referrers. ``leaders`` holds the parents and subjects of each
    image to remove: while one of them stays, the image stays. ``follows`` holds the parents and
    subjects of every image that has any, as far as manifests were read.
    """

    repository: Repository
    verdicts: tuple[Verdict, ...]
    steps: tuple[tuple[Verdict, ...], ...] = ()
    leaders: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    follows: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
