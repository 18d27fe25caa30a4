"""The closing sentence of a run that applied a plan."""

from __future__ import annotations

from typing import Any

import pytest

from ecr_cleaner.report import events
from ecr_cleaner.report.applied import Applied

DONE = {
    "event": events.RUN_DONE,
    "dry_run": False,
    "removed": 0,
    "removed_bytes": 0,
    "already_gone": 0,
    "left": 0,
    "failed": 0,
}


def applied(planned: int, *lines: dict[str, Any], **done: Any) -> str:
    made = Applied()
    for line in [{"event": events.APPLYING, "images": planned}, *lines, DONE | done]:
        assert made.watch(None, "info", line) is line
    return made.sentences()


def shown(number: int, **more: Any) -> dict[str, Any]:
    return {"event": events.WOULD_REMOVE, "each": [{}] * number, **more}


GUARDED = {"guarded_by": ["eks-clusters"]}


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        (applied(0), "The plan removes nothing."),
        (
            applied(3, removed=3, removed_bytes=5_000_000),
            "Removed 3 of the 3 images of the plan, up to 5 MB.",
        ),
        (
            applied(1, stays={"kept_now": 1}),
            "Removed 0 of the 1 image of the plan. Not removed: 1 kept now.",
        ),
        (
            applied(
                20,
                shown(2, **GUARDED),
                removed=5,
                removed_bytes=1,
                already_gone=1,
                left=3,
                failed=1,
                stays={
                    "kept_now": 1,
                    "changed_since_plan": 1,
                    "other_action_now": 1,
                    "parent_or_subject_stays": 1,
                    "already_gone": 2,
                },
            ),
            (
                "Removed 5 of the 20 images of the plan, up to 1 B. Not removed: 1 kept now, "
                "1 changed since the plan, 1 with another action now, 1 with an index or a subject "
                "that stays, 3 already gone, 2 behind a guard, 3 left for the next run, 1 failed, "
                "2 in repositories that were not judged or not swept."
            ),
        ),
        (
            applied(4, shown(3), shown(1, **GUARDED), dry_run=True),
            (
                "Removed nothing, because DRY_RUN is not false. 3 of the 4 images of the plan "
                "would be removed. Would not be removed: 1 behind a guard."
            ),
        ),
    ],
)
def test_it_says_what_was_removed_and_why_the_rest_was_not(told: str, expected: str) -> None:
    assert told == expected


@pytest.mark.parametrize(
    "lines", [[], [{"event": events.APPLYING, "images": 3}], [DONE], [{"event": events.LEFT}]]
)
def test_run_that_ended_early_has_none(lines: list[dict[str, Any]]) -> None:
    made = Applied()
    for line in lines:
        made.watch(None, "info", line)
    assert made.sentences() == ""
