"""``python -m bench.soak``: many random accounts, with throttling, latency and failures.

Every run must either be complete, with all removable images removed, or fail with an error in the
log. In both cases it must not remove an image that is needed. The printed seed reproduces a case.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import count
from random import Random

from bench.config import FakeConfig, Fault
from bench.measure import Deadline, DeadlineError, Run, fake_aws, run_program
from bench.rates import Rate
from bench.report import outcome
from bench.world import WorldSpec

# Failures that retries usually solve, and failures that they do not.
_PASSING = ("error", "dropped", "lost")
_LASTING = ("denied", "partial")
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
    """One account, its failures, and the settings of the run."""

    seed: int
    config: FakeConfig
    settings: Mapping[str, str]


def case(seed: int) -> Case:
    """Return the case of a seed."""
    random = Random(seed)  # noqa: S311 -- not secret: repeatable
    config = FakeConfig(
        world=_world(seed, random),
        latency=random.choice((0.0, 0.002, 0.01)),
        jitter=random.choice((0.0, 0.01)),
        rates=_rates(random),
        faults=tuple(_faults(random)),
    )
    settings = {
        "DRY_RUN": "true" if random.random() < 0.1 else "false",
        "RESCAN_AFTER_SECONDS": random.choice(("0", "180")),
        "MAX_DELETIONS": "1000000",
    }
    return Case(seed, config, settings)


def _world(seed: int, random: Random) -> WorldSpec:
    return WorldSpec(
        seed=seed,
        repositories=random.randint(2, 5),
        images=random.choice((1, 30, 150, 1001)),
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


def run_case(one: Case, deadline: Deadline) -> Run:
    """Run the program once in the account of this case."""
    with fake_aws(one.config) as fake:
        return run_program(fake, deadline, one.settings)


def problems(run: Run) -> Iterator[str]:
    """Yield everything that must never happen, regardless of the failures."""
    stats, removed = run.stats, run.stats["removed"]
    if stats["broken"]:
        yield f"{stats['broken']} references broken"
    if stats["removed_wrongly"]:
        yield f"{stats['removed_wrongly']} images removed that had to stay"
    if removed and not run.deleting:
        yield f"{removed} images removed in a dry run"
    if run.measured.status:
        if '"level": "error"' not in run.measured.output:
            yield "failed without an error in the log"
    elif not run.summary.get("complete"):
        yield "succeeded, but was not complete"
    elif run.deleting and removed != stats["removable"]:
        yield f"was complete, but {stats['removable'] - removed} removable images are left"
    if run.deleting and run.summary:
        yield from _miscounted(run)


def _miscounted(run: Run) -> Iterator[str]:
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
    deadline = Deadline.after(arguments.seconds)
    bad = 0
    for seed in count(arguments.seed):
        try:
            run = run_case(case(seed), deadline)
        except DeadlineError:
            break
        found = list(problems(run))
        bad += bool(found)
        verdict = "; ".join(found) or "fine"
        throttled = sum(run.stats["throttled"].values())
        sys.stdout.write(
            f"seed {seed}: {outcome(run)}, {run.stats['removed']} of {run.stats['removable']} "
            f"removed, {throttled} throttled, {sum(run.stats['faults'].values())} faults, "
            f"{run.measured.wall:.1f} s: {verdict}\n"
        )
    return int(bad > 0)


if __name__ == "__main__":
    sys.exit(main())
