"""The commands for a person: what they look at, and what they show."""

from __future__ import annotations

import re
import shutil
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TextIO

from structlog.typing import FilteringBoundLogger

from ecr_cleaner import program
from ecr_cleaner.core.applied_plan import AppliedPlan
from ecr_cleaner.core.errors import LogError
from ecr_cleaner.core.in_use import Broken
from ecr_cleaner.core.model import ReferencePattern, Registry, Usage
from ecr_cleaner.core.plan_document import (
    PlanHeader,
    PlannedImage,
    PlannedRepository,
    PlanPart,
)
from ecr_cleaner.core.plan_summary import summarize_plan
from ecr_cleaner.core.policy import is_opted_in
from ecr_cleaner.core.reference import is_digest, is_tag, parse
from ecr_cleaner.core.text import visible
from ecr_cleaner.report.applied import Applied
from ecr_cleaner.report.applied_list import write_list
from ecr_cleaner.report.explanation import Explained, explain_unjudged
from ecr_cleaner.report.explanation import explain as explanation
from ecr_cleaner.report.lines import make_logger
from ecr_cleaner.report.table import write_table
from ecr_cleaner.report.terminal import NOT_OF_APPLYING, SHOWN_IN_PLAN, Progress
from ecr_cleaner.run.looking import Look
from ecr_cleaner.run.plans import Plans

STANDARD_OUTPUT = "-"
TABLE, JSON, PAGE = "table", "json", "html"
FORMATS = (TABLE, JSON, PAGE)
_BY_SUFFIX = {".json": JSON, ".jsonl": JSON, ".html": PAGE}
# Of other algorithms, such as "app:1", it is not clear that they are not tags.
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128}")
# Fewer digits may be those of another image tomorrow.
_START_OF_DIGEST = re.compile(r"(?:sha256:)?(?P<digits>[0-9a-f]{12,64})")
_MOST_NAMED = 10
_REPOSITORY = re.compile(r"[a-z0-9]+(?:[._/-]+[a-z0-9]+)*")


@dataclass(frozen=True, slots=True)
class Wanted:
    """The image that a person asks about; ``repository`` None: whichever has the digest.

    ``digest`` may be only the start of one.
    """

    repository: str | None = None
    tag: str | None = None
    digest: str | None = None
    registry: Registry | None = None

    def is_meant_by(self, usage: Usage) -> bool:
        """Return whether the usage may be one of this image's repository."""
        reference = usage.reference
        if self.repository is None:
            return True
        if isinstance(reference, ReferencePattern):
            return "*" in reference.repository or reference.repository == self.repository
        return reference.repository == self.repository

    def is_it(self, image: PlannedImage) -> bool:
        """Return whether this image of the repository is meant."""
        return image.digest.startswith(self.digest) if self.digest else self.tag in image.tags

    def __str__(self) -> str:
        name = self.repository or ""
        return f"{name}@{self.digest}".lstrip("@") if self.digest else f"{name}:{self.tag}"


def wanted_image(text: str) -> Wanted | None:
    """Return what the text names: a reference, ``repository:tag`` or a digest; None: nothing.

    Of a digest, 12 hexadecimal digits are enough.
    """
    if _DIGEST.fullmatch(text):
        return Wanted(digest=text)
    name, _, digest = text.rpartition("@")
    start = _START_OF_DIGEST.fullmatch(digest)
    if start:
        return _wanted_by_digest(name, f"sha256:{start['digits']}")
    reference = parse(text)
    if reference:
        if reference.tag is None and reference.digest is None:
            return None
        return Wanted(
            reference.repository, reference.tag, reference.digest, registry=reference.registry
        )
    name, at, digest = text.partition("@")
    if at:
        return Wanted(name, digest=digest) if _is_name(name) and is_digest(digest) else None
    name, _, tag = text.rpartition(":")
    return Wanted(name, tag=tag) if _is_name(name) and is_tag(tag) else None


def _wanted_by_digest(name: str, digest: str) -> Wanted | None:
    """Return the image of this repository, if one is named, with a digest that starts like this."""
    reference = parse(name)
    if reference:
        return Wanted(reference.repository, digest=digest, registry=reference.registry)
    return Wanted(name or None, digest=digest) if _is_name(name or "any") else None


def plan(environ: Mapping[str, str], run: str, output: str, form: str | None) -> int:
    """Look at everything and write the plan in this form; return the exit status."""
    form = form or _BY_SUFFIX.get(Path(output).suffix, TABLE)
    target = _Output(None if output == STANDARD_OUTPUT else Path(output))
    with closing(target), _progress() as progress, closing(Plans(run)) as plans:
        try:
            target.open()
        except OSError as error:
            sys.stderr.write(f"ecr_cleaner: {output} cannot be written: {error.strerror}\n")
            return 1
        failure = program.look(environ, progress.logger(), Look(plans))
        progress.close()
        if not plans.begun:
            sys.stderr.write("There are no repositories in this account and region.\n")
        elif not plans.problems:
            with _errors_told(), target.written() as stream:
                _write(plans, form, stream)
    return 1 if failure else 0


def apply(environ: Mapping[str, str], run: str, address: str) -> int:
    """Apply a plan, and write at the end what was removed; return the exit status.

    The log is on standard output; if a person looks at that, it is a list of images instead.
    """
    applied = Applied()
    plans: list[AppliedPlan] = []
    is_seen = sys.stdout.isatty()
    with _progress(NOT_OF_APPLYING) as progress:
        watchers = [progress.watch, applied.watch]

        def for_a_person(level: str, **bound: Any) -> FilteringBoundLogger:
            del level, bound
            return progress.logger(applied.watch)

        make = for_a_person if is_seen else partial(make_logger, watchers=watchers)
        try:
            program.apply(environ, run, address, make=make, see=plans.append)
        finally:
            progress.close()
            # Of a run that ended early, not all is known.
            for one in plans if is_seen and applied.ended else ():
                write_list(one, sys.stdout, has_page="PLANS" in environ)
            sentences = applied.sentences()
            sys.stderr.write(f"{sentences}\n" if sentences else "")
    return 0


def explain(environ: Mapping[str, str], run: str, wanted: Wanted) -> int:
    """Look at one repository and write why the image is kept or removed; return the exit status."""
    with _progress() as progress, closing(Plans(run)) as plans:
        seen = Look(plans, only=wanted.repository, is_wanted=wanted.is_meant_by)
        failure = program.look(environ, progress.logger(), seen)
        progress.close()
        with _errors_told():
            try:
                sys.stdout.write(_explained(wanted, seen))
                sys.stdout.flush()
            except _NotFoundError as error:
                sys.stderr.write(f"{error}\n")
                return 1
    return 1 if failure else 0


class _NotFoundError(Exception):
    """There is no such image here."""


def _explained(wanted: Wanted, seen: Look) -> str:
    registry = seen.repositories[0].registry if seen.repositories else None
    if wanted.registry and registry and wanted.registry != registry:
        raise _NotFoundError(
            f"{wanted} is in the registry of {wanted.registry.account} in "
            f"{wanted.registry.region}, but this is {registry.account} in {registry.region}."
        )
    name = wanted.repository
    repository = next((one for one in seen.repositories if one.name == name), None)
    if name is not None and repository is None:
        told = f"There is no repository {visible(name)} in this account and region."
        raise _NotFoundError(told + _broken(wanted, _missing(wanted, seen)))
    found, image = _find(wanted, seen) if seen.plans.begun else (None, None)
    if found and image:
        return explanation(found, image)
    if repository and not (found and found.images):
        planned = found.planned if found else None
        return explain_unjudged(repository.name, planned, opted_in=is_opted_in(repository))
    if repository:
        raise _NotFoundError(
            f"The repository {visible(repository.name)} is opted in, but has no such image: "
            f"{visible(str(wanted))}." + _broken(wanted, found.planned.broken if found else ())
        )
    raise _NotFoundError(f"There is no image {visible(str(wanted))} in an opted-in repository.")


def _find(wanted: Wanted, seen: Look) -> tuple[Explained | None, PlannedImage | None]:
    """Return the repository of the image, with the image if it is in it."""
    last: Explained | None = None
    first: tuple[Explained, PlannedImage] | None = None
    names: list[str] = []
    for found in _repositories(seen.plans.parts(), seen):
        last = found
        for image in filter(wanted.is_it, found.images.values()):
            first = first or (found, image)
            names.append(f"{image.repository}@{image.digest}")
    if len(names) > 1:
        shown = [visible(name) for name in names[:_MOST_NAMED]]
        more = [f"and {len(names) - _MOST_NAMED:,} more"] if len(names) > _MOST_NAMED else []
        raise _NotFoundError("\n  ".join([f"{wanted} is not one image but:", *shown, *more]))
    return first or (last, None)


def _missing(wanted: Wanted, seen: Look) -> Sequence[Broken]:
    """Return the broken references to a repository that does not exist."""
    if not seen.plans.begun:
        return ()
    header = next(seen.plans.parts())
    return header.missing.get(wanted.repository or "", ()) if isinstance(header, PlanHeader) else ()


def _broken(wanted: Wanted, found: Iterable[Broken]) -> str:
    """Return the sentence about consumers that name the image and cannot pull it, if any do."""
    users = dict.fromkeys(
        visible(user)
        for one in found
        if one.name == wanted.tag or (wanted.digest and one.name.startswith(wanted.digest))
        for user in one.consumers
    )
    return f" It is a broken reference of {', '.join(users)}." if users else ""


def _repositories(parts: Iterable[PlanPart], seen: Look) -> Iterator[Explained]:
    """Yield the repositories of a plan, one at a time."""
    header: PlanHeader | None = None
    planned: PlannedRepository | None = None
    images: dict[str, PlannedImage] = {}
    for part in parts:
        if isinstance(part, PlanHeader):
            header = part
        elif isinstance(part, PlannedImage):
            images[part.digest] = part
        else:
            if header and planned:
                yield Explained(header, planned, images, _usages(seen, planned.repository))
            planned = part if isinstance(part, PlannedRepository) else None
            images = {}


def _usages(seen: Look, name: str) -> list[Usage]:
    repository = next(one for one in seen.repositories if one.name == name)
    return [
        usage
        for usage in seen.usages
        if (
            usage.reference.matches(repository)
            if isinstance(usage.reference, ReferencePattern)
            else (usage.reference.registry, usage.reference.repository)
            == (repository.registry, name)
        )
    ]


def _write(plans: Plans, form: str, stream: TextIO) -> None:
    if form == JSON:
        stream.writelines(f"{part.to_line()}\n" for part in plans.parts())
        return
    if form == PAGE:
        stream.writelines(plans.page())
        return
    summary = summarize_plan(plans.parts())
    if summary:
        write_table(summary, stream, shutil.get_terminal_size().columns)


class _Output:
    """Standard output (None), or a file, which is complete or not there."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._unfinished: Path | None = None
        self._stream: TextIO | None = None

    def open(self) -> None:
        """Raise OSError if the file cannot be written: a run is too long to learn it at the end."""
        if self._path is None:
            return
        if self._path.exists() and not self._path.is_file():
            # A pipe or a device, which cannot be replaced, or a directory.
            self._stream = self._path.open("w", encoding="utf-8")
            return
        self._unfinished = self._path.with_name(f"{self._path.name}.new")
        self._stream = self._unfinished.open("w", encoding="utf-8")

    @contextmanager
    def written(self) -> Iterator[TextIO]:
        """Return the stream to write to, and finish the file."""
        stream = self._stream or sys.stdout
        yield stream
        stream.flush()
        if self._path and self._unfinished:
            self._unfinished.replace(self._path)
            self._unfinished = None
        if self._path:
            sys.stderr.write(f"Written {self._path}\n")

    def close(self) -> None:
        """Remove a file that was not finished."""
        if self._stream:
            # The error was already reported.
            with suppress(OSError):
                self._stream.close()
        if self._unfinished:
            self._unfinished.unlink(missing_ok=True)


@contextmanager
def _errors_told() -> Iterator[None]:
    """Have what cannot be written end up on standard error, unless its reader has enough."""
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        raise LogError(f"the output could not be written: {error}") from error


@contextmanager
def _progress(hidden: frozenset[str] = SHOWN_IN_PLAN) -> Iterator[Progress]:
    progress = Progress(sys.stderr, shutil.get_terminal_size().columns, hidden)
    try:
        yield progress
    finally:
        progress.close()


def _is_name(text: str) -> bool:
    return _REPOSITORY.fullmatch(text) is not None
