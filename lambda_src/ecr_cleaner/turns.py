"""Whose turn comes first, when a run's time may not suffice for all. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TypeVar

T = TypeVar("T")

# Multiples of the golden ratio, without their whole part, spread evenly over 0 to 1: every part
# of a list is started at again and again, however often runs come and however far each gets.
_GOLDEN_RATIO = 0.6180339887498949
_HOUR = 3600


def in_turn(items: Sequence[T], now: datetime) -> list[T]:
    """Return the items in their order, beginning at another one with every hour that passes."""
    hours = now.timestamp() // _HOUR
    start = int(hours * _GOLDEN_RATIO % 1 * len(items))
    return [*items[start:], *items[:start]]
