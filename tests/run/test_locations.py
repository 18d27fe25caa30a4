"""Consumers in other regions and accounts, in whole runs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, cast

import pytest

from core.worlds import HOST, usage
from ecr_cleaner.aws.session import Aws
from ecr_cleaner.core.errors import ApiError, ScanError
from ecr_cleaner.core.model import ImageReference, Registry, Usage
from ecr_cleaner.core.settings import Settings
from ecr_cleaner.core.walk import find
from ecr_cleaner.deadline import Deadline
from ecr_cleaner.run.cleaner import Cleaner
from ecr_cleaner.usage.shared.target import Target
from ecr_cleaner.usage.shared.uses import usages_of
from ecr_cleaner.usage.source import UsageSource
from ecr_cleaner.workers import Workers
from fakes.ecr import FakeEcr
from fakes.small_services import FakeEc2, FakeSts, client_error, meta_of
from run.test_cleaner import DELETING, SOMETHING_IN_USE, StubAws, World

THERE = "us-east-1"
Found = Callable[[], Iterable[Usage]]


@dataclass
class RegionalSource:
    """A usage source that finds something in use in each region."""

    by_region: dict[str, Found] = field(default_factory=dict)
    name: str = "stub"
    service: str = "stub"
    everywhere: bool = True

    def usages(self, target: Target) -> Iterable[Usage]:
        return self.by_region.get(target.region, list)()


class RegionalAws(StubAws):
    """An account whose other regions have registries of their own."""

    def __init__(self, *arguments: Any, rules: dict[str, Any], **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._rules = rules

    def elsewhere(self, region: str, session: object = None) -> Aws:
        del session
        ecr = FakeEcr()
        rules = self._rules.get(region, [])
        if rules is None:
            ecr.fail("DescribePullThroughCacheRules", "UnknownOperationException")
        ecr.cache_rules = rules or []
        other = StubAws(ecr, self.workers, self.deadline, self.others, region)
        return cast("Aws", other)


@dataclass
class Regions:
    """The registry of one region, and consumers in two."""

    world: World
    source: RegionalSource = field(default_factory=RegionalSource)
    rules: dict[str, Any] = field(default_factory=dict)
    others: dict[str, Any] = field(default_factory=dict)

    def run(
        self, settings: Settings = DELETING, source: UsageSource | None = None
    ) -> dict[str, Any]:
        others = {"sts": FakeSts(), "ec2": FakeEc2("eu-west-1", THERE)} | self.others
        aws = RegionalAws(
            self.world.ecr, self.world.workers, Deadline(self.world.clock), others, rules=self.rules
        )
        log = self.world.log.logger()
        return Cleaner(cast("Aws", aws), settings, log, [source or self.source]).run()


@pytest.fixture
def regions() -> Iterator[Regions]:
    with Workers(4) as workers:
        world = World(workers)
        world.create("app")
        made = Regions(world)
        made.source.by_region["eu-west-1"] = lambda: [SOMETHING_IN_USE]
        yield made


def test_what_only_another_region_uses_is_kept(regions: Regions) -> None:
    regions.world.push("app", "old", tags=["v1"])
    regions.source.by_region[THERE] = lambda: [usage("app", "arn:service:there", tag="v1")]
    summary = regions.run()
    assert (summary["removed"], summary["targets"]) == (0, 2)
    (kept,) = regions.world.events("Found old image in use")
    assert list(kept["because"]) == ["arn:service:there"]


def test_the_log_names_accounts_and_regions_once(regions: Regions) -> None:
    regions.source.by_region[THERE] = lambda: [usage("app", tag="v1")]
    regions.run()
    (line,) = regions.world.events("Accounts and regions to scan")
    assert line["accounts"] == {"111122223333": f"eu-west-1 {THERE}"}
    (scanned,) = regions.world.events("Usage source scanned")
    assert scanned["usages_elsewhere"] == {f"111122223333/{THERE}": 1}


def test_a_region_that_cannot_be_read_ends_the_run_and_nothing_is_removed(regions: Regions) -> None:
    def denied() -> list[Usage]:
        raise ApiError("ecs", "ListClusters", code="AccessDenied", message="no")

    regions.world.push("app", "old")
    regions.source.by_region[THERE] = denied
    with pytest.raises(ScanError, match=f"in 111122223333/{THERE}"):
        regions.run()
    assert regions.world.ecr.mutations() == []


def test_a_region_that_the_operator_leaves_out_is_not_read(regions: Regions) -> None:
    regions.world.push("app", "old", tags=["v1"])
    regions.source.by_region[THERE] = lambda: [usage("app", tag="v1")]
    summary = regions.run(Settings(dry_run=False, scan_regions=("eu-west-1",)))
    assert (summary["removed"], summary["targets"]) == (1, 1)


class StubEcs:
    """Describes every task definition the same way, or refuses."""

    def __init__(self, image: str) -> None:
        self.meta = meta_of("ecs")
        self.image = image
        self.code = ""
        self.asked: list[str] = []

    def describe_task_definition(self, taskDefinition: str) -> dict[str, Any]:  # noqa: N803
        self.asked.append(taskDefinition)
        if self.code:
            raise client_error("DescribeTaskDefinition", self.code)
        return {"taskDefinition": {"containerDefinitions": [{"image": self.image}]}}


@dataclass
class NamingSource:
    """A usage source with one consumer in the other region, which names a task definition."""

    definition: str
    name: str = "stub"
    service: str = "stub"
    everywhere: bool = True

    def usages(self, target: Target) -> Iterable[Usage]:
        if target.region != THERE:
            return [SOMETHING_IN_USE]
        named = [("arn:function:there", find({"JOB": self.definition}))]
        return usages_of(target, self.name, named, starts_tasks=True)


JOB = "arn:aws:ecs:eu-west-1:111122223333:task-definition/job:7"


@pytest.fixture
def ecs(regions: Regions) -> StubEcs:
    regions.world.push("app", "old", tags=["v1"])
    regions.others["ecs"] = made = StubEcs(f"{HOST}/app:v1")
    return made


def test_a_task_definition_that_another_region_names_keeps_its_image(
    regions: Regions, ecs: StubEcs
) -> None:
    assert regions.run(source=NamingSource(JOB))["removed"] == 0
    (kept,) = regions.world.events("Found old image in use")
    assert list(kept["because"]) == ["arn:function:there"]
    assert set(ecs.asked) == {JOB}


def test_a_task_definition_that_another_region_names_and_nobody_can_read_ends_the_run(
    regions: Regions, ecs: StubEcs
) -> None:
    ecs.code = "AccessDeniedException"
    with pytest.raises(ScanError, match="ecs DescribeTaskDefinition failed"):
        regions.run(source=NamingSource(JOB))
    assert regions.world.ecr.mutations() == []


def test_a_task_definition_that_is_not_in_a_scanned_account_is_warned_about_once(
    regions: Regions, ecs: StubEcs
) -> None:
    job = JOB.replace("111122223333", "999999999999")
    summary = regions.run(source=NamingSource(job))
    assert (summary["removed"], ecs.asked) == (1, [])
    (line,) = regions.world.events("Task definition is not in a scanned account or region")
    assert (line["task_definition"], line["consumers"]) == (job, ["arn:function:there"])
    assert line["log_level"] == "warning"


def test_nothing_in_use_is_judged_over_all_regions(regions: Regions) -> None:
    """One region without usages is not what a wrong region looks like."""
    regions.world.push("app", "old")
    regions.source.by_region = {THERE: lambda: [SOMETHING_IN_USE]}
    assert regions.run()["removed"] == 1


def test_a_replica_in_use_keeps_the_image_that_it_is_a_copy_of(regions: Regions) -> None:
    regions.world.push("app", "old", tags=["v1"])
    destination = {"registryId": "111122223333", "region": THERE}
    regions.world.ecr.replication = {"rules": [{"destinations": [destination]}]}
    replica = ImageReference(Registry("111122223333", THERE), "app", tag="v1")
    regions.source.by_region[THERE] = lambda: [Usage(replica, "arn:service:there", "stub")]
    assert regions.run()["removed"] == 0


@pytest.mark.parametrize(("listed", "warnings"), [((), 0), (("eu-west-1",), 1)])
def test_replicas_that_the_list_of_regions_leaves_out_are_warned_about_once(
    regions: Regions, listed: tuple[str, ...], warnings: int
) -> None:
    regions.world.push("app", "old")
    destination = {"registryId": "111122223333", "region": THERE}
    regions.world.ecr.replication = {"rules": [{"destinations": [destination]}]}

    summary = regions.run(Settings(dry_run=False, scan_regions=listed, expect_no_usage=True))

    assert summary["removed"] == 1
    lines = regions.world.events("Setting may not do what was meant")
    assert [
        one["why"].startswith(f"images are replicated to {THERE}, which SCAN_REGIONS")
        for one in lines
    ] == [True] * warnings


def test_a_cached_copy_in_use_keeps_the_image_that_it_is_a_copy_of(regions: Regions) -> None:
    regions.world.push("app", "old", tags=["v1"])
    regions.rules[THERE] = [
        {
            "ecrRepositoryPrefix": "central",
            "upstreamRegistry": "ecr",
            "upstreamRegistryUrl": HOST,
        }
    ]
    copy = ImageReference(Registry("111122223333", THERE), "central/app", tag="v1")
    regions.source.by_region[THERE] = lambda: [Usage(copy, "arn:service:there", "stub")]
    assert regions.run()["removed"] == 0


def test_a_region_without_caches_is_named_in_the_coverage(regions: Regions) -> None:
    regions.rules[THERE] = None
    absent = [f"DescribePullThroughCacheRules in {THERE}"]
    caches = {"state": "scanned", "absent_operations": absent}
    assert regions.run()["coverage"]["pull-through-caches"] == caches


def test_replication_that_cannot_be_read_ends_the_run_and_nothing_is_removed(
    regions: Regions,
) -> None:
    regions.world.push("app", "old")
    regions.world.ecr.fail("DescribeRegistry", "AccessDeniedException")
    with pytest.raises(ApiError, match="ecr DescribeRegistry failed"):
        regions.run()
    assert regions.world.ecr.mutations() == []


def test_replication_of_deletions_does_not_guard_where_the_replica_is_seen(
    regions: Regions,
) -> None:
    regions.world.push("app", "old")
    destination = {"registryId": "111122223333", "region": THERE}
    rule = {"destinations": [destination], "deleteReplication": {"enabled": True}}
    regions.world.ecr.replication = {"rules": [rule]}
    used = regions.world.push("app", "used")
    replica = ImageReference(Registry("111122223333", THERE), "app", digest=used.digest)
    regions.source.by_region[THERE] = lambda: [Usage(replica, "arn:service:there", "stub")]
    assert regions.run()["removed"] == 1
    assert regions.world.ecr.digests("app") == {used.digest}
