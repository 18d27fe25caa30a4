"""The page of a plan in a real headless Chromium."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from core.test_plan_summary import HEADER, planned
from core.worlds import ago
from e2e.browser import Browser, browser, chromium
from ecr_cleaner.core.in_use import Broken
from ecr_cleaner.core.model import Action, Guard, Image, Reason, StandingGuard, Verdict
from ecr_cleaner.core.near_misses import NearMiss
from ecr_cleaner.core.plan_document import PlanEnd, PlannedImage, PlannedRepository, PlanPart
from ecr_cleaner.core.plan_summary import summarize_plan
from ecr_cleaner.core.trend import MOST_RUNS, Past, RunNumbers
from ecr_cleaner.report.page import MOST_IMAGES, write_page

HOSTILE = "</script><!--\"'\u2028<img src=x onerror=alert(1)><svg onload=alert(2)>"
# Nothing in it ends a line.
LONG = "x" * 300
REPOSITORIES, IMAGES = 12, 500
REASONS = (Reason.UNUSED, Reason.UNUSED, Reason.IN_USE, Reason.TOO_YOUNG, Reason.RECENTLY_USED)


def image(repository: str, number: int) -> PlannedImage:
    reason = REASONS[number % len(REASONS)]
    service = f"arn:aws:ecs:eu-west-1:1:service/{repository}"
    because = {Reason.IN_USE: [service, HOSTILE], Reason.RECENTLY_USED: [service, "2026-02-27"]}
    found = planned(
        f"{repository}-{number}",
        reason,
        *because.get(reason, ()),
        size=(number * 7919 % 1000 + 1) * 1_000_000,
        days=number * 31 % 600,
        repository=repository,
    )
    return replace(found, tags=(f"1.{number}", *([HOSTILE] if number % 50 == 0 else ())))


def plan() -> Iterator[PlanPart]:
    """More images than the page shows, with markup in each place that an account can write to."""
    broken = (Broken(HOSTILE, "missing", (HOSTILE,)),)
    scanned = {"state": "scanned", "usages": 3000}
    coverage: dict[str, dict[str, object]] = {"ecs": scanned, HOSTILE: {"state": HOSTILE}}
    settings = {"keep_days": 30, HOSTILE: HOSTILE}
    yield replace(
        HEADER, run=HOSTILE, missing={HOSTILE: broken}, coverage=coverage, settings=settings
    )
    for repository in range(REPOSITORIES):
        name = f"team/service-{repository}" if repository else HOSTILE
        guard = StandingGuard(Guard.EKS_CLUSTERS, f"the cluster prod was not read: {HOSTILE}{LONG}")
        yield PlannedRepository(name, guards=(guard,) if repository % 5 == 0 else (), broken=broken)
        yield from (image(name, number) for number in range(IMAGES))
    yield PlanEnd(REPOSITORIES, REPOSITORIES * IMAGES)


def past() -> Past:
    """A month of runs, with near misses whose names are markup."""
    days = range(MOST_RUNS, -1, -1)
    runs = tuple(
        RunNumbers(
            f"run-{day}",
            ago(day),
            dry_run=bool(day % 3),
            images=6000 + 40 * day,
            images_bytes=10**12 + day * 10**10,
            removable=900,
            removable_bytes=10**11,
            removed=0 if day % 3 else 800,
            near_misses=day % 4,
        )
        for day in days
    )
    used = Image(HOSTILE, (HOSTILE,), ago(90), pulled_at=ago(1))
    verdict = Verdict(used, Action.KEEP, Reason.IN_USE, (HOSTILE,))
    return Past(runs, tuple(NearMiss(HOSTILE, ago(1), verdict) for _ in range(20)), 50, "")


@pytest.fixture(scope="module")
def tab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    command = chromium()
    if command is None:
        pytest.skip("there is no Chromium, and only root on Debian can install one")
    with browser(command, tmp_path_factory.mktemp("chromium")) as started:
        yield started


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    summary = summarize_plan(plan(), MOST_IMAGES)
    assert summary is not None
    path = tmp_path_factory.mktemp("page") / "plan.html"
    path.write_text("".join(write_page(summary, past())), encoding="utf-8")
    return path


@pytest.fixture
def opened(tab: Browser, page: Path) -> Browser:
    """The page as it is opened, in a wide window."""
    tab.complaints.clear()
    tab.requests.clear()
    tab.emulate()
    tab.resize(1280)
    tab.open(page)
    return tab


SHOWN = "document.getElementById('shown').textContent"
COLUMN = (
    "[...document.querySelectorAll('#image-table tbody tr:not([hidden])')]"
    ".map(row => row.cells[{}].innerText)"
)


def column(tab: Browser, number: int) -> list[str]:
    """Return what is shown in a column of the table of images."""
    found: list[str] = tab.run(COLUMN.format(number))
    return found


def focus(tab: Browser, selector: str) -> None:
    tab.run(f"document.querySelector({selector!r}).focus()")


def test_page_renders_without_complaints_or_requests(opened: Browser, page: Path) -> None:
    assert opened.run("document.querySelectorAll('#image-table tbody tr').length") == MOST_IMAGES
    assert opened.run(SHOWN) == "5,000 of 5,000 images shown"
    assert opened.run("document.querySelectorAll('figure svg rect').length") > 20
    assert opened.run("document.body.innerText.includes('1,000 images more are only')")
    assert opened.complaints == []
    assert opened.requests == [page.as_uri(), "data:,"] or opened.requests == [page.as_uri()]


def test_markup_of_an_account_is_shown_as_text(opened: Browser) -> None:
    count = "document.querySelectorAll({!r}).length"
    assert opened.run(count.format("img")) == 0
    assert opened.run(count.format("script")) == 1
    assert opened.run(count.format("svg")) == 4
    assert opened.run(count.format("[onerror], [onload]")) == 0
    assert opened.run("document.body.innerText.includes('<img src=x onerror=alert(1)>')")


def test_script_that_got_into_the_page_would_not_run(opened: Browser) -> None:
    """The policy is the second line of defence."""
    opened.run(
        "document.body.insertAdjacentHTML('beforeend', '<img src=x onerror=\"window.ran=1\">')"
    )
    opened.run(
        "{ const s = document.createElement('script'); s.text = 'window.ran = 1';"
        "document.body.append(s); }"
    )
    assert opened.run("window.ran") is None
    assert any("Content Security Policy" in one for one in opened.complaints)


def test_search_and_verdict_select_rows(opened: Browser) -> None:
    focus(opened, "#search")
    opened.type("service-3 1.12")
    # The page filters in the next frame.
    twice = "new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))"
    opened.call("Runtime.evaluate", expression=twice, awaitPromise=True)
    names = column(opened, 0)
    assert set(names) == {"team/service-3"}
    assert all(tag.startswith("1.12") for tag in column(opened, 1))
    shown = opened.run(SHOWN)
    assert shown == f"{len(names)} of 5,000 images shown"
    opened.run(
        "{ const s = document.getElementById('fate'); s.value = 'use';"
        "s.dispatchEvent(new Event('change')); }"
    )
    assert set(column(opened, 7)) == {"in_use"}
    assert 0 < len(column(opened, 0)) < len(names)
    assert opened.complaints == []


def test_columns_sort_by_number_and_by_keyboard(opened: Browser) -> None:
    header = "#image-table thead th:nth-child(4)"
    focus(opened, f"{header} button")
    opened.press("Enter", 13, "\r")
    ages = [int(age.replace(",", "")) for age in column(opened, 3)]
    assert ages == sorted(ages, reverse=True)
    assert ages[0] > ages[-1]
    state = f"document.querySelector('{header}').getAttribute('aria-sort')"
    assert opened.run(state) == "descending"
    opened.press("Enter", 13, "\r")
    ages = [int(age.replace(",", "")) for age in column(opened, 3)]
    assert ages == sorted(ages)
    assert opened.run(state) == "ascending"
    focus(opened, "#image-table thead th:nth-child(1) button")
    opened.press(" ", 32, " ")
    names = column(opened, 0)
    assert names[0] == "team/service-11"
    assert opened.run(state) is None
    assert opened.complaints == []


# What is cut off on the right: nothing but what is in a box that scrolls.
CUT_OFF = """
[...document.querySelectorAll('body *')]
  .filter(e => !e.closest('.scroll') && !e.closest('.skip') && e.offsetParent)
  .filter(e => e.getBoundingClientRect().right > innerWidth + 0.5)
  .map(e => e.tagName + ' ' + e.textContent.slice(0, 40))
"""


@pytest.mark.parametrize("width", [1280, 400, 320])
def test_page_fits_the_window(opened: Browser, width: int, tmp_path: Path) -> None:
    opened.resize(width)
    assert opened.run("document.documentElement.scrollWidth") <= width
    assert opened.run(CUT_OFF) == []
    boxes = "[...document.querySelectorAll('.scroll')].every(box => box.tabIndex === 0)"
    assert opened.run(boxes)
    picture = tmp_path / f"page-{width}.png"
    opened.picture(picture)
    assert struct.unpack(">II", picture.read_bytes()[16:24]) == (width, 900)


def test_table_is_scrolled_by_keyboard_and_alone(opened: Browser) -> None:
    opened.resize(400)
    box = "document.getElementById('image-table').parentElement"
    before = opened.run(f"{box}.scrollWidth - {box}.clientWidth")
    assert before > 100
    opened.run(f"{box}.scrollLeft = 50")
    assert opened.run(f"{box}.scrollLeft") == 50
    assert opened.run("document.documentElement.scrollLeft") == 0


def test_latest_runs_are_in_sight(opened: Browser, page: Path) -> None:
    opened.resize(400)
    opened.open(page)
    box = "document.querySelector('.latest .scroll')"
    assert opened.run(f"{box}.scrollLeft + {box}.clientWidth >= {box}.scrollWidth - 1")


# Relative luminance and contrast: https://www.w3.org/TR/WCAG22/#dfn-contrast-ratio
CONTRAST = """
[...document.querySelectorAll(
  'h1, h2, p, a, li, td, th, .remove, .use, .lately, .keep, .near, .quiet, caption')]
  .filter(e => e.offsetParent && !e.closest('svg') && !e.closest('.skip') && e.textContent)
  .slice(0, 3000)
  .map(e => {
    const parse = c => c.match(/[0-9.]+/g).map(Number);
    const light = c => parse(c).slice(0, 3).map(v => v / 255)
      .map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
      .reduce((s, v, i) => s + v * [0.2126, 0.7152, 0.0722][i], 0);
    let back = e;
    const isClear = one => parse(getComputedStyle(one).backgroundColor)[3] === 0;
    while (back && isClear(back)) back = back.parentElement;
    const pair = [light(getComputedStyle(e).color),
      light(back ? getComputedStyle(back).backgroundColor : 'rgb(255,255,255)')];
    return (Math.max(...pair) + 0.05) / (Math.min(...pair) + 0.05);
  })
"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_has_contrast(opened: Browser, scheme: str) -> None:
    opened.emulate(scheme=scheme)
    ratios = opened.run(CONTRAST)
    assert len(ratios) > 1000
    assert min(ratios) >= 4.5
    background = opened.run("getComputedStyle(document.body).backgroundColor")
    assert (background == "rgb(255, 255, 255)") is (scheme == "light")


def test_page_prints_without_its_tools(opened: Browser) -> None:
    opened.emulate("print", "dark")
    shown = "getComputedStyle(document.querySelector({!r})).display"
    assert opened.run(shown.format("nav")) == "none"
    assert opened.run(shown.format("#tools")) == "none"
    assert opened.run("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
