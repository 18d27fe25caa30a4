"""What an earlier plan removes and that is needed now."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime

import pytest

from core.test_plan_summary import HEADER, parts_of, planned
from core.worlds import NOW, REGISTRY, ago, image, index, repository, sha
from ecr_cleaner.core.model import Action, Image, Plan, Reason, Registry, Verdict
from ecr_cleaner.core.near_misses import PlannedRemovals, near_misses, removals_in
from ecr_cleaner.core.plan_document import PlanError, PlannedImage, PlanPart

THEN = ago(1)
TODAY, LAST_WEEK = "2026-03-01", "2026-02-22"


def lines_of(parts: Iterable[PlanPart]) -> list[bytes]:
    return [f"{part.to_line()}\n".encode() for part in parts]


def earlier(*images: PlannedImage) -> PlannedRemovals | None:
    """What a plan of yesterday with these images removes of the repository app."""
    _, *rest = parts_of(images)
    return removals_in(lines_of([replace(HEADER, time=THEN), *rest]), REGISTRY).get("app")


def plan(*verdicts: Verdict, **follows: str) -> Plan:
    led = {sha(name): (sha(leader),) for name, leader in follows.items()}
    return Plan(repository(), verdicts, follows=led)


def kept(one: Image, reason: Reason, *because: str) -> Verdict:
    return Verdict(one, Action.KEEP, reason, because)


@pytest.mark.parametrize(
    ("verdict", "counts"),
    [
        (kept(image("a"), Reason.IN_USE, "arn:service"), True),
        (kept(image("a"), Reason.FAMILY_IN_USE, "arn:service"), True),
        (kept(image("a"), Reason.RECENTLY_USED, "arn:job", TODAY), True),
        (kept(image("a"), Reason.RECENTLY_USED, "arn:job", LAST_WEEK), False),
        (kept(image("a", pulled_at=NOW), Reason.RECENTLY_PULLED), True),
        (kept(image("a", pulled_at=ago(60)), Reason.RECENTLY_PULLED), False),
        (kept(image("a"), Reason.RECENTLY_PULLED), False),
        (kept(image("a", pulled_at=NOW), Reason.TAG_PATTERN, "v*"), False),
        (kept(image("a"), Reason.PARENT_KEPT, sha("index")), False),
        (Verdict(image("a", pulled_at=NOW), Action.DELETE, Reason.UNUSED), False),
        (kept(image("other"), Reason.IN_USE, "arn:service"), False),
    ],
)
def test_image_that_was_to_be_removed_and_is_needed_is_a_near_miss(
    verdict: Verdict,
    *,
    counts: bool,
) -> None:
    """Of a setting that keeps more than before, there is no near miss."""
    before = earlier(
        replace(planned("a"), pulled_at=ago(60)), planned("z"), planned("k", Reason.TOO_YOUNG)
    )
    found = near_misses(plan(verdict), before)
    assert [one.verdict for one in found] == ([verdict] if counts else [])
    assert all((one.repository, one.planned_at) == ("app", THEN) for one in found)


def test_index_is_needed_by_the_pulls_of_what_it_lists_and_not_by_our_own() -> None:
    before = earlier(planned("index"), planned("child"))
    pulled = kept(index("index", pulled_at=NOW), Reason.RECENTLY_PULLED)
    child = kept(image("child"), Reason.PARENT_KEPT, sha("index"))
    assert near_misses(plan(pulled, child, child="index"), before) == []
    child = replace(child, image=image("child", pulled_at=NOW))
    found = near_misses(plan(pulled, child, child="index"), before)
    assert [one.verdict for one in found] == [pulled]


def test_image_that_was_kept_is_not_a_near_miss() -> None:
    before = earlier(planned("a", Reason.TOO_YOUNG))
    assert before is None
    assert near_misses(plan(kept(image("a"), Reason.IN_USE, "arn:service")), before) == []


def test_removals_are_those_of_each_repository() -> None:
    lines = lines_of(
        parts_of(
            [
                planned("a"),
                planned("b", Reason.IN_USE, "arn:service"),
                replace(planned("c"), verdict=Action.ARCHIVE, pulled_at=ago(40)),
                planned("a", repository="other"),
                planned("d", Reason.IN_USE, "arn:service", repository="kept"),
            ]
        )
    )
    found = removals_in(lines, REGISTRY)
    assert found.keys() == {"app", "other"}
    last_pulls = [found["app"].last_pull(image(name)) for name in "abc"]
    assert last_pulls == [0, None, int(ago(40).timestamp())]
    assert removals_in(lines, REGISTRY, {"other"}).keys() == {"other"}


def test_tags_cannot_hide_a_removal() -> None:
    tags = ('"verdict":"keep"', '","verdict":"keep","x":"', '{"line":"end"')
    assert earlier(replace(planned("a"), tags=tags)) is not None


WHOLE = lines_of(parts_of([planned("a")]))
HEAD, OF_REPOSITORY, OF_IMAGE, END = WHOLE


@pytest.mark.parametrize(
    ("lines", "why"),
    [
        ([], "not whole"),
        ([HEAD], "not whole"),
        (WHOLE[:-1], "not whole"),
        ([b"\x00"], "line 1 of the plan is not of it"),
        ([HEAD.replace(b'"schema":1', b'"schema":2'), *WHOLE[1:]], "is of schema 2"),
        ([HEAD, b'{"line":"verdict"}', END], "KeyError"),
        ([HEAD, b'{"line":"verdict"', END], "JSONDecodeError"),
        ([HEAD, OF_IMAGE.replace(b'"pulled_at":null', b'"pulled_at":7'), END], "TypeError"),
        ([HEAD, OF_IMAGE.replace(b'"pulled_at":null', b'"pulled_at":"7"'), END], "ValueError"),
    ],
)
def test_plan_that_is_damaged_or_of_another_schema_is_an_error(
    lines: list[bytes], why: str
) -> None:
    with pytest.raises(PlanError, match=why):
        removals_in(lines, REGISTRY)


def test_plan_of_another_registry_is_an_error() -> None:
    with pytest.raises(PlanError, match="of the registry of 111122223333 in eu-west-1"):
        removals_in(WHOLE, Registry("111122223333", "eu-west-2"))


def test_time_before_all_times_is_none() -> None:
    old = datetime.fromisoformat("1960-01-01T00:00:00+00:00")
    before = earlier(replace(planned("a"), pulled_at=old))
    assert before is not None
    assert before.last_pull(image("a")) == 0
