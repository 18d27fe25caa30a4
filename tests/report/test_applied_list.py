"""The images of an applied plan, listed for a person."""

from __future__ import annotations

import io
from dataclasses import replace

import pytest

from core.test_plan_summary import HEADER, planned
from core.worlds import ago, sha
from ecr_cleaner.core.applied_plan import AppliedPlan, Became, End
from ecr_cleaner.core.approval import Approved, Stays
from ecr_cleaner.core.model import Action, Image, Reason, Verdict
from ecr_cleaner.core.plan_document import PlannedImage
from ecr_cleaner.report import applied_list
from ecr_cleaner.report.applied_list import write_list


def listed(*images: PlannedImage, **ends: End) -> list[str]:
    approved = Approved(HEADER, {"app": {one.digest: one for one in images}})
    applied = AppliedPlan("plan.jsonl", approved)
    applied.note("app", {sha(name): end for name, end in ends.items()})
    stream = io.StringIO()
    write_list(applied, stream)
    return stream.getvalue().splitlines()


def short(name: str) -> str:
    return sha(name)[7:19]


def test_what_was_removed_comes_first_and_what_stays_says_why() -> None:
    verdict = Verdict(Image(sha("a"), (), ago(90)), Action.KEEP, Reason.IN_USE, ("arn:one", "two"))
    lines = listed(
        replace(planned("a", size=7), tags=("v1", "v2", "v3", "v4")),
        replace(planned("b", size=214_000_000), tags=()),
        planned("c", size=1),
        a=End(Stays.KEPT, verdict),
        b=End(Became.REMOVED),
        c=End(Became.LEFT, detail="out_of_time"),
    )
    assert lines == [
        f"app  (untagged)  {short('b')}  214 MB  removed",
        f"app  v1, v2, v3, ...  {short('a')}  7 B  kept now: in_use: arn:one",
        f"app  c                {short('c')}  1 B  left for the next run: out_of_time",
    ]


def test_list_is_bounded_in_each_part(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(applied_list, "MOST_IMAGES", 1)
    would = End(Became.WOULD_BE_REMOVED)
    lines = listed(*map(planned, "abcd"), a=would, b=would, c=would, d=End(Stays.GONE))
    assert [line.split()[-1] for line in lines] == ["removed", "log", "gone"]
    assert lines[1] == "and 2 more images: see the page of the run, or its log"


def test_what_an_account_holds_does_not_reach_the_terminal_as_it_is() -> None:
    image = replace(planned("a"), tags=("\x1b[31m",))
    assert "\x1b" not in listed(image, a=End(Became.FAILED, detail="\x1b"))[0]
