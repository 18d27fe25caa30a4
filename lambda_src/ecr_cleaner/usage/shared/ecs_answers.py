"""What the answers of several ECS operations have in common: failures, and containers' images."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from ecr_cleaner.aws.api import Answer
from ecr_cleaner.core.errors import IncompleteAnswerError
from ecr_cleaner.usage.shared.references import as_written_and_run


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


def images_of(containers: Iterable[Answer]) -> Iterator[str | None]:
    """Yield the image of each container as it was written, and by the digest that runs."""
    for container in containers:
        yield from as_written_and_run(container.get("image"), container.get("imageDigest"))


def names_every_image(revision: Answer) -> bool:
    """Tell whether a revision of a service or daemon tells all that its definition would."""
    containers = revision.get("containerImages", ())
    return bool(containers) and all(container.get("image") for container in containers)
