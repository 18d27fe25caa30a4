"""What a plan comes to."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import pytest

from core.worlds import NOW, REGISTRY, ago, sha
from ecr_cleaner.core import plan_summary
from ecr_cleaner.core.model import Action, Reason
from ecr_cleaner.core.plan_document import (
    PlanEnd,
    PlanHeader,
    PlannedImage,
    PlannedRepository,
    PlanPart,
)
from ecr_cleaner.core.plan_summary import (
    Fate,
    PlanSummary,
    Sum,
    age_name,
    fate_of,
    summarize_plan,
)

HEADER = PlanHeader("run", NOW, REGISTRY, dry_run=True, price_per_gb_month=0.1)


def planned(
    name: str,
    reason: Reason = Reason.UNUSED,
    *because: str,
    size: int = 10,
    days: float = 100,
    repository: str = "app",
) -> PlannedImage:
    action = Action.DELETE if reason is Reason.UNUSED else Action.KEEP
    return PlannedImage(
        repository, sha(name), (name,), ago(days), None, size, action, reason, because
    )


def parts_of(images: Iterable[PlannedImage]) -> list[PlanPart]:
    """A whole plan of these images, whose repositories come one after the other."""
    parts: list[PlanPart] = [HEADER]
    names: list[str] = []
    count = 0
    for image in images:
        if image.repository not in names:
            names.append(image.repository)
            parts.append(PlannedRepository(image.repository))
        parts.append(image)
        count += 1
    return [*parts, PlanEnd(len(names), count)]


def summary_of(*images: PlannedImage, most_rows: int = 0) -> PlanSummary:
    summary = summarize_plan(parts_of(images), most_rows)
    assert summary is not None
    return summary


def test_without_parts_there_is_no_summary() -> None:
    assert summarize_plan([]) is None


def test_repositories_are_in_the_order_of_what_there_is_to_gain() -> None:
    summary = summary_of(
        planned("a", repository="little", size=5),
        planned("b", Reason.TOO_YOUNG, repository="nothing", size=500),
        planned("c", repository="much", size=50),
        planned("d", Reason.IN_USE, "arn:service", repository="much", size=7),
    )
    assert [one.name for one in summary.repositories] == ["much", "little", "nothing"]
    assert summary.removable == Sum(2, 55)
    assert summary.total == Sum(4, 562)
    much = summary.repositories[0]
    assert (much.removable, much.total, much.fates[Fate.IN_USE]) == (
        Sum(1, 50),
        Sum(2, 57),
        Sum(1, 7),
    )
    assert much.reasons == {Reason.UNUSED: 1, Reason.IN_USE: 1}


def test_ages_and_fates_are_counted() -> None:
    summary = summary_of(
        planned("a", days=400, size=3),
        planned("b", Reason.IN_USE, "arn:service", days=8, size=4),
        replace(planned("c", Reason.TIME_UNKNOWN, size=5), pushed_at=None),
        planned("d", Reason.RECENTLY_USED, "arn:job", "2026-02-27", days=8, size=6),
    )
    assert summary.ages["1 y and more"][Fate.REMOVE] == Sum(1, 3)
    assert summary.ages["< 30 days"][Fate.IN_USE] == Sum(1, 4)
    assert summary.ages["< 30 days"][Fate.USED_LATELY] == Sum(1, 6)
    assert summary.ages["unknown"][Fate.KEEP] == Sum(1, 5)
    assert sum(one.images for ages in summary.ages.values() for one in ages.values()) == 4
    assert summary.reasons == {
        Reason.UNUSED: 1,
        Reason.IN_USE: 1,
        Reason.TIME_UNKNOWN: 1,
        Reason.RECENTLY_USED: 1,
    }


def test_index_is_counted_once_by_the_images_that_it_lists() -> None:
    index = replace(planned("index", size=9), is_index=True)
    summary = summary_of(index, planned("arm64", size=9), planned("amd64", size=8))
    assert summary.removable == Sum(3, 17)


@pytest.mark.parametrize(
    ("days", "name"),
    [(0, "< 1 week"), (6, "< 1 week"), (7, "< 30 days"), (364, "< 1 y"), (365, "1 y and more")],
)
def test_age_groups_begin_where_the_one_before_ends(days: int, name: str) -> None:
    assert age_name(days) == name


@pytest.mark.parametrize(
    ("leader", "fate"),
    [
        (Reason.IN_USE, Fate.IN_USE),
        (Reason.FAMILY_IN_USE, Fate.IN_USE),
        (Reason.RECENTLY_USED, Fate.USED_LATELY),
        (Reason.TAG_PATTERN, Fate.KEEP),
        (None, Fate.KEEP),
    ],
)
def test_what_an_index_lists_is_used_with_it(leader: Reason | None, fate: Fate) -> None:
    child = replace(planned("child", Reason.PARENT_KEPT, sha("index")), leader_reason=leader)
    assert fate_of(child) is fate


def test_consumer_of_an_index_keeps_as_much_as_the_largest_image_that_it_lists() -> None:
    index = replace(planned("index", Reason.IN_USE, "arn:service", size=9), is_index=True)
    assert summary_of(index).consumers == {"arn:service": Sum(1, 9)}


def test_archiving_counts_as_removing() -> None:
    assert fate_of(replace(planned("a"), verdict=Action.ARCHIVE)) is Fate.REMOVE


def test_consumers_keep_images() -> None:
    summary = summary_of(
        planned("a", Reason.IN_USE, "arn:one", "arn:two", size=1),
        planned("b", Reason.FAMILY_IN_USE, "arn:one", size=2),
        planned("c", Reason.RECENTLY_USED, "arn:three", "2026-02-27", size=4),
        planned("d", Reason.TAG_PATTERN, "v*", size=8),
    )
    assert summary.consumers == {"arn:one": Sum(2, 3), "arn:two": Sum(1, 1), "arn:three": Sum(1, 4)}
    assert not summary.consumers_left_out


def test_consumers_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plan_summary, "MOST_CONSUMERS", 1)
    summary = summary_of(
        planned("a", Reason.IN_USE, "arn:one"),
        planned("b", Reason.IN_USE, "arn:two", "arn:one"),
    )
    assert summary.consumers == {"arn:one": Sum(2, 20)}
    assert summary.consumers_left_out


def test_rows_are_removals_first_and_then_the_largest() -> None:
    images = [
        planned("young", Reason.TOO_YOUNG, size=900),
        planned("small", size=1),
        planned("large", size=9),
        planned("same", size=9),
        planned("used", Reason.IN_USE, "arn:service", size=400),
    ]
    summary = summary_of(*images, most_rows=4)
    assert [one.tags[0] for one in summary.rows] == ["large", "same", "small", "young"]
    assert summary.left_out == 1
    assert summary_of(*images).left_out == 5
    assert summary_of(*images, most_rows=9).left_out == 0


def test_parts_out_of_order_count_nothing() -> None:
    """The reader of documents refuses them."""
    assert summarize_plan([PlannedRepository("app"), planned("a"), PlanEnd(1, 1)]) is None
    summary = summarize_plan([HEADER, planned("a")])
    assert summary is not None
    assert summary.total == Sum()
