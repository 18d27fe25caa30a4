"""JSON lines on standard output, one object for each event."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Sequence
from typing import Any, Protocol, TextIO

import structlog
from structlog.typing import EventDict, FilteringBoundLogger, Processor

from ecr_cleaner.core.errors import CleanerError

# The error of a run that a person ended; the command says so itself.
INTERRUPTED = "interrupted: finished the work in progress, started nothing new"

_ENCODER = json.JSONEncoder(default=str)


def _to_lines(event: dict[str, Any], **_: Any) -> str:
    """Return the line of an event, or one line for each entry of its field ``each``.

    There may be a line for every image: shared fields are processed once per block.
    """
    each = event.pop("each", None)
    if each is None:
        return _ENCODER.encode(event)
    return "\n".join(_ENCODER.encode(event | fields) for fields in each)


class MakeLogger(Protocol):
    """Makes the logger of a run, with a minimum level and the fields that all lines have."""

    def __call__(self, level: str, **bound: Any) -> FilteringBoundLogger: ...


def make_logger(
    level: str,
    *,
    stream: TextIO | None = None,
    watchers: Sequence[Processor] = (),
    **bound: Any,
) -> FilteringBoundLogger:
    """Return a logger that writes ``timestamp``, ``level``, ``event`` and the bound fields.

    It writes to ``stream``, or to the current standard output. ``watchers`` see every line,
    whatever the level. Nothing is configured globally.
    """
    least: int = logging.getLevelName(level)
    logger: FilteringBoundLogger = structlog.wrap_logger(
        structlog.WriteLogger(stream or sys.stdout),
        wrapper_class=structlog.make_filtering_bound_logger(logging.DEBUG if watchers else least),
        processors=[
            *_watched(watchers, least),
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(serializer=_to_lines),
        ],
    )
    # The order of the fields in a line. The empty ones are filled in for each line.
    return logger.bind(timestamp="", level="", event="", **bound)


def _watched(watchers: Sequence[Processor], least: int) -> Sequence[Processor]:
    """Return processors that see every line, and leave those from a level on."""

    def drop_below(_: Any, name: str, event: EventDict) -> EventDict:
        if logging.getLevelName(name.upper()) < least:
            raise structlog.DropEvent
        return event

    return [*watchers, drop_below] if watchers else []


def log_error(log: FilteringBoundLogger, event: str, error: Exception, **fields: Any) -> None:
    """Write an error; one that is not a CleanerError comes with its traceback."""
    if isinstance(error, CleanerError):
        log.error(event, **error.fields, **fields)
    else:
        log.error(event, error=repr(error), exc_info=error, **fields)
