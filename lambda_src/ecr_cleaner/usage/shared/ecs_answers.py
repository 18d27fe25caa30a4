"""What the answers of several ECS operations have in common: failures, and what they name."""

from __future__ import annotations

from ecr_cleaner.aws.api import Answer
from ecr_cleaner.core.errors import IncompleteAnswerError


def described(operation: str, answer: Answer, key: str, asked: int) -> list[Answer]:
    """Return what was described; raise IncompleteAnswerError if anything else is missing.

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


def names_every_image(revision: Answer) -> bool:
    """Return whether a revision of a service or daemon names all that its definition would."""
    containers = revision.get("containerImages", ())
    return bool(containers) and all(container.get("image") for container in containers)
