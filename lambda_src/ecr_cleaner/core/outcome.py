"""What became of the images that a plan wanted to remove."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from ecr_cleaner.core.model import Verdict

# https://docs.aws.amazon.com/AmazonECR/latest/APIReference/API_ImageFailure.html
REFERENCED = "ImageReferencedByManifestList"
NOT_FOUND = frozenset({"ImageNotFound", "ImageNotFoundException"})


class Left(StrEnum):
    """Why an image that a plan wanted to remove was left alone."""

    CHANGED = "changed_since_listing"
    CAME_INTO_USE = "came_into_use"
    LEADER_STAYED = "parent_or_subject_stayed"
    MAX_DELETIONS = "max_deletions_reached"
    AFTER_ERROR = "after_error"
    OUT_OF_TIME = "out_of_time"


@dataclass(slots=True)
class Outcome:
    """What became of the images that a plan wanted to remove, each digest in one place only.

    ``removed`` is what ECR confirmed, ``gone`` what someone else had deleted before, ``failed``
    leads to ECR's failure code, ``left`` to why nothing was tried. ``error`` ended the sweep.
    """

    removed: dict[str, Verdict] = field(default_factory=dict)
    gone: dict[str, Verdict] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)
    left: dict[str, Left] = field(default_factory=dict)
    error: Exception | None = None

    def add(self, other: Outcome) -> None:
        """Add what became of other images."""
        self.removed |= other.removed
        self.gone |= other.gone
        self.failed |= other.failed
        self.left |= other.left
        self.error = self.error or other.error

    def knows(self, digest: str) -> bool:
        """Tell whether it is settled what became of this image."""
        return digest in self.removed or digest in self.gone or self.stays(digest)

    def stays(self, digest: str) -> bool:
        """Tell whether the image is still there, so that what follows it must stay as well."""
        return digest in self.failed or digest in self.left

    def take_back(self) -> set[str]:
        """Forget, and return, what may succeed once more of its parents are gone."""
        waiting = {digest for digest, code in self.failed.items() if code == REFERENCED}
        if not waiting:
            return waiting
        waiting |= {digest for digest, why in self.left.items() if why is Left.LEADER_STAYED}
        for digest in waiting:
            self.failed.pop(digest, None)
            self.left.pop(digest, None)
        return waiting
