"""Whose turn comes first, when a run's time may not suffice for all. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from hashlib import sha256
from typing import TypeVar

T = TypeVar("T")

_HOUR = 3600


def in_turn(items: Sequence[T], now: datetime) -> list[T]:
    """Return the items in their order, beginning at one that is drawn anew every hour.

    A fixed stride would fall into step with the schedule and pass some items by, night after
    night; the draw is by a hash of the hour, so it is the same for the same time.
    """
    hour = int(now.timestamp()) // _HOUR
    drawn = int.from_bytes(sha256(str(hour).encode()).digest())
    start = drawn % len(items) if items else 0
    return [*items[start:], *items[:start]]
