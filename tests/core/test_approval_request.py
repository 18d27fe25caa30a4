"""What a run asks a person to approve."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from core.worlds import NOW, REGISTRY
from ecr_cleaner.core.approval_request import (
    ApprovalRequest,
    Gain,
    Planned,
    PlanToApprove,
    approval_request,
)
from ecr_cleaner.core.errors import RunFailedError
from ecr_cleaner.core.model import Guard, StandingGuard
from ecr_cleaner.core.settings import Purpose, Settings
from ecr_cleaner.core.summary import Result, Tally, summarize

WAITING = Settings(approval=True, plan_max_age_days=3)
GUARDS = [StandingGuard(Guard.EKS_CLUSTERS, "why")]
STORED = ("s3://bucket/plan.jsonl.gz", "s3://bucket/plan.html")

ONE = Result(Tally(images=9, removable=2, removable_bytes=20))
TWO = Result(Tally(images=9, removable=3, removable_bytes=30, broken_references=1))
NOTHING = Result(Tally(images=9))
GUARDED = Result(Tally(removable=5, removable_bytes=50), GUARDS)
UNVISITED = Result(unvisited=True)


def asked(*planned: Planned, settings: Settings = WAITING) -> ApprovalRequest | None:
    results = [result for one in planned for result in one.results]
    summary = summarize(results, settings)
    return approval_request(REGISTRY, NOW, settings, summary, planned)


def test_numbers_are_those_of_what_applying_removes() -> None:
    request = asked(Planned(STORED, [ONE, TWO, NOTHING, GUARDED, UNVISITED]))
    gain = Gain(repositories=2, images=5, size_bytes=50)
    assert request == ApprovalRequest(
        registry=REGISTRY,
        until=NOW + timedelta(days=3),
        plans=(PlanToApprove(*STORED, gain),),
        gain=gain,
        guarded=Gain(repositories=1, images=5, size_bytes=50),
        broken_references=1,
        unvisited=1,
    )


def test_each_plan_with_something_to_remove_is_named() -> None:
    request = asked(
        Planned(STORED, [ONE]), Planned(("empty",), [NOTHING]), Planned(("no page",), [TWO])
    )
    assert request is not None
    assert request.plans == (
        PlanToApprove(*STORED, Gain(1, 2, 20)),
        PlanToApprove("no page", "", Gain(1, 3, 30)),
    )
    assert request.gain == Gain(2, 5, 50)


@pytest.mark.parametrize(
    "results",
    [
        [],
        [NOTHING],
        [GUARDED],
        [UNVISITED],
        [ONE, Result(error=RunFailedError("no"))],
    ],
    ids=["no repository", "nothing to remove", "all guarded", "no time", "failed"],
)
def test_run_asks_for_nothing_if_applying_would_remove_nothing_or_it_failed(
    results: list[Result],
) -> None:
    assert asked(Planned(STORED, results)) is None


def test_plan_that_is_not_stored_cannot_be_approved() -> None:
    assert asked(Planned((), [ONE])) is None


@pytest.mark.parametrize(
    "settings", [replace(WAITING, approval=False), replace(WAITING, purpose=Purpose.APPLY)]
)
def test_only_a_run_that_waits_asks(settings: Settings) -> None:
    assert asked(Planned(STORED, [ONE]), settings=settings) is None
