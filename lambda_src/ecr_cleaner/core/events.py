"""What an event of EventBridge says about images in use. Pure."""

from __future__ import annotations

import json
from datetime import datetime

from ecr_cleaner.core.ledger import Use, can_be_stored, day_of
from ecr_cleaner.core.model import ImageReference
from ecr_cleaner.core.walk import find

# https://docs.aws.amazon.com/AmazonECS/latest/developerguide/ecs_task_events.html,
# https://docs.aws.amazon.com/batch/latest/userguide/batch_job_events.html
_CONSUMER_FIELDS = ("taskArn", "jobArn")


def uses_in(body: str) -> list[tuple[ImageReference, Use]] | None:
    """Return what an event shows in use; None if the text is not an event.

    Every string counts, as in an answer of AWS. The digest beside an image, which ECS adds when a
    task runs, is the digest that ran; the tag counts as well, because tasks of the same definition
    will pull by it.
    """
    try:
        event = json.loads(body)
        day = day_of(datetime.fromisoformat(event["time"]))
        detail = event["detail"]
        named = [detail[name] for name in _CONSUMER_FIELDS if name in detail]
        consumer = str(next(iter([*named, *event.get("resources", ())]), event["detail-type"]))
    except (ValueError, TypeError, LookupError, OverflowError, RecursionError):
        return None
    if not can_be_stored(day):
        return None
    found = find(detail).references
    return [(one, Use(consumer, day)) for one in found if isinstance(one, ImageReference)]
