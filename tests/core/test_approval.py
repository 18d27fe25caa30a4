"""What of an approved plan may be removed after a fresh judgement: never more."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.test_plan_document import HEADER
from core.worlds import NOW, REGISTRY, ago, image, index, plan_of, policy_of, removals, sha
from ecr_cleaner.core.approval import (
    Approved,
    PlanRefusedError,
    Restricted,
    Stays,
    approved_by,
    restricted,
)
from ecr_cleaner.core.model import Action, Plan, Registry
from ecr_cleaner.core.plan_document import (
    PlanEnd,
    PlanError,
    PlannedImage,
    PlannedRepository,
    PlanPart,
    planned_images,
)
from ecr_cleaner.core.settings import Settings


def removed_by(plan: Plan) -> dict[str, PlannedImage]:
    return {one.digest: one for one in planned_images(plan) if not one.is_kept}


def stepped(plan: Plan) -> set[str]:
    return {verdict.image.digest for step in plan.steps for verdict in step}


def approved_names(found: Restricted, names: Iterable[str]) -> dict[str, Stays]:
    return {name: found.stays[sha(name)] for name in names if sha(name) in found.stays}


def test_plan_is_read_as_what_it_removes() -> None:
    plan = plan_of(image("old"), image("used", tags="v1"), used=["tag:v1"])
    parts: list[PlanPart] = [HEADER, PlannedRepository("app"), *planned_images(plan), PlanEnd(1, 2)]
    approved = approved_by(parts)
    assert approved.header == HEADER
    assert {name: set(found) for name, found in approved.images.items()} == {"app": {sha("old")}}
    with pytest.raises(PlanError, match="empty"):
        approved_by([])


@pytest.mark.parametrize(
    ("settings", "now", "message"),
    [
        (
            Settings(keep_days=7, min_keep_days=2),
            NOW,
            "other settings: keep_days was 30 and is 7; min_keep_days was 0 and is 2. Make a new",
        ),
        (
            Settings(keep_tag_patterns=("v*",)),
            NOW,
            r'other settings: keep_tag_patterns was not set and is \["v\*"\]\. ',
        ),
        (
            Settings(keep_tag_patterns=("v" * 999,)),
            NOW,
            r'is \["v{198}\.\.\.\. Make',
        ),
        (Settings(), NOW + timedelta(days=8), r"more than 7 days ago \(PLAN_MAX_AGE_DAYS\)"),
        (Settings(plan_max_age_days=1), NOW + timedelta(days=2), "more than 1 days ago"),
        (Settings(), NOW - timedelta(hours=1), "in the future"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_plan_of_other_settings_or_another_time_is_refused(
    settings: Settings, now: datetime, message: str
) -> None:
    with pytest.raises(PlanRefusedError, match=message):
        Approved(HEADER, {}).check(settings, now)


def test_settings_that_decide_nothing_may_differ() -> None:
    others = Settings(dry_run=False, approval=True, log_level="DEBUG", max_deletions=1)
    Approved(HEADER, {}).check(others, NOW + timedelta(days=7))


def test_plan_of_another_registry_is_refused() -> None:
    approved = Approved(HEADER, {})
    approved.check_registry(REGISTRY)
    with pytest.raises(PlanRefusedError, match="of 111122223333 in eu-west-1, but this is 1 in a"):
        approved.check_registry(Registry("1", "a"))


def test_what_is_as_it_was_is_removed_and_nothing_that_was_not_approved() -> None:
    then = plan_of(image("old"), image("gone"))
    fresh = plan_of(image("old"), image("new"))
    found = restricted(fresh, removed_by(then))
    assert stepped(found.plan) == {sha("old")}
    assert removals(found.plan) == {sha("old"): Action.DELETE}
    assert found.stays == {sha("gone"): Stays.GONE}
    assert found.verdicts == {}


def test_what_changed_stays() -> None:
    old = [image(name, tags=name) for name in ("used", "tagged", "pulled", "pushed", "archived")]
    approved = removed_by(plan_of(*old))
    archive = approved.pop(sha("archived"))
    approved[sha("archived")] = replace(archive, verdict=Action.ARCHIVE)
    fresh = plan_of(
        image("used", tags="used"),
        image("tagged", tags="tagged more"),
        image("pulled", tags="pulled", pulled_at=ago(90)),
        image("pushed", 99, tags="pushed"),
        image("archived", tags="archived"),
        used=["tag:used"],
    )
    found = restricted(fresh, approved)
    assert approved_names(found, ("used", "tagged", "pulled", "pushed", "archived")) == {
        "used": Stays.KEPT,
        "tagged": Stays.CHANGED,
        "pulled": Stays.CHANGED,
        "pushed": Stays.CHANGED,
        "archived": Stays.OTHER_ACTION,
    }
    assert stepped(found.plan) == set()
    assert found.plan.steps == ()
    assert found.verdicts[sha("used")].because


def test_child_of_an_index_that_stays_stays() -> None:
    images = [index("index", tags="v1"), image("child"), image("alone")]
    children = {"index": ["child"]}
    approved = removed_by(plan_of(*images, children=children))
    retagged = [index("index", tags="v1 v2"), *images[1:]]
    found = restricted(plan_of(*retagged, children=children), approved)
    assert approved_names(found, ("index", "child")) == {
        "index": Stays.CHANGED,
        "child": Stays.LEADER,
    }
    assert stepped(found.plan) == {sha("alone")}
    # Nor if only the child was approved.
    del approved[sha("index")]
    found = restricted(plan_of(*images, children=children), approved)
    assert stepped(found.plan) == {sha("alone")}


NAMES = ("a", "b", "c", "d", "e")


@given(
    approved=st.sets(st.sampled_from(NAMES)),
    used=st.sets(st.sampled_from(NAMES)),
    children=st.dictionaries(
        st.sampled_from(NAMES[:2]), st.lists(st.sampled_from(NAMES[2:]), max_size=3), max_size=2
    ),
)
def test_never_more_than_both_remove_and_never_a_child_before_its_index(
    approved: set[str], used: set[str], children: dict[str, list[str]]
) -> None:
    images = [index(name) if name in children else image(name) for name in NAMES]
    policy = policy_of()
    then = removed_by(plan_of(*images, children=children, policy=policy))
    chosen = {digest: one for digest, one in then.items() if digest in set(map(sha, approved))}
    fresh = plan_of(*images, children=children, policy=policy, used=used)
    found = restricted(fresh, chosen).plan
    assert stepped(found) <= chosen.keys() & removals(fresh).keys()
    assert removals(found).keys() == stepped(found)
    for digest in stepped(found):
        assert set(fresh.leaders.get(digest, ())) & stepped(fresh) <= stepped(found)
