"""The numbers of the last runs, and where the plan of the latest one is: a small document. Pure.

It is stored beside the plans, and only shown: no verdict depends on it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import Any

from ecr_cleaner.core.documents import MALFORMED, json_object, of_type, time_from
from ecr_cleaner.core.errors import CleanerError
from ecr_cleaner.core.near_misses import NearMiss
from ecr_cleaner.core.summary import Result, Tally

SCHEMA = 1
MOST_RUNS = 30

# The name becomes a part of a path.
_PLAN_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*\.jsonl\.gz")
# JSON allows any number; no registry holds so many images or bytes.
_LEAST_TOO_LARGE = 2**63
_COUNTS = ("images", "removable", "removed")
_NUMBERS = ("unjudged", *_COUNTS, *(f"{name}_bytes" for name in _COUNTS))


class TrendError(CleanerError):
    """The document cannot be parsed; a new one takes its place."""


@dataclass(frozen=True, slots=True)
class RunNumbers:
    """The numbers of one run, in opted-in repositories. Sizes are in bytes, and upper bounds.

    ``time`` is when the run began. ``waits``: it only planned, for approval; that is a dry run as
    well. ``applied``: it applied a plan, so it judged only the repositories of that. ``unjudged``
    counts repositories that failed or were not visited. ``images`` are those before anything was
    removed. ``near_misses`` is None if they are unknown.
    """

    run: str
    time: datetime
    dry_run: bool
    applied: bool = False
    waits: bool = False
    unjudged: int = 0
    images: int = 0
    images_bytes: int = 0
    removable: int = 0
    removable_bytes: int = 0
    removed: int = 0
    removed_bytes: int = 0
    near_misses: int | None = None

    def with_results(self, results: Iterable[Result], *, compared: bool) -> RunNumbers:
        """Return these with what the results of the repositories come to."""
        total, unjudged = Tally(), 0
        for result in results:
            total.add(result.tally)
            unjudged += result.unvisited or result.error is not None
        return replace(
            self,
            unjudged=unjudged,
            images=total.images,
            images_bytes=total.images_bytes,
            removable=total.removable,
            removable_bytes=total.removable_bytes,
            removed=total.removed,
            removed_bytes=total.removed_bytes,
            near_misses=total.near_misses if compared else None,
        )


@dataclass(frozen=True, slots=True)
class Trend:
    """The last runs, the latest at the end, and the plan of the latest that judged everything.

    ``plan`` is its name beside this document; empty if there is none.
    """

    runs: tuple[RunNumbers, ...] = ()
    plan: str = ""

    def with_run(self, numbers: RunNumbers, plan: str) -> Trend:
        """Return the trend with one more run; the oldest ones are dropped."""
        others = [one for one in self.runs if one.run != numbers.run]
        runs = sorted([*others, numbers], key=lambda one: one.time)[-MOST_RUNS:]
        # A run that left something out is compared with only if there is nothing better.
        is_whole = not (numbers.applied or numbers.unjudged)
        is_latest = all(one.time <= numbers.time for one in others)
        is_better = (is_latest and is_whole) or not (self.plan or numbers.applied)
        return Trend(tuple(runs), plan if is_better else self.plan)

    def to_json(self) -> bytes:
        """Return the document."""
        runs = [{**asdict(one), "time": one.time.isoformat()} for one in self.runs]
        return json.dumps({"schema": SCHEMA, "runs": runs, "plan": self.plan}).encode()


@dataclass(frozen=True, slots=True)
class Past:
    """What the page of a plan shows of earlier runs.

    ``runs`` may end with the run that made the plan. ``near`` are the first of ``near_misses``,
    which is None if no earlier plan was compared; ``unknown`` says why.
    """

    runs: tuple[RunNumbers, ...] = ()
    near: tuple[NearMiss, ...] = ()
    near_misses: int | None = None
    unknown: str = "There is no earlier plan to compare with."


NO_PAST = Past()


def trend_from(content: bytes) -> Trend:
    """Parse a document; raise TrendError if it is damaged or of another schema."""
    try:
        found = json_object(content)
        if found.get("schema") != SCHEMA:
            raise TrendError(f"its schema is {found.get('schema')!r}, not {SCHEMA}")
        runs = tuple(map(_run, of_type(list, found["runs"])))
        return Trend(runs[-MOST_RUNS:], _plan(of_type(str, found["plan"])))
    except MALFORMED as error:
        raise TrendError(f"it is damaged: {error!r}") from error


def _run(found: Any) -> RunNumbers:
    near_misses = found["near_misses"]
    return RunNumbers(
        run=of_type(str, found["run"]),
        time=time_from(found["time"]),
        dry_run=of_type(bool, found["dry_run"]),
        applied=of_type(bool, found["applied"]),
        waits=of_type(bool, found.get("waits", False)),
        near_misses=None if near_misses is None else _number(near_misses),
        **{name: _number(found[name]) for name in _NUMBERS},
    )


def _plan(name: str) -> str:
    if name and not _PLAN_NAME.fullmatch(name):
        raise ValueError(f"{name!r} is not the name of a plan")
    return name


def _number(value: Any) -> int:
    number: int = of_type(int, value)
    if not 0 <= number < _LEAST_TOO_LARGE:
        raise ValueError(f"{number} is negative or too large")
    return number
