"""Image references that the operator brings, for consumers that no AWS API can show."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator

from ecr_cleaner.core.errors import CleanerError
from ecr_cleaner.core.model import Usage
from ecr_cleaner.core.reference import parse
from ecr_cleaner.usage.shared.references import usages_of
from ecr_cleaner.usage.shared.target import Target

MOST_BYTES = 10_000_000


class ReferenceLists:
    """Each list is a JSON array of image references, in an S3 object or an SSM parameter.

    A list that cannot be read, or is anything else, ends the run: who brought it relies on it.
    """

    name = "reference-lists"
    service = "s3"

    def usages(self, target: Target) -> Iterable[Usage]:
        """Yield the entries of every list; the list itself is the consumer."""
        lists = target.settings.reference_lists
        texts = target.workers.map(lambda where: _read(target, where), lists)
        for where, text in zip(lists, texts, strict=True):
            yield from usages_of(self.name, where, _entries(where, text))


def _read(target: Target, where: str) -> str | bytes:
    if not where.startswith("s3://"):
        name = where.removeprefix("ssm:")
        answer = target.api("ssm").call("GetParameter", Name=name, WithDecryption=True)
        return str(answer["Parameter"]["Value"])
    bucket, _, key = where.removeprefix("s3://").partition("/")
    answer = target.api("s3").call("GetObject", Bucket=bucket, Key=key)
    if answer["ContentLength"] > MOST_BYTES:
        raise CleanerError(f"{where} has more than {MOST_BYTES} bytes")
    return bytes(answer["Body"].read())


def _is_garbled(entry: str) -> bool:
    """Tell whether this was meant to be in private ECR and is not understood."""
    return re.search(r"\.dkr[.-]ecr", entry) is not None and parse(entry) is None


def _entries(where: str, text: str | bytes) -> Iterator[str]:
    try:
        entries = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise CleanerError(f"{where} is not JSON") from error
    if not isinstance(entries, list):
        raise CleanerError(f"{where} is not a JSON array of image references")
    for entry in entries:
        if not isinstance(entry, str) or not entry or _is_garbled(entry):
            raise CleanerError(f"{where} holds {entry!r}, which is not an image reference")
        yield entry
