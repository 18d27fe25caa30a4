"""The words of this program, as frozen values. Pure: no AWS, no clock, no environment."""

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


@dataclass(frozen=True, slots=True)
class ImageReference:
    """``registry-host/repository[:tag][@digest]`` of a private ECR registry.

    A digest decides and the tag beside it says nothing more, so at most one of the two is set.
    With neither, it cannot be told which image is meant: any image of the repository may be.
    """

    registry: Registry
    repository: str
    tag: str | None = None
    digest: str | None = None


@dataclass(frozen=True, slots=True)
class Usage:
    """One reference held by one consumer, as one usage source found it."""

    reference: ImageReference
    consumer: str
    source: str


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
    """One image or artifact of a repository, as DescribeImages tells it.

    Times are aware and in UTC; None means that ECR did not tell. ``size_bytes`` is the compressed
    size; layers that images share are counted in each of them.
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
    """Consumers that no scan of this account can show, so that nothing is swept on a guess."""

    EKS_CLUSTERS = "eks-clusters"
    CROSS_ACCOUNT_PULL = "cross-account-pull"
    DELETE_REPLICATION = "delete-replication"
    NO_USAGE = "no-usage"


# Those that WAIVED_GUARDS may name; NO_USAGE has a setting of its own, EXPECT_NO_USAGE.
WAIVABLE_GUARDS = (Guard.EKS_CLUSTERS, Guard.CROSS_ACCOUNT_PULL, Guard.DELETE_REPLICATION)


@dataclass(frozen=True, slots=True)
class StandingGuard:
    """A guard that stands before a repository: what was found, and the way on, as a sentence."""

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
    """Why a verdict is what it is. The first rule that keeps an image names the reason."""

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

    ``because`` names what the reason points to: consumers for an image in use, the digest of a
    parent or subject for one that follows it, the pattern that matched a tag.
    ``old`` tells that its age alone would not have kept it.
    """

    image: Image
    action: Action
    reason: Reason
    because: tuple[str, ...] = ()
    old: bool = False


@dataclass(frozen=True, slots=True)
class Plan:
    """All verdicts for one repository, and the order in which removals are safe.

    ``steps`` holds the images to remove; whatever stands in one step needs nothing that stands in
    a later one: indexes before their children, subjects before their referrers. ``leaders`` tells
    the parents and subjects of each image to remove: while one of them stays, so does the image.
    """

    repository: Repository
    verdicts: tuple[Verdict, ...]
    steps: tuple[tuple[Verdict, ...], ...] = ()
    leaders: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
