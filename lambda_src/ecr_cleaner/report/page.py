"""A plan as one HTML file, which needs nothing else and requests nothing.

Whatever an account holds is text here, never markup: all of it passes ``_text``.
"""

from __future__ import annotations

import base64
import hashlib
import html
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from string import Template

from ecr_cleaner.core.in_use import Broken
from ecr_cleaner.core.plan_document import PlannedImage, State
from ecr_cleaner.core.plan_summary import (
    AGE_NAMES,
    UNKNOWN_AGE,
    Fate,
    PlanSummary,
    RepositorySum,
    Sum,
    age_days,
    fate_of,
)
from ecr_cleaner.core.reference import is_digest
from ecr_cleaner.core.text import (
    counted,
    dollars,
    human_size,
    price_tag,
    short_digest,
    visible,
)

# Rows of a table that a browser sorts and filters without delay. A page of as many images as that
# has about 4 MB.
MOST_IMAGES = 5_000
MOST_REPOSITORIES = 2_000
MOST_BROKEN = 1_000
MOST_USERS = 200
_BARS = 20
# The titles of columns that hold numbers.
_NUMBERS = frozenset(
    {
        *("Images", "Remove", "Up to", "A month", "In use", "Kept otherwise", "Size", "Usages"),
        *("Age in days", "Would be removed"),
    }
)

_CLASSES = {Fate.REMOVE: "remove", Fate.IN_USE: "use", Fate.KEEP: "keep"}
_LABELS = {Fate.REMOVE: "would be removed", Fate.IN_USE: "in use", Fate.KEEP: "kept otherwise"}


@dataclass(frozen=True, slots=True)
class Cell:
    """A cell of a table: HTML, with a number to sort by if it is not sorted by its text."""

    content: str
    number: float | None = None
    kind: str = ""

    def html(self) -> str:
        sort = "" if self.number is None else f' data-sort="{self.number:.15g}"'
        kind = f' class="{self.kind}"' if self.kind else ""
        return f"<td{kind}{sort}>{self.content}</td>"


def write_page(summary: PlanSummary) -> Iterator[str]:
    """Yield the page of a plan in pieces. ``summary`` holds at most ``MOST_IMAGES`` rows."""
    before, after = _template()
    header = summary.header
    title = f"ECR plan of {header.registry.account} in {header.registry.region}"
    yield before.substitute(title=_text(title), policy=_policy())
    yield from _begin(summary, title)
    yield from _guards(summary)
    yield from _repositories(summary)
    yield from _plots(summary)
    yield from _users(summary)
    yield from _broken(summary)
    yield from _coverage(summary)
    yield from _images(summary)
    yield from _settings(summary)
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


# -- Parts of the page -------------------------------------------------------------------------


def _begin(summary: PlanSummary, title: str) -> Iterator[str]:
    header, remove, total = summary.header, summary.removable, summary.total
    mode = (
        "A dry run: it removed nothing."
        if header.dry_run
        else "Not a dry run: what it really removed is in its log."
    )
    guarded = sum(1 for one in summary.repositories if one.planned.guards)
    price = header.price_per_gb_month
    yield f"""<header><h1>{_text(title)}</h1>
<p class="quiet">Judged {header.time:%Y-%m-%d %H:%M} UTC, run <code>{_text(header.run)}</code>.
{mode}</p>
<nav aria-label="Sections"><ul>
<li><a href="#guards">In the way</a></li><li><a href="#repositories">Repositories</a></li>
<li><a href="#plots">Plots</a></li><li><a href="#users">Kept by whom</a></li>
<li><a href="#broken">Broken references</a></li><li><a href="#coverage">Coverage</a></li>
<li><a href="#images">Images</a></li><li><a href="#settings">Settings</a></li>
</ul></nav></header><main>
<dl class="figures">
<div><dt>Images to remove</dt><dd class="remove">{remove.images:,}</dd></div>
<div><dt>Of images judged</dt><dd>{total.images:,}</dd></div>
<div><dt>Storage, up to</dt><dd>{human_size(remove.size_bytes)}</dd></div>
<div><dt>A month, up to</dt><dd>{_text(dollars(remove.size_bytes, price))}</dd></div>
<div><dt>Repositories</dt><dd>{len(summary.repositories):,}</dd></div>
<div><dt>Behind a guard</dt><dd>{guarded:,}</dd></div>
</dl>
<p class="quiet">Layers that images share are stored once and counted in each of them, so sizes and
costs are upper bounds. The price is {price_tag(price)} per GB and month (PRICE_PER_GB_MONTH).</p>
"""


def _guards(summary: PlanSummary) -> Iterator[str]:
    yield '<section aria-labelledby="guards"><h2 id="guards">What stands in the way</h2>'
    behind: dict[tuple[str, str], list[str]] = {}
    for one in summary.repositories:
        for guard in one.planned.guards:
            behind.setdefault((guard.guard, guard.why), []).append(one.name)
    for (guard_name, why), names in behind.items():
        yield (
            f'<div class="note"><h3>Guard <code>{_text(guard_name)}</code>, before '
            f"{_plural(len(names), 'repository', 'repositories')}</h3><p>{_text(why)}</p>"
            f'<p class="quiet">{_listed(names)}</p></div>'
        )
    for one in summary.repositories:
        if one.planned.state is not State.JUDGED:
            yield (
                f'<div class="note"><h3>{_name(one.name)}: {_text(one.planned.state)}</h3>'
                f"<p>{_text(one.planned.problem)}</p></div>"
            )
    if not behind and all(one.planned.state is State.JUDGED for one in summary.repositories):
        yield "<p>Nothing: no guard stands, and every repository was judged.</p>"
    yield "</section>"


def _repositories(summary: PlanSummary) -> Iterator[str]:
    yield '<section aria-labelledby="repositories"><h2 id="repositories">By repository</h2>'
    titles = (
        *("Repository", "Images", "Remove", "Up to", "A month", "In use", "Kept otherwise"),
        *("Verdicts by reason", "Guards"),
    )
    price = summary.header.price_per_gb_month
    chosen = summary.repositories[:MOST_REPOSITORIES]
    yield _cut(len(summary.repositories), len(chosen), "repositories with the most to gain")
    rows = (_repository_row(one, price) for one in chosen)
    yield from _table("Repositories, by what there is to gain", titles, rows)
    yield "</section>"


def _repository_row(one: RepositorySum, price: float) -> str:
    remove = one.removable
    reasons = ", ".join(f"{reason} {count:,}" for reason, count in one.reasons.most_common())
    guards = ", ".join(dict.fromkeys(guard.guard.value for guard in one.planned.guards))
    state = "" if one.planned.state is State.JUDGED else str(one.planned.state)
    return _row(
        Cell(_name(one.name), kind="name"),
        _number(one.total.images),
        Cell(f"{remove.images:,}", remove.images, "number remove" if remove.images else "number"),
        _size(remove.size_bytes),
        Cell(_text(dollars(remove.size_bytes, price)), remove.size_bytes, "number"),
        _number(one.fates[Fate.IN_USE].images),
        _number(one.fates[Fate.KEEP].images),
        Cell(_text(reasons)),
        Cell(_text(guards or state)),
    )


def _users(summary: PlanSummary) -> Iterator[str]:
    yield '<section aria-labelledby="users"><h2 id="users">What is kept, and by whom</h2>'
    ordered = sorted(summary.consumers.items(), key=lambda item: (-item[1].size_bytes, item[0]))
    chosen = ordered[:MOST_USERS]
    more = "more than " if summary.consumers_left_out else ""
    if len(chosen) < len(ordered):
        yield (
            f"<p>The {len(chosen):,} consumers of {more}{len(ordered):,} that keep the most are "
            "shown.</p>"
        )
    rows = (
        _row(Cell(_name(consumer), kind="name"), _number(kept.images), _size(kept.size_bytes))
        for consumer, kept in chosen
    )
    if chosen:
        yield from _table("Consumers of images", ("Consumer", "Images", "Size"), rows)
    else:
        yield "<p>No image in use was found.</p>"
    yield "</section>"


def _broken(summary: PlanSummary) -> Iterator[str]:
    yield '<section aria-labelledby="broken"><h2 id="broken">Broken references</h2>'
    found: list[tuple[str, Broken, str]] = [
        (one.name, broken, broken.problem)
        for one in summary.repositories
        for broken in one.planned.broken
    ]
    for name, missing in summary.header.missing.items():
        found += [(name, broken, "no such repository") for broken in missing]
    if not found:
        yield "<p>None: every image that a consumer names exists.</p></section>"
        return
    chosen = found[:MOST_BROKEN]
    yield "<p>Consumers name these images and cannot pull them.</p>"
    yield _cut(len(found), len(chosen), "first broken references")
    rows = (
        _row(
            Cell(_name(name), kind="name"),
            Cell(_name(broken.name), kind="name"),
            Cell(_text(problem)),
            Cell(_listed(broken.consumers), kind="name"),
        )
        for name, broken, problem in chosen
    )
    titles = ("Repository", "Tag or digest", "Problem", "Consumers")
    yield from _table("References that cannot be pulled", titles, rows)
    yield "</section>"


def _coverage(summary: PlanSummary) -> Iterator[str]:
    yield '<section aria-labelledby="coverage"><h2 id="coverage">Coverage</h2>'
    yield "<p>What was scanned to find the images in use.</p>"
    rows = (_source_row(source, state) for source, state in summary.header.coverage.items())
    titles = ("Source", "State", "Usages", "Further")
    yield from _table("Usage sources", titles, rows)
    yield "</section>"


def _source_row(source: str, state: Mapping[str, object]) -> str:
    usages = state.get("usages")
    number = usages if isinstance(usages, int) else -1
    further = {key: one for key, one in state.items() if key not in {"state", "usages"}}
    return _row(
        Cell(_name(source)),
        Cell(_text(str(state.get("state", "")))),
        Cell("" if number < 0 else f"{number:,}", number, "number"),
        Cell(_text(json.dumps(further) if further else ""), kind="name"),
    )


def _images(summary: PlanSummary) -> Iterator[str]:
    yield '<section aria-labelledby="images"><h2 id="images">Images</h2>'
    if summary.left_out:
        yield (
            f'<p class="note">This page shows {counted(len(summary.rows), "image")}: those to '
            f"remove first, then the largest. {counted(summary.left_out, 'image')} more are only "
            "in the sums above; the plan has a line for each.</p>"
        )
    options = "".join(f'<option value="{_CLASSES[one]}">{_LABELS[one]}</option>' for one in Fate)
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
    rows = (_image_row(one, summary) for one in summary.rows)
    yield from _table("Images with their verdicts", titles, rows, name="image-table")
    yield "</section>"


def _image_row(image: PlannedImage, summary: PlanSummary) -> str:
    fate = _CLASSES[fate_of(image)]
    days = age_days(image, summary.header.time)
    pulled = image.pulled_at
    return _row(
        Cell(_name(image.repository), kind="name"),
        Cell(_listed(image.tags) if image.tags else '<span class="quiet">none</span>', kind="name"),
        Cell(_digest(image.digest)),
        Cell("unknown" if days is None else f"{days:,}", -1 if days is None else days, "number"),
        _size(image.size_bytes),
        Cell(f"{pulled:%Y-%m-%d}" if pulled else "", pulled.timestamp() if pulled else 0),
        Cell(_text(image.verdict), kind=fate),
        Cell(_text(image.reason)),
        Cell(", ".join(map(_because, image.because)), kind="name"),
        fate=fate,
    )


def _settings(summary: PlanSummary) -> Iterator[str]:
    yield '<section aria-labelledby="settings"><h2 id="settings">Settings</h2>'
    yield "<details><summary>Settings that decide about images</summary>"
    rows = (
        _row(Cell(_name(name)), Cell(f"<code>{_text(json.dumps(value))}</code>", kind="name"))
        for name, value in summary.header.settings.items()
    )
    yield from _table("Settings", ("Setting", "Value"), rows)
    yield "</details></section>"


# -- Plots -------------------------------------------------------------------------------------


def _plots(summary: PlanSummary) -> Iterator[str]:
    yield '<section aria-labelledby="plots"><h2 id="plots">Where the storage is</h2>'
    yield '<div class="plots">'
    ages = [
        (name, summary.ages[name])
        for name in AGE_NAMES
        if name != UNKNOWN_AGE or any(one.images for one in summary.ages[name].values())
    ]
    yield from _figure("Size by age and verdict", "age", "ages", _columns(ages), ages)
    largest = sorted(summary.repositories, key=lambda one: -one.total.size_bytes)[:_BARS]
    bars = [(one.name, one.fates) for one in largest]
    caption = "Size by repository and verdict"
    if len(bars) < len(summary.repositories):
        caption = f"{caption}, the {len(bars)} largest"
    yield from _figure(caption, "repository", "sizes", _rows_of_bars(bars), bars)
    yield "</div></section>"


Bars = Sequence[tuple[str, Mapping[Fate, Sum]]]


def _figure(caption: str, what: str, name: str, svg: str, bars: Bars) -> Iterator[str]:
    """Yield a plot with its numbers as a table, for those who cannot see it."""
    yield f"<figure><figcaption>{_text(caption)}</figcaption>"
    yield f"{_scrolling(caption)}{svg}</div>"
    yield "<details><summary>The numbers of this plot</summary>"
    titles = (what.capitalize(), *(_LABELS[fate].capitalize() for fate in Fate))
    rows = (
        _row(Cell(_name(label)), *(_size(fates[fate].size_bytes) for fate in Fate))
        for label, fates in bars
    )
    yield from _table(f"{caption}: {name}", titles, rows)
    yield "</details></figure>"


_WIDTH, _HEIGHT, _LEFT, _TOP, _BOTTOM = 640, 300, 70, 40, 30


def _columns(bars: Bars) -> str:
    """Return stacked columns, one for each age."""
    most = max((_total(fates) for _, fates in bars), default=0) or 1
    plot = _HEIGHT - _TOP - _BOTTOM
    step = (_WIDTH - _LEFT) / max(len(bars), 1)
    shapes = [_legend()]
    for share in (0, 0.5, 1):
        y = _HEIGHT - _BOTTOM - plot * share
        shapes.append(f'<line class="axis" x1="{_LEFT}" x2="{_WIDTH}" y1="{y:.1f}" y2="{y:.1f}"/>')
        label = human_size(round(most * share))
        shapes.append(_label(_LEFT - 8, y + 4, label, "end", quiet=True))
    for number, (name, fates) in enumerate(bars):
        x, y = _LEFT + step * (number + 0.15), float(_HEIGHT - _BOTTOM)
        for fate in Fate:
            height = plot * fates[fate].size_bytes / most
            y -= height
            shapes.append(_bar(name, fate, fates[fate], x, y, step * 0.7, height))
        shapes.append(_label(x + step * 0.35, _HEIGHT - 10, name, "middle"))
    return _svg("Columns of size by age and verdict", _HEIGHT, shapes)


_BAR, _NAMES = 26, 210


def _rows_of_bars(bars: Bars) -> str:
    """Return stacked bars, one for each repository."""
    most = max((_total(fates) for _, fates in bars), default=0) or 1
    plot = _WIDTH - _NAMES - 75
    shapes = [_legend()]
    for number, (name, fates) in enumerate(bars):
        x, y = float(_NAMES), _TOP + _BAR * number
        for fate in Fate:
            width = plot * fates[fate].size_bytes / most
            shapes.append(_bar(name, fate, fates[fate], x, y, width, _BAR - 8))
            x += width
        shapes.append(_label(_NAMES - 8, y + 13, _short(name), "end"))
        shapes.append(_label(x + 6, y + 13, human_size(_total(fates)), "start", quiet=True))
    return _svg("Bars of size by repository and verdict", _TOP + _BAR * len(bars) + 4, shapes)


def _svg(title: str, height: int, shapes: Iterable[str]) -> str:
    return (
        f'<svg viewBox="0 0 {_WIDTH} {height}" role="img" aria-label="{_text(title)}; the numbers '
        f'are in the table below">{"".join(shapes)}</svg>'
    )


def _legend() -> str:
    parts = []
    for number, fate in enumerate(Fate):
        x = _LEFT + 150 * number
        parts.append(f'<rect class="{_CLASSES[fate]}" x="{x}" y="6" width="14" height="14"/>')
        parts.append(_label(x + 20, 18, _LABELS[fate], "start"))
    return "".join(parts)


def _bar(  # noqa: PLR0913, PLR0917 - a rectangle and what it shows
    name: str, fate: Fate, value: Sum, x: float, y: float, width: float, height: float
) -> str:
    if not value.size_bytes:
        return ""
    told = (
        f"{name}: {human_size(value.size_bytes)} {_LABELS[fate]}, {counted(value.images, 'image')}"
    )
    return (
        f'<rect class="{_CLASSES[fate]}" x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" '
        f'height="{height:.1f}"><title>{_text(told)}</title></rect>'
    )


def _label(x: float, y: float, text: str, anchor: str, *, quiet: bool = False) -> str:
    kind = ' class="quiet"' if quiet else ""
    return f'<text{kind} x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{_text(text)}</text>'


def _short(name: str) -> str:
    most = 27
    return name if len(name) <= most else f"…{name[1 - most :]}"


def _total(fates: Mapping[Fate, Sum]) -> int:
    return sum(one.size_bytes for one in fates.values())


# -- Pieces ------------------------------------------------------------------------------------


def _text(text: str) -> str:
    """Return any text as HTML that shows it, in elements and in quoted attributes."""
    return html.escape(visible(text), quote=True)


def _name(text: str) -> str:
    """Return a name that may be in any script: what follows keeps its direction."""
    return f"<bdi>{_text(text)}</bdi>"


def _listed(names: Iterable[str]) -> str:
    return ", ".join(map(_name, names))


def _plural(number: int, one: str, many: str) -> str:
    return f"{number:,} {one if number == 1 else many}"


def _number(number: int) -> Cell:
    return Cell(f"{number:,}", number, "number")


def _size(size_bytes: int) -> Cell:
    return Cell(human_size(size_bytes), size_bytes, "number")


def _cut(there: int, shown: int, which: str) -> str:
    if shown == there:
        return ""
    return f'<p class="note">Of {there:,}, the {shown:,} {which} are shown.</p>'


def _row(*cells: Cell, fate: str = "") -> str:
    kind = f' data-fate="{fate}"' if fate else ""
    return f"<tr{kind}>{''.join(cell.html() for cell in cells)}</tr>\n"


def _table(
    caption: str, titles: Sequence[str], rows: Iterable[str], name: str = ""
) -> Iterator[str]:
    identity = f' id="{name}"' if name else ""
    heads = "".join(_head(title) for title in titles)
    yield (
        f'{_scrolling(caption)}<table class="sortable"{identity}>'
        f"<caption>{_text(caption)}</caption>"
        f"<thead><tr>{heads}</tr></thead><tbody>\n"
    )
    yield from rows
    yield "</tbody></table></div>"


def _scrolling(label: str) -> str:
    """Return the begin of what is scrolled sideways on a narrow screen, by keyboard too."""
    return f'<div class="scroll" tabindex="0" role="region" aria-label="{_text(label)}">'


def _head(title: str) -> str:
    kind = ' class="number"' if title in _NUMBERS else ""
    return f'<th scope="col"{kind}>{_text(title)}</th>'


def _digest(digest: str) -> str:
    return f'<code title="{_text(digest)}">{_text(short_digest(digest))}</code>'


def _because(text: str) -> str:
    return _digest(text) if text.startswith("sha256:") and is_digest(text) else _name(text)
