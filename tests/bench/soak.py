"""``python -m bench.soak``: many random accounts, with throttling, latency and failures.

Every run must end by itself before its deadline: complete, with all removable images removed, or
incomplete, or with an error in the log. It must not remove an image that is needed. The printed
seed reproduces a case.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import count
from random import Random
from time import monotonic

from bench.config import FakeConfig, Fault
from bench.inside import Ended, run_inside
from bench.rates import Rate
from bench.world import WorldSpec

# Failures that retries usually solve, and failures that they do not.
_PASSING = ("error", "dropped", "lost")
_LASTING = ("denied", "garbled", "partial", "throttled")
_OPERATIONS = (
    "apprunner:DescribeService",
    "ecr:BatchDeleteImage",
    "ecr:BatchGetImage",
    "ecr:DescribeImages",
    "ecr:DescribeRepositories",
    "ecr:ListTagsForResource",
    "ecs:DescribeServices",
    "ecs:DescribeTaskDefinition",
    "ecs:DescribeTasks",
    "ecs:ListClusters",
    "ecs:ListServices",
    "ecs:ListTasks",
    "lambda:GetFunction",
    "lambda:ListFunctions",
)


@dataclass(frozen=True, slots=True)
class Case:
    """One account, its failures, the settings of the run, and the seconds until it is killed."""

    seed: int
    config: FakeConfig
    settings: Mapping[str, str]
    seconds: float


def case(seed: int) -> Case:
    """Return the case of a seed."""
    random = Random(seed)  # noqa: S311 -- not secret: repeatable
    config = FakeConfig(
        world=_world(seed, random),
        latency=random.choice((0.0, 0.03, 0.3)),
        jitter=random.choice((0.0, 0.1)),
        rates=_rates(random),
        faults=tuple(_faults(random)),
    )
    settings = {
        "DRY_RUN": "true" if random.random() < 0.1 else "false",
        "RESCAN_AFTER_SECONDS": random.choice(("0", "180")),
        "MAX_DELETIONS": "1000000",
    }
    return Case(seed, config, settings, random.choice((60, 90, 150, 300, 900, 900)))


def _world(seed: int, random: Random) -> WorldSpec:
    return WorldSpec(
        seed=seed,
        repositories=random.randint(2, 5),
        images=random.choice((1, 30, 150)),
        not_opted_in=random.randint(0, 1),
        clusters=random.randint(1, 3),
        services=random.randint(0, 25),
        tasks=random.randint(0, 40),
        functions=random.randint(1, 12),
        app_runner_services=random.randint(0, 3),
        indexes=random.random() / 2,
        nested=random.random(),
        referrers=random.random() / 2,
        young=random.random() / 2,
        rolling=random.random(),
        versions=random.random(),
        moved_tags=random.random(),
        revisions=random.randint(1, 3),
    )


def _rates(random: Random) -> dict[str, Rate]:
    throttled = random.sample(_OPERATIONS, random.choice((0, 0, 1, 3)))
    return {name: Rate(random.randint(1, 10), random.randint(5, 40)) for name in throttled}


def _faults(random: Random) -> Iterator[Fault]:
    for name in random.sample(_OPERATIONS, random.choice((0, 1, 3, 6))):
        lasting = random.random() < 0.3
        kind = random.choice(_LASTING if lasting else _PASSING)
        yield Fault(name, kind, random.choice((0.1, 0.5, 1.0) if lasting else (0.05, 0.2)))


def run_case(one: Case) -> Ended:
    """Run the program once in the account of this case."""
    return run_inside(one.config, one.settings, one.seconds)


def problems(run: Ended) -> Iterator[str]:
    """Yield everything that must never happen, regardless of the failures."""
    stats, removed = run.stats, run.stats["removed"]
    if run.killed:
        yield "did not end by itself"
    if stats["broken"]:
        yield f"{stats['broken']} references broken"
    if stats["removed_wrongly"]:
        yield f"{stats['removed_wrongly']} images removed that had to stay"
    if removed and not run.deleting:
        yield f"{removed} images removed in a dry run"
    if run.failed and not any(line["level"] == "error" for line in run.lines):
        yield "failed without an error in the log"
    if run.summary.get("complete") and run.deleting and removed != stats["removable"]:
        yield f"was complete, but {stats['removable'] - removed} removable images are left"
    if run.deleting and run.summary:
        yield from _miscounted(run)


def _miscounted(run: Ended) -> Iterator[str]:
    """A deleted image is counted once: as removed, or as gone if the answer was lost."""
    counted = run.summary["removed"] + run.summary["already_gone"]
    unsure = run.summary["failed"]
    if not counted <= run.stats["removed"] <= counted + unsure:
        yield f"counted {counted} removed images, but there were {run.stats['removed']}"


def main() -> int:
    """Run one seed after another until the time limit; return 1 if there was any problem."""
    parser = argparse.ArgumentParser(prog="bench.soak", description=__doc__)
    parser.add_argument("--seconds", type=float, default=120, help="time limit (120)")
    parser.add_argument("--seed", type=int, default=1, help="the first seed (1)")
    arguments = parser.parse_args()
    until = monotonic() + arguments.seconds
    outcomes: Counter[str] = Counter()
    bad = 0
    for seed in count(arguments.seed):
        if monotonic() > until:
            break
        run = run_case(case(seed))
        outcomes[run.outcome] += 1
        found = list(problems(run))
        bad += bool(found)
        if found:
            sys.stdout.write(f"seed {seed}: {run.outcome}: {'; '.join(found)}\n")
    ended = ", ".join(f"{number} {outcome}" for outcome, number in sorted(outcomes.items()))
    sys.stdout.write(f"{outcomes.total()} runs: {ended}; {bad} with a problem\n")
    return int(bad > 0)


if __name__ == "__main__":
    sys.exit(main())
