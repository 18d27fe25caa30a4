"""What became of each image of a plan that was approved and applied. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from ecr_cleaner.core.approval import Approved, Restricted, Stays
from ecr_cleaner.core.model import StandingGuard, Verdict
from ecr_cleaner.core.outcome import Outcome
from ecr_cleaner.core.plan_document import PlannedImage


class Became(StrEnum):
    """What became of an image of the plan that the fresh judgement removes as well."""

    REMOVED = "removed"
    WOULD_BE_REMOVED = "would_be_removed"
    GUARDED = "guarded"
    LEFT = "left"
    FAILED = "failed"
    NOT_SWEPT = "not_swept"
    NOT_JUDGED = "not_judged"


@dataclass(frozen=True, slots=True)
class End:
    """What became of one image.

    ``verdict`` is that of the fresh judgement for an image that stays. ``detail`` names the guards,
    why the image was left for the next run, or ECR's failure code.
    """

    became: Became | Stays
    verdict: Verdict | None = None
    detail: str = ""

    @property
    def is_removal(self) -> bool:
        """Whether the image was removed; in a dry run, whether it would be."""
        return self.became in {Became.REMOVED, Became.WOULD_BE_REMOVED}


@dataclass(slots=True)
class AppliedPlan:
    """A plan by its address, and what became of its images, noted a repository at a time."""

    address: str
    approved: Approved
    noted: dict[str, Mapping[str, End]] = field(default_factory=dict)

    def note(self, repository: str, ends: Mapping[str, End]) -> None:
        """Note what became of the images of one repository."""
        self.noted[repository] = ends

    def end_of(self, image: PlannedImage) -> End | None:
        """Return what became of an image; None if the plan does not remove it."""
        if image.digest not in self.approved.images.get(image.repository, {}):
            return None
        return self.noted.get(image.repository, {}).get(image.digest, _NOT_JUDGED)

    def images(self, repository: str | None = None) -> Iterator[tuple[PlannedImage, End]]:
        """Yield the images that the plan removes, of one repository or of all by name."""
        for name in sorted(self.approved.images) if repository is None else [repository]:
            ends = self.noted.get(name, {})
            for digest, image in self.approved.images[name].items():
                yield image, ends.get(digest, _NOT_JUDGED)

    def counts(self) -> Counter[Became | Stays]:
        """Return how many images there are of each end."""
        return Counter(end.became for _, end in self.images())


def ends_of(
    images: Mapping[str, PlannedImage],
    restricted: Restricted,
    guards: Sequence[StandingGuard],
    outcome: Outcome | None,
    *,
    dry_run: bool,
) -> dict[str, End]:
    """Return what became of the approved images of a repository; no outcome: it was not swept."""
    if outcome is None:
        not_swept = _not_swept(guards, dry_run=dry_run)
        ends = dict.fromkeys(images, not_swept)
    else:
        ends = {digest: _swept(digest, outcome) for digest in images}
    stays = {
        digest: End(why, restricted.verdicts.get(digest))
        for digest, why in restricted.stays.items()
    }
    return ends | stays


def _not_swept(guards: Sequence[StandingGuard], *, dry_run: bool) -> End:
    if guards:
        names = dict.fromkeys(one.guard.value for one in guards)
        return End(Became.GUARDED, detail=", ".join(names))
    return End(Became.WOULD_BE_REMOVED if dry_run else Became.NOT_SWEPT)


def _swept(digest: str, outcome: Outcome) -> End:
    if digest in outcome.removed:
        return _REMOVED
    if digest in outcome.gone:
        return End(Stays.GONE)
    if digest in outcome.failed:
        return End(Became.FAILED, detail=outcome.failed[digest])
    if digest in outcome.left:
        return End(Became.LEFT, detail=outcome.left[digest].value)
    return End(Became.NOT_SWEPT)


# Shared: no allocation per image.
_REMOVED = End(Became.REMOVED)
_NOT_JUDGED = End(Became.NOT_JUDGED)
