"""What became of each image of a plan that was applied."""

from __future__ import annotations

from dataclasses import replace

import pytest

from core.test_plan_document import HEADER
from core.worlds import image, plan_of, sha
from ecr_cleaner.core.applied_plan import AppliedPlan, Became, End, ends_of
from ecr_cleaner.core.approval import Approved, Stays, restricted
from ecr_cleaner.core.model import Guard, StandingGuard
from ecr_cleaner.core.outcome import Left, Outcome
from ecr_cleaner.core.plan_document import PlannedImage, planned_images

OLD = plan_of(image("a"), image("b"), image("used", tags="v1"))
PLANNED = {one.digest: one for one in planned_images(OLD)}
FRESH = restricted(
    plan_of(image("a"), image("b"), image("used", tags="v1"), used=["tag:v1"]), PLANNED
)
A, B = sha("a"), sha("b")
VERDICTS = {one.image.digest: one for one in OLD.verdicts}
GUARDS = [StandingGuard(Guard.EKS_CLUSTERS, name) for name in ("one", "two")]


def ends(
    outcome: Outcome | None, guards: list[StandingGuard] | None = None, *, dry_run: bool = False
) -> dict[str, End]:
    return ends_of(PLANNED, FRESH, guards or [], outcome, dry_run=dry_run)


@pytest.mark.parametrize(
    ("outcome", "end"),
    [
        (Outcome(removed={A: VERDICTS[A]}), End(Became.REMOVED)),
        (Outcome(gone={A: VERDICTS[A]}), End(Stays.GONE)),
        (Outcome(failed={A: "ServerException"}), End(Became.FAILED, detail="ServerException")),
        (Outcome(left={A: Left.OUT_OF_TIME}), End(Became.LEFT, detail="out_of_time")),
        (Outcome(), End(Became.NOT_SWEPT)),
    ],
)
def test_end_of_an_image_is_that_of_the_sweep(outcome: Outcome, end: End) -> None:
    assert ends(outcome)[A] == end


def test_image_that_is_not_swept_would_be_removed_or_is_behind_guards() -> None:
    assert ends(None)[A] == End(Became.NOT_SWEPT)
    assert ends(None, dry_run=True)[A] == End(Became.WOULD_BE_REMOVED)
    for dry_run in (True, False):
        guarded = End(Became.GUARDED, detail="eks-clusters")
        assert ends(None, GUARDS, dry_run=dry_run)[A] == guarded


def test_image_that_is_kept_now_says_by_which_verdict() -> None:
    found = ends(Outcome(removed={A: VERDICTS[A], B: VERDICTS[B]}))[sha("used")]
    assert found.became is Stays.KEPT
    assert found.verdict is not None
    assert found.verdict.reason == "in_use"


def test_images_are_those_of_the_plan_and_a_repository_without_a_note_was_not_judged() -> None:
    other: PlannedImage = replace(PLANNED[A], repository="other")
    approved = Approved(HEADER, {"other": {A: other}, "app": {A: PLANNED[A], B: PLANNED[B]}})
    applied = AppliedPlan("s3://bucket/plan", approved)
    applied.note("app", {A: End(Became.REMOVED), B: End(Stays.CHANGED)})
    assert [(one.repository, one.digest, end.became) for one, end in applied.images()] == [
        ("app", A, Became.REMOVED),
        ("app", B, Stays.CHANGED),
        ("other", A, Became.NOT_JUDGED),
    ]
    assert [end.became for _, end in applied.images("other")] == [Became.NOT_JUDGED]
    assert applied.counts() == {Became.REMOVED: 1, Stays.CHANGED: 1, Became.NOT_JUDGED: 1}
    assert applied.end_of(PLANNED[B]) == End(Stays.CHANGED)
    assert applied.end_of(other) == End(Became.NOT_JUDGED)
    assert applied.end_of(PLANNED[sha("used")]) is None
