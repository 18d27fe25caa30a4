"""The plan of a run as JSON lines: what is written, and a strict reader of it. Pure.

The lines of a document, each an object with the field ``line``:

1. ``header``: schema, run, time, registry, the settings that decide, and what was scanned.
2. For each repository: ``repository`` with its policy, guards and broken references, and then
   ``verdict`` for each of its images.
3. ``end``, with the numbers of repositories and images. A document without it is not whole.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, TypeVar

from ecr_cleaner.core.documents import (
    MALFORMED,
    broken_fields,
    broken_from,
    guard_fields,
    guard_from,
    json_object,
    of_type,
    strings,
    time_from,
)
from ecr_cleaner.core.errors import CleanerError
from ecr_cleaner.core.graph import INDEX_MEDIA_TYPES
from ecr_cleaner.core.in_use import Broken
from ecr_cleaner.core.model import (
    Action,
    Plan,
    Reason,
    Registry,
    StandingGuard,
    Verdict,
)
from ecr_cleaner.core.policy import Policy
from ecr_cleaner.core.settings import Mode

SCHEMA = 1

# Images with these reasons are kept as long as another one is.
_LED = frozenset({Reason.PARENT_KEPT, Reason.SUBJECT_KEPT})

T = TypeVar("T")


class PlanError(CleanerError):
    """A plan that cannot be read or parsed, or that is not whole."""


class State(StrEnum):
    """What a run did with a repository. Only a repository that was judged has verdicts."""

    JUDGED = "judged"
    FAILED = "failed"
    UNVISITED = "unvisited"


@dataclass(frozen=True, slots=True)
class PlanHeader:
    """The run that made the plan.

    ``time`` is when the run began, in UTC. ``mode`` is what the run does about its verdicts; if it
    waits for approval, it is a dry run as well. ``settings`` are those that decide about images.
    ``coverage`` is the state of each usage source. ``missing`` holds the broken references to
    repositories that do not exist. ``price_per_gb_month`` is in dollars, for 10^9 bytes.
    """

    run: str
    time: datetime
    registry: Registry
    dry_run: bool
    mode: Mode = Mode.DRY_RUN
    settings: Mapping[str, Any] = field(default_factory=dict)
    coverage: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    missing: Mapping[str, tuple[Broken, ...]] = field(default_factory=dict)
    price_per_gb_month: float = 0.0

    def to_line(self) -> str:
        """Return the line of the document, without its end."""
        return _line(
            "header",
            schema=SCHEMA,
            run=self.run,
            time=self.time.isoformat(),
            registry=asdict(self.registry),
            dry_run=self.dry_run,
            mode=self.mode,
            settings=self.settings,
            coverage=self.coverage,
            missing={
                name: [broken_fields(one) for one in found] for name, found in self.missing.items()
            },
            price_per_gb_month=self.price_per_gb_month,
        )


@dataclass(frozen=True, slots=True)
class PlannedRepository:
    """One repository of a plan.

    ``policy`` are the settings that apply to it, empty if it was not judged. ``guards`` are those
    that stand; they are looked for only if there is anything to remove. ``problem`` is why it was
    not judged.
    """

    repository: str
    state: State = State.JUDGED
    problem: str = ""
    policy: Mapping[str, Any] = field(default_factory=dict)
    guards: tuple[StandingGuard, ...] = ()
    broken: tuple[Broken, ...] = ()

    def to_line(self) -> str:
        """Return the line of the document, without its end."""
        return _line(
            "repository",
            repository=self.repository,
            state=self.state,
            problem=self.problem,
            policy=self.policy,
            guards=[guard_fields(one) for one in self.guards],
            broken=[broken_fields(one) for one in self.broken],
        )


@dataclass(frozen=True, slots=True)
class PlannedImage:
    """The verdict on one image. ``follows`` are its parents and subjects in the repository.

    Times are in UTC, None if ECR returned none. ``is_index``: its size is that of the largest image
    that it lists. ``leader_reason`` is why the image that it follows is kept, if it is kept because
    of that. The other fields are those of an image and of a verdict.
    """

    repository: str
    digest: str
    tags: tuple[str, ...]
    pushed_at: datetime | None
    pulled_at: datetime | None
    size_bytes: int
    verdict: Action
    reason: Reason
    because: tuple[str, ...] = ()
    follows: tuple[str, ...] = ()
    is_index: bool = False
    leader_reason: Reason | None = None

    @property
    def is_kept(self) -> bool:
        """Whether the image is neither deleted nor archived."""
        return self.verdict is Action.KEEP

    @property
    def own_bytes(self) -> int:
        """What it adds to a sum of sizes: of an index, nothing."""
        return 0 if self.is_index else self.size_bytes

    def to_line(self) -> str:
        """Return the line of the document, without its end."""
        return _line(
            "verdict",
            repository=self.repository,
            digest=self.digest,
            tags=self.tags,
            pushed_at=_written(self.pushed_at),
            pulled_at=_written(self.pulled_at),
            size_bytes=self.size_bytes,
            verdict=self.verdict,
            reason=self.reason,
            because=self.because,
            follows=self.follows,
            **({"index": True} if self.is_index else {}),
            **({"leader_reason": self.leader_reason} if self.leader_reason else {}),
        )


@dataclass(frozen=True, slots=True)
class PlanEnd:
    """The last line: how many repositories and images come before it."""

    repositories: int
    images: int

    def to_line(self) -> str:
        """Return the line of the document, without its end."""
        return _line("end", repositories=self.repositories, images=self.images)


PlanPart = PlanHeader | PlannedRepository | PlannedImage | PlanEnd


def policy_fields(policy: Policy) -> dict[str, Any]:
    """Return the policy as the plan holds it: without fields that are not set."""
    fields = {name: value for name, value in asdict(policy).items() if value not in (None, ())}
    parsed: dict[str, Any] = json.loads(json.dumps(fields))
    return parsed


def planned_images(plan: Plan) -> Iterator[PlannedImage]:
    """Yield the verdicts of a plan, one at a time."""
    led = any(verdict.reason in _LED for verdict in plan.verdicts)
    verdicts = {one.image.digest: one for one in plan.verdicts} if led else {}
    for verdict in plan.verdicts:
        yield _planned(plan, verdict, verdicts)


def _planned(plan: Plan, verdict: Verdict, verdicts: Mapping[str, Verdict]) -> PlannedImage:
    image = verdict.image
    return PlannedImage(
        repository=plan.repository.name,
        digest=image.digest,
        tags=image.tags,
        pushed_at=image.pushed_at,
        pulled_at=image.pulled_at,
        size_bytes=image.size_bytes,
        verdict=verdict.action,
        reason=verdict.reason,
        because=verdict.because,
        follows=plan.follows.get(image.digest, ()),
        is_index=image.media_type in INDEX_MEDIA_TYPES,
        leader_reason=_leader_reason(verdict, verdicts),
    )


def _leader_reason(verdict: Verdict, verdicts: Mapping[str, Verdict]) -> Reason | None:
    """Return why the first of the images that this one follows is kept; None if that is unknown."""
    seen: set[str] = set()
    leader: Verdict | None = verdict
    while leader and leader.reason in _LED and leader.image.digest not in seen:
        seen.add(leader.image.digest)
        leader = verdicts.get(next(iter(leader.because), ""))
    return leader.reason if leader and seen and leader.reason not in _LED else None


def read_plan(lines: Iterable[str | bytes]) -> Iterator[PlanPart]:
    """Yield the parts of a plan in the order of the document, one at a time.

    Raise PlanError, which names the line, for anything that is not a whole plan of this schema. The
    caller must read to the end before it believes anything.
    """
    reader = _Reader()
    for number, line in enumerate(lines, start=1):
        try:
            yield reader.part(line)
        except PlanError as error:
            raise PlanError(f"line {number} of the plan {error}", line=number) from error
        except MALFORMED as error:
            why = f"lacks {error}" if isinstance(error, KeyError) else f"is not of it: {error}"
            raise PlanError(f"line {number} of the plan {why}", line=number) from error
    if not reader.ended:
        raise PlanError("the plan is not whole: its last line is missing")


class _Reader:
    """Parses lines in their order."""

    def __init__(self) -> None:
        self.ended = False
        self._header = False
        self._current: PlannedRepository | None = None
        self._repositories: set[str] = set()
        self._images = 0

    def part(self, line: str | bytes) -> PlanPart:
        content = json_object(line)
        kind = content.pop("line", None)
        if self.ended:
            raise PlanError("comes after the end")
        if kind == "header" and self._header:
            raise PlanError("is a second header")
        if kind != "header" and not self._header:
            raise PlanError("is not the header")
        parse = self._parsers().get(kind) if isinstance(kind, str) else None
        if parse is None:
            raise PlanError(f"is of the unknown kind {kind!r}")
        part = parse(content)
        if content:
            raise PlanError(f"has unknown fields: {', '.join(sorted(content))}")
        return part

    def _parsers(self) -> Mapping[str, Callable[[dict[str, Any]], PlanPart]]:
        return {
            "header": self._parse_header,
            "repository": self._parse_repository,
            "verdict": self._parse_image,
            "end": self._parse_end,
        }

    def _parse_header(self, content: dict[str, Any]) -> PlanHeader:
        schema = content.pop("schema", None)
        if schema != SCHEMA or isinstance(schema, bool):
            raise PlanError(f"is of schema {schema!r}, but this program reads schema {SCHEMA}")
        self._header = True
        registry = _take(dict, content, "registry")
        missing = _take(dict, content, "missing")
        dry_run = _take(bool, content, "dry_run")
        # The version before did not write it.
        mode = content.pop("mode", Mode.DRY_RUN if dry_run else Mode.CLEAN)
        return PlanHeader(
            run=_take(str, content, "run"),
            time=time_from(content.pop("time")),
            registry=Registry(_take(str, registry, "account"), _take(str, registry, "region")),
            dry_run=dry_run,
            mode=Mode(of_type(str, mode, "mode")),
            settings=_take(dict, content, "settings"),
            coverage={
                source: of_type(dict, state)
                for source, state in _take(dict, content, "coverage").items()
            },
            missing={name: broken_from(found) for name, found in missing.items()},
            price_per_gb_month=float(_take((int, float), content, "price_per_gb_month")),
        )

    def _parse_repository(self, content: dict[str, Any]) -> PlannedRepository:
        name = _take(str, content, "repository")
        if name in self._repositories:
            raise PlanError(f"is a second one for the repository {name}")
        self._repositories.add(name)
        self._current = PlannedRepository(
            repository=name,
            state=State(_take(str, content, "state")),
            problem=_take(str, content, "problem"),
            policy=_take(dict, content, "policy"),
            guards=tuple(map(guard_from, _take(list, content, "guards"))),
            broken=broken_from(_take(list, content, "broken")),
        )
        return self._current

    def _parse_image(self, content: dict[str, Any]) -> PlannedImage:
        name = _take(str, content, "repository")
        current = self._current
        if current is None or current.repository != name or current.state is not State.JUDGED:
            raise PlanError(f"is not below the line of its repository {name}")
        self._images += 1
        size = _take(int, content, "size_bytes")
        if size < 0:
            raise PlanError("has a negative size")
        return PlannedImage(
            repository=name,
            digest=_take(str, content, "digest"),
            tags=strings(content.pop("tags"), "tags"),
            pushed_at=_optional_time(_take((str, type(None)), content, "pushed_at")),
            pulled_at=_optional_time(_take((str, type(None)), content, "pulled_at")),
            size_bytes=size,
            verdict=Action(_take(str, content, "verdict")),
            reason=Reason(_take(str, content, "reason")),
            because=strings(content.pop("because"), "because"),
            follows=strings(content.pop("follows"), "follows"),
            is_index=of_type(bool, content.pop("index", False), "index"),
            leader_reason=_optional_reason(content.pop("leader_reason", None)),
        )

    def _parse_end(self, content: dict[str, Any]) -> PlanEnd:
        end = PlanEnd(_take(int, content, "repositories"), _take(int, content, "images"))
        if end != PlanEnd(len(self._repositories), self._images):
            raise PlanError(
                f"says {end.repositories} repositories and {end.images} images, but the plan has "
                f"{len(self._repositories)} and {self._images}"
            )
        self.ended = True
        return end


def _line(kind: str, **fields: Any) -> str:
    """Return one line of ASCII: what tags and names hold cannot end it."""
    return json.dumps({"line": kind, **fields}, separators=(",", ":"))


def _optional_reason(value: Any) -> Reason | None:
    return None if value is None else Reason(of_type(str, value, "leader_reason"))


def _written(time: datetime | None) -> str | None:
    return None if time is None else time.isoformat()


def _optional_time(text: str | None) -> datetime | None:
    return None if text is None else time_from(text)


def _take(kind: type | tuple[type, ...], content: Any, name: str) -> Any:
    """Remove the field from the object and return it; what is left is unknown."""
    return of_type(kind, of_type(dict, content).pop(name), name)
