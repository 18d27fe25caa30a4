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


def listed(*images: PlannedImage, has_page: bool = True, **ends: End) -> list[str]:
    approved = Approved(HEADER, {"app": {one.digest: one for one in images}})
    applied = AppliedPlan("plan.jsonl", approved)
    applied.note("app", {sha(name): end for name, end in ends.items()})
    stream = io.StringIO()
    write_list(applied, stream, has_page=has_page)
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


@pytest.mark.parametrize(
    ("has_page", "rest"),
    [
        (True, "and 2 more images: see the page of the run, in PLANS"),
        (
            False,
            (
                "and 2 more images: to see all of them the next time, set PLANS, or write standard "
                "output, the log, to a file"
            ),
        ),
    ],
)
def test_list_is_bounded_in_each_part_and_says_where_the_others_are(
    monkeypatch: pytest.MonkeyPatch, has_page: bool, rest: str
) -> None:
    monkeypatch.setattr(applied_list, "MOST_IMAGES", 1)
    would = End(Became.WOULD_BE_REMOVED)
    gone = End(Stays.GONE)
    images = map(planned, "abcd")
    first, more, last = listed(*images, has_page=has_page, a=would, b=would, c=would, d=gone)
    assert (first.split()[-1], more, last.split()[-1]) == ("removed", rest, "gone")


def test_what_an_account_holds_does_not_reach_the_terminal_as_it_is() -> None:
    image = replace(planned("a"), tags=("\x1b[31m",))
    assert "\x1b" not in listed(image, a=End(Became.FAILED, detail="\x1b"))[0]
