"""Where plans are stored: below a prefix of S3, or in a local directory."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import IO, Protocol

from ecr_cleaner.aws.session import Aws


class PlanPlace(Protocol):
    """A place for the documents of plans."""

    where: str

    def put(self, name: str, content: IO[bytes], media_type: str) -> str:
        """Store a document whole, or raise; return its address."""


class PlanObjects:
    """Stores plans below a prefix of S3."""

    def __init__(self, aws: Aws, where: str) -> None:
        self.where = where
        self._s3 = aws.api("s3")
        self._bucket, _, self._prefix = where.removeprefix("s3://").partition("/")

    def put(self, name: str, content: IO[bytes], media_type: str) -> str:
        key = self._prefix + name
        self._s3.call(
            "PutObject", Bucket=self._bucket, Key=key, Body=content, ContentType=media_type
        )
        return f"s3://{self._bucket}/{key}"


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


def place_of(aws: Aws, where: str | None) -> PlanPlace | None:
    """Return the place that the setting ``PLANS`` names; None if it is not set."""
    if where is None:
        return None
    return PlanObjects(aws, where) if where.startswith("s3://") else PlanDirectory(where)
