"""Configuration of the fake AWS: its account, and how it behaves."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field

from bench.rates import Rate
from bench.world import WorldSpec


@dataclass(frozen=True, slots=True)
class Fault:
    """A failure of calls of one operation, with a probability.

    ``denied`` and ``error`` are answers of AWS. ``dropped`` drops the connection before the work
    is done, and ``lost`` afterwards. ``partial`` reports a failure for one item of a batch,
    ``throttled`` refuses for too many calls, and ``garbled`` is not an answer of AWS.
    """

    operation: str
    kind: str
    probability: float


@dataclass(frozen=True, slots=True)
class FakeConfig:
    """An account, and how its AWS behaves. Latency is in seconds per call."""

    world: WorldSpec
    latency: float = 0.0
    jitter: float = 0.0
    rates: Mapping[str, Rate] = field(default_factory=dict)
    faults: tuple[Fault, ...] = ()

    def to_json(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> FakeConfig:
        values = json.loads(text)
        return cls(
            world=WorldSpec(**values["world"]),
            latency=values["latency"],
            jitter=values["jitter"],
            rates={group: Rate(**rate) for group, rate in values["rates"].items()},
            faults=tuple(Fault(**fault) for fault in values["faults"]),
        )
