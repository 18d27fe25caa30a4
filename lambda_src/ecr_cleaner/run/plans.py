"""The plan of a run, written before anything is removed."""

from __future__ import annotations

import gzip
import re
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from datetime import datetime
from functools import cached_property
from itertools import chain, islice
from threading import Lock
from typing import IO, Protocol

from ecr_cleaner.core.applied_plan import AppliedPlan
from ecr_cleaner.core.plan_document import (
    PlanEnd,
    PlanHeader,
    PlannedImage,
    PlannedRepository,
    PlanPart,
    read_plan,
)
from ecr_cleaner.core.plan_summary import summarize_plan
from ecr_cleaner.core.trend import NO_PAST, Past
from ecr_cleaner.report.page import MOST_IMAGES, write_page
from ecr_cleaner.run.plan_places import PlanPlace

SUFFIX = ".jsonl.gz"
PAGE_SUFFIX = ".html"
_MEDIA_TYPE = "application/gzip"
_PAGE_MEDIA_TYPE = "text/html; charset=utf-8"
# Fast: a million verdicts are about 450 MB, and Lambda's disk has 512 MB.
_LEVEL = 3
_LINES_A_WRITE = 200
_NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9._-]+")


class PlanSink(Protocol):
    """What a run needs of its plan. ``run`` is the name of the run."""

    run: str

    @property
    def may_sweep(self) -> bool:
        """Whether the plan holds all that was added to it, if there is one."""

    @property
    def problems(self) -> Sequence[str]:
        """What failed."""

    def begin(self, header: PlanHeader) -> None:
        """Begin the plan."""

    def add(self, repository: PlannedRepository, images: Iterable[PlannedImage] = ()) -> None:
        """Add a repository with its verdicts; only the first one of a name counts."""

    def finish(self, past: Past = NO_PAST, applied: AppliedPlan | None = None) -> list[str]:
        """End the plan and store it, and its page with this past; return what failed.

        ``applied`` is what became of the plan that the run applied.
        """

    @property
    def stored(self) -> Sequence[str]:
        """The addresses of what was stored."""


class NoPlan:
    """A run that writes no plan."""

    run = ""
    stored: Sequence[str] = ()
    problems: Sequence[str] = ()
    may_sweep = True

    def begin(self, header: PlanHeader) -> None: ...

    def add(self, repository: PlannedRepository, images: Iterable[PlannedImage] = ()) -> None: ...

    def finish(self, past: Past = NO_PAST, applied: AppliedPlan | None = None) -> list[str]:
        del past, applied
        return []

    def close(self) -> None: ...


class Plans:
    """Collects a plan in a compressed temporary file, one repository at a time, and stores it.

    With a place, the header is stored at once. That proves that the plan can be stored, and if the
    run is ended from outside, the document says so by having no end. A failure is a problem of the
    run, never an error: from then on, ``may_sweep`` is False. The page of the plan is stored beside
    it if ``has_time``: of a large plan, it takes seconds.
    """

    def __init__(
        self,
        run: str,
        place: PlanPlace | None = None,
        has_time: Callable[[], bool] = lambda: True,
    ) -> None:
        self.run = run
        self._place = place
        self._has_time = has_time
        self._lock = Lock()
        self._opened = ExitStack()
        self._name = ""
        self._past = NO_PAST
        self._applied: AppliedPlan | None = None
        self._repositories: set[str] = set()
        self._images = 0
        self.begun = False
        self.problems: list[str] = []
        self.stored: list[str] = []

    @property
    def may_sweep(self) -> bool:
        return not self.problems

    def begin(self, header: PlanHeader) -> None:
        self.begun = True
        self._name = plan_name(header.time, header.run)
        line = _ended(header.to_line())
        with self._problems_noted("; nothing is removed without a plan"):
            self._text.write(line)
            if self._place:
                with tempfile.TemporaryFile() as begun:
                    begun.write(gzip.compress(line, mtime=0))
                    begun.seek(0)
                    self._place.put(self._name + SUFFIX, begun, _MEDIA_TYPE)

    def add(self, repository: PlannedRepository, images: Iterable[PlannedImage] = ()) -> None:
        with self._lock, self._problems_noted("; nothing more is removed"):
            if repository.repository in self._repositories or self.problems:
                return
            self._repositories.add(repository.repository)
            lines = chain([repository.to_line()], map(self._counted, images))
            while block := list(islice(lines, _LINES_A_WRITE)):
                self._text.write(_ended(*block))

    def finish(self, past: Past = NO_PAST, applied: AppliedPlan | None = None) -> list[str]:
        self._past = past
        self._applied = applied
        if self.begun and not self.problems:
            with self._problems_noted(""):
                end = PlanEnd(len(self._repositories), self._images)
                self._text.write(_ended(end.to_line()))
                self._text.close()
                self._store(SUFFIX, self._file, _MEDIA_TYPE)
            with self._problems_noted(""):
                self._store_page()
        return self.problems

    def parts(self) -> Iterator[PlanPart]:
        """Yield the parts of the finished plan, from its beginning."""
        self._file.seek(0)
        with gzip.GzipFile(fileobj=self._file, mode="rb") as text:
            yield from read_plan(text)

    def page(self) -> Iterator[str]:
        """Yield the page of the finished plan in pieces."""
        summary = summarize_plan(self.parts(), MOST_IMAGES)
        return write_page(summary, self._past, self._applied) if summary else iter(())

    def close(self) -> None:
        """Remove the temporary file."""
        self._opened.close()

    @cached_property
    def _file(self) -> IO[bytes]:
        return self._opened.enter_context(tempfile.TemporaryFile())

    @cached_property
    def _text(self) -> gzip.GzipFile:
        return gzip.GzipFile(fileobj=self._file, mode="wb", compresslevel=_LEVEL, mtime=0)

    def _store(self, suffix: str, file: IO[bytes], media_type: str) -> None:
        if self._place:
            file.seek(0)
            self.stored.append(self._place.put(self._name + suffix, file, media_type))

    def _store_page(self) -> None:
        if not self._place or self.problems or not self._has_time():
            return
        with tempfile.TemporaryFile() as file:
            file.writelines(piece.encode() for piece in self.page())
            self._store(PAGE_SUFFIX, file, _PAGE_MEDIA_TYPE)

    def _counted(self, image: PlannedImage) -> str:
        self._images += 1
        return image.to_line()

    @contextmanager
    def _problems_noted(self, consequence: str) -> Iterator[None]:
        try:
            yield
        except Exception as error:  # noqa: BLE001 - whatever it is, nothing more is removed
            where = self._place.where if self._place else "in a temporary file"
            self.problems.append(f"the plan {where} cannot be written: {error}{consequence}")


def plan_name(time: datetime, run: str) -> str:
    """Return the name of the plan of a run that began then, without a suffix."""
    return f"{time:%Y-%m-%dT%H%M%SZ}-{_NOT_IN_NAMES.sub('-', run)}"


def _ended(*lines: str) -> bytes:
    return "".join(f"{line}\n" for line in lines).encode()
