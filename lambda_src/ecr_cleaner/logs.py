"""JSON lines on standard output, one object for each event."""

from __future__ import annotations

import json
import logging
import sys
from typing import Any

import structlog
from structlog.typing import FilteringBoundLogger

from ecr_cleaner.errors import CleanerError

_ENCODER = json.JSONEncoder(default=str)


def _to_json(event: Any, **_: Any) -> str:
    """Write one line; one encoder serves all of them, there may be one for each image."""
    return _ENCODER.encode(event)


def make_logger(level: str, **bound: Any) -> FilteringBoundLogger:
    """Return a logger that writes ``timestamp``, ``level``, ``event`` and what is bound here.

    Nothing global is configured and nothing is cached, so the two programs and the tests each
    write to the standard output of their moment.
    """
    logger: FilteringBoundLogger = structlog.wrap_logger(
        structlog.WriteLogger(sys.stdout),
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelName(level)),
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(serializer=_to_json),
        ],
    )
    return logger.bind(**bound)


def log_error(log: FilteringBoundLogger, event: str, error: Exception, **fields: Any) -> None:
    """Write what an error tells; one that nobody foresaw comes with its traceback."""
    if isinstance(error, CleanerError):
        log.error(event, **error.fields, **fields)
    else:
        log.error(event, error=repr(error), exc_info=error, **fields)
