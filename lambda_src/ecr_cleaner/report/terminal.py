"""What a person sees while a run goes on: progress, warnings and errors on standard error."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from threading import Lock
from typing import Any, TextIO

import structlog
from structlog.typing import EventDict, FilteringBoundLogger, Processor

from ecr_cleaner.core.text import counted, repositories, short_digest, visible
from ecr_cleaner.report import events
from ecr_cleaner.report.lines import INTERRUPTED

# In the plan, and so in the table, the page and the explanation.
SHOWN_IN_PLAN = frozenset({events.GUARDED, events.BROKEN})
# Broken references do not change what a plan removes; a near miss is an image that stays.
NOT_OF_APPLYING = frozenset({events.BROKEN, events.NEAR_MISS})
# For the log, it is a fact of the settings; for a person, what the plan does not know.
_SHOWN_AS_WARNING = frozenset({events.NO_LEDGER})
# What an event without a sentence says.
_DETAILS = ("tag", "value", "digest", "code", "reason", "count", "removable", "max_deletions")
# So many images are named in a line.
_MOST_IMAGES = 3
# Back to the begin of the line, and erase it.
_ERASE = "\r\x1b[K"


class Progress:
    """Turns the lines of a run's log into text for a person.

    On a terminal, the last line says how far the run is, in at most ``width`` columns. Anywhere
    else, only warnings and errors are written. Events in ``hidden`` are not.
    """

    def __init__(
        self, stream: TextIO, width: int = 80, hidden: frozenset[str] = SHOWN_IN_PLAN
    ) -> None:
        self._stream = stream
        self._width = width
        self._hidden = hidden
        self._is_terminal = stream.isatty()
        self._lock = Lock()
        self._targets = 0
        self._targets_done = 0
        self._sources = 0
        self._repositories = 0
        self._images = 0
        self._removed = 0
        self._guards: set[str] = set()
        self._shows = False

    def logger(self, *watchers: Processor) -> FilteringBoundLogger:
        """Return a logger that writes for a person only; ``watchers`` see every line as well.

        Nothing is configured globally.
        """
        made: FilteringBoundLogger = structlog.wrap_logger(
            structlog.ReturnLogger(),
            wrapper_class=structlog.make_filtering_bound_logger(logging.DEBUG),
            processors=[self.watch, *watchers, _drop],
        )
        return made

    def watch(self, _: Any, level: str, event: EventDict) -> EventDict:
        """Show what a line of the log means for a person; a processor of loggers."""
        name = event["event"]
        with self._lock:
            if level in {"warning", "error"}:
                if name not in self._hidden and self._is_news(event) and not _is_by_hand(event):
                    self._write(level, event)
            elif name in _SHOWN_AS_WARNING:
                self._write("warning", event)
            elif self._count(level, event) and self._is_terminal:
                self._stream.write(_ERASE + self._state()[: self._width - 1])
                self._stream.flush()
                self._shows = True
        return event

    def close(self) -> None:
        """Erase the line with the progress."""
        with self._lock:
            self._erase()

    def _is_news(self, event: Mapping[str, Any]) -> bool:
        """Return False for a guard that was already named: it may stand for every repository."""
        if event["event"] != events.GUARDED:
            return True
        is_new = event["why"] not in self._guards
        self._guards.add(event["why"])
        return is_new

    def _count(self, level: str, event: Mapping[str, Any]) -> bool:
        """Count what is done; return whether that is visible."""
        name = event["event"]
        if name == events.TARGETS:
            self._targets = event["targets"]
        elif name == events.TARGET_SCANNED:
            self._targets_done += 1
        # One that is scanned again is for debugging.
        elif name == events.SOURCE_SCANNED and level == "info":
            self._sources += 1
        elif name == events.REPOSITORY_DONE:
            self._repositories += 1
            self._images += event["images"]
            self._removed += event["removed"]
        else:
            return False
        return True

    def _state(self) -> str:
        places = f"{self._targets_done:,} of {self._targets:,} accounts and regions"
        read = [places] if self._targets > 1 else []
        state = f"{', '.join([*read, counted(self._sources, 'source')])} read"
        if self._repositories:
            state += (
                f"; {repositories(self._repositories)}, {counted(self._images, 'image')} judged"
            )
        return f"{state}; {self._removed:,} removed" if self._removed else state

    def _write(self, level: str, event: Mapping[str, Any]) -> None:
        self._erase()
        self._stream.write(f"{level}: {_sentence(event)}\n")

    def _erase(self) -> None:
        if self._shows:
            self._stream.write(_ERASE)
            self._shows = False


def _is_by_hand(event: Mapping[str, Any]) -> bool:
    return bool(event.get("error") == INTERRUPTED)


def _drop(_: Any, __: str, ___: EventDict) -> str:
    raise structlog.DropEvent


def _sentence(event: Mapping[str, Any]) -> str:
    text = event.get("error") or event.get("why") or _details(event)
    parts = [event["event"], event.get("repository"), event.get("cluster"), text, event.get("fix")]
    sentence = ": ".join(str(part) for part in parts if part)
    if event.get("missing_action") and event["missing_action"] not in sentence:
        sentence += f" (missing IAM action: {event['missing_action']})"
    return visible(sentence)


def _images(each: Sequence[Mapping[str, Any]]) -> str:
    """Return the number of images and the names of the first, with their reasons."""
    names = [_image(one) for one in each[:_MOST_IMAGES]]
    more = [f"{len(each) - len(names):,} more"] if len(each) > len(names) else []
    return f"{counted(len(each), 'image')}: {', '.join([*names, *more])}"


def _image(one: Mapping[str, Any]) -> str:
    reason = ": ".join([one["reason"], *one["because"][:1]])
    return f"{next(iter(one['tags']), '') or short_digest(one['digest'])} ({reason})"


def _details(event: Mapping[str, Any]) -> str:
    if "each" in event:
        return _images(event["each"])
    return ", ".join(f"{name} {event[name]}" for name in _DETAILS if name in event)
