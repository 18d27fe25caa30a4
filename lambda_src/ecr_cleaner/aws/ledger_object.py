"""The ledger in an S3 object."""

from __future__ import annotations

from ecr_cleaner.aws.api import Api
from ecr_cleaner.aws.s3_object import ABSENT, S3Object
from ecr_cleaner.core.errors import ApiError

# That of more than ten million images.
MOST_BYTES = 256 * 1024 * 1024
# https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-writes.html
_LOST = frozenset({"PreconditionFailed", "ConditionalRequestConflict", ABSENT})


class LedgerObject:
    """Stores a ledger in an object of S3; a version is the object's ETag."""

    def __init__(self, s3: Api, where: str) -> None:
        self.where = where
        self._s3 = s3
        self._object = S3Object.at(where)

    def read(self) -> tuple[bytes, str] | None:
        """Return the content and its version; None if there is no such object."""
        answer = self._object.find(self._s3, MOST_BYTES)
        return (answer["Body"], str(answer["ETag"])) if answer else None

    def write(self, content: bytes, version: str | None) -> str | None:
        """Write over this version and return the new one; None if it is not the current one.

        Version None means that there is no object.
        """
        condition = {"IfMatch": version} if version else {"IfNoneMatch": "*"}
        try:
            answer = self._s3.call(
                "PutObject", Body=content, **self._object.parameters, **condition
            )
        except ApiError as error:
            if error.code in _LOST:
                return None
            raise
        return str(answer["ETag"])
