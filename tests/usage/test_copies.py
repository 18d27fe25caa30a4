"""Which pull through cache rules are read, and what their absence means."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from core.worlds import REGISTRY
from ecr_cleaner.aws.session import Aws
from ecr_cleaner.core.copies import Copies
from ecr_cleaner.core.errors import OutOfTimeError, TargetError
from ecr_cleaner.core.locations import Location
from ecr_cleaner.core.settings import Settings
from ecr_cleaner.usage.copies import CopiesRead, read_copies
from ecr_cleaner.usage.scan import Scan
from ecr_cleaner.usage.shared.target import Target
from ecr_cleaner.workers import Workers
from fakes.aws_api import REGION, FakeSession, error, home_target
from fakes.scripted import DENIED, Scripted

THERE = Location("222233334444", "us-east-1")
RULE = {
    "ecrRepositoryPrefix": "hub",
    "upstreamRegistry": "ecr",
    "upstreamRegistryUrl": "111122223333.dkr.ecr.eu-west-1.amazonaws.com",
}
REPLICATED = {"rules": [{"destinations": [{"registryId": "111122223333", "region": "eu-north-1"}]}]}


def read(*lines: Any, replication: Any = REPLICATED) -> CopiesRead:
    """Read the rules of as many registries as there are lines."""
    with Workers(2) as workers:

        def target(line: Any) -> Callable[[], Target]:
            ecr = Scripted("ecr", DescribePullThroughCacheRules=line)
            return lambda: Target(Aws(FakeSession([ecr], REGION), workers), Settings(), THERE)

        return read_copies(REGISTRY, replication, [target(line) for line in lines], workers)


def test_rules_of_all_registries_and_pages_are_read() -> None:
    pages = [{"pullThroughCacheRules": []}, {"pullThroughCacheRules": [RULE]}]
    cache = Copies(THERE.registry, "hub/", REGISTRY, "")
    replica = Copies(Location("111122223333", "eu-north-1").registry, "", REGISTRY, "")
    found = read(pages, {"pullThroughCacheRules": []}, pages)
    assert found == CopiesRead((replica, cache, cache))


def test_a_region_without_pull_through_caches_has_none_and_is_named() -> None:
    absent = error("UnsupportedOperationException")
    named = "DescribePullThroughCacheRules in us-east-1"
    assert read(absent, replication={"rules": []}) == CopiesRead((), (named,))
    assert Scan((), absent_operations=(named, named)).coverage() == {
        "pull-through-caches": {"state": "scanned", "absent_operations": [named]}
    }


@pytest.mark.parametrize("line", [DENIED, error("ServerException")])
def test_rules_that_cannot_be_read_end_the_scan(line: Any) -> None:
    with pytest.raises(TargetError, match="222233334444/us-east-1 could not be scanned"):
        read(line)


def test_no_time_is_no_fault_of_the_target() -> None:
    def no_time(_: Any) -> Any:
        raise OutOfTimeError("no time left to call ecr")

    with pytest.raises(OutOfTimeError):
        read(no_time)


def test_the_registry_itself_is_not_asked() -> None:
    with Workers(1) as workers:
        home = home_target(Aws(FakeSession([], REGION), workers))
        assert read_copies(REGISTRY, {"rules": []}, [lambda: home], workers) == CopiesRead(())
