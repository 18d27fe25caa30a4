"""What a fake AWS is told: its world, and how it behaves."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field

from bench.rates import Rate
from bench.world import WorldSpec


@dataclass(frozen=True, slots=True)
class Fault:
    """Something that goes wrong, with a probability, in calls of an operation.

    ``denied`` and ``error`` are answers of AWS, ``dropped`` cuts the connection before, ``lost``
    after the work was done, and ``partial`` reports a failure for one item of a batch.
    """

    operation: str
    kind: str
    probability: float


@dataclass(frozen=True, slots=True)
class FakeConfig:
    """A world, and how the AWS around it behaves. Latency is in seconds a call."""

    world: WorldSpec
    latency: float = 0.0
    jitter: float = 0.0
    rates: Mapping[str, Rate] = field(default_factory=dict)
    faults: tuple[Fault, ...] = ()

    def to_json(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> FakeConfig:
        told = json.loads(text)
        return cls(
            world=WorldSpec(**told["world"]),
            latency=told["latency"],
            jitter=told["jitter"],
            rates={group: Rate(**rate) for group, rate in told["rates"].items()},
            faults=tuple(Fault(**fault) for fault in told["faults"]),
        )
