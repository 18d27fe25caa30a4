"""Rotate the repository order hourly, so that short runs eventually reach all."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from hashlib import sha256
from typing import TypeVar

T = TypeVar("T")

_HOUR = 3600


def rotated(items: Sequence[T], now: datetime) -> list[T]:
    """Return the items in their order, beginning at one that changes every hour.

    The begin is taken from a hash of the hour, so it is the same for the same time. A fixed stride
    could follow the rhythm of the schedule and skip the same items every night.
    """
    hour = int(now.timestamp()) // _HOUR
    drawn = int.from_bytes(sha256(str(hour).encode()).digest())
    start = drawn % len(items) if items else 0
    return [*items[start:], *items[:start]]
