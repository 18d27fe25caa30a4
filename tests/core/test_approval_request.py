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
    approval_request,
)
from ecr_cleaner.core.errors import RunFailedError
from ecr_cleaner.core.model import Guard, StandingGuard
from ecr_cleaner.core.settings import Purpose, Settings
from ecr_cleaner.core.summary import Result, Tally, summarize

WAITING = Settings(approval=True, plan_max_age_days=3)
GUARDS = [StandingGuard(Guard.EKS_CLUSTERS, "why")]
STORED = ("s3://bucket/plan.jsonl.gz", "s3://bucket/plan.html")

ONE = Result(Tally(images=9, removable=2, removable_bytes=20), repository="one")
TWO = Result(
    Tally(near_misses=2, images=9, removable=3, removable_bytes=30, broken_references=1),
    repository="two",
)
NOTHING = Result(Tally(images=9))
GUARDED = Result(Tally(removable=5, removable_bytes=50), GUARDS)
UNVISITED = Result(unvisited=True)


def asked(
    results: list[Result], stored: tuple[str, ...] = STORED, settings: Settings = WAITING
) -> ApprovalRequest | None:
    summary = summarize(results, settings)
    return approval_request(Planned(REGISTRY, NOW, stored), settings, results, summary)


def test_numbers_are_those_of_what_applying_removes() -> None:
    request = asked([ONE, TWO, NOTHING, GUARDED, UNVISITED])
    assert request == ApprovalRequest(
        registry=REGISTRY,
        until=NOW + timedelta(days=3),
        plan=STORED[0],
        page=STORED[1],
        gain=Gain(repositories=2, images=5, size_bytes=50),
        guarded=Gain(repositories=1, images=5, size_bytes=50),
        broken_references=1,
        near_misses=2,
        unvisited=1,
        most=(("two", Gain(1, 3, 30)), ("one", Gain(1, 2, 20))),
    )


def test_only_the_repositories_with_the_most_removals_are_named() -> None:
    results = [
        Result(Tally(removable=number % 10, removable_bytes=number), repository=f"r{number}")
        for number in range(99)
    ]
    request = asked(results)
    assert request is not None
    assert [name for name, _ in request.most] == ["r89", "r79", "r69", "r59", "r49"]


def test_plan_without_a_page_can_be_approved() -> None:
    request = asked([ONE], stored=STORED[:1])
    assert request is not None
    assert (request.plan, request.page) == (STORED[0], "")


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
    assert asked(results) is None


def test_plan_that_is_not_stored_cannot_be_approved() -> None:
    assert asked([ONE], stored=()) is None


@pytest.mark.parametrize(
    "settings", [replace(WAITING, approval=False), replace(WAITING, purpose=Purpose.APPLY)]
)
def test_only_a_run_that_waits_asks(settings: Settings) -> None:
    assert asked([ONE], settings=settings) is None
