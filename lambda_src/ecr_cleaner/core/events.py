"""What an event of EventBridge says about images in use. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime
from typing import Any

from ecr_cleaner.core.ledger import Use, day_of
from ecr_cleaner.core.model import ImageReference
from ecr_cleaner.core.reference import parse

# https://docs.aws.amazon.com/AmazonECS/latest/developerguide/ecs_task_events.html,
# https://docs.aws.amazon.com/batch/latest/userguide/batch_job_events.html
_CONSUMER_FIELDS = ("taskArn", "jobArn")


def uses_in(body: str) -> list[tuple[ImageReference, Use]] | None:
    """Return what an event shows in use; None if the text is not an event.

    Every string counts. The digest beside an image, which ECS adds when a task runs, is the digest
    that ran; the tag counts as well, because tasks of the same definition will pull by it.
    """
    try:
        event = json.loads(body)
        day = day_of(datetime.fromisoformat(event["time"]))
        detail = event["detail"]
        named = [detail[name] for name in _CONSUMER_FIELDS if name in detail]
        consumer = str(next(iter([*named, *event.get("resources", ())]), event["detail-type"]))
    except (ValueError, TypeError, LookupError, RecursionError):
        return None
    references = dict.fromkeys(_references(detail))
    return [(reference, Use(consumer, day)) for reference in references]


def _references(value: Any) -> Iterator[ImageReference]:
    if isinstance(value, str):
        reference = parse(value)
        if reference:
            yield reference
    elif isinstance(value, dict):
        yield from _with_digest(value)
        for one in value.values():
            yield from _references(one)
    elif isinstance(value, list):
        for one in value:
            yield from _references(one)


def _with_digest(value: dict[str, Any]) -> Iterator[ImageReference]:
    image, digest = value.get("image"), value.get("imageDigest")
    if isinstance(image, str) and isinstance(digest, str):
        reference = parse(f"{image.partition('@')[0]}@{digest}")
        if reference:
            yield reference
