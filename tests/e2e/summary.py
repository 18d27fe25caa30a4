"""Measurements of the tests, for the README."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from e2e import base_image
from e2e.engine import Engine
from e2e.invocation import Invocation, RunningFunction

MEGABYTE = 1_000_000


@dataclass
class Measurements:
    """Names and values, in the order in which they were added."""

    lines: dict[str, str] = field(default_factory=dict)

    def add_base_image(self, python: str) -> None:
        """Add the Python version of the base image."""
        self.lines["base image"] = f"a stand-in with Python {python}"

    def add_image(self, engine: Engine, layers: Sequence[int], image: str) -> None:
        """Add the size of an image without its base, which is its first layer."""
        size = engine.inspect("image", image)["Size"]
        base = engine.inspect("image", base_image.NAME)["Size"]
        self.lines["image without its base, unpacked"] = f"{(size - base) / MEGABYTE:.1f} MB"
        self.lines["image without its base, as pushed"] = f"{sum(layers[1:]) / MEGABYTE:.1f} MB"

    def add_runs(self, function: RunningFunction, runs: Sequence[Invocation]) -> None:
        """Add the start time, the run times and the peak memory of a function."""
        cold, warm = runs[0].seconds, runs[-1].seconds
        self.lines["cold start"] = f"{function.cold_start() * 1000:.0f} ms"
        self.lines["run, cold start included"] = f"{cold:.2f} s"
        self.lines["run, warm"] = f"{warm:.2f} s"
        self.lines["peak memory"] = f"{function.peak_memory() / MEGABYTE:.0f} MB"
