"""The usages of one cluster, read in one place and judged in another."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from ecr_cleaner.core.documents import (
    MALFORMED,
    Reference,
    is_in_future,
    json_object,
    minutes,
    of_type,
    reference_fields,
    reference_from,
    time_from,
)
from ecr_cleaner.core.errors import CleanerError
from ecr_cleaner.core.in_use import CONSUMERS_NAMED
from ecr_cleaner.core.kubernetes import missing_kinds

SCHEMA = 1


class DocumentError(CleanerError):
    """A usage document that cannot be parsed."""


class HeldReferences:
    """References with the names of their consumers, at most ``CONSUMERS_NAMED`` for each."""

    def __init__(self) -> None:
        self._held: dict[Reference, list[str]] = {}

    def add(self, reference: Reference, consumer: str) -> None:
        named = self._held.setdefault(reference, [])
        if len(named) < CONSUMERS_NAMED and consumer not in named:
            named.append(consumer)

    def items(self) -> Iterable[tuple[Reference, list[str]]]:
        """Return each reference with its consumers."""
        return self._held.items()

    def __iter__(self) -> Iterator[tuple[Reference, str]]:
        for reference, consumers in self._held.items():
            for consumer in consumers:
                yield reference, consumer


@dataclass(frozen=True, slots=True)
class UsageDocument:
    """All usages of one cluster, with what was read to find them; without ``problem``: all of it.

    ``kinds`` are the names of the kinds that were read in full.
    """

    cluster: str
    started: datetime
    ended: datetime
    kinds: Sequence[str]
    held: HeldReferences = field(default_factory=HeldReferences)
    waived_api_groups: Sequence[str] = ()
    problem: str = ""
    fix: str = ""

    def to_json(self) -> str:
        """Return the document as it is written to a file or an S3 object."""
        return json.dumps(
            {
                "schema": SCHEMA,
                "cluster": self.cluster,
                "started": self.started.isoformat(),
                "ended": self.ended.isoformat(),
                "complete": not self.problem,
                "problem": self.problem,
                "fix": self.fix,
                "kinds": list(self.kinds),
                "waived_api_groups": list(self.waived_api_groups),
                "usages": [
                    {**reference_fields(reference), "consumer": consumer}
                    for reference, consumer in self.held
                ],
            }
        )

    def doubt(self, now: datetime, max_age: timedelta) -> str:
        """Return why the document does not say what the cluster runs now, or nothing."""
        if self.problem:
            return f"its usage document is incomplete: {self.problem}"
        missing = missing_kinds(self.kinds)
        if missing:
            return f"its usage document lacks {', '.join(missing)}"
        # What started after the first list was read may be missing in the document.
        age = now - self.started
        if age > max_age:
            return f"its usage document began {minutes(age)} minutes ago"
        if is_in_future(self.started, now):
            return f"its usage document is {minutes(-age)} minutes from the future"
        return ""


def parse_document(text: str | bytes) -> UsageDocument:
    """Return the document; raise DocumentError for anything that is not one of this schema."""
    try:
        content = json_object(text)
        if content.get("schema") != SCHEMA:
            raise DocumentError(f"it is not a usage document of schema {SCHEMA}")
        return _parse(content)
    except MALFORMED as error:
        raise DocumentError(f"it is not a usage document: {error!r}") from error


def _parse(content: Mapping[str, Any]) -> UsageDocument:
    held = HeldReferences()
    for usage in of_type(list, content["usages"]):
        held.add(reference_from(usage), of_type(str, usage["consumer"]))
    complete = of_type(bool, content["complete"])
    problem = of_type(str, content["problem"])
    return UsageDocument(
        cluster=of_type(str, content["cluster"]),
        started=time_from(content["started"]),
        ended=time_from(content["ended"]),
        kinds=[of_type(str, kind) for kind in of_type(list, content["kinds"])],
        held=held,
        waived_api_groups=of_type(list, content["waived_api_groups"]),
        problem="" if complete else problem or "no reason is given",
        fix=of_type(str, content["fix"]),
    )
