"""What the event of the function asks for. Pure.

An event that is not understood must not start an ordinary run, which may remove images: somebody
meant something else by it.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum

from ecr_cleaner.core.errors import CleanerError

# https://docs.aws.amazon.com/eventbridge/latest/ref/overiew-event-structure.html
_OF_EVENTBRIDGE = frozenset(
    {
        *("version", "id", "detail-type", "source", "account", "time", "region", "resources"),
        *("detail", "replay-name"),
    }
)
_CERTAINLY_OF_EVENTBRIDGE = frozenset({"source", "detail-type"})
_ORDERS = frozenset({"apply", "step"})
_OF_STEPS = frozenset({"step", "run", "round", "target", "share"})

ALLOWED = (
    '{} or an event of EventBridge starts a run, {"apply": "s3://BUCKET/KEY"} applies a plan, and '
    '{"step": ...} is for the state machine only'
)


class EventError(CleanerError):
    """An event that this program does not understand; nothing is done."""

    def __init__(self, why: str) -> None:
        super().__init__(f"{why}, so nothing is done; allowed: {ALLOWED}")


class Order(StrEnum):
    """What the function is asked to do."""

    RUN = "run"
    APPLY = "apply"
    STEP = "step"


def order_of(event: object) -> Order:
    """Return what an event asks for; raise EventError if it is neither ours nor one of AWS."""
    if event is None:
        return Order.RUN
    if not isinstance(event, dict):
        raise EventError(f"the event is not a JSON object but {event!r:.100}")
    if "apply" in event:
        _refuse(event.keys() - {"apply"}, 'beside "apply"')
        if not isinstance(event["apply"], str):
            raise EventError(f'"apply" of the event is not a string but {event["apply"]!r:.100}')
        return Order.APPLY
    if "step" in event:
        _refuse(event.keys() - _OF_STEPS, 'beside "step"')
        return Order.STEP
    _check_eventbridge(event)
    return Order.RUN


def _check_eventbridge(event: dict[object, object]) -> None:
    detail = event.get("detail")
    if isinstance(detail, dict) and not _ORDERS.isdisjoint(detail):
        raise EventError('"apply" or "step" is in "detail" of the event, not beside it')
    if not _is_of_eventbridge(event):
        _refuse(event.keys() - _OF_EVENTBRIDGE, "")


def _is_of_eventbridge(event: dict[object, object]) -> bool:
    """Return whether AWS made it: it may add keys, but none that looks like one of ours."""
    theirs = {str(name).strip().casefold() for name in event}
    return theirs >= _CERTAINLY_OF_EVENTBRIDGE and theirs.isdisjoint(_ORDERS)


def _refuse(unknown: Iterable[object], where: str) -> None:
    names = ", ".join(repr(name) for name in sorted(map(str, unknown)))
    if names:
        raise EventError(f"the event has unknown keys {where}".rstrip() + f": {names:.200}")
