"""The commands for a person: what they look at, and what they show."""

from __future__ import annotations

import re
import shutil
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from ecr_cleaner.core.errors import LogError
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
from ecr_cleaner.program import look
from ecr_cleaner.report.explanation import Explained, explain_unjudged
from ecr_cleaner.report.explanation import explain as explanation
from ecr_cleaner.report.table import write_table
from ecr_cleaner.report.terminal import Progress
from ecr_cleaner.run.looking import Look
from ecr_cleaner.run.plans import Plans

STANDARD_OUTPUT = "-"
TABLE, JSON, PAGE = "table", "json", "html"
FORMATS = (TABLE, JSON, PAGE)
_BY_SUFFIX = {".json": JSON, ".jsonl": JSON, ".html": PAGE}
# Of others, such as "app:1", it is not clear that they are no tags.
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128}")
_REPOSITORY = re.compile(r"[a-z0-9]+(?:[._/-]+[a-z0-9]+)*")


@dataclass(frozen=True, slots=True)
class Wanted:
    """The image that a person asks about; ``repository`` None: whichever has the digest."""

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
        return self.digest == image.digest if self.digest else self.tag in image.tags

    def __str__(self) -> str:
        name = self.repository or ""
        return f"{name}@{self.digest}".lstrip("@") if self.digest else f"{name}:{self.tag}"


def wanted_image(text: str) -> Wanted | None:
    """Return what the text names: a reference, ``repository:tag`` or a digest; None: nothing."""
    if _DIGEST.fullmatch(text):
        return Wanted(digest=text)
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


def plan(environ: Mapping[str, str], run: str, output: str, form: str | None) -> int:
    """Look at everything and write the plan in this form; return the exit status."""
    form = form or _BY_SUFFIX.get(Path(output).suffix, TABLE)
    with _progress() as progress, closing(Plans(run)) as plans:
        failure = look(environ, progress.logger(), Look(plans))
        progress.close()
        if not plans.begun:
            sys.stderr.write("There are no repositories in this account and region.\n")
        elif not plans.problems:
            with _errors_told(), _opened(output) as stream:
                _write(plans, form, stream)
    return 1 if failure else 0


def explain(environ: Mapping[str, str], run: str, wanted: Wanted) -> int:
    """Look at one repository and write why the image is kept or removed; return the exit status."""
    with _progress() as progress, closing(Plans(run)) as plans:
        seen = Look(plans, only=wanted.repository, is_wanted=wanted.is_meant_by)
        failure = look(environ, progress.logger(), seen)
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
        raise _NotFoundError(f"There is no repository {visible(name)} in this account and region.")
    found, image = _find(wanted, seen) if seen.plans.begun else (None, None)
    if found and image:
        return explanation(found, image)
    if repository and not (found and found.images):
        planned = found.planned if found else None
        return explain_unjudged(repository.name, planned, opted_in=is_opted_in(repository))
    if repository:
        raise _NotFoundError(
            f"The repository {visible(repository.name)} is opted in, but has no such image: "
            f"{visible(str(wanted))}."
        )
    raise _NotFoundError(f"There is no image {visible(str(wanted))} in an opted-in repository.")


def _find(wanted: Wanted, seen: Look) -> tuple[Explained | None, PlannedImage | None]:
    """Return the repository of the image, with the image if it is in it."""
    last: Explained | None = None
    for found in _repositories(seen.plans.parts(), seen):
        last = found
        for image in found.images.values():
            if wanted.is_it(image):
                return found, image
    return last, None


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


@contextmanager
def _opened(output: str) -> Iterator[TextIO]:
    """Return standard output, or a file that is complete or not there."""
    if output == STANDARD_OUTPUT:
        yield sys.stdout
        sys.stdout.flush()
        return
    path = Path(output)
    unfinished = path.with_name(f"{path.name}.new")
    with unfinished.open("w", encoding="utf-8") as stream:
        yield stream
    unfinished.replace(path)


@contextmanager
def _errors_told() -> Iterator[None]:
    """Have what cannot be written, such as to a closed pipe, end up on standard error."""
    try:
        yield
    except OSError as error:
        raise LogError(f"the output could not be written: {error}") from error


@contextmanager
def _progress() -> Iterator[Progress]:
    progress = Progress(sys.stderr)
    try:
        yield progress
    finally:
        progress.close()


def _is_name(text: str) -> bool:
    return _REPOSITORY.fullmatch(text) is not None
