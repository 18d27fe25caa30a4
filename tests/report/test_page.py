"""The page of a plan: one file that holds everything and executes nothing of an account."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterator
from dataclasses import replace
from html.parser import HTMLParser
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.test_plan_summary import HEADER, parts_of, planned
from core.worlds import ago, sha
from ecr_cleaner.core.in_use import Broken
from ecr_cleaner.core.model import Action, Guard, Reason, StandingGuard
from ecr_cleaner.core.plan_document import (
    PlanEnd,
    PlannedImage,
    PlannedRepository,
    PlanPart,
    State,
)
from ecr_cleaner.core.plan_summary import summarize_plan
from ecr_cleaner.report import page
from ecr_cleaner.report.page import write_page

HOSTILE = "</script><!--\"'&amp;\u2028<img src=x onerror=alert(1)>\u202e\x00"
SHOWN = "</script><!--\"'&amp;\\u2028<img src=x onerror=alert(1)>\\u202e\\x00"

VOID = {"meta", "link", "input"}


class Page(HTMLParser):
    """The elements of a page with their text; an element that is not closed is an error."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.cells: list[list[str]] = []
        self.text: list[str] = []
        self._open: list[str] = []
        self.feed(text)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, {name: value or "" for name, value in attrs}))
        if tag not in VOID:
            self._open.append(tag)
        if tag == "tr":
            self.cells.append([])
        if tag in {"td", "th"}:
            self.cells[-1].append("")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, {name: value or "" for name, value in attrs}))

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text.append(data)
        if any(one in {"td", "th"} for one in self._open):
            self.cells[-1][-1] += data

    def handle_comment(self, data: str) -> None:
        raise AssertionError(f"there is a comment: {data}")

    def named(self, name: str) -> list[dict[str, str]]:
        return [attributes for tag, attributes in self.tags if tag == name]

    def row(self, *cells: str) -> bool:
        return list(cells) in self.cells


def html_of(parts: list[PlanPart], most_rows: int = 100) -> str:
    summary = summarize_plan(parts, most_rows)
    assert summary is not None
    return "".join(write_page(summary))


def hostile(text: str) -> list[PlanPart]:
    """A plan with this text in each place where an account may have put it."""
    broken = (Broken(text, "missing", (text,)),)
    header = replace(
        HEADER,
        run=text,
        missing={text: broken},
        coverage={text: {"state": text, text: text}},
        settings={text: text},
    )
    guard = StandingGuard(Guard.EKS_CLUSTERS, text)
    image = replace(planned("a", Reason.IN_USE, text, repository=text), tags=(text,), digest=text)
    failed = PlannedRepository(f"{text}2", State.FAILED, text)
    first = PlannedRepository(text, guards=(guard,), broken=broken)
    return [header, first, image, failed, PlanEnd(2, 1)]


def shape(text: str) -> list[str]:
    return [tag for tag, _ in Page(html_of(hostile(text))).tags]


def test_what_an_account_holds_is_text_and_never_markup() -> None:
    found = Page(html_of(hostile(HOSTILE)))
    assert shape(HOSTILE) == shape("plain")
    assert len(found.named("script")) == 1
    assert found.named("img") == []
    assert SHOWN in "".join(found.text)
    assert found.row(SHOWN, SHOWN, "missing", SHOWN)
    assert not re.search("[\u2028\u202e\x00]", html_of(hostile(HOSTILE)))


@given(st.text(min_size=1))
def test_any_text_leaves_the_page_as_it_is(text: str) -> None:
    assert shape(text) == shape("plain")


def test_nothing_is_requested_from_anywhere() -> None:
    text = html_of(hostile("plain"))
    found = Page(text)
    addresses = [
        attributes[name]
        for _, attributes in found.tags
        for name in ("src", "href", "action", "srcset", "data", "poster")
        if name in attributes
    ]
    assert {one for one in addresses if not one.startswith("#")} == {"data:,"}
    assert not re.search(r"url\(|@import|https?://(?!www\.w3\.org)", text)


def test_policy_allows_its_own_style_and_script_only() -> None:
    text = html_of(hostile(HOSTILE))
    (policy,) = [
        one["content"]
        for one in Page(text).named("meta")
        if one.get("http-equiv") == "Content-Security-Policy"
    ]
    for name in ("style", "script"):
        (content,) = re.findall(rf"<{name}>(.*?)</{name}>", text, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
        assert f"{name}-src 'sha256-{digest}'" in policy
    assert policy.startswith("default-src 'none'; ")
    assert "unsafe" not in policy
    # The policy does not allow attributes with style or code.
    attributes = {name for _, found in Page(text).tags for name in found}
    assert not {name for name in attributes if name.startswith("on") or name == "style"}


def test_headings_are_in_order_and_sections_have_names() -> None:
    found = Page(html_of(hostile("plain")))
    levels = [int(tag[1]) for tag, _ in found.tags if re.fullmatch("h[1-6]", tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(later - earlier <= 1 for earlier, later in pairwise(levels))
    names = {one["id"] for _, one in found.tags if "id" in one}
    assert all(one["aria-labelledby"] in names for one in found.named("section"))
    assert all(one["href"][1:] in names for one in found.named("a"))
    assert all(one["for"] in names for one in found.named("label"))
    assert found.named("html") == [{"lang": "en"}]
    assert all(one["aria-label"] for one in found.named("svg"))


def test_images_are_shown_with_their_reasons() -> None:
    image = replace(planned("a", size=214_000_000), pulled_at=ago(60))
    child = replace(
        planned("b", size=7), reason=Reason.PARENT_REMOVED, because=(sha("a"),), tags=()
    )
    unknown = replace(planned("c", Reason.TIME_UNKNOWN, size=1), pushed_at=None)
    found = Page(html_of(parts_of([image, child, unknown])))
    short, parent = sha("a")[7:19], sha("a")[7:19]
    assert found.row(*("app", "a", short, "100", "214 MB", "2025-12-31", "delete", "unused", ""))
    assert found.row(
        *("app", "none", sha("b")[7:19], "100", "7 B", "", "delete", "parent_removed", parent)
    )
    assert found.row(
        *("app", "c", sha("c")[7:19], "unknown", "1 B", "", "keep", "time_unknown", "")
    )
    assert found.row(
        "app",
        "3",
        "2",
        "214 MB",
        "$0.02",
        "0",
        "1",
        "unused 1, parent_removed 1, time_unknown 1",
        "",
    )
    assert {"title": sha("a")} in found.named("code")


def test_guards_failures_and_coverage_are_shown() -> None:
    found = Page(html_of(hostile("odd")))
    text = " ".join("".join(found.text).split())
    assert "Guard eks-clusters, before 1 repository" in text
    assert "odd2: failed" in text
    assert found.row("odd", "odd", "", '{"odd": "odd"}')
    assert found.row("odd", "odd", "no such repository", "odd")
    assert found.row("odd", "1", "10 B")


def test_page_of_nothing_says_so() -> None:
    text = html_of([HEADER, PlanEnd(0, 0)])
    assert "Nothing: no guard stands" in text
    assert "None: every image that a consumer names exists." in text
    assert "No image in use was found." in text
    assert "A dry run: it removed nothing." in text
    real = html_of([replace(HEADER, dry_run=False), PlanEnd(0, 0)])
    assert "what it really removed is in its log" in real


def test_above_its_bounds_the_page_says_what_it_does_not_show(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("MOST_REPOSITORIES", "MOST_BROKEN", "MOST_USERS", "_BARS"):
        monkeypatch.setattr(page, name, 1)

    def parts() -> Iterator[PlanPart]:
        yield HEADER
        for name in ("one", "two"):
            broken = tuple(Broken(f"{name}{n}", "missing", ("arn:service",)) for n in range(2))
            yield PlannedRepository(name, broken=broken)
            yield planned(name, Reason.IN_USE, f"arn:{name}", repository=name)
            yield planned(f"{name}2", repository=name)
        yield PlanEnd(2, 4)

    text = " ".join(html_of(list(parts()), most_rows=1).split())
    assert "This page shows 1 image: those to remove first, then the largest. 3 images" in text
    assert "Of 2, the 1 repositories with the most to gain are shown." in text
    assert "Of 4, the 1 first broken references are shown." in text
    assert "The 1 consumers of 2 that keep the most are shown." in text
    assert "Size by repository and verdict, the 1 largest" in text


def test_consumers_beyond_counting_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ecr_cleaner.core.plan_summary.MOST_CONSUMERS", 2)
    monkeypatch.setattr(page, "MOST_USERS", 1)
    images = [planned(name, Reason.IN_USE, f"arn:{name}") for name in "abc"]
    assert "The 1 consumers of more than 2 that" in html_of(parts_of(images))


def bars(text: str, kind: str) -> list[float]:
    figures = text.partition("<figure>")[2].partition("</figure>")[0]
    found = re.findall(rf'<rect class="{kind}" [^>]*height="([0-9.]+)"><title>', figures)
    return [float(one) for one in found]


def test_plots_are_in_proportion() -> None:
    def image(name: str, size: int, days: int, reason: Reason) -> PlannedImage:
        return planned(
            name, reason, *(["arn"] if reason is Reason.IN_USE else []), size=size, days=days
        )

    text = html_of(
        parts_of(
            [
                image("a", 300, 400, Reason.UNUSED),
                image("b", 100, 400, Reason.IN_USE),
                image("c", 200, 3, Reason.TOO_YOUNG),
                replace(image("d", 100, 50, Reason.UNUSED), verdict=Action.ARCHIVE),
            ]
        )
    )
    young, middle, old = bars(text, "keep"), bars(text, "use"), bars(text, "remove")
    assert (len(young), len(middle), len(old)) == (1, 1, 2)
    assert young[0] == pytest.approx(2 * middle[0], abs=0.2)
    assert sorted(old) == pytest.approx([middle[0], 3 * middle[0]], abs=0.3)


def test_long_names_fit_into_the_plot() -> None:
    name = "a-very-long-name-of-a-team/and-of-its-service"
    text = html_of(parts_of([planned("a", repository=name)]))
    assert f">…{name[-26:]}</text>" in text
    assert f"<title>{name}: 10 B" in text
