"""Rows: what to list and describe, and the one reader that does it and walks every answer whole."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain, product
from typing import Any, TypeVar

from ecr_cleaner.aws.api import Answer, Api
from ecr_cleaner.core.errors import ApiError, IncompleteAnswerError, OperationAbsentError
from ecr_cleaner.core.model import Usage
from ecr_cleaner.core.walk import Found, find
from ecr_cleaner.usage.shared.target import Target
from ecr_cleaner.usage.shared.uses import usages_of
from ecr_cleaner.workers import batches

Result = TypeVar("Result")

# The items of the steps so far, one of each: what a listing returned and what describes it.
Path = tuple[Any, ...]
Keep = Callable[[Any], bool]


@dataclass(frozen=True, slots=True)
class Step:
    """One operation of a row, called for each item of the step before it.

    ``key`` holds the items of a listing; without it, the whole answer is the one item. A parameter
    of the form ``@Member`` is that member of the item before, ``@0.Member`` that of the item of the
    first step, ``@`` an item that is a string itself. A tuple of values means a call for each.
    ``keep`` chooses among the items. With ``batch``, so many items are described in one call, which
    hands them over as a list, and ``missing`` holds those that have vanished.
    """

    operation: str
    key: str | None
    parameters: Mapping[str, Any]
    keep: Keep | None = None
    batch: int = 0
    missing: str | None = None


def each(operation: str, key: str, keep: Keep | None = None, **parameters: Any) -> Step:
    """Return a listing, of which every page is read."""
    return Step(operation, key, parameters, keep)


def one(operation: str, **parameters: Any) -> Step:
    """Return an operation that describes one item."""
    return Step(operation, None, parameters)


def many(
    operation: str, key: str, batch: int, missing: str | None = None, **parameters: Any
) -> Step:
    """Return an operation that describes several items."""
    return Step(operation, key, parameters, batch=batch, missing=missing)


def gone(*codes: str) -> re.Pattern[str]:
    """Return what matches an error with one of these codes."""
    return re.compile(rf" failed with (?:{'|'.join(codes)}):")


NEVER = re.compile(r"(?!)")


@dataclass(frozen=True, slots=True)
class Row:
    """One kind of thing: the steps that lead to it, and what names it as a consumer.

    ``consumer`` is a format of the items of the steps: ``{0[ModelArn]}``. ``gone`` matches the
    errors that mean that an item vanished since it was listed.
    """

    consumer: str
    steps: tuple[Step, ...]
    gone: re.Pattern[str] = field(default=NEVER)


def row(consumer: str, *steps: Step, gone: re.Pattern[str] = NEVER) -> Row:
    """Return a row."""
    return Row(consumer, steps, gone)


@dataclass(frozen=True, slots=True)
class Rows:
    """A usage source that consists of rows.

    ``what`` says what counts as a use, for the README. If it ``starts_tasks``, the ECS task
    definitions that its answers name are uses of their images.
    """

    name: str
    service: str
    what: str
    rows: tuple[Row, ...]
    starts_tasks: bool = False
    everywhere: bool = True

    def usages(self, target: Target) -> Iterable[Usage]:
        """Yield what every answer refers to."""
        read = target.workers.map(lambda row: _read(target, self.service, row), self.rows)
        named = list(chain.from_iterable(read))
        return usages_of(target, self.name, named, starts_tasks=self.starts_tasks)


def _read(target: Target, service: str, row: Row) -> list[tuple[str, Found]]:
    """Return what each item of the last step refers to, by its consumer."""
    reader = _Reader(target, target.api(service), row)
    paths: list[Path] = [()]
    for step in row.steps[:-1]:
        paths = reader.take(step, paths, lambda path: path)
    return reader.take(row.steps[-1], paths, reader.walk)


@dataclass(frozen=True, slots=True)
class _Undescribed:
    """An item that the region cannot describe: only its entry in the listing is walked."""

    operation: str
    item: Any


@dataclass(frozen=True, slots=True)
class _Reader:
    """Takes the steps of one row."""

    target: Target
    api: Api
    row: Row

    def walk(self, path: Path) -> tuple[str, Found]:
        last = path[-1]
        if isinstance(last, _Undescribed):
            return self._consumer_as_listed(path, last), find(last.item)
        return self.row.consumer.format(*path), find(last)

    def _consumer_as_listed(self, path: Path, last: _Undescribed) -> str:
        # Items that are described in batches have no path before them.
        before = () if self.row.steps[-1].batch else path[:-1]
        try:
            return self.row.consumer.format(*before, last.item)
        except (LookupError, TypeError):  # only the description has this name
            return f"{self.api.service}, as listed: no {last.operation} here"

    def take(
        self, step: Step, paths: Sequence[Path], read: Callable[[Path], Result]
    ) -> list[Result]:
        """Return what ``read`` makes of each path that this step leads to."""

        def taken(group: Sequence[Path]) -> list[Result]:
            following = self._following(step, group)
            return [read(path) for path in following if not step.keep or step.keep(path[-1])]

        if step.batch:
            paths = _each_once(step, paths)
        groups = batches(paths, step.batch or 1)
        return list(chain.from_iterable(self.target.workers.map(taken, groups)))

    def _following(self, step: Step, paths: Sequence[Path]) -> list[Path]:
        try:
            if step.batch:
                return [(item,) for item in self._many(step, paths)]
            (path,) = paths
            items = self._listed(step, path) if step.key else self._described(step, path)
        except OperationAbsentError as error:
            self.target.note_absent(error)
            if step.key and not step.batch:
                return []
            return [(*path, _Undescribed(step.operation, path[-1])) for path in paths]
        return [(*path, item) for item in items]

    def _listed(self, step: Step, path: Path) -> list[Any]:
        key = str(step.key)
        if not path:
            return self.target.listed(self.api.service, step.operation, key, step.parameters)
        asked = [_given(parameters, path) for parameters in _variants(step.parameters)]
        found: list[Any] = []
        try:
            for parameters in asked:
                found += self.api.each(step.operation, key, **parameters)
        except ApiError as error:
            if not self.row.gone.search(str(error)):
                raise
        return found

    def _described(self, step: Step, path: Path) -> list[Answer]:
        try:
            return [self.api.call(step.operation, **_given(step.parameters, path))]
        except ApiError as error:
            if self.row.gone.search(str(error)):
                return []
            raise

    def _many(self, step: Step, paths: Sequence[Path]) -> list[Answer]:
        """Describe one batch; raise IncompleteAnswerError if the answer lacks an item."""
        ((name, member),) = step.parameters.items()
        asked = [_member(member, path) for path in paths]
        answer = self.api.call(step.operation, **{name: asked})
        found: list[Answer] = answer.get(str(step.key), [])
        missing = answer.get(step.missing, []) if step.missing else []
        if len(found) + len(missing) < len(asked):
            problem = f"only {len(found)} of {len(asked)} {step.key}"
            raise IncompleteAnswerError(f"{step.operation} described {problem}")
        return found


def _each_once(step: Step, paths: Sequence[Path]) -> list[Path]:
    """A job that moved on while it was listed was listed twice."""
    ((_, member),) = step.parameters.items()
    return list({_member(member, path): path for path in paths}.values())


def _variants(parameters: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the parameters of each call: one for each value of a tuple."""
    values = (
        [(n, v) for v in (given if isinstance(given, tuple) else (given,))]
        for n, given in parameters.items()
    )
    return [dict(chosen) for chosen in product(*values)]


def _given(parameters: Mapping[str, Any], path: Path) -> dict[str, Any]:
    return {name: _member(value, path) for name, value in parameters.items()}


def _member(value: Any, path: Path) -> Any:
    if not isinstance(value, str) or not value.startswith("@"):
        return value
    number, dot, name = value[1:].rpartition(".")
    item = path[int(number)] if dot else path[-1]
    return item[name] if name else item
