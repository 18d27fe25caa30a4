"""JSON lines on standard output, one object for each event."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, TextIO

import structlog
from structlog.typing import FilteringBoundLogger

from ecr_cleaner.errors import CleanerError

# There may be a line for each image: one encoder serves all of them, and a write, after which the
# thread has to wait for its turn again, takes many of them.
_ENCODER = json.JSONEncoder(default=str)
_LINES_A_WRITE = 100


class _Output:
    """Writes a line at once, or what comes from within ``together`` many lines at a time."""

    def __init__(self, file: TextIO) -> None:
        self._file = file

    def msg(self, line: str) -> None:
        """Take a line; structlog calls this for every level."""
        held = _held.get()
        if held is None:
            self.write([line])
            return
        lines = held.setdefault(self, [])
        lines.append(line)
        if len(lines) == _LINES_A_WRITE:
            self.write(lines)
            lines.clear()

    debug = info = warning = error = msg

    def write(self, lines: Iterable[str]) -> None:
        self._file.write("".join(f"{line}\n" for line in lines))
        self._file.flush()


_held: ContextVar[dict[_Output, list[str]] | None] = ContextVar("held", default=None)


@contextmanager
def together() -> Iterator[None]:
    """Hold back what this thread logs and write it in blocks, all of it by the end."""
    held: dict[_Output, list[str]] = {}
    token = _held.set(held)
    try:
        yield
    finally:
        _held.reset(token)
        for output, lines in held.items():
            output.write(lines)


def _to_json(event: Mapping[str, Any], **_: Any) -> str:
    return _ENCODER.encode(event)


def make_logger(level: str, **bound: Any) -> FilteringBoundLogger:
    """Return a logger that writes ``timestamp``, ``level``, ``event`` and what is bound here.

    Nothing global is configured and nothing is cached, so the two programs and the tests each
    write to the standard output of their moment.
    """
    logger: FilteringBoundLogger = structlog.wrap_logger(
        _Output(sys.stdout),
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelName(level)),
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(serializer=_to_json),
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
