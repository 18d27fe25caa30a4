"""How many random cases are tried, for tests that make their own instead of hypothesis."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import settings


def tried(seeds: Sequence[int]) -> Sequence[int]:
    """Return the first of these, as many percent as hypothesis tries examples: in CI, all."""
    percent = settings().max_examples
    return seeds[: max(1, len(seeds) * percent // 100)]
