"""ECS's describe operations answer in part: what they could not describe stands in ``failures``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ecr_cleaner.errors import IncompleteAnswerError

Answer = Mapping[str, Any]


def described(operation: str, answer: Answer, key: str, asked: int) -> list[Answer]:
    """Return what was described; raise IncompleteAnswerError where that is not all there is.

    What vanished since it was listed is MISSING, and that alone is fine.
    Source: https://docs.aws.amazon.com/AmazonECS/latest/developerguide/api_failures_messages.html
    """
    found: list[Answer] = answer.get(key, [])
    failures = answer.get("failures", [])
    for failure in failures:
        if failure.get("reason") != "MISSING":
            problem = f"{failure.get('arn')}: {failure.get('reason')}"
            raise IncompleteAnswerError(f"{operation} could not describe {problem}")
    if len(found) + len(failures) < asked:
        raise IncompleteAnswerError(f"{operation} described only {len(found)} of {asked}")
    return found
