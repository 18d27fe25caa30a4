"""Configuration of the fake AWS: its account, and how it behaves."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field

from bench.rates import Rate
from bench.world import Cache, Elsewhere, Replica, WorldSpec


@dataclass(frozen=True, slots=True)
class Fault:
    """A failure of calls of one operation, with a probability.

    ``place`` is the account, or account/region, in which calls fail; empty means everywhere.
    ``denied`` and ``error`` are answers of AWS. ``dropped`` drops the connection before the work
    is done, and ``lost`` afterwards. ``partial`` reports a failure for one item of a batch,
    ``throttled`` refuses for too many calls, and ``garbled`` is not an answer of AWS. For the
    operation ``*``, which is all of a region, ``closed`` is a denial by a service control policy,
    and ``disabled`` what a region answers that is not enabled in the account.
    """

    operation: str
    kind: str
    probability: float
    place: str = ""


@dataclass(frozen=True, slots=True)
class FakeConfig:
    """A world, and how its AWS behaves. Latency is in seconds per call.

    The credentials of an assumed role are valid for ``session_seconds``. With ``tls``, it speaks
    HTTPS, as AWS does, if it runs in a process of its own.
    """

    world: WorldSpec
    latency: float = 0.0
    jitter: float = 0.0
    rates: Mapping[str, Rate] = field(default_factory=dict)
    faults: tuple[Fault, ...] = ()
    session_seconds: int = 3600
    tls: bool = False

    def to_json(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> FakeConfig:
        values = json.loads(text)
        world = values["world"]
        for name, kind in (("elsewhere", Elsewhere), ("replicas", Replica), ("caches", Cache)):
            world[name] = tuple(kind(**one) for one in world[name])
        return cls(
            world=WorldSpec(**world),
            latency=values["latency"],
            jitter=values["jitter"],
            rates={group: Rate(**rate) for group, rate in values["rates"].items()},
            faults=tuple(Fault(**fault) for fault in values["faults"]),
            session_seconds=values["session_seconds"],
            tls=values["tls"],
        )
