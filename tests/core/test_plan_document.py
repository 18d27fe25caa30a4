"""The plan as a document: all of it comes back, and anything else is refused with its line."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.worlds import NOW, REGISTRY, ago, image, index, plan_of, policy_of, repository, sha
from ecr_cleaner.core.in_use import Broken
from ecr_cleaner.core.model import Action, Guard, Plan, Reason, StandingGuard, Verdict
from ecr_cleaner.core.plan_document import (
    PlanEnd,
    PlanError,
    PlanHeader,
    PlannedImage,
    PlannedRepository,
    PlanPart,
    State,
    planned_images,
    policy_fields,
    read_plan,
)
from ecr_cleaner.core.settings import Mode, Settings

BROKEN = Broken("v9", "missing", ("arn:service", "arn:function"))
HEADER = PlanHeader(
    run="run-1",
    time=NOW,
    registry=REGISTRY,
    dry_run=True,
    settings=Settings().deciding(),
    coverage={"ecs": {"state": "scanned", "usages": 3}},
    missing={"gone": (BROKEN,)},
    price_per_gb_month=0.1,
)
REPOSITORY = PlannedRepository(
    "app",
    policy=policy_fields(policy_of(keep_tag_patterns=("v*",))),
    guards=(StandingGuard(Guard.CROSS_ACCOUNT_PULL, "everyone may pull"),),
    broken=(BROKEN,),
)
IMAGE = PlannedImage(
    "app",
    sha("old"),
    ("v1", "v2"),
    ago(100),
    ago(50),
    7,
    Action.DELETE,
    Reason.UNUSED,
    ("because",),
    (sha("index"),),
)
FAILED = PlannedRepository("broken", State.FAILED, "ecr DescribeImages failed")
WHOLE: list[PlanPart] = [HEADER, REPOSITORY, IMAGE, FAILED, PlanEnd(2, 1)]


def lines(*parts: PlanPart) -> list[str]:
    return [part.to_line() for part in parts]


def test_what_is_written_is_read_again() -> None:
    assert list(read_plan(lines(*WHOLE))) == WHOLE


@pytest.mark.parametrize(("dry_run", "mode"), [(True, Mode.DRY_RUN), (False, Mode.CLEAN)])
def test_header_without_a_mode_has_that_of_its_dry_run(dry_run: bool, mode: Mode) -> None:
    header = json.loads(HEADER.to_line()) | {"dry_run": dry_run}
    del header["mode"]
    read = list(read_plan([json.dumps(header), *lines(*WHOLE[1:])]))
    assert read == [replace(HEADER, dry_run=dry_run, mode=mode), *WHOLE[1:]]


def test_times_that_ecr_does_not_return_stay_unknown() -> None:
    unknown = replace(IMAGE, pushed_at=None, pulled_at=None)
    parts: list[PlanPart] = [HEADER, REPOSITORY, unknown, PlanEnd(1, 1)]
    assert list(read_plan(lines(*parts))) == parts


HOSTILE = "</script><!--\"'\u2028\u2029\x1b[31m\r\n\ud800"


@given(st.text() | st.just(HOSTILE))
def test_any_text_is_one_line_of_ascii_and_comes_back(text: str) -> None:
    hostile = replace(IMAGE, tags=(text,), because=(text,))
    line = hostile.to_line()
    assert line.isascii()
    assert len(line.splitlines()) == 1
    assert list(read_plan(lines(HEADER, REPOSITORY, hostile, PlanEnd(1, 1))))[2] == hostile


def test_verdicts_of_a_judgement_are_written_with_what_each_image_follows() -> None:
    child, parent = image("child"), index("parent", tags="v1")
    plan = plan_of(child, parent, children={"parent": ["child"]})
    found = {one.digest: one for one in planned_images(plan)}
    assert found[child.digest].follows == (parent.digest,)
    assert found[parent.digest].follows == ()
    assert found[child.digest].reason is Reason.PARENT_REMOVED
    assert not found[child.digest].is_kept


def test_index_is_written_as_one_and_what_it_lists_with_its_reason() -> None:
    child, parent, signature = image("child"), index("parent"), image("s", subject=sha("child"))
    alone = image("alone")
    plan = plan_of(child, parent, signature, alone, children={"parent": ["child"]}, used=["parent"])
    found = {one.digest: one for one in planned_images(plan)}
    assert [found[one.digest].is_index for one in (parent, child, alone)] == [True, False, False]
    assert [found[one.digest].leader_reason for one in (parent, child, signature, alone)] == [
        *(None, Reason.IN_USE, Reason.IN_USE, None)
    ]
    assert (found[parent.digest].own_bytes, found[child.digest].own_bytes) == (0, 10)
    parts: list[PlanPart] = [HEADER, REPOSITORY, *found.values(), PlanEnd(1, 4)]
    assert list(read_plan(lines(*parts))) == parts


@pytest.mark.parametrize("because", [(sha("elsewhere"),), (sha("a"),), (sha("b"),), ()])
def test_leader_that_is_elsewhere_or_that_follows_itself_has_no_reason(
    because: tuple[str, ...],
) -> None:
    first = Verdict(image("a"), Action.KEEP, Reason.SUBJECT_KEPT, because)
    second = Verdict(image("b"), Action.KEEP, Reason.PARENT_KEPT, (sha("a"),))
    found = planned_images(Plan(repository(), (first, second)))
    assert [one.leader_reason for one in found] == [None, None]


def test_schema_is_as_documented() -> None:
    """The names of the fields are read by other programs: a change needs a new schema."""
    some = replace(IMAGE, is_index=True, leader_reason=Reason.IN_USE)
    assert list(json.loads(some.to_line()))[-3:] == ["follows", "index", "leader_reason"]
    written = [json.loads(line) for line in lines(*WHOLE)]
    assert [list(one) for one in (written[0], written[1], written[2], written[4])] == [
        [
            *("line", "schema", "run", "time", "registry", "dry_run", "mode", "settings"),
            *("coverage", "missing", "price_per_gb_month"),
        ],
        ["line", "repository", "state", "problem", "policy", "guards", "broken"],
        [
            *("line", "repository", "digest", "tags", "pushed_at", "pulled_at", "size_bytes"),
            *("verdict", "reason", "because", "follows"),
        ],
        ["line", "repositories", "images"],
    ]
    assert written[0]["schema"] == 1


Change = Callable[[dict[str, Any]], object]


@pytest.mark.parametrize(
    ("number", "change", "message"),
    [
        (1, lambda one: one.update(schema=2), "is of schema 2, but this program reads schema 1"),
        (1, lambda one: one.update(schema=True), "is of schema True"),
        (1, lambda one: one.pop("schema"), "is of schema None"),
        (1, lambda one: one.pop("time"), "lacks 'time'"),
        (1, lambda one: one.update(time="2026-03-01T00:00:00"), "has no zone"),
        (1, lambda one: one.update(time="soon"), "Invalid isoformat"),
        (1, lambda one: one.update(dry_run="true"), "dry_run is 'true'"),
        (1, lambda one: one.update(registry={"account": "1"}), "lacks 'region'"),
        (1, lambda one: one.update(registry=[]), "registry is \\[\\]"),
        (1, lambda one: one.update(coverage={"ecs": 1}), "an entry is 1"),
        (1, lambda one: one.update(price_per_gb_month=True), "price_per_gb_month is True"),
        (1, lambda one: one.update(more=1), "has unknown fields: more"),
        (2, lambda one: one.update(line="header"), "is a second header"),
        (2, lambda one: one.update(line="comment"), "is of the unknown kind 'comment'"),
        (2, lambda one: one.update(line=["verdict"]), "is of the unknown kind"),
        (2, lambda one: one.update(state="half"), "'half' is not a valid State"),
        (2, lambda one: one.update(guards=[{"guard": "dog", "why": ""}]), "'dog' is not a valid"),
        (2, lambda one: one.update(broken=[1]), "an entry is 1"),
        (2, lambda one: one.update(state="failed"), "is not below the line of its repository app"),
        (3, lambda one: one.update(repository="b"), "is not below the line of its repository b"),
        (3, lambda one: one.update(verdict="drop"), "'drop' is not a valid Action"),
        (3, lambda one: one.update(reason="mood"), "'mood' is not a valid Reason"),
        (3, lambda one: one.update(size_bytes=True), "size_bytes is True"),
        (3, lambda one: one.update(size_bytes=-1), "has a negative size"),
        (3, lambda one: one.update(tags=[1]), "an entry is 1"),
        (3, lambda one: one.update(tags="v1"), "tags is 'v1'"),
        (4, lambda one: one.update(repository="app"), "is a second one for the repository app"),
        (5, lambda one: one.update(images=9), "says 2 repositories and 9 images, but the plan has"),
    ],
)
def test_line_that_is_not_understood_is_refused(number: int, change: Change, message: str) -> None:
    content = [json.loads(line) for line in lines(*WHOLE)]
    change(content[number - 1])
    with pytest.raises(PlanError, match=rf"line \d of the plan .*{message}"):
        list(read_plan(json.dumps(one) for one in content))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ([], "the plan is not whole: its last line is missing"),
        (lines(HEADER, REPOSITORY, IMAGE), "the plan is not whole: its last line is missing"),
        (lines(REPOSITORY), "line 1 of the plan is not the header"),
        (lines(HEADER, IMAGE), "line 2 of the plan is not below the line of its repository"),
        (lines(*WHOLE, FAILED), "line 6 of the plan comes after the end"),
        (["[]"], "line 1 of the plan is not of it: not a JSON object"),
        (["{"], "line 1 of the plan is not of it"),
        ([b"\xff\xfe\xfa"], "line 1 of the plan is not of it"),
        (["[" * 100_000], "line 1 of the plan is not of it"),
    ],
)
def test_what_is_no_whole_plan_is_refused(text: list[str], message: str) -> None:
    with pytest.raises(PlanError, match=message):
        list(read_plan(text))
