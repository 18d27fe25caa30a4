"""A run in steps: what it freezes at its beginning, and what its shares leave. Pure.

The steps of a run are calls of the same function, one after another or side by side:

1. ``plan`` freezes the targets, the repositories and their shares.
2. ``scan`` reads one target, and does so again in a second round before anything is removed.
3. ``gather`` takes the documents of all targets together, with the task definitions that consumers
   in other targets name, or fails.
4. ``clean`` judges and cleans the repositories of one share.
5. ``report`` sums up, and makes one plan of those of the shares.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from datetime import datetime
from enum import StrEnum
from hashlib import sha256
from typing import Any, TypeVar

from ecr_cleaner.core.documents import (
    MALFORMED,
    guard_fields,
    guard_from,
    json_object,
    of_type,
    optional,
    time_from,
)
from ecr_cleaner.core.errors import CleanerError, RunFailedError
from ecr_cleaner.core.locations import Location
from ecr_cleaner.core.model import Registry, Repository
from ecr_cleaner.core.settings import Settings
from ecr_cleaner.core.summary import Result, Tally

T = TypeVar("T")

SCHEMA = 1

# Few enough that a share ends within the time of a function, many enough that what a share does
# once, such as reading the ledger, does not count.
REPOSITORIES_A_SHARE = 50

_RUN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,79}")


class StepError(CleanerError):
    """A step of a run cannot be done: what it needs is not there, or is not of this run."""


class StepName(StrEnum):
    """The steps, in their order."""

    PLAN = "plan"
    SCAN = "scan"
    GATHER = "gather"
    CLEAN = "clean"
    REPORT = "report"


@dataclass(frozen=True, slots=True)
class Step:
    """One step of a run, as the event of the function names it.

    ``round`` and ``target`` are those of a scan; ``share`` is the number of the share to clean.
    """

    name: StepName
    run: str
    round: int = 1
    target: Location | None = None
    share: int = 0

    def fields(self) -> dict[str, Any]:
        """Return what names the step in a log line."""
        named: dict[str, Any] = {"step": self.name.value, "run": self.run}
        if self.target:
            named |= {"round": self.round, "target": str(self.target)}
        return named | ({"share": self.share} if self.name is StepName.CLEAN else {})


def step_of(event: Mapping[str, Any]) -> Step:
    """Return the step that an event names; raise StepError if it does not name one exactly."""
    try:
        name = StepName(event["step"])
        run = _run_name(event["run"])
        if name is StepName.SCAN:
            number = of_type(int, event["round"])
            return Step(name, run, number, location_from(event["target"]))
        share = of_type(int, event["share"]) if name is StepName.CLEAN else 0
        return Step(name, run, share=share)
    except MALFORMED as error:
        raise StepError(f"the event names no step of a run: {error!r}") from error


def _run_name(value: Any) -> str:
    name = str(of_type(str, value))
    if not _RUN.fullmatch(name):
        raise ValueError(f"{name!r} is not the name of a run")
    return name


@dataclass(frozen=True, slots=True)
class Share:
    """The repositories that one call cleans, and how many removals it may try."""

    repositories: tuple[str, ...]
    most_deletions: int


def shares_of(names: Sequence[str], most_deletions: int) -> tuple[Share, ...]:
    """Return the shares of all repositories, which have parts of the one bound of the run."""
    count = -(-len(names) // REPOSITORIES_A_SHARE)
    each, more = divmod(most_deletions, count or 1)
    return tuple(
        Share(tuple(names[number::count]), each + (1 if number < more else 0))
        for number in range(count)
    )


@dataclass(frozen=True, slots=True)
class Frozen:
    """What is the same in all steps of a run.

    ``settings`` stands for all settings: see ``fingerprint``. ``targets`` holds the account and
    region of the registry first. ``repositories`` are all of the registry. ``not_matching`` counts
    the opted-in ones that are not in ``REPOSITORY_FILTER``.
    """

    run: str
    time: datetime
    settings: str
    dry_run: bool
    targets: tuple[Location, ...]
    organization: str | None
    repositories: tuple[Repository, ...]
    shares: tuple[Share, ...]
    not_matching: int = 0

    @property
    def home(self) -> Location:
        """The account and region of the registry."""
        return self.targets[0]

    @property
    def rounds(self) -> int:
        """How often every target is scanned: a second scan confirms the first before a removal."""
        return 1 if self.dry_run else 2

    def check(self, step: Step, settings: Settings, region: str) -> None:
        """Raise StepError if a step is not one of this run."""
        if self.run != step.run:
            raise StepError(f"the frozen list is of the run {self.run}, not of {step.run}")
        if self.settings != fingerprint(settings):
            raise StepError("the settings of the function changed during the run")
        if self.home.region != region:
            raise StepError(f"the run is one of {self.home.region}, not of {region}")
        if step.target and step.target not in self.targets:
            raise StepError(f"{step.target} is not a target of the run")
        if not 1 <= step.round <= self.rounds:
            raise StepError(f"the run has {self.rounds} rounds of scans, not {step.round}")
        if step.name is StepName.CLEAN and not 0 <= step.share < len(self.shares):
            raise StepError(f"the run has {len(self.shares)} shares, but not number {step.share}")

    def to_json(self) -> str:
        """Return the document."""
        return json.dumps(
            {
                "schema": SCHEMA,
                "run": self.run,
                "time": self.time.isoformat(),
                "settings": self.settings,
                "dry_run": self.dry_run,
                "targets": [asdict(one) for one in self.targets],
                "organization": self.organization,
                "repositories": [
                    {"name": one.name, "arn": one.arn, "tags": dict(one.tags)}
                    for one in self.repositories
                ],
                "shares": [asdict(one) for one in self.shares],
                "not_matching": self.not_matching,
            }
        )


def frozen_from(content: bytes) -> Frozen:
    """Return the frozen list; raise StepError if it cannot be parsed."""
    return _parsed(content, "the frozen list of the run", _frozen)


def _frozen(found: Mapping[str, Any]) -> Frozen:
    targets = tuple(location_from(one) for one in of_type(list, found["targets"]))
    home = targets[0].registry
    return Frozen(
        run=of_type(str, found["run"]),
        time=time_from(found["time"]),
        settings=of_type(str, found["settings"]),
        dry_run=of_type(bool, found["dry_run"]),
        targets=targets,
        organization=optional(str, found["organization"]),
        repositories=tuple(_repository(home, one) for one in found["repositories"]),
        shares=tuple(
            Share(tuple(one["repositories"]), of_type(int, one["most_deletions"]))
            for one in found["shares"]
        ),
        not_matching=of_type(int, found["not_matching"]),
    )


def _repository(registry: Registry, found: Mapping[str, Any]) -> Repository:
    name, arn = of_type(str, found["name"]), of_type(str, found["arn"])
    return Repository(registry, name, arn, of_type(dict, found["tags"]))


def fingerprint(settings: Settings) -> str:
    """Return what is the same for the same settings only."""
    text = json.dumps(settings.fields(), sort_keys=True, default=str)
    return sha256(text.encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class ShareResult:
    """What one share did: the result of each of its repositories.

    ``compared``: an earlier plan was read, so that near misses are known.
    """

    run: str
    share: int
    results: tuple[Result, ...]
    problems: tuple[str, ...] = ()
    compared: bool = False

    def to_json(self) -> str:
        """Return the document."""
        return json.dumps(
            {
                "schema": SCHEMA,
                "run": self.run,
                "share": self.share,
                "problems": list(self.problems),
                "compared": self.compared,
                "results": [_result_fields(one) for one in self.results],
            }
        )


def share_result_from(content: bytes) -> ShareResult:
    """Return what a share left; raise StepError if it cannot be parsed."""
    return _parsed(content, "the result of the share", _share_result)


def _share_result(found: Mapping[str, Any]) -> ShareResult:
    return ShareResult(
        run=of_type(str, found["run"]),
        share=of_type(int, found["share"]),
        results=tuple(map(_result, of_type(list, found["results"]))),
        problems=tuple(of_type(list, found["problems"])),
        compared=of_type(bool, found["compared"]),
    )


def _result_fields(result: Result) -> dict[str, Any]:
    error = result.error
    # Not asdict, which breaks a Counter.
    tally = {one.name: getattr(result.tally, one.name) for one in fields(Tally)}
    return {
        "repository": result.repository,
        "tally": tally,
        "guards": [guard_fields(one) for one in result.guards],
        "error": (str(error) or repr(error)) if error else None,
        "unvisited": result.unvisited,
    }


def _result(found: Mapping[str, Any]) -> Result:
    numbers = dict(found["tally"])
    missing = {one.name for one in fields(Tally)} - numbers.keys()
    if missing:
        raise ValueError(f"a tally without {', '.join(sorted(missing))}")
    tally = Tally()
    tally.kept.update(numbers.pop("kept"))
    tally.stays.update(numbers.pop("stays"))
    for name, number in numbers.items():
        is_unknown = name == "near_misses" and number is None
        setattr(tally, name, None if is_unknown else of_type(int, number))
    return Result(
        # The version before did not write it.
        repository=of_type(str, found.get("repository", "")),
        tally=tally,
        guards=list(map(guard_from, found["guards"])),
        error=RunFailedError(found["error"]) if found["error"] else None,
        unvisited=of_type(bool, found["unvisited"]),
    )


@dataclass(frozen=True, slots=True)
class Reported:
    """How the run ended, as its last step reported it; ``failure`` is empty if it did not fail."""

    run: str
    complete: bool
    removed: int
    failure: str = ""

    def to_json(self) -> str:
        """Return the document."""
        return json.dumps({"schema": SCHEMA, **asdict(self)})


def reported_from(content: bytes) -> Reported:
    """Return what was reported; raise StepError if it cannot be parsed."""
    return _parsed(content, "the report of the run", _reported)


def _reported(found: Mapping[str, Any]) -> Reported:
    return Reported(
        run=of_type(str, found["run"]),
        complete=of_type(bool, found["complete"]),
        removed=of_type(int, found["removed"]),
        failure=of_type(str, found["failure"]),
    )


def missing_shares(frozen: Frozen, numbers: Iterable[int]) -> list[str]:
    """Return a sentence for each share that left no result."""
    return [
        f"share {number} left no result, so it is unknown what it removed in its "
        f"{len(share.repositories)} repositories, {share.repositories[0]} among them"
        for number, share in enumerate(frozen.shares)
        if number not in set(numbers)
    ]


def location_from(found: Mapping[str, Any]) -> Location:
    """Return an account and region; raise TypeError or KeyError for anything else."""
    account, region, partition = (
        of_type(str, found[name]) for name in ("account", "region", "partition")
    )
    return Location(account, region, partition)


def _parsed(content: bytes, what: str, parse: Callable[[Mapping[str, Any]], T]) -> T:
    try:
        found = json_object(content)
        if found.get("schema") != SCHEMA:
            raise StepError(f"{what} is of the unknown schema {found.get('schema')!r}")
        return parse(found)
    except MALFORMED as error:
        raise StepError(f"{what} cannot be parsed: {error!r}") from error
