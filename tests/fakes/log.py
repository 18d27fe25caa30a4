"""A log that is kept instead of written."""

from __future__ import annotations

from typing import Any

import structlog
from structlog.testing import LogCapture
from structlog.typing import FilteringBoundLogger


class FakeLog:
    """Keeps every line, whatever its level."""

    def __init__(self) -> None:
        self._capture = LogCapture()

    def logger(self) -> FilteringBoundLogger:
        """Return a logger that this keeps the lines of."""
        logger: FilteringBoundLogger = structlog.wrap_logger(
            structlog.PrintLogger(),
            processors=[self._capture],
            wrapper_class=structlog.make_filtering_bound_logger(0),
        )
        return logger

    @property
    def lines(self) -> list[dict[str, Any]]:
        """What has been logged; an event with ``each`` is a line for each of those."""
        return [line for entry in self._capture.entries for line in _lines(dict(entry))]

    def events(self, event: str) -> list[dict[str, Any]]:
        return [line for line in self.lines if line["event"] == event]


def _lines(entry: dict[str, Any]) -> list[dict[str, Any]]:
    each = entry.pop("each", [{}])
    return [entry | fields for fields in each]
