"""A plan as one HTML file, which needs nothing else and requests nothing."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from functools import cache
from importlib.resources import files
from string import Template

from ecr_cleaner.core.applied_plan import AppliedPlan
from ecr_cleaner.core.explanations import MEANINGS, REMOVES
from ecr_cleaner.core.in_use import Broken
from ecr_cleaner.core.model import Reason
from ecr_cleaner.core.plan_document import PlannedImage, State
from ecr_cleaner.core.plan_summary import (
    AGE_NAMES,
    UNKNOWN_AGE,
    Fate,
    PlanSummary,
    RepositorySum,
    age_days,
    fate_of,
)
from ecr_cleaner.core.settings import Mode
from ecr_cleaner.core.text import counted, dollars, human_size, price_tag
from ecr_cleaner.core.trend import NO_PAST, Past
from ecr_cleaner.report import applied_page
from ecr_cleaner.report import past as past_parts
from ecr_cleaner.report.markup import (
    Cell,
    because_of,
    cut,
    digest_of,
    listed,
    name_of,
    number_cell,
    row,
    section,
    shown,
    size_cell,
    table,
)
from ecr_cleaner.report.plots import CLASSES, LABELS, ages_figure, repositories_figure

# Rows of a table that a browser sorts and filters without delay. A page of as many images as that
# has about 4 MB.
MOST_IMAGES = 5_000
MOST_REPOSITORIES = 2_000
MOST_BROKEN = 1_000
MOST_USERS = 200
_BARS = 20

# The sections in their order: identity, the name in the list of them, and the heading.
_SECTIONS = (
    ("applied", "Applied plan", "What became of the plan"),
    ("guards", "In the way", "What stands in the way"),
    ("repositories", "Repositories", "By repository"),
    ("plots", "Plots", "Where the storage is"),
    ("near", "Near misses", "Near misses"),
    ("runs", "Last runs", "The last runs"),
    ("users", "Kept by whom", "What is kept, and by whom"),
    ("broken", "Broken references", "Broken references"),
    ("coverage", "Coverage", "Coverage"),
    ("reasons", "Reasons", "What the reasons mean"),
    ("images", "Images", "Images"),
    ("settings", "Settings", "Settings"),
)


# What a run did, by its mode.
_MODES = {
    Mode.DRY_RUN: "A dry run: it removed nothing.",
    Mode.PLAN: "A plan that waits for approval: the run removed nothing.",
    Mode.CLEAN: "Not a dry run: what it really removed is in its log.",
    Mode.APPLY: "A run that applied a plan: what it really removed is in its log.",
}


def write_page(
    summary: PlanSummary, past: Past = NO_PAST, applied: AppliedPlan | None = None
) -> Iterator[str]:
    """Yield the page of a plan in pieces. ``summary`` holds at most ``MOST_IMAGES`` rows.

    ``applied`` is what became of the plan that the run applied; None: it applied none.
    """
    before, after = _template()
    registry = summary.header.registry
    what = "Applied ECR plan" if applied else "ECR plan"
    title = f"{what} of {registry.account} in {registry.region}"
    yield before.substitute(title=shown(title), policy=_policy())
    yield from _begin(summary, past, applied, title)
    content = {
        **({"applied": applied_page.section(applied)} if applied else {}),
        "guards": _guards(summary),
        "repositories": _repositories(summary),
        "plots": _plots(summary),
        "near": past_parts.near_misses(past),
        "runs": past_parts.last_runs(past),
        "users": _users(summary),
        "broken": _broken(summary),
        "coverage": _coverage(summary),
        "reasons": _reasons(summary),
        "images": _images(summary, applied),
        "settings": _settings(summary),
    }
    for name, _, heading in _sections(applied):
        yield from section(name, heading, content[name])
    yield "</main>"
    yield after


@cache
def _template() -> tuple[Template, str]:
    """Return the page up to its body, and what comes after that."""
    text = _page()
    before, after = text.split("$body")
    return Template(before), after


@cache
def _policy() -> str:
    """Return the content security policy: our own style and script, and nothing else at all."""
    text = _page()
    hashes = {
        name: _hash(re.findall(rf"<{name}>(.*?)</{name}>", text, re.DOTALL)[0])
        for name in ("style", "script")
    }
    return (
        f"default-src 'none'; style-src {hashes['style']}; script-src {hashes['script']}; "
        "img-src data:; base-uri 'none'; form-action 'none'"
    )


@cache
def _page() -> str:
    return files("ecr_cleaner.report").joinpath("page.html").read_text(encoding="utf-8")


def _hash(content: str) -> str:
    digest = base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
    return f"'sha256-{digest}'"


def _sections(applied: AppliedPlan | None) -> tuple[tuple[str, str, str], ...]:
    return _SECTIONS if applied else _SECTIONS[1:]


def _begin(
    summary: PlanSummary, past: Past, applied: AppliedPlan | None, title: str
) -> Iterator[str]:
    header, dry_run = summary.header, summary.header.dry_run
    done = applied_page.done(applied, dry_run=dry_run) if applied else _MODES[header.mode]
    near = "unknown" if past.near_misses is None else f"{past.near_misses:,}"
    price = header.price_per_gb_month
    links = "".join(
        f'<li><a href="#{name}">{link}</a></li>\n' for name, link, _ in _sections(applied)
    )
    yield f"""<header><h1>{shown(title)}</h1>
<p class="quiet">Judged {header.time:%Y-%m-%d %H:%M} UTC, run <code>{shown(header.run)}</code>.
{done}</p>
<nav aria-label="Sections"><ul>
{links}</ul></nav></header><main>
<dl class="figures">
{applied_page.figures(applied, price, dry_run=dry_run) if applied else _figures(summary)}\
<div><dt>Repositories</dt><dd>{len(summary.repositories):,}</dd></div>
<div><dt>Behind guards</dt><dd>{summary.guarded.images:,}</dd></div>
<div><dt>Near misses</dt><dd><a href="#near">{near}</a></dd></div>
</dl>
<p class="quiet">Sizes and costs are upper bounds. An index is counted once, by the images that it
lists. Layers that images share are stored once and counted in each of them, because the manifests
of images are not read. The price is {price_tag(price)} per GB and month (PRICE_PER_GB_MONTH).</p>
"""


def _figures(summary: PlanSummary) -> str:
    remove, price = summary.unguarded, summary.header.price_per_gb_month
    return f"""<div><dt>Images to remove</dt><dd class="remove">{remove.images:,}</dd></div>
<div><dt>Of images judged</dt><dd>{summary.total.images:,}</dd></div>
<div><dt>Storage, up to</dt><dd>{human_size(remove.size_bytes)}</dd></div>
<div><dt>A month, up to</dt><dd>{shown(dollars(remove.size_bytes, price))}</dd></div>
"""


def _guards(summary: PlanSummary) -> Iterator[str]:
    behind: dict[tuple[str, str], list[str]] = {}
    for one in summary.repositories:
        for guard in one.planned.guards:
            behind.setdefault((guard.guard, guard.why), []).append(one.name)
    for (guard_name, why), names in behind.items():
        yield (
            f'<div class="note"><h3>Guard <code>{shown(guard_name)}</code>, in '
            f"{len(names):,} {'repository' if len(names) == 1 else 'repositories'}</h3>"
            f'<p>{shown(why)}</p><p class="quiet">{listed(names)}</p></div>'
        )
    for one in summary.repositories:
        if one.planned.state is not State.JUDGED:
            yield (
                f'<div class="note"><h3>{name_of(one.name)}: {shown(one.planned.state)}</h3>'
                f"<p>{shown(one.planned.problem)}</p></div>"
            )
    if not behind and all(one.planned.state is State.JUDGED for one in summary.repositories):
        yield "<p>Nothing: no guard stands, and every repository was judged.</p>"


def _repositories(summary: PlanSummary) -> Iterator[str]:
    titles = (
        *("Repository", "Images", "Remove", "Up to", "A month", "In use", "Used lately"),
        *("Kept otherwise", "Guards", "Verdicts by reason"),
    )
    price = summary.header.price_per_gb_month
    chosen = summary.repositories[:MOST_REPOSITORIES]
    yield cut(len(summary.repositories), len(chosen), "repositories with the most to gain")
    rows = (_repository_row(one, price) for one in chosen)
    yield from table("Repositories, by what there is to gain", titles, rows)


def _repository_row(one: RepositorySum, price: float) -> str:
    remove = one.removable
    reasons = ", ".join(f"{reason} {count:,}" for reason, count in one.reasons.most_common())
    guards = ", ".join(dict.fromkeys(guard.guard.value for guard in one.planned.guards))
    state = "" if one.planned.state is State.JUDGED else str(one.planned.state)
    return row(
        Cell(name_of(one.name), kind="name"),
        number_cell(one.total.images),
        Cell(f"{remove.images:,}", remove.images, "number remove" if remove.images else "number"),
        size_cell(remove.size_bytes),
        Cell(shown(dollars(remove.size_bytes, price)), remove.size_bytes, "number"),
        number_cell(one.fates[Fate.IN_USE].images),
        number_cell(one.fates[Fate.USED_LATELY].images),
        number_cell(one.fates[Fate.KEEP].images),
        Cell(shown(guards or state)),
        Cell(shown(reasons), kind="words"),
    )


def _plots(summary: PlanSummary) -> Iterator[str]:
    yield '<div class="plots">'
    yield from ages_figure(
        [
            (name, summary.ages[name])
            for name in AGE_NAMES
            if name != UNKNOWN_AGE or any(one.images for one in summary.ages[name].values())
        ]
    )
    largest = sorted(summary.repositories, key=lambda one: -one.total.size_bytes)[:_BARS]
    bars = [(one.name, one.fates) for one in largest]
    yield from repositories_figure(bars, are_all=len(bars) == len(summary.repositories))
    yield "</div>"


def _users(summary: PlanSummary) -> Iterator[str]:
    ordered = sorted(summary.consumers.items(), key=lambda item: (-item[1].size_bytes, item[0]))
    chosen = ordered[:MOST_USERS]
    more = "more than " if summary.consumers_left_out else ""
    if len(chosen) < len(ordered):
        yield (
            f"<p>The {len(chosen):,} consumers of {more}{len(ordered):,} that keep the most are "
            "shown.</p>"
        )
    rows = (
        row(
            Cell(name_of(consumer), kind="name"),
            number_cell(kept.images),
            size_cell(kept.size_bytes),
        )
        for consumer, kept in chosen
    )
    if chosen:
        yield "<p>Images that consumers use now, or used lately.</p>"
        yield from table("Consumers of images", ("Consumer", "Images", "Size"), rows)
    else:
        yield "<p>No image in use was found.</p>"


def _broken(summary: PlanSummary) -> Iterator[str]:
    found: list[tuple[str, Broken, str]] = [
        (one.name, broken, broken.problem)
        for one in summary.repositories
        for broken in one.planned.broken
    ]
    for name, missing in summary.header.missing.items():
        found += [(name, broken, "no such repository") for broken in missing]
    if not found:
        yield "<p>None: every image that a consumer names exists.</p>"
        return
    chosen = found[:MOST_BROKEN]
    yield "<p>Consumers name these images and cannot pull them.</p>"
    yield cut(len(found), len(chosen), "first broken references")
    rows = (
        row(
            Cell(name_of(name), kind="name"),
            Cell(name_of(broken.name), kind="name"),
            Cell(shown(problem)),
            Cell(listed(broken.consumers), kind="name"),
        )
        for name, broken, problem in chosen
    )
    titles = ("Repository", "Tag or digest", "Problem", "Consumers")
    yield from table("References that cannot be pulled", titles, rows)


def _coverage(summary: PlanSummary) -> Iterator[str]:
    yield "<p>What was scanned to find the images in use.</p>"
    rows = (_source_row(source, state) for source, state in summary.header.coverage.items())
    titles = ("Source", "State", "Usages", "Further")
    yield from table("Usage sources", titles, rows)


def _source_row(source: str, state: Mapping[str, object]) -> str:
    usages = state.get("usages")
    number = usages if isinstance(usages, int) else -1
    further = {key: one for key, one in state.items() if key not in {"state", "usages"}}
    return row(
        Cell(name_of(source)),
        Cell(shown(str(state.get("state", "")))),
        Cell("" if number < 0 else f"{number:,}", number, "number"),
        Cell(shown(json.dumps(further) if further else ""), kind="name"),
    )


def _reasons(summary: PlanSummary) -> Iterator[str]:
    yield (
        "<p>Each image has one reason: of those that keep it, the first in this order. The names "
        "of settings stand for the values that apply to its repository.</p>"
    )
    found = summary.reasons
    rows = (
        row(
            Cell(f"<code>{shown(reason)}</code>"),
            Cell("remove", kind="remove") if reason in REMOVES else Cell("keep"),
            Cell(shown(MEANINGS[reason]), kind="words"),
            number_cell(found[reason]),
        )
        for reason in Reason
    )
    titles = ("Reason", "Verdict", "It means", "Images")
    yield from table("Reasons, and how many images of this plan have them", titles, rows)


def _images(summary: PlanSummary, applied: AppliedPlan | None) -> Iterator[str]:
    if summary.left_out:
        yield (
            f'<p class="note">This page shows {counted(len(summary.rows), "image")}: those to '
            f"remove first, then the largest. {counted(summary.left_out, 'image')} more are only "
            "in the sums above; the plan has a line for each.</p>"
        )
    options = "".join(f'<option value="{CLASSES[one]}">{LABELS[one]}</option>' for one in Fate)
    yield (
        '<div class="tools" id="tools" hidden><label for="search">Search in all columns'
        '<input type="search" id="search" autocomplete="off" spellcheck="false"></label>'
        f'<label for="fate">Verdict<select id="fate"><option value="">all</option>{options}'
        '</select></label><output id="shown" for="search fate"></output></div>'
    )
    titles = (
        *("Repository", "Tags", "Digest", "Age in days", "Size", "Last pull", "Verdict"),
        *("Reason", "Because"),
    )
    rows = (_image_row(one, summary, applied) for one in summary.rows)
    yield from table("Images with their verdicts", titles, rows, name="image-table")


def _image_row(image: PlannedImage, summary: PlanSummary, applied: AppliedPlan | None) -> str:
    fate = CLASSES[fate_of(image)]
    became = applied_page.word_of(applied, image) if applied else ""
    verdict = f"{image.verdict}: {became}" if became else image.verdict
    days = age_days(image, summary.header.time)
    pulled = image.pulled_at
    return row(
        Cell(name_of(image.repository), kind="name"),
        Cell(listed(image.tags) if image.tags else '<span class="quiet">none</span>', kind="name"),
        Cell(digest_of(image.digest)),
        Cell("unknown" if days is None else f"{days:,}", -1 if days is None else days, "number"),
        size_cell(image.size_bytes),
        Cell(f"{pulled:%Y-%m-%d}" if pulled else "", pulled.timestamp() if pulled else 0, "time"),
        Cell(shown(verdict), kind=fate),
        Cell(f'<span title="{shown(MEANINGS[image.reason])}">{shown(image.reason)}</span>'),
        Cell(", ".join(map(because_of, image.because)), kind="name"),
        fate=fate,
    )


def _settings(summary: PlanSummary) -> Iterator[str]:
    yield "<details><summary>Settings that decide about images</summary>"
    rows = (
        row(Cell(name_of(name)), Cell(f"<code>{shown(json.dumps(value))}</code>", kind="name"))
        for name, value in summary.header.settings.items()
    )
    yield from table("Settings", ("Setting", "Value"), rows)
    yield "</details>"
