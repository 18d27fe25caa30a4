"""An object in S3: its address, and its content up to a limit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ecr_cleaner.aws.api import Api
from ecr_cleaner.core.errors import ApiError

ABSENT = "NoSuchKey"


@dataclass(frozen=True, slots=True)
class S3Object:
    """The address of an object; the key may be a prefix."""

    bucket: str
    key: str

    @classmethod
    def at(cls, where: str) -> S3Object:
        """Return the object at an address of the form ``s3://BUCKET/KEY``."""
        bucket, _, key = where.removeprefix("s3://").partition("/")
        return cls(bucket, key)

    def __str__(self) -> str:
        return f"s3://{self.bucket}/{self.key}"

    @property
    def parameters(self) -> dict[str, str]:
        """The parameters that name it in a call."""
        return {"Bucket": self.bucket, "Key": self.key}

    def read(self, s3: Api, most_bytes: int, **conditions: str) -> dict[str, Any]:
        """Return what GetObject answers, with the content as bytes under ``Body``.

        Raise TooLargeError if the object has more bytes than that, and ApiError for any failure.
        """
        return s3.download("GetObject", str(self), most_bytes, **self.parameters, **conditions)

    def find(self, s3: Api, most_bytes: int) -> dict[str, Any] | None:
        """Return the same, or None if there is no such object."""
        try:
            return self.read(s3, most_bytes)
        except ApiError as error:
            if error.code == ABSENT:
                return None
            raise
