"""JSON lines on standard output, one object for each event."""

from __future__ import annotations

import json
import logging
import sys
from typing import Any, TextIO

import structlog
from structlog.typing import FilteringBoundLogger

from ecr_cleaner.core.errors import CleanerError

_ENCODER = json.JSONEncoder(default=str)


def _to_lines(event: dict[str, Any], **_: Any) -> str:
    """Return the line of an event, or of an event with ``each`` a line for each of those.

    There may be one for every image: what they have in common is gone through once for many.
    """
    each = event.pop("each", None)
    if each is None:
        return _ENCODER.encode(event)
    return "\n".join(_ENCODER.encode(event | fields) for fields in each)


def make_logger(level: str, *, stream: TextIO | None = None, **bound: Any) -> FilteringBoundLogger:
    """Return a logger that writes ``timestamp``, ``level``, ``event`` and what is bound here.

    It writes to standard output unless another ``stream`` is given.

    Nothing global is configured and nothing is cached, so the two programs and the tests each
    write to the standard output of their moment.
    """
    logger: FilteringBoundLogger = structlog.wrap_logger(
        structlog.WriteLogger(stream or sys.stdout),
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelName(level)),
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(serializer=_to_lines),
        ],
    )
    # In the order in which a reader looks for it; the empty ones are filled in for each line.
    return logger.bind(timestamp="", level="", event="", **bound)


def log_error(log: FilteringBoundLogger, event: str, error: Exception, **fields: Any) -> None:
    """Write what an error tells; one that nobody foresaw comes with its traceback."""
    if isinstance(error, CleanerError):
        log.error(event, **error.fields, **fields)
    else:
        log.error(event, error=repr(error), exc_info=error, **fields)
