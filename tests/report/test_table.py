"""The table of a plan, on a terminal and in a pipe."""

from __future__ import annotations

import io
import re
import sys
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from core.test_plan_summary import HEADER, parts_of, planned
from ecr_cleaner.core.in_use import Broken
from ecr_cleaner.core.model import Guard, Reason, StandingGuard
from ecr_cleaner.core.plan_document import (
    PlanEnd,
    PlannedRepository,
    PlanPart,
    State,
)
from ecr_cleaner.core.plan_summary import summarize_plan
from ecr_cleaner.report.table import write_table

ESCAPE = "\x1b"
LONG = "a-very-long-name-of-a-team/and-of-its-service/and-of-the-image-of-it"


class Terminal(io.StringIO):
    """A stream that a person looks at."""

    def isatty(self) -> bool:
        return True


def plan() -> list[PlanPart]:
    header = replace(
        HEADER,
        missing={"gone": (Broken("v1", "missing", ("arn:old",)),)},
        coverage={"ecs": {"state": "scanned"}, "eks": {"state": "waived"}},
    )
    guard = StandingGuard(Guard.CROSS_ACCOUNT_PULL, "everyone may pull; list their images")
    guarded = PlannedRepository(
        "app", guards=(guard,), broken=(Broken("v9", "missing", ("evil\x1b[31m",)),)
    )
    images = [
        planned("a", size=2_000_000_000),
        planned("b", Reason.TOO_YOUNG, size=7),
        planned("c", Reason.IN_USE, "arn:one", size=7),
        planned("d", Reason.RECENTLY_USED, "arn:one", "2026-02-27", size=7),
    ]
    failed = PlannedRepository(LONG, State.FAILED, "ecr DescribeImages failed")
    return [header, guarded, *images, failed, PlanEnd(2, 4)]


def partly_guarded() -> list[PlanPart]:
    """The same, with another repository that nothing guards."""
    *parts, _ = plan()
    free = planned("d", size=3_000_000_000, repository="free")
    return [*parts, PlannedRepository("free"), free, PlanEnd(3, 5)]


def table(stream: io.StringIO, width: int = 100, parts: Sequence[PlanPart] = ()) -> str:
    summary = summarize_plan(parts or plan())
    assert summary is not None
    write_table(summary, stream, width)
    return stream.getvalue()


def words(line: str) -> list[str]:
    return [one.strip() for one in line.split("  ") if one.strip()]


def test_in_a_pipe_it_is_plain_text_in_full() -> None:
    text = table(io.StringIO(), width=40)
    assert ESCAPE not in text
    titles, app, failed = text.splitlines()[:3]
    assert words(titles) == [
        *("REPOSITORY", "IMAGES", "REMOVE", "UP TO", "A MONTH", "IN USE", "KEPT", "NOTES"),
    ]
    assert words(app) == [
        *("app", "4", "0", "1", "3"),
        "guarded: 1 image, 2.0 GB (cross-account-pull), 1 broken reference",
    ]
    assert words(failed) == [LONG, "0", "0", "0", "0", "failed: ecr DescribeImages failed"]


@pytest.mark.parametrize("stream", [io.StringIO, Terminal])
def test_what_stands_in_the_way_is_below(stream: type[io.StringIO]) -> None:
    text = " ".join(table(stream()).split())
    assert (
        "Nothing would be removed until the guards below are lifted. They keep 1 of 4 images: up "
        "to 2.0 GB, up to $0.20 a month at $0.10 per GB." in text
    )
    assert "would be removed," not in text
    assert "Guard cross-account-pull, in app: everyone may pull; list their images" in text
    assert r"Broken reference: app v9 is missing, used by evil\x1b[31m" in text
    assert "Broken reference: there is no repository gone, used by arn:old" in text
    assert "Not scanned, because waived: eks" in text


def test_what_guards_keep_is_not_among_what_would_be_removed() -> None:
    text = table(io.StringIO(), parts=partly_guarded())
    _, free, app, *_ = text.splitlines()
    assert words(free) == ["free", "1", "1", "3.0 GB", "$0.30", "0", "0"]
    assert words(app)[:5] == ["app", "4", "0", "1", "3"]
    assert (
        "1 of 5 images would be removed, up to 3.0 GB, up to $0.30 a month at $0.10 per GB. The "
        "guards below keep 1 more until they are lifted, up to 2.0 GB. An index" in text
    )


@pytest.mark.parametrize("has_rich", [True, False])
@pytest.mark.parametrize("width", [100, 160])
def test_on_a_terminal_no_line_is_longer_than_it_is_wide(
    monkeypatch: pytest.MonkeyPatch,
    width: int,
    *,
    has_rich: bool,
) -> None:
    if not has_rich:
        monkeypatch.setitem(sys.modules, "rich.console", None)
    text = re.sub(r"\x1b\[[0-9;]*m", "", table(Terminal(), width, partly_guarded()))
    assert max(map(len, text.splitlines())) <= width
    assert "3.0 GB" in text
    assert "$0.30" in text
    # No column is left out for a long name.
    assert all(title in text.splitlines()[0] for title in ("IN USE", "KEPT", "NOTES"))
    assert "guarded: 1" in text
    assert LONG not in text or width > 100


@pytest.mark.parametrize(
    ("width", "name"), [(50, f"{LONG[:49]}…"), (60, f"{LONG[:59]}…"), (72, LONG)]
)
def test_in_a_narrow_terminal_nothing_is_cut_that_fits_on_a_line(width: int, name: str) -> None:
    text = table(Terminal(), width, partly_guarded())
    lines = text.splitlines()
    assert max(map(len, lines)) <= width
    assert words(lines[1]) == ["IMAGES", "REMOVE", "UP TO", "A MONTH", "IN USE", "KEPT"]
    assert [words(line) for line in lines[2:6:2]] == [["free"], ["app"]]
    assert words(lines[3]) == ["1", "1", "3.0 GB", "$0.30", "0", "0"]
    assert words(lines[5]) == ["4", "0", "1", "3"]
    notes = "guarded: 1 image, 2.0 GB (cross-account-pull), 1 broken reference"
    assert notes in " ".join(text.split())
    assert name in lines


def test_narrow_terminal_is_wide_enough_for_short_names_without_notes() -> None:
    text = table(Terminal(), 60, parts_of([planned("a")]))
    titles, app, *_ = re.sub(r"\x1b\[[0-9;]*m", "", text).splitlines()
    assert words(app)[:3] == ["app", "1", "1"]
    assert words(titles)[0] == "REPOSITORY"


def test_table_says_how_to_see_single_images() -> None:
    hint = "For single images, write the page (plan --output plan.html)"
    assert hint in table(io.StringIO())
    assert hint not in table(io.StringIO(), parts=parts_of([]))


def test_guard_names_the_first_repositories() -> None:
    guard = StandingGuard(Guard.EKS_CLUSTERS, "why")
    parts: list[PlanPart] = [HEADER]
    for number in range(5):
        guards = (guard, guard)
        parts += [
            PlannedRepository(f"r{number}", guards=guards),
            planned("a", repository=f"r{number}"),
        ]
    text = table(io.StringIO(), parts=[*parts, PlanEnd(5, 5)])
    assert "Guard eks-clusters, in r0, r1, r2, 2 more: why\n" in text


def test_colours_are_for_terminals(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert ESCAPE in table(Terminal())


def test_plan_of_nothing_is_a_table_of_nothing() -> None:
    summary = summarize_plan(parts_of([]))
    assert summary is not None
    stream: Any = io.StringIO()
    write_table(summary, stream, 80)
    assert "0 of 0 images would be removed" in stream.getvalue()
    assert "No repository is opted in: tag those to clean with BoxCleanerEnabled = true." in (
        stream.getvalue()
    )
