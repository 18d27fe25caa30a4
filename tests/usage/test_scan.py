"""The scan as a whole: what it says of each source, and how it ends if there is no time."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import timedelta
from threading import Event
from unittest import mock

import pytest

from core.worlds import NOW, usage
from ecr_cleaner.aws.session import Aws
from ecr_cleaner.core.errors import ApiError, OutOfTimeError, ScanError
from ecr_cleaner.core.locations import Location
from ecr_cleaner.core.model import Usage
from ecr_cleaner.core.settings import Settings
from ecr_cleaner.deadline import Deadline
from ecr_cleaner.usage.scan import Reading, Scan, SourceReading, State, scan
from ecr_cleaner.usage.shared.target import Target
from fakes.aws_api import FakeApi, account


@dataclass
class StubSource:
    """A usage source that does as the test says."""

    name: str
    found: Callable[[Target], Iterable[Usage]]
    service: str = "ecs"
    everywhere: bool = True

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

    readings: list[SourceReading] = []
    with account(ecs(), deadline=Deadline(lambda: now[0])) as one:
        scan(one, [StubSource("slow", slow)], readings.append)

    slow_reading = Reading("slow", State.SCANNED, (usage(),), seconds=7, calls=6)
    assert readings == [SourceReading("slow", (slow_reading,))]


def test_calls_of_one_source_do_not_count_for_another() -> None:
    with account(ecs()) as one:
        found = scan(one, [StubSource("asks", lists_clusters), StubSource("idle", lambda _: [])])

    assert [reading.calls for reading in found.readings] == [6, 0]


def test_source_that_was_waived_is_reported_as_well() -> None:
    readings: list[SourceReading] = []
    with account(settings=Settings(waived_sources=("idle",))) as one:
        scan(one, [StubSource("idle", fails(KeyError()))], readings.append)

    assert readings == [SourceReading("idle", (Reading("idle", State.WAIVED),))]


def test_scan_without_time_names_what_it_did_not_finish() -> None:
    one_is_done = Event()

    def late(_: Target) -> list[Usage]:
        assert one_is_done.wait(60)
        raise OutOfTimeError("no time left to call ecs")

    readings: list[SourceReading] = []

    def on_reading(reading: SourceReading) -> None:
        readings.append(reading)
        one_is_done.set()

    sources = [StubSource("done", lambda _: []), StubSource("late", late)]
    with account() as one, pytest.raises(OutOfTimeError) as failure:
        scan(one, sources, on_reading)

    assert "not finished: late; raise the timeout" in str(failure.value)
    assert [reading.source for reading in readings] == ["done"]


@pytest.mark.parametrize(
    "error", [ApiError("ecs", "ListTasks", code="X", message="no"), KeyError("tasks"), OSError()]
)
def test_source_that_fails_is_named(error: Exception) -> None:
    with account() as one, pytest.raises(ScanError, match="usage source broken could not be read"):
        scan(one, [StubSource("broken", fails(error))])


def test_all_sources_that_fail_are_named_in_their_order() -> None:
    """The first one fails when the second has begun, and that one fails after it."""
    began, failed = Event(), Event()

    def first(_: Target) -> list[Usage]:
        assert began.wait(60)
        failed.set()
        raise ApiError("ecs", "ListTasks", code="X", message="no", action="ecs:ListTasks")

    def second(_: Target) -> list[Usage]:
        began.set()
        assert failed.wait(60)
        raise ApiError("batch", "ListJobs", code="Y", message="no")

    sources = [StubSource("ecs", first), StubSource("batch", second)]
    with account() as one, pytest.raises(ScanError) as failure:
        scan(one, sources)

    assert str(failure.value) == (
        "usage source ecs could not be read in full: ecs ListTasks failed with X: no (missing IAM "
        "action: ecs:ListTasks); also not read: batch: batch ListJobs failed with Y: no"
    )
    assert failure.value.fields["source"] == "ecs"
    assert failure.value.fields["missing_action"] == "ecs:ListTasks"


def test_each_target_that_ends_is_told() -> None:
    ended: list[Location | None] = []
    with account(ecs()) as home:

        def there() -> Target:
            return Target(home._aws, Settings(), THERE)  # noqa: SLF001 - as targets_of does

        source = StubSource("ecs", nothing)
        scan(home, [source], others=[there], on_target=lambda one: ended.append(one.elsewhere))

    assert set(ended) == {None, THERE}
    assert len(ended) == 2


# -- Several targets ---------------------------------------------------------------------------

HERE = Location("111122223333", "eu-west-1")
THERE = Location("111122223333", "us-east-1")
MEMBER = Location("222233334444", "us-east-1")


def by_target(
    **found: Callable[[Target], Iterable[Usage]],
) -> Callable[[Target], Iterable[Usage]]:
    """Do as the test says in a region; ``here`` is the region of the registry."""

    def usages(target: Target) -> Iterable[Usage]:
        name = target.elsewhere.region.replace("-", "_") if target.elsewhere else "here"
        return found[name](target)

    return usages


def nothing(_: Target) -> list[Usage]:
    return []


def scanned_in(
    *places: Location, sources: list[StubSource], on_reading: Callable[[SourceReading], None]
) -> Scan:
    with account(ecs()) as home:

        def target(place: Location) -> Callable[[], Target]:
            return lambda: Target(home._aws, Settings(), place)  # noqa: SLF001 - as targets_of does

        return scan(home, sources, on_reading, [target(place) for place in places])


def test_usages_of_every_target_count_and_name_where_they_are() -> None:
    readings: list[SourceReading] = []
    source = StubSource("ecs", by_target(here=nothing, us_east_1=lists_clusters))
    found = scanned_in(THERE, MEMBER, sources=[source], on_reading=readings.append)

    assert list(found.usages) == [usage(), usage()]
    assert found.coverage() == {"ecs": {"state": "scanned", "usages": 2}}
    (reading,) = readings
    assert reading.calls == 12
    assert reading.by_target() == {
        "usages_elsewhere": {"111122223333/us-east-1": 1, "222233334444/us-east-1": 1}
    }


def test_connections_of_every_other_target_are_closed() -> None:
    source = StubSource("ecs", nothing)
    others = [Location("222233334444", f"us-east-{number}") for number in range(1, 11)]
    with mock.patch.object(Aws, "close") as closed:
        scanned_in(*others, sources=[source], on_reading=lambda _: None)

    assert closed.call_count == len(others)


def test_source_that_is_asked_once_is_asked_beside_the_registry() -> None:
    source = StubSource("lists", by_target(here=lists_clusters), everywhere=False)
    found = scanned_in(THERE, sources=[source], on_reading=lambda _: None)

    assert found.coverage() == {"lists": {"state": "scanned", "usages": 1}}


def test_source_that_fails_elsewhere_names_the_account_and_region() -> None:
    denied = ApiError("ecs", "ListTasks", code="AccessDenied", message="service control policy")
    source = StubSource("ecs", by_target(here=nothing, us_east_1=fails(denied)))
    with pytest.raises(ScanError) as failure:
        scanned_in(MEMBER, sources=[source], on_reading=lambda _: None)

    message = str(failure.value)
    assert message.startswith("usage source ecs could not be read in full in 222233334444/us-east-")
    assert "name the other regions in SCAN_REGIONS" in message
    assert failure.value.fields["target"] == "222233334444/us-east-1"


def test_source_without_time_in_one_target_is_not_finished() -> None:
    readings: list[SourceReading] = []
    ended = Event()

    def end(reading: SourceReading) -> None:
        readings.append(reading)
        ended.set()

    def no_time(target: Target) -> list[Usage]:
        del target
        assert ended.wait(timeout=60)
        raise OutOfTimeError("no time left")

    late = by_target(here=nothing, us_east_1=no_time)
    sources = [StubSource("early", lambda _: [], everywhere=False), StubSource("late", late)]
    with pytest.raises(OutOfTimeError, match=r"not finished: late \([01] of 2 targets\); raise"):
        scanned_in(THERE, sources=sources, on_reading=end)

    assert [reading.source for reading in readings] == ["early"]


def test_service_that_only_other_regions_lack_counts_as_scanned() -> None:
    readings = (
        Reading("braket", State.SCANNED),
        Reading("braket", State.NOT_IN_REGION, target=THERE),
        Reading("braket", State.NOT_IN_REGION, target=MEMBER),
    )
    everywhere = SourceReading("braket", readings)
    assert everywhere.fields() == {"state": "scanned", "usages": 0}
    assert everywhere.by_target() == {"not_in": ["us-east-1"]}
    assert SourceReading("braket", readings[1:]).state is State.NOT_IN_REGION


def test_absent_operation_names_each_other_region_once_however_many_accounts_are_there() -> None:
    others = [THERE, *(replace(THERE, account=f"{number:012}") for number in range(5))]
    readings = (
        Reading("emr", State.SCANNED, absent_operations=("ListSteps",)),
        *(
            Reading("emr", State.SCANNED, absent_operations=("ListClusters",), target=one)
            for one in others
        ),
    )
    assert SourceReading("emr", readings).fields()["absent_operations"] == [
        "ListClusters in us-east-1",
        "ListSteps",
    ]
