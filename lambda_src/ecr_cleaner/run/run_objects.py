"""The documents that the steps of a run leave for one another, below a prefix in S3."""

from __future__ import annotations

import gzip
import io
import zlib
from collections.abc import Iterable, Iterator
from typing import IO
from uuid import uuid4

from ecr_cleaner.aws.api import Api, TooLargeError
from ecr_cleaner.aws.s3_object import S3Object
from ecr_cleaner.aws.session import Aws
from ecr_cleaner.core.errors import ApiError, InvalidSettingError
from ecr_cleaner.core.fan_out import Step, StepError
from ecr_cleaner.core.locations import Location
from ecr_cleaner.core.settings import Settings

FROZEN = "plan.json"
# Step Functions reads these two: a JSON array with an item for each call.
TARGETS = "targets.json"
SHARES = "shares.json"
GATHERED = "in-use.jsonl.gz"
# The mark that somebody is asked for approval, and what was reported of the run at its end.
ASKED = "asked"
REPORTED = "report.json"

MOST_BYTES = 256 * 1024 * 1024
# Compressed documents that are worth it have thousands of lines; a fast level is enough.
_LEVEL = 3
_EXISTS = frozenset({"PreconditionFailed", "ConditionalRequestConflict"})


def scan_name(number: int, target: Location) -> str:
    """Return the name of what one scan of one target found."""
    return f"scan-{number}/{target.account}/{target.region}.jsonl.gz"


def share_name(share: int, kind: str) -> str:
    """Return the name of what a share leaves: ``begun``, ``json``, ``ledger`` or ``plan``."""
    return f"clean/{share}.{kind}"


class RunObjects:
    """Reads and writes the documents of one run, below ``where``."""

    def __init__(self, s3: Api, where: str) -> None:
        self._s3 = s3
        self._where = where

    @classmethod
    def of(cls, step: Step, aws: Aws, settings: Settings) -> RunObjects:
        """Return those of the run of a step; raise InvalidSettingError without a place for them."""
        if not settings.runs:
            allowed = "s3://BUCKET/PREFIX/ if the function is called for a step of a run"
            raise InvalidSettingError("RUNS", "", allowed)
        return cls(aws.api("s3"), f"{settings.runs}{step.run}/")

    def address(self, name: str) -> str:
        """Return where a document is."""
        return str(self._at(name))

    def put(self, name: str, content: str | bytes | IO[bytes]) -> None:
        """Write a document, also over an earlier one."""
        body = content.encode() if isinstance(content, str) else content
        self._s3.call("PutObject", Body=body, **self._at(name).parameters)

    def create(self, name: str, content: str) -> None:
        """Write a document; raise StepError if there is another one already.

        The same content counts as written by this call: its first answer may have been lost. So
        the content of a mark must differ from call to call.
        """
        where = self._at(name)
        try:
            self._s3.call("PutObject", Body=content.encode(), IfNoneMatch="*", **where.parameters)
        except ApiError as error:
            if error.code not in _EXISTS:
                raise
            if self.find(name) != content.encode():
                raise StepError(f"{where} exists: this step was begun before") from error

    def begin(self, name: str) -> None:
        """Write the mark of something that is done once; raise StepError if it was begun before."""
        self.create(name, uuid4().hex)

    def put_lines(self, name: str, lines: Iterable[str]) -> None:
        """Write a compressed document."""
        content = io.BytesIO()
        with gzip.GzipFile(fileobj=content, mode="wb", compresslevel=_LEVEL, mtime=0) as text:
            text.writelines(f"{line}\n".encode() for line in lines)
        self.put(name, content.getvalue())

    def get(self, name: str) -> bytes:
        """Return a document; raise StepError if there is none."""
        found = self.find(name)
        if found is None:
            raise StepError(f"{self._at(name)} does not exist: an earlier step failed")
        return found

    def find(self, name: str) -> bytes | None:
        """Return a document, or None if there is none."""
        where = self._at(name)
        try:
            found = where.find(self._s3, MOST_BYTES)
        except TooLargeError as error:
            raise StepError(str(error)) from error
        return bytes(found["Body"]) if found else None

    def lines(self, name: str) -> Iterator[bytes]:
        """Yield the lines of a compressed document; raise StepError if it is damaged."""
        return self.unpacked(name, self.get(name))

    def unpacked(self, name: str, content: bytes) -> Iterator[bytes]:
        """Yield the lines of the content of a document; raise StepError if it is damaged."""
        try:
            with gzip.GzipFile(fileobj=io.BytesIO(content), mode="rb") as text:
                yield from text
        except (OSError, EOFError, zlib.error) as error:
            raise StepError(f"{self._at(name)} is truncated or damaged: {error!r}") from error

    def _at(self, name: str) -> S3Object:
        return S3Object.at(self._where + name)
