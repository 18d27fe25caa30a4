"""Task definitions that a consumer names: in another region or account, or behind another one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date
from typing import Any
from unittest import mock

import pytest

from ecr_cleaner.aws.session import Aws
from ecr_cleaner.core.answer_cache import AnswerCache
from ecr_cleaner.core.errors import OutOfTimeError, ScanError
from ecr_cleaner.core.locations import Location
from ecr_cleaner.core.settings import Settings
from ecr_cleaner.usage.lambda_functions import Lambda
from ecr_cleaner.usage.rows import EVENTBRIDGE_SCHEDULER
from ecr_cleaner.usage.scan import Scan, SourceReading, scan
from ecr_cleaner.usage.shared.known_answers import KnownAnswers
from ecr_cleaner.usage.shared.target import Shared, Target
from ecr_cleaner.usage.source import UsageSource
from ecr_cleaner.workers import Workers
from fakes.aws_api import FakeSession, error
from fakes.scripted import DENIED, HOST, Scripted, by

HOME = Location("123456789012", "eu-west-1")
THERE = Location("123456789012", "us-east-1")
MEMBER = Location("222233334444", "us-east-1")
UNSCANNED = Location("999999999999", "us-east-1")
GONE = error("ClientException", "Unable to describe task definition.")


def definition(place: Location, revision: int = 7) -> str:
    return place.arn("ecs", f"task-definition/job:{revision}")


JOB = definition(HOME)


def described(tag: str, **environment: str) -> dict[str, Any]:
    """Return the answer for a task definition with an image and an environment."""
    variables = [{"name": name, "value": value} for name, value in environment.items()]
    container = {"image": f"{HOST}/app:{tag}", "environment": variables}
    return {"taskDefinition": {"containerDefinitions": [container]}}


@dataclass
class Place:
    """One account and region: the functions with what their environments name, and ECS."""

    location: Location
    functions: dict[str, str] = field(default_factory=dict)
    definitions: dict[str, Any] = field(default_factory=dict)
    schedules: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.ecs = Scripted("ecs", DescribeTaskDefinition=by("taskDefinition", self.definitions))

    @property
    def asked(self) -> list[str]:
        """The task definitions that were described."""
        return [one["taskDefinition"] for one in self.ecs.asked("DescribeTaskDefinition")]

    def function(self, name: str) -> str:
        return self.location.arn("lambda", f"function:{name}:$LATEST")

    def apis(self) -> list[Scripted]:
        listed = [
            {
                "FunctionName": name,
                "FunctionArn": self.function(name),
                "Version": "$LATEST",
                "PackageType": "Zip",
                "Environment": {"Variables": {"JOB": value}},
            }
            for name, value in self.functions.items()
        ]
        schedules = [
            {"Name": name, "GroupName": "x", "Arn": self.location.arn("scheduler", name)}
            for name in self.schedules
        ]
        inputs = {
            name: {"Target": {"Arn": "arn", "RoleArn": "arn", "Input": value}}
            for name, value in self.schedules.items()
        }
        return [
            self.ecs,
            Scripted("lambda", ListFunctions={"Functions": listed}),
            Scripted(
                "scheduler", ListSchedules={"Schedules": schedules}, GetSchedule=by("Name", inputs)
            ),
        ]


@contextmanager
def targets_at(
    *places: Place, answers: KnownAnswers | None = None
) -> Iterator[list[Callable[[], Target]]]:
    with Workers(4) as workers:

        def make(place: Place) -> Target:
            aws = Aws(FakeSession(place.apis(), place.location.region), workers)
            return Target(aws, Settings(), place.location, HOME, Shared(aws, answers))

        yield [lambda place=place: make(place) for place in places]  # type: ignore[misc]


LAMBDA: tuple[UsageSource, ...] = (Lambda(),)


def scanned(
    *places: Place,
    sources: tuple[UsageSource, ...] = LAMBDA,
    answers: KnownAnswers | None = None,
    on_reading: Callable[[SourceReading], None] = lambda _: None,
) -> Scan:
    with targets_at(*places, answers=answers) as (home, *others):
        return scan(home(), sources, on_reading, others)


def uses(found: Scan) -> dict[str, set[str | None]]:
    """Return the tags in use, by consumer."""
    tags: dict[str, set[str | None]] = {}
    for usage in found.usages:
        tags.setdefault(usage.consumer, set()).add(usage.reference.tag)
    return tags


def test_what_a_consumer_in_another_region_names_is_described_at_home() -> None:
    home = Place(HOME, definitions={JOB: described("v7")})
    there = Place(THERE, functions={"start": JOB})
    found = scanned(home, there)

    assert uses(found) == {there.function("start"): {"v7"}}
    assert (home.asked, there.asked, found.unseen) == ([JOB], [], {})


def test_what_a_consumer_at_home_names_is_described_in_the_other_account() -> None:
    """As a state machine does that takes a role there."""
    job = definition(MEMBER)
    home = Place(HOME, functions={"start": job})
    there = Place(THERE)
    member = Place(MEMBER, definitions={job: described("v7")})
    found = scanned(home, there, member)

    assert uses(found) == {home.function("start"): {"v7"}}
    assert (home.asked, there.asked, member.asked) == ([], [], [job])


def test_each_is_described_once_and_counts_for_all_that_name_it() -> None:
    home = Place(HOME, definitions={JOB: described("v7")})
    there = Place(THERE, functions={"one": JOB, "two": JOB}, schedules={"night": JOB})
    member = Place(MEMBER, functions={"three": JOB})
    found = scanned(home, there, member, sources=(Lambda(), EVENTBRIDGE_SCHEDULER))

    assert uses(found) == {
        there.function("one"): {"v7"},
        there.function("two"): {"v7"},
        member.function("three"): {"v7"},
        THERE.arn("scheduler", "night"): {"v7"},
    }
    assert [len(reading.usages) for reading in found.readings] == [3, 1]
    assert home.asked == [JOB]


@pytest.mark.parametrize(
    ("chain", "tags"),
    [
        ({7: 8, 8: None}, {"v7", "v8"}),
        ({7: 8, 8: 9, 9: None}, {"v7", "v8", "v9"}),
        ({7: 8, 8: 7}, {"v7", "v8"}),
        ({7: 7}, {"v7"}),
    ],
    ids=["two", "three", "each-other", "itself"],
)
def test_a_chain_of_task_definitions_in_one_region_counts_to_its_end(
    chain: dict[int, int | None], tags: set[str]
) -> None:
    definitions = {
        definition(HOME, number): described(
            f"v{number}", **({"NEXT": definition(HOME, following)} if following else {})
        )
        for number, following in chain.items()
    }
    home = Place(HOME, functions={"one": JOB, "two": JOB}, definitions=definitions)
    found = scanned(home)

    assert uses(found) == {home.function("one"): tags, home.function("two"): tags}
    assert sorted(home.asked) == sorted(definitions)


def test_a_chain_that_leads_to_another_region_is_followed_there() -> None:
    beside, there = definition(HOME, 8), definition(THERE, 3)
    described_here = {JOB: described("v7", NEXT=beside), beside: described("v8", NEXT=there)}
    home = Place(HOME, functions={"start": JOB}, definitions=described_here)
    found = scanned(home, Place(THERE, definitions={there: described("v3")}))

    assert uses(found) == {home.function("start"): {"v7", "v8", "v3"}}


def test_a_link_of_a_chain_that_cannot_be_described_ends_the_scan() -> None:
    beside = definition(HOME, 8)
    home = Place(HOME, {"start": JOB}, {JOB: described("v7", NEXT=beside), beside: DENIED})
    with pytest.raises(ScanError, match="usage source lambda could not be read in full"):
        scanned(home)


def test_what_its_environment_names_counts_as_well() -> None:
    """Beside it, and back in the region of the consumer; two that name each other end."""
    beside, back = definition(HOME, 8), definition(THERE, 3)
    home = Place(
        HOME,
        definitions={JOB: described("v7", NEXT=beside, BACK=back), beside: described("v8")},
    )
    there = Place(THERE, functions={"start": JOB}, definitions={back: described("v3", JOB=JOB)})
    found = scanned(home, there)

    assert uses(found) == {there.function("start"): {"v7", "v8", "v3"}}
    assert sorted(home.asked) == [JOB, beside]
    assert there.asked == [back]


@pytest.mark.parametrize(
    ("named", "asked"),
    [
        (f"arn:aws:ecs:{HOME.region}:${{ACCOUNT}}:task-definition/job:7", JOB),
        (HOME.arn("ecs", "task-definition/job"), "job"),
    ],
)
def test_a_computed_account_is_the_own_one_and_no_revision_means_the_latest(
    named: str, asked: str
) -> None:
    home = Place(HOME, definitions={asked: described("v7")})
    there = Place(THERE, functions={"start": named})

    assert uses(scanned(home, there)) == {there.function("start"): {"v7"}}


def test_one_that_does_not_exist_runs_nothing() -> None:
    home = Place(HOME, definitions={JOB: GONE})
    there = Place(THERE, functions={"start": JOB})
    found = scanned(home, there)

    assert (uses(found), found.unseen) == ({}, {})
    assert home.asked == [JOB]


def test_one_that_cannot_be_described_ends_the_scan_and_names_the_target() -> None:
    job = definition(MEMBER)
    home, member = Place(HOME, functions={"start": job}), Place(MEMBER, definitions={job: DENIED})
    with pytest.raises(ScanError) as failure:
        scanned(home, member)

    assert str(failure.value).startswith(
        "usage source lambda could not be read in full in 222233334444/us-east-1: ecs Describe"
    )
    assert failure.value.fields["target"] == "222233334444/us-east-1"
    assert failure.value.fields["missing_action"] == "ecs:DescribeTaskDefinition"


def test_without_time_for_it_the_source_is_not_finished() -> None:
    home = Place(HOME, definitions={JOB: OutOfTimeError("no time left")})
    there = Place(THERE, functions={"start": JOB})
    readings: list[SourceReading] = []
    with pytest.raises(OutOfTimeError, match=r"not finished: lambda \(task definitions that"):
        scanned(home, there, on_reading=readings.append)

    assert readings == []


def test_the_source_ends_once_with_all_its_usages_and_calls() -> None:
    job = definition(MEMBER)
    home = Place(HOME, functions={"start": job})
    member = Place(MEMBER, functions={"own": job}, definitions={job: described("v7")})
    readings: list[SourceReading] = []
    found = scanned(home, member, on_reading=readings.append)

    (reading,) = readings
    assert found.readings == (reading,)
    assert found.coverage() == {"lambda": {"state": "scanned", "usages": 2}}
    # Two listings, and the definition as each of the two targets was read.
    assert reading.calls == 4
    assert reading.by_target() == {"usages_elsewhere": {"222233334444/us-east-1": 2}}


def test_one_outside_the_scanned_accounts_and_regions_is_reported_with_its_consumers() -> None:
    job = definition(UNSCANNED)
    home = Place(HOME, functions={"one": job, "two": job})
    there = Place(THERE, functions={"start": job})
    found = scanned(home, there)

    consumers = [home.function("one"), home.function("two"), there.function("start")]
    assert (uses(found), found.unseen) == ({}, {job: consumers})
    assert home.asked == there.asked == []


def test_with_one_target_nothing_more_is_asked() -> None:
    job = definition(THERE)
    home = Place(HOME, {"own": JOB, "start": job}, {JOB: described("v7")})
    found = scanned(home)

    assert uses(found) == {home.function("own"): {"v7"}}
    assert found.unseen == {job: [home.function("start")]}
    assert home.asked == [JOB]
    assert [reading.calls for reading in found.readings] == [2]


def test_what_an_earlier_scan_described_is_known() -> None:
    answers = KnownAnswers(AnswerCache("1.0", date(2026, 3, 1)))
    home = Place(HOME, definitions={JOB: described("v7", NEXT=definition(UNSCANNED))})
    there = Place(THERE, functions={"start": JOB})
    first, second = scanned(home, there, answers=answers), scanned(home, there, answers=answers)

    assert uses(first) == uses(second) == {there.function("start"): {"v7"}}
    assert first.unseen == second.unseen == {definition(UNSCANNED): [there.function("start")]}
    assert home.asked == [JOB]


def test_connections_are_closed_again_but_not_at_home() -> None:
    job = definition(MEMBER)
    home = Place(HOME, functions={"start": job}, definitions={JOB: described("v7")})
    member = Place(MEMBER, functions={"start": JOB}, definitions={job: described("v8")})
    with mock.patch.object(Aws, "close", autospec=True) as closed:
        found = scanned(home, member)

    assert uses(found) == {home.function("start"): {"v8"}, member.function("start"): {"v7"}}
    assert [one.args[0].region for one in closed.call_args_list] == [MEMBER.region] * 2
