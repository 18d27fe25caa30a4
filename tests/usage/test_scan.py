"""The scan as a whole: what it says of each source, and how it ends if there is no time."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import timedelta

import pytest

from core.worlds import NOW, usage
from ecr_cleaner.core.errors import ApiError, OutOfTimeError, ScanError
from ecr_cleaner.core.model import Usage
from ecr_cleaner.core.settings import Settings
from ecr_cleaner.deadline import Deadline
from ecr_cleaner.usage.scan import Reading, State, scan
from ecr_cleaner.usage.shared.target import Target
from fakes.aws_api import FakeApi, account


@dataclass
class StubSource:
    """A usage source that does as the test says."""

    name: str
    found: Callable[[Target], Iterable[Usage]]
    service: str = "ecs"

    def usages(self, target: Target) -> Iterable[Usage]:
        return self.found(target)


def lists_clusters(target: Target) -> list[Usage]:
    """Ask twice, once in another thread."""
    api = target.api("ecs")
    target.workers.map(lambda _: list(api.each("ListClusters", "clusterArns")), [1])
    list(api.each("ListClusters", "clusterArns"))
    return [usage()]


def fails(error: Exception) -> Callable[[Target], list[Usage]]:
    def found(_: Target) -> list[Usage]:
        raise error

    return found


def ecs() -> FakeApi:
    return FakeApi("ecs").pages("ListClusters", "clusterArns", ["a"], ["b"], ["c"])


def test_each_source_ends_with_its_usages_calls_and_seconds() -> None:
    now = [NOW]

    def slow(target: Target) -> list[Usage]:
        now[0] += timedelta(seconds=7)
        return lists_clusters(target)

    readings: list[Reading] = []
    with account(ecs(), deadline=Deadline(lambda: now[0])) as one:
        scan(one, [StubSource("slow", slow)], readings.append)

    assert readings == [Reading("slow", State.SCANNED, (usage(),), seconds=7, calls=6)]


def test_calls_of_one_source_do_not_count_for_another() -> None:
    with account(ecs()) as one:
        found = scan(one, [StubSource("asks", lists_clusters), StubSource("idle", lambda _: [])])

    assert [reading.calls for reading in found.readings] == [6, 0]


def test_source_that_was_waived_is_reported_as_well() -> None:
    readings: list[Reading] = []
    with account(settings=Settings(waived_sources=("idle",))) as one:
        scan(one, [StubSource("idle", fails(KeyError()))], readings.append)

    assert readings == [Reading("idle", State.WAIVED)]


def test_scan_without_time_names_what_it_did_not_finish() -> None:
    sources = [
        StubSource("done", lambda _: []),
        StubSource("late", fails(OutOfTimeError("no time left to call ecs"))),
    ]
    readings: list[Reading] = []
    with account() as one, pytest.raises(OutOfTimeError) as failure:
        scan(one, sources, readings.append)

    assert "not finished: late; raise the timeout" in str(failure.value)
    assert [reading.source for reading in readings] == ["done"]


@pytest.mark.parametrize(
    "error", [ApiError("ecs", "ListTasks", code="X", message="no"), KeyError("tasks"), OSError()]
)
def test_source_that_fails_is_named(error: Exception) -> None:
    with account() as one, pytest.raises(ScanError, match="usage source broken could not be read"):
        scan(one, [StubSource("broken", fails(error))])
