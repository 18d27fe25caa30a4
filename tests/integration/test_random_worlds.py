"""Random accounts: the removed images are compared with a plain version of the rules.

Consumers are beside the registry, in another region, and in a member account.
"""

from __future__ import annotations

import json
import random
from dataclasses import dataclass, field
from typing import Any

import pytest
from moto.moto_api._internal.models import moto_api_backend

from integration.program import Program, Run, paged
from seeds import tried
from world import World

SEEDS = range(12)
SEEDS_IN_STEPS = range(12, 16)
BUCKET = "runs"
HOSTS = (
    "123456789012.dkr.ecr.eu-west-1.amazonaws.com",
    "123456789012.dkr.ecr-fips.eu-west-1.amazonaws.com",
    "123456789012.dkr-ecr.eu-west-1.on.aws",
)
FOREIGN = ("210987654321.dkr.ecr.eu-west-1.amazonaws.com", "ghcr.io")
NAMES = ("app", "app-prod", "team/app", "team/app/worker")
MEMBER = "222233334444"
SCANNED = {"SCAN_REGIONS": "eu-west-1,us-east-1", "SCAN_ACCOUNTS": MEMBER}
ELSEWHERE = (("us-east-1", "123456789012"), ("us-east-1", MEMBER), ("eu-west-1", MEMBER))
TAGS = ("latest", "v1", "v2", "stable")


@dataclass
class Scene:
    """A random account with what is known about it: ages, children, and what is in use.

    ``used_here`` is the part of what is in use that is in use beside the registry.
    """

    world: World
    chance: random.Random
    opted_in: set[str] = field(default_factory=set)
    old: dict[str, bool] = field(default_factory=dict)
    children: dict[str, list[str]] = field(default_factory=dict)
    used: set[tuple[str, str]] = field(default_factory=set)
    used_here: set[tuple[str, str]] = field(default_factory=set)

    def fill(self) -> None:
        for name in NAMES:
            self._repository(name)
        others = [self.world.elsewhere(*where) for where in ELSEWHERE]
        for place in (self.world, *others):
            place.cluster("main")
        for number in range(self.chance.randint(3, 8)):
            self._consumer(f"consumer-{number}", self.world)
        self.used_here = set(self.used)
        for number in range(self.chance.randint(1, 3)):
            self._consumer(f"other-{number}", self.chance.choice(others))
        self._move_tags()

    def doomed(self, name: str) -> set[str]:
        """Return the images of a repository that a run must remove."""
        if name not in self.opted_in:
            return set()
        there = self.world.digests(name)
        kept = {digest for digest in there if (name, digest) in self.used}
        tags = self.world.tags(name)
        kept |= {tags[tag] for used, tag in self.used if used == name and tag in tags}
        while True:  # an image in use needs the index that lists it
            above = {one for one, listed in self.children.items() if kept & set(listed)} - kept
            if not above:
                break
            kept |= above
        kept |= {digest for digest in there if not self.old[digest]}
        while True:  # a kept index needs all its children
            below = {child for one in kept for child in self.children.get(one, ())} - kept
            if not below:
                return there - kept
            kept |= below

    def _repository(self, name: str) -> None:
        if self.chance.random() < 0.8:
            self.opted_in.add(name)
        self.world.repository(name, {"BoxCleanerEnabled": str(name in self.opted_in).lower()})
        images = [self._image(name) for _ in range(self.chance.randint(2, 7))]
        for _ in range(self.chance.randint(0, 3)):
            listed = self.chance.sample(images, self.chance.randint(1, min(3, len(images))))
            images.append(self._index(name, listed))

    def _age(self) -> tuple[bool, float]:
        old = self.chance.random() < 0.8
        return old, self.chance.uniform(31, 400) if old else self.chance.uniform(0, 29)

    def _some_tags(self) -> list[str]:
        return self.chance.sample(TAGS, self.chance.choice((0, 0, 1, 1, 2)))

    def _image(self, name: str) -> str:
        old, days = self._age()
        digest = self.world.image(name, *self._some_tags(), days_old=days)
        self.old[digest] = old
        return digest

    def _index(self, name: str, listed: list[str]) -> str:
        old, days = self._age()
        digest = self.world.index(name, listed, *self._some_tags(), days_old=days)
        self.old[digest] = old
        self.children[digest] = listed
        return digest

    def _reference(self) -> tuple[str, str, str]:
        """Return a reference to an image, its repository, and the digest that runs."""
        name = self.chance.choice(NAMES)
        tags = self.world.tags(name)
        digest = self.chance.choice(sorted(self.world.digests(name)))
        host = self.chance.choice(HOSTS)
        if tags and self.chance.random() < 0.6:
            tag = self.chance.choice(sorted(tags))
            self.used.add((name, tag))
            written = "" if tag == "latest" and self.chance.random() < 0.5 else f":{tag}"
            return f"{host}/{name}{written}", name, tags[tag]
        self.used.add((name, digest))
        stale = self.chance.choice(("", ":v9"))
        return f"{host}/{name}{stale}@{digest}", name, digest

    def _consumer(self, consumer: str, place: World) -> None:
        image, name, digest = self._reference()
        # The simulated Lambda resolves tags in its own registry only.
        kinds = ("service", "task", "site", "foreign", "function")
        kind = self.chance.choice(kinds if place is self.world else kinds[:-1])
        if kind == "service":
            place.service("main", consumer, place.task_definition(consumer, image))
        elif kind == "task":
            place.task("main", place.task_definition(consumer, image), digest)
            self.used.add((name, digest))
        elif kind == "site":
            place.app_runner(consumer, image)
        elif kind == "function":
            # The simulated Lambda resolves tags of the usual host only.
            plain = f"{HOSTS[0]}/{image.partition('/')[2]}"
            self.world.function(consumer, plain)
            self.world.publish(consumer)
            self.used.add((name, digest))
        else:
            place.app_runner(consumer, image)
            foreign = f"{self.chance.choice(FOREIGN)}/{self.chance.choice(NAMES)}:v1"
            place.app_runner(f"{consumer}-foreign", foreign)

    def _move_tags(self) -> None:
        for name in NAMES:
            tags = self.world.tags(name)
            for tag in self.chance.sample(sorted(tags), min(len(tags), 2)):
                self.world.tag(name, self.chance.choice(sorted(self.world.digests(name))), tag)


@pytest.mark.parametrize("seed", tried(SEEDS))
def test_run_removes_exactly_the_images_that_nothing_needs(
    world: World, program: Program, seed: int
) -> None:
    chance = random.Random(seed)  # noqa: S311  # the same worlds every time
    scene = Scene(world, chance)
    scene.fill()
    doomed = {name: scene.doomed(name) for name in NAMES}
    before = {name: world.digests(name) for name in NAMES}
    size = chance.randint(1, 4)
    program.on("ecr:DescribeImages", paged("imageDetails", size=size))
    program.on("ecs:ListServices", paged("serviceArns", size=size))
    program.on("lambda:ListFunctions", paged("Functions", "Marker", "NextMarker", size=size))
    # Not the newest revision of a family, which would use its tag: other tests cover that.
    run = program.delete(TASK_DEFINITION_REVISIONS="0", **SCANNED)

    gone = {name: before[name] - world.digests(name) for name in NAMES}
    assert gone == doomed
    assert run.summary["removed"] == sum(map(len, doomed.values()))
    assert run.summary["failed"] == 0


def in_steps(world: World, program: Program, **settings: str) -> Run:
    """Make a run in steps, as the state machine does; return the last one."""
    s3 = world.client("s3")
    s3.create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": world.region})
    environ = settings | {"DRY_RUN": "false", "RUNS": f"s3://{BUCKET}/"}

    def step(name: str, **more: Any) -> Run:
        run = program.run({"step": name, "run": "run-1", **more}, **environ)
        assert run.error is None, run.error
        return run

    def listed(name: str) -> list[Any]:
        found = s3.get_object(Bucket=BUCKET, Key=f"run-1/{name}")["Body"].read()
        return list(json.loads(found))

    step("plan")
    for number in (1, 2):
        for target in listed("targets.json"):
            step("scan", round=number, target=target)
    step("gather")
    for share in listed("shares.json"):
        step("clean", **share)
    return step("report")


@pytest.mark.parametrize("seed", tried(SEEDS_IN_STEPS))
def test_run_in_steps_removes_exactly_the_images_that_nothing_needs(
    world: World, program: Program, seed: int
) -> None:
    scene = Scene(world, random.Random(seed))  # noqa: S311  # the same worlds every time
    scene.fill()
    doomed = {name: scene.doomed(name) for name in NAMES}
    before = {name: world.digests(name) for name in NAMES}
    run = in_steps(world, program, TASK_DEFINITION_REVISIONS="0", **SCANNED)
    assert {name: before[name] - world.digests(name) for name in NAMES} == doomed
    assert run.summary == {"complete": True, "removed": sum(map(len, doomed.values()))}


def test_random_accounts_have_images_to_remove_and_old_images_to_keep(empty_world: World) -> None:
    """Without both, the test above would prove nothing."""
    doomed = spared = spared_by_others = 0
    for seed in SEEDS:
        moto_api_backend.reset()
        scene = Scene(empty_world.from_the_start(), random.Random(seed))  # noqa: S311
        scene.fill()
        for name in scene.opted_in:
            old = {one for one in empty_world.digests(name) if scene.old[one]}
            doomed += len(scene.doomed(name))
            spared += len(old - scene.doomed(name))
        removed = {name: scene.doomed(name) for name in scene.opted_in}
        scene.used = scene.used_here
        for name in scene.opted_in:
            spared_by_others += len(scene.doomed(name) - removed[name])
    assert doomed >= len(SEEDS)
    assert spared >= len(SEEDS)
    assert spared_by_others >= len(SEEDS)
