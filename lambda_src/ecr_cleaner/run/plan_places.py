"""Where plans are stored: below a prefix of S3, or in a local directory."""

from __future__ import annotations

import gzip
import shutil
import tempfile
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Protocol

from ecr_cleaner.aws.s3_object import S3Object
from ecr_cleaner.aws.session import Aws
from ecr_cleaner.core.errors import CleanerError
from ecr_cleaner.core.plan_document import PlanError, PlanPart, read_plan

# A plan of a million images has about a third of that.
MOST_BYTES = 128 * 1024 * 1024
_GZIP = b"\x1f\x8b"


class PlanPlace(Protocol):
    """A place for the documents of plans."""

    where: str

    def put(self, name: str, content: IO[bytes], media_type: str) -> str:
        """Store a document whole, or raise; return its address."""


class PlanObjects:
    """Stores plans below a prefix of S3."""

    def __init__(self, aws: Aws, where: str) -> None:
        self.where = where
        self._aws = aws

    def put(self, name: str, content: IO[bytes], media_type: str) -> str:
        to = S3Object.at(self.where + name)
        s3 = self._aws.api("s3")
        s3.call("PutObject", **to.parameters, Body=content, ContentType=media_type)
        return str(to)


class PlanDirectory:
    """Stores plans in a local directory, which is created if it does not exist."""

    def __init__(self, where: str) -> None:
        self.where = where

    def put(self, name: str, content: IO[bytes], media_type: str) -> str:
        del media_type
        path = Path(self.where) / name
        path.parent.mkdir(parents=True, exist_ok=True)
        # Renamed, so that the file is never there in part.
        unfinished = path.with_name(f"{name}.new")
        with unfinished.open("wb") as file:
            shutil.copyfileobj(content, file)
        unfinished.replace(path)
        return str(path)


@contextmanager
def stored_plan(aws: Aws, where: str) -> Iterator[Iterator[PlanPart]]:
    """Open a plan in S3 or in a file, compressed or not, and yield its parts.

    Raise PlanError if it cannot be read.
    """
    if where.endswith(".html"):
        raise PlanError(f"{where} is the page of a plan; name the plan itself, .jsonl.gz")
    if not where:
        raise PlanError("no plan is named")
    with stored_lines(aws, where) as lines:
        yield read_plan(lines)


@contextmanager
def stored_lines(aws: Aws, where: str, most_bytes: int = MOST_BYTES) -> Iterator[Iterator[bytes]]:
    """Open a plan in S3 or in a file, compressed or not, and yield its lines.

    Raise PlanError if it cannot be read, or has more bytes in S3.
    """
    with tempfile.TemporaryFile() as file:
        try:
            _fetch(aws, where, file, most_bytes)
        except (CleanerError, OSError) as error:
            raise PlanError(f"the plan {where} cannot be read: {error}") from error
        file.seek(0)
        is_compressed = file.read(len(_GZIP)) == _GZIP
        file.seek(0)
        yield _read(gzip.GzipFile(fileobj=file, mode="rb") if is_compressed else file)


def _fetch(aws: Aws, where: str, file: IO[bytes], most_bytes: int) -> None:
    if not where.startswith("s3://"):
        with Path(where).open("rb") as stored:
            shutil.copyfileobj(stored, file)
        return
    file.write(S3Object.at(where).read(aws.api("s3"), most_bytes)["Body"])


def _read(lines: Iterable[bytes]) -> Iterator[bytes]:
    try:
        yield from lines
    except (OSError, EOFError, zlib.error) as error:
        raise PlanError(f"the plan is damaged: {error}") from error


def address(plans: str, name: str) -> str:
    """Return where a document of this name is, at the place that the setting ``PLANS`` names."""
    return plans + name if plans.startswith("s3://") else str(Path(plans) / name)


def place_of(aws: Aws, where: str | None) -> PlanPlace | None:
    """Return the place that the setting ``PLANS`` names; None if it is not set."""
    if where is None:
        return None
    return PlanObjects(aws, where) if where.startswith("s3://") else PlanDirectory(where)
