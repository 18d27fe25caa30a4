"""The page of a plan: one file that holds everything and executes nothing of an account."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterator
from dataclasses import replace
from html.parser import HTMLParser
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.test_plan_summary import HEADER, parts_of, planned
from core.worlds import NOW, ago, sha
from ecr_cleaner.core.applied_plan import AppliedPlan, Became, End
from ecr_cleaner.core.approval import Approved, Stays
from ecr_cleaner.core.explanations import MEANINGS, REMOVES
from ecr_cleaner.core.in_use import Broken
from ecr_cleaner.core.model import Action, Guard, Image, Reason, StandingGuard, Verdict
from ecr_cleaner.core.near_misses import NearMiss
from ecr_cleaner.core.plan_document import (
    PlanEnd,
    PlannedImage,
    PlannedRepository,
    PlanPart,
    State,
)
from ecr_cleaner.core.plan_summary import summarize_plan
from ecr_cleaner.core.settings import Mode
from ecr_cleaner.core.trend import NO_PAST, Past, RunNumbers
from ecr_cleaner.report import applied_page, page
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


def html_of(parts: list[PlanPart], most_rows: int = 100, past: Past = NO_PAST) -> str:
    summary = summarize_plan(parts, most_rows)
    assert summary is not None
    return "".join(write_page(summary, past))


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


def past_of(text: str) -> Past:
    """Earlier runs with this text in each place where an account may have put it."""
    image = Image(text, (text,), ago(90), pulled_at=ago(1))
    verdict = Verdict(image, Action.KEEP, Reason.IN_USE, (text,))
    runs = [RunNumbers(f"{text}{day}", ago(day), dry_run=True, images=9) for day in (2, 1)]
    return Past(tuple(runs), (NearMiss(text, ago(1), verdict),), 1, "")


def shape(text: str) -> list[str]:
    return [tag for tag, _ in Page(html_of(hostile(text), past=past_of(text))).tags]


def test_what_an_account_holds_is_text_and_never_markup() -> None:
    found = Page(html_of(hostile(HOSTILE), past=past_of(HOSTILE)))
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
    text = html_of(hostile("plain"), past=past_of("plain"))
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
    found = Page(html_of(hostile("plain"), past=past_of("plain")))
    levels = [int(tag[1]) for tag, _ in found.tags if re.fullmatch("h[1-6]", tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(later - earlier <= 1 for earlier, later in pairwise(levels))
    names = {one["id"] for _, one in found.tags if "id" in one}
    assert all(one["aria-labelledby"] in names for one in found.named("section"))
    assert all(one["href"][1:] in names for one in found.named("a"))
    assert all(one["for"] in names for one in found.named("label"))
    assert found.named("html") == [{"lang": "en"}]
    svgs = [one["aria-labelledby"].split() for one in found.named("svg")]
    assert len(svgs) == 4
    assert all(name in names for svg in svgs for name in svg)
    assert len(names) == sum("id" in one for _, one in found.tags)


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
        "0",
        "1",
        "",
        "unused 1, parent_removed 1, time_unknown 1",
    )
    assert {"title": sha("a")} in found.named("code")


def test_what_is_used_now_and_what_was_used_lately_are_apart() -> None:
    images = [
        planned("a", Reason.IN_USE, "arn:service"),
        planned("b", Reason.FAMILY_IN_USE, "arn:service"),
        planned("c", Reason.RECENTLY_USED, "arn:job", "2026-02-27"),
    ]
    found = Page(html_of(parts_of(images)))
    reasons = "in_use 1, family_in_use 1, recently_used 1"
    assert found.row("app", "3", "0", "0 B", "$0.00", "2", "1", "0", "", reasons)
    assert "Used lately" in "".join(found.text)


def test_each_reason_has_its_sentence_and_its_number() -> None:
    found = Page(html_of(parts_of([planned("a"), planned("b"), planned("c", Reason.TOO_YOUNG)])))
    counts = {Reason.UNUSED: "2", Reason.TOO_YOUNG: "1"}
    for reason, meaning in MEANINGS.items():
        verdict = "remove" if reason in REMOVES else "keep"
        assert found.row(reason.value, verdict, meaning, counts.get(reason, "0"))


def test_sizes_are_said_to_be_upper_bounds() -> None:
    text = " ".join(html_of(parts_of([planned("a")])).split())
    assert "Sizes and costs are upper bounds. An index is counted once" in text


def test_near_misses_are_named_with_their_consumers() -> None:
    found = Page(html_of(hostile("plain"), past=past_of("app")))
    assert found.row(
        *("app", "app", "app", "2026-02-28 12:00", "in_use", "app", "2026-02-28"),
    )
    assert "Of 7, the 1 first near misses are shown." in html_of(
        hostile("plain"), past=replace(past_of("app"), near_misses=7)
    )
    untagged = replace(past_of("app").near[0].verdict.image, tags=(), pulled_at=None)
    verdict = Verdict(untagged, Action.KEEP, Reason.RECENTLY_PULLED)
    past = Past(near=(NearMiss("app", ago(1), verdict),), near_misses=1, unknown="")
    row = ("app", "none", "app", "2026-02-28 12:00", "recently_pulled", "", "")
    assert Page(html_of(hostile("plain"), past=past)).row(*row)


@pytest.mark.parametrize(
    ("past", "text"),
    [
        (NO_PAST, "Unknown. There is no earlier plan to compare with."),
        (Past(unknown="It <could> not be read."), "Unknown. It &lt;could&gt; not be read."),
        (Past(near_misses=0, unknown=""), "<p>None.</p>"),
    ],
)
def test_page_says_whether_near_misses_are_known(past: Past, text: str) -> None:
    assert text in html_of(hostile("plain"), past=past)


def run_of(
    days: int, images: int, removable: int, *, removed: int = 0, dry_run: bool = False, **more: Any
) -> RunNumbers:
    """The numbers of a run so many days ago; each image has 4 bytes."""
    numbers = {"images": images, "removable": removable, "removed": removed}
    more |= {f"{name}_bytes": 4 * number for name, number in numbers.items()}
    return RunNumbers(str(days), ago(days), dry_run, **(more | numbers))


def runs_of(*runs: RunNumbers) -> str:
    return html_of(hostile("plain"), past=Past(runs))


def test_runs_are_side_by_side_as_plots_and_as_a_table() -> None:
    dry = run_of(2, 1000, 200, dry_run=True, unjudged=1)
    real = run_of(1, 1000, 200, removed=150, near_misses=3)
    applied = run_of(0, 10, 2, applied=True, removed=2, near_misses=0)
    waits = run_of(3, 1000, 200, dry_run=True, waits=True)
    text = runs_of(waits, dry, real, applied)
    found = Page(text)
    assert found.row(
        *("2026-02-26 12:00", "waits for approval", "1,000", "4 kB", "200", "800 B", "0", "0 B"),
        *("unknown", "0"),
    )
    assert found.row(
        *("2026-02-27 12:00", "dry run", "1,000", "4 kB", "200", "800 B", "0", "0 B"),
        *("unknown", "1"),
    )
    assert found.row(
        *("2026-02-28 12:00", "removes", "1,000", "4 kB", "200", "800 B", "150", "600 B"),
        *("3", "0"),
    )
    assert found.row(
        *("2026-03-01 12:00", "applied a plan", "10", "40 B", "2", "8 B", "2", "8 B", "0", "0")
    )
    stays = bars(text, "keep", "runs-images")
    assert stays == pytest.approx([stays[0]] * 3)
    would, removed = (bars(text, kind, "runs-images") for kind in ("remove", "gone"))
    assert [would[1], would[2], removed[0]] == pytest.approx(
        [stays[0] / 4, stays[0] / 16, stays[0] * 3 / 16], abs=0.2
    )
    assert "2026-02-28 12:00: 150 images removed" in text
    assert '<text class="near"' in text
    assert text.count("▲ 3") == 2


def test_one_run_has_no_trend() -> None:
    assert "There are no numbers of earlier runs." in runs_of(RunNumbers("1", NOW, dry_run=True))
    assert "There are no numbers of earlier runs." in runs_of()


def test_more_runs_than_dates_fit_name_the_latest() -> None:
    runs = [RunNumbers(str(day), ago(day), dry_run=True, images=5) for day in range(29, -1, -1)]
    text = runs_of(*runs)
    assert ">03-01</text>" in text
    assert ">02-28</text>" not in text


def test_run_that_removed_more_than_it_planned_fits_its_plot() -> None:
    """Between its plan and its sweep, a run judges again."""
    text = runs_of(run_of(1, 9, 2, removed=3), run_of(0, 9, 2, removed=3))
    assert min(bars(text, "gone", "runs-bytes")) > 0
    assert not bars(text, "remove", "runs-bytes")


def test_guards_failures_and_coverage_are_shown() -> None:
    found = Page(html_of(hostile("odd")))
    text = " ".join("".join(found.text).split())
    assert "Guard eks-clusters, in 1 repository" in text
    assert "odd2: failed" in text
    assert found.row("odd", "odd", "", '{"odd": "odd"}')
    assert found.row("odd", "odd", "no such repository", "odd")
    assert found.row("odd", "1", "10 B")


def test_what_guards_keep_is_not_among_the_images_to_remove() -> None:
    guard = StandingGuard(Guard.EKS_CLUSTERS, "why")
    parts: list[PlanPart] = [
        HEADER,
        PlannedRepository("free"),
        planned("a", size=3_000_000_000, repository="free"),
        PlannedRepository("guarded", guards=(guard,)),
        planned("b", size=4_000_000_000, repository="guarded"),
        planned("c", size=4_000_000_000, repository="guarded"),
        PlanEnd(2, 3),
    ]
    text = html_of(parts)
    assert '<dt>Images to remove</dt><dd class="remove">1</dd>' in text
    assert "<dt>Storage, up to</dt><dd>3.0 GB</dd>" in text
    assert "<dt>Behind guards</dt><dd>2</dd>" in text


def test_page_of_nothing_says_so() -> None:
    text = html_of([HEADER, PlanEnd(0, 0)])
    assert "Nothing: no guard stands" in text
    assert "None: every image that a consumer names exists." in text
    assert "No image in use was found." in text


@pytest.mark.parametrize(
    ("mode", "told"),
    [
        (Mode.DRY_RUN, "A dry run: it removed nothing."),
        (Mode.PLAN, "A plan that waits for approval: the run removed nothing."),
        (Mode.CLEAN, "Not a dry run: what it really removed is in its log."),
    ],
)
def test_page_says_what_the_run_did_about_its_verdicts(mode: Mode, told: str) -> None:
    assert told in html_of([replace(HEADER, mode=mode), PlanEnd(0, 0)])


def applied_to(text: str) -> AppliedPlan:
    """A plan of two images, of which one was removed, with this text wherever it may be."""
    removed = replace(planned("a", size=3_000_000_000, repository=text), tags=(text,))
    kept = replace(planned("b", size=5, repository=text), tags=())
    header = replace(HEADER, run=text, time=ago(2))
    images = {one.digest: one for one in (removed, kept)}
    applied = AppliedPlan(f"s3://bucket/{text}", Approved(header, {text: images}))
    verdict = Verdict(Image(sha("b"), (text,), ago(90)), Action.KEEP, Reason.IN_USE, (text,))
    ends = {sha("a"): End(Became.REMOVED), sha("b"): End(Stays.KEPT, verdict, detail=text)}
    applied.note(text, ends)
    return applied


def page_of_applying(applied: AppliedPlan, *, dry_run: bool = False) -> str:
    name = next(iter(applied.approved.images))
    summary = summarize_plan(
        [
            replace(HEADER, dry_run=dry_run, mode=Mode.APPLY),
            PlannedRepository(name),
            planned("a", repository=name),
            planned("b", Reason.IN_USE, name, repository=name),
            planned("c", repository=name),
            planned("d", Reason.TOO_YOUNG, repository=name),
            PlanEnd(1, 4),
        ],
        100,
    )
    assert summary is not None
    return "".join(write_page(summary, NO_PAST, applied))


def test_page_of_an_applied_plan_says_which_and_what_became_of_it() -> None:
    text = page_of_applying(applied_to("app"))
    found = Page(text)
    told = " ".join("".join(found.text).split())
    assert "Applied ECR plan of 111122223333 in eu-west-1" in told
    assert "Applied the plan of 2026-02-27 12:00 UTC, run app: s3://bucket/app." in told
    assert '<dt>Images removed</dt><dd class="remove">1</dd>' in text
    assert "<dt>Of images of the plan</dt><dd>2</dd>" in text
    assert "<dt>Storage, up to</dt><dd>3.0 GB</dd>" in text
    assert "<dt>Not removed</dt><dd>1</dd>" in text
    assert "Images to remove" not in text
    assert found.row("removed", "1")
    assert found.row("kept now", "1")
    assert found.row("app", "2", "1", "3.0 GB", "1")
    rows = [row for row in found.cells if row[0] == "app" and len(row) == 7]
    assert rows == [
        ["app", "none", sha("b")[7:19], "5 B", "kept now", "in_use", "app, app"],
        ["app", "app", sha("a")[7:19], "3.0 GB", "removed", "", ""],
    ]
    verdicts = {row[1]: row[6] for row in found.cells if row[0] == "app" and len(row) == 9}
    assert verdicts == {
        "a": "delete: removed",
        "b": "keep: kept now",
        "c": "delete: not in the plan, stays",
        "d": "keep",
    }


def test_plan_that_was_applied_in_a_dry_run_removed_nothing() -> None:
    applied = applied_to("app")
    applied.note("app", {sha("a"): End(Became.WOULD_BE_REMOVED), sha("b"): End(Stays.GONE)})
    text = page_of_applying(applied, dry_run=True)
    assert "Applied, as a dry run that removed nothing, the plan of 2026-02-27" in text
    assert '<dt>Would be removed</dt><dd class="remove">1</dd>' in text


def test_page_of_an_applied_plan_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(applied_page, "MOST_IMAGES", 1)
    text = " ".join(page_of_applying(applied_to("app")).split())
    assert "Of 2 images, 1 are shown: those that were not removed first." in text


def test_page_of_an_applied_plan_shows_what_an_account_holds_as_text() -> None:
    text = page_of_applying(applied_to(HOSTILE))
    found, plain = Page(text), Page(page_of_applying(applied_to("plain")))
    assert [tag for tag, _ in found.tags] == [tag for tag, _ in plain.tags]
    assert not re.search("[\u2028\u202e\x00]", text)
    names = {one["id"] for _, one in found.tags if "id" in one}
    assert all(one["href"][1:] in names for one in found.named("a"))


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


def bars(text: str, kind: str, plot: str = "ages") -> list[float]:
    """Return the heights of the rectangles of one kind in a plot."""
    svg = text.partition(f'id="plot-{plot}-title"')[2].partition("</svg>")[0]
    found = re.findall(rf'<rect class="{kind}" [^>]*height="([0-9.]+)"><title>', svg)
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
