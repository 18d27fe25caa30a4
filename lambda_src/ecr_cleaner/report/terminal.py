"""What a person sees while a run goes on: progress, warnings and errors on standard error."""

from __future__ import annotations

import logging
from collections.abc import MutableMapping
from threading import Lock
from typing import Any, TextIO

import structlog
from structlog.typing import FilteringBoundLogger

from ecr_cleaner.core.text import counted, visible
from ecr_cleaner.report import events

# In the plan, and so in the table, the page and the explanation.
_SHOWN_ELSEWHERE = frozenset({events.GUARDED, events.BROKEN})
# Back to the begin of the line, and erase it.
_ERASE = "\r\x1b[K"


class Progress:
    """Turns the lines of a run's log into text for a person.

    On a terminal, the last line says how far the run is. Anywhere else, only warnings and errors
    are written.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._is_terminal = stream.isatty()
        self._lock = Lock()
        self._sources = 0
        self._repositories = 0
        self._images = 0
        self._shows = False

    def logger(self) -> FilteringBoundLogger:
        """Return a logger for a run; nothing is configured globally."""
        made: FilteringBoundLogger = structlog.wrap_logger(
            structlog.ReturnLogger(),
            wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
            processors=[self._take],
        )
        return made

    def close(self) -> None:
        """Erase the line with the progress."""
        with self._lock:
            self._erase()

    def _take(self, _: Any, level: str, event: MutableMapping[str, Any]) -> str:
        with self._lock:
            if level == "info":
                self._count(event)
            elif event["event"] not in _SHOWN_ELSEWHERE:
                self._erase()
                self._stream.write(f"{level}: {_sentence(event)}\n")
        raise structlog.DropEvent

    def _count(self, event: MutableMapping[str, Any]) -> None:
        if event["event"] == events.SOURCE_SCANNED:
            self._sources += 1
        elif event["event"] == events.REPOSITORY_DONE:
            self._repositories += 1
            self._images += event["images"]
        else:
            return
        if self._is_terminal:
            done = [counted(self._sources, "source") + " read"]
            if self._repositories:
                done.append(f"{self._repositories:,} repositories with {self._images:,} images")
            self._stream.write(_ERASE + ", ".join(done))
            self._stream.flush()
            self._shows = True

    def _erase(self) -> None:
        if self._shows:
            self._stream.write(_ERASE)
            self._shows = False


def _sentence(event: MutableMapping[str, Any]) -> str:
    parts = [event["event"], event.get("repository"), event.get("error") or event.get("why")]
    text = ": ".join(str(part) for part in parts if part)
    if event.get("missing_action") and event["missing_action"] not in text:
        text += f" (missing IAM action: {event['missing_action']})"
    return visible(text)
