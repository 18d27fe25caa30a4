"""``python -m bench.soak``: many random registries, with throttling, latency and failures.

Their consumers are in one or several accounts and regions; one in four runs is made in steps, whose
documents get lost or damaged as well. Every run must end by itself before its
deadline: complete, with all removable images removed, or incomplete, or with an error in the log.
It must not remove an image that is needed. The printed seed reproduces a case.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import count
from random import Random
from time import monotonic
from typing import Any

from bench.config import FakeConfig, Fault
from bench.inside import Ended, run_in_steps, run_inside
from bench.rates import Rate
from bench.world import ACCOUNT, REGION, Cache, Elsewhere, Place, Replica, WorldSpec

# Failures that retries usually solve, and failures that they do not.
_PASSING = ("error", "dropped", "lost")
_LASTING = ("denied", "garbled", "partial", "throttled")
# Those of a whole region.
_CLOSING = ("closed", "disabled")
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
    "scheduler:GetSchedule",
    "scheduler:ListSchedules",
)
_OPERATIONS_OF_TARGETS = (
    "ec2:DescribeRegions",
    "ecr:DescribePullThroughCacheRules",
    "ecr:DescribeRegistry",
    "ecr:GetRepositoryPolicy",
    "organizations:DescribeOrganization",
    "organizations:ListAccounts",
    "sts:AssumeRole",
    "sts:AssumeRole",
)

_MEMBERS = ("222233334444", "333344445555")
_REGIONS = ("us-east-1", "eu-central-1", "ca-west-1")
# ca-west-1 does not have App Runner.
_WITHOUT_APP_RUNNER = frozenset({"ca-west-1"})
# Nothing is scanned there.
_UNSCANNED = Place(ACCOUNT, "ap-south-1")

# In every world, these sources find nothing. Few worlds ask all of them: the clients of a target
# take most of the time of a run.
_EMPTY_SOURCES = (
    *("agentcore", "batch", "braket", "clean-rooms-ml", "codebuild", "codepipeline"),
    *("elastic-beanstalk", "emr", "emr-on-eks", "emr-serverless", "eventbridge-pipes"),
    *("eventbridge-rules", "eventbridge-subscribers", "gamelift", "greengrass", "healthomics"),
    *("image-builder", "iot-sitewise", "lambda-runtimes", "launch-configurations"),
    *("launch-templates", "lightsail", "sagemaker", "sagemaker-jobs", "sagemaker-monitoring"),
    *("sagemaker-packages", "sagemaker-pipelines", "sagemaker-studio", "step-functions"),
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
    world = _world(seed, random)
    if random.random() < 0.6:
        world = _spread(world, random)
    config = FakeConfig(
        world=world,
        latency=random.choice((0.0, 0.03, 0.3)),
        jitter=random.choice((0.0, 0.1)),
        rates=_rates(random),
        faults=tuple(_faults(world, random)),
        session_seconds=random.choice((900, 3600)),
    )
    settings = {
        "DRY_RUN": "true" if random.random() < 0.1 else "false",
        "RESCAN_AFTER_SECONDS": random.choice(("0", "180")),
        "MAX_DELETIONS": "1000000",
        **_targets(world, random),
    }
    waived = () if random.random() < 0.1 else random.sample(_EMPTY_SOURCES, len(_EMPTY_SOURCES) - 2)
    if waived:
        settings["WAIVED_SOURCES"] = ",".join(waived)
    seconds = random.choice((random.uniform(30, 150), random.uniform(60, 900), 900))
    return Case(seed, config, settings, seconds)


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
        schedules=random.randint(0, 2),
        indexes=random.random() / 2,
        nested=random.random(),
        referrers=random.random() / 2,
        young=random.random() / 2,
        rolling=random.random(),
        versions=random.random(),
        moved_tags=random.random(),
        revisions=random.randint(1, 3),
    )


def _spread(world: WorldSpec, random: Random) -> WorldSpec:
    """Return the world with consumers in other accounts and regions, and sometimes copies."""
    members = tuple(random.sample(_MEMBERS, random.choice((0, 1, 1, 2))))
    regions = (REGION, *random.sample(_REGIONS, random.randint(0 if members else 1, 2)))
    places = [Place(account, region) for account in (ACCOUNT, *members) for region in regions]
    others = [place for place in places[1:] if random.random() < 0.8]
    replicas = tuple(_replicas(places[1:], random))
    return replace(
        world,
        # Sometimes nothing runs beside the registry.
        **({} if random.random() < 0.8 else _NOTHING),
        elsewhere=tuple(_elsewhere(place, random) for place in others),
        replicas=replicas,
        # Of an account or region that is not scanned, the rules are unknown.
        caches=tuple(_caches(others, replicas, random)) if others else (),
        members=members,
        suspended=("999900001111",) if random.random() < 0.3 else (),
        by_organization=random.random() < 0.5,
    )


_NOTHING: Mapping[str, Any] = dict.fromkeys(
    ("services", "tasks", "functions", "app_runner_services", "schedules"), 0
)


def _elsewhere(place: Place, random: Random) -> Elsewhere:
    sites = 0 if place.region in _WITHOUT_APP_RUNNER else random.randint(0, 2)
    return Elsewhere(
        place.account,
        place.region,
        clusters=random.randint(1, 2),
        services=random.randint(0, 5),
        tasks=random.randint(0, 5),
        functions=random.randint(0, 3),
        app_runner_services=sites,
        schedules=random.randint(0, 2),
    )


def _replicas(places: Sequence[Place], random: Random) -> Iterator[Replica]:
    for place in random.sample((*places, _UNSCANNED), random.choice((0, 0, 1, 2))):
        prefix = random.choice(("", "team-1"))
        yield Replica(place.account, place.region, prefix, deletions=random.random() < 0.3)


def _caches(
    places: Sequence[Place], replicas: Sequence[Replica], random: Random
) -> Iterator[Cache]:
    for place in random.sample(places, random.choice((0, 0, 1))):
        upstream = random.choice((Place(), *(one.place for one in replicas if not one.prefix)))
        if upstream != place:
            prefix, upstream_prefix = random.choice(
                (("hub", "ROOT"), ("hub", "team-1"), ("ROOT", "ROOT"), ("team-1", "team-1"))
            )
            yield Cache(place.account, place.region, prefix, upstream_prefix, upstream.host)


def _targets(world: WorldSpec, random: Random) -> Mapping[str, str]:
    """Return the settings that name what is scanned: everything, or a member is left out."""
    listed = ",".join(world.regions)
    settings = {"SCAN_REGIONS": random.choice(("enabled", listed)) if world.spread else listed}
    accounts = world.members[1:] if random.random() < 0.1 else world.members
    if world.by_organization and random.random() < 0.8:
        settings["SCAN_ACCOUNTS"] = "organization"
    elif accounts:
        settings["SCAN_ACCOUNTS"] = ",".join(accounts)
    return settings


def _rates(random: Random) -> dict[str, Rate]:
    throttled = random.sample(_OPERATIONS, random.choice((0, 0, 1, 3)))
    return {name: Rate(random.randint(1, 10), random.randint(5, 40)) for name in throttled}


def _faults(world: WorldSpec, random: Random) -> Iterator[Fault]:
    others = [one.place for one in world.elsewhere]
    operations = (*_OPERATIONS, *_OPERATIONS_OF_TARGETS) if others else _OPERATIONS
    for name in random.sample(operations, random.choice((0, 1, 3, 6))):
        lasting = random.random() < 0.3
        kind = random.choice(_LASTING if lasting else _PASSING)
        probability = random.choice((0.1, 0.5, 1.0) if lasting else (0.05, 0.2))
        # Calls that find out what there is to scan are made in one place.
        place = random.choice(("", *others)) if name in _OPERATIONS else ""
        yield Fault(name, kind, probability, str(place))
    if others and random.random() < 0.15:
        place = random.choice(others)
        yield Fault("*", random.choice(_CLOSING), random.choice((0.02, 1.0)), str(place))


def run_case(one: Case) -> Ended:
    """Run the program once in the account of this case."""
    return run_inside(one.config, one.settings, one.seconds)


def run_case_in_steps(one: Case) -> Ended:
    """Run the program in steps in the account of this case; calls of S3 fail as well."""
    random = Random(one.seed)  # noqa: S311 -- not secret: repeatable
    faults = tuple(_faults_of_documents(random))
    config = replace(one.config, faults=(*one.config.faults, *faults))
    return run_in_steps(config, one.settings, one.seconds)


def _faults_of_documents(random: Random) -> Iterator[Fault]:
    for name in ("s3:GetObject", "s3:PutObject"):
        kind = random.choice((*_PASSING, "denied", "garbled"))
        if random.random() < 0.5:
            yield Fault(name, kind, random.choice((0.02, 0.1)))


def problems(run: Ended) -> Iterator[str]:
    """Yield everything that must never happen, regardless of the failures."""
    stats, removed = run.stats, run.stats["removed"]
    if run.killed:
        yield "did not end by itself"
    if run.unexpected:
        yield f"raised {run.unexpected}"
    if stats["broken"]:
        yield f"{stats['broken']} references broken"
    if stats["removed_wrongly"]:
        yield f"{stats['removed_wrongly']} images removed that had to stay"
    if removed and not run.deleting:
        yield f"{removed} images removed in a dry run"
    if run.failed and not any(line["level"] == "error" for line in run.lines):
        yield "failed without an error in the log"
    if run.summary.get("complete"):
        yield from _half_done(run)
    if run.deleting and run.summary:
        yield from _miscounted(run)


def _half_done(run: Ended) -> Iterator[str]:
    """What a complete run must not leave out; behind a guard, it removes nothing."""
    left = run.stats["removable"] - run.stats["removed"]
    if left and run.deleting and not run.summary["guarded"]:
        yield f"was complete, but {left} removable images are left"
    if any(f"* {kind}" in run.stats["faults"] for kind in _CLOSING):
        yield "was complete, but a region was closed"


def _miscounted(run: Ended) -> Iterator[str]:
    """A deleted image is counted once: as removed, or as gone if the answer was lost.

    What a share of a run in steps removed is unknown if its result is lost, which is an error.
    """
    counted = run.summary["removed"] + run.summary["already_gone"]
    unsure = run.summary["failed"]
    if any(error.startswith("share ") for error in run.summary["errors"]):
        unsure = run.stats["removed"]
    if not counted <= run.stats["removed"] <= counted + unsure:
        yield f"counted {counted} removed images, but there were {run.stats['removed']}"


def main() -> int:
    """Run one seed after another until the time limit; return 1 if there was any problem."""
    parser = argparse.ArgumentParser(prog="bench.soak", description=__doc__)
    parser.add_argument("--seconds", type=float, default=120, help="time limit (120)")
    parser.add_argument("--seed", type=int, default=1, help="the first seed (1)")
    arguments = parser.parse_args()
    until = monotonic() + arguments.seconds
    outcomes: Counter[tuple[str, str]] = Counter()
    bad = 0
    for seed in count(arguments.seed):
        if monotonic() > until:
            break
        one = case(seed)
        in_steps = seed % 4 == 0
        run = run_case_in_steps(one) if in_steps else run_case(one)
        where = "several targets" if one.config.world.spread else "one target"
        where += " in steps" if in_steps else ""
        outcomes[where, run.outcome] += 1
        found = list(problems(run))
        bad += bool(found)
        if found:
            sys.stdout.write(f"seed {seed}: {run.outcome}: {'; '.join(found)}\n")
    for (where, outcome), number in sorted(outcomes.items()):
        sys.stdout.write(f"{where}: {number} {outcome}\n")
    sys.stdout.write(f"{outcomes.total()} runs; {bad} with a problem\n")
    return int(bad > 0)


if __name__ == "__main__":
    sys.exit(main())
