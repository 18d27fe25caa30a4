"""Faults in every step of a run in steps: the run fails and says why, and removes nothing in use.

The scans of targets without a fault are not made again: see ``StateMachine.recorded``.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

import pytest
from moto.ecr.models import ecr_backends

from integration.program import Answer, Ask, Parameters, fails, says
from integration.state_machine import (
    HOME,
    LAST,
    OWN,
    REGIONS,
    TARGETS,
    THIRD,
    Event,
    ManyTargets,
    StateMachine,
    dies,
    make_bucket,
    of_object,
    on_calls,
    restore,
    scan_name,
    scans_of,
    started,
    stored_images,
    use,
)
from world import REGION

OTHER = "team/other"
# Of all targets, those in the region of the registry and in that of the last one: six.
SCANNED = (REGION, REGIONS[-1])
SIX = tuple(one for one in TARGETS if one.endswith(SCANNED))
DENIED = fails("AccessDenied")
TOPIC = f"arn:aws:sns:{REGION}:{OWN}:approvals"


@dataclass
class Place:
    """A world that is filled once, and the documents of its scans."""

    many: ManyTargets
    documents: Mapping[str, bytes]
    images: dict[str, list[Any]]
    arn: str
    numbers: Iterator[int] = field(default_factory=lambda: count(1))


@pytest.fixture(scope="module")
def place() -> Iterator[Place]:
    with started() as world:
        make_bucket(world)
        many = ManyTargets.fill(world, SIX)
        first = StateMachine(world, run="recorded")
        first.environ |= {"DRY_RUN": "true", "SCAN_REGIONS": ",".join(SCANNED)}
        assert first.start()["status"] == "SUCCEEDED"
        world.repository(OTHER)
        world.image(OTHER, "unused", days_old=90)
        yield Place(many, scans_of(first), stored_images(), first.arn)


@pytest.fixture
def many(place: Place) -> ManyTargets:
    restore(place.many, place.images)
    return place.many


@pytest.fixture
def machine(place: Place, many: ManyTargets) -> StateMachine:
    run = f"run-{next(place.numbers)}"
    machine = StateMachine(many.world, run=run, arn=place.arn, recorded=place.documents)
    machine.environ["SCAN_REGIONS"] = ",".join(SCANNED)
    return machine


def failed(machine: StateMachine) -> str:
    """Run, and return why the execution failed; the log says that it did."""
    ended = machine.start()
    assert ended["status"] == "FAILED", ended
    assert machine.log("Run failed")
    return str(json.loads(ended["cause"])["errorMessage"])


def removes_all_that_is_unused(machine: StateMachine, many: ManyTargets) -> None:
    """The fault changes nothing: both unused images are removed, and counted once."""
    ended = machine.start()
    assert ended["status"] == "SUCCEEDED", ended
    assert json.loads(ended["output"]) == {"complete": True, "removed": 2}
    (summary,) = machine.log("Run finished")
    assert (summary["removed"], summary["errors"]) == (2, [])
    assert many.images == set(many.used.values())
    assert many.world.digests(OTHER) == set()


def removes_nothing(many: ManyTargets) -> None:
    assert many.images == many.all
    assert len(many.world.digests(OTHER)) == 1


def nothing_in_use_is_removed(many: ManyTargets) -> None:
    assert set(many.used.values()) <= many.images


# -- Plan ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("action", "answer", "told"),
    [
        ("organizations:ListAccounts", DENIED, "organizations ListAccounts failed with Access"),
        (
            "organizations:ListAccounts",
            says(Accounts=[]),
            "ListAccounts returned 0 accounts, but not 123456789012",
        ),
        ("ecr:DescribeRepositories", DENIED, "ecr DescribeRepositories failed with AccessDenied"),
        ("s3:PutObject", of_object("/plan.json", DENIED), "s3 PutObject failed with AccessDenied"),
        ("s3:PutObject", of_object("/targets.json", DENIED), "s3 PutObject failed with Access"),
        ("s3:PutObject", of_object("/shares.json", DENIED), "s3 PutObject failed with Access"),
    ],
    ids=[
        "accounts cannot be listed",
        "the organization has no accounts",
        "repositories cannot be listed",
        "the frozen list cannot be written",
        "the targets cannot be written",
        "the shares cannot be written",
    ],
)
def test_without_a_plan_no_step_follows(
    machine: StateMachine, many: ManyTargets, action: str, answer: Answer, told: str
) -> None:
    machine.answers[action] = answer
    assert told in failed(machine)
    assert machine.steps() == ["plan"]
    removes_nothing(many)


def test_a_run_whose_name_was_used_before_does_not_begin(
    machine: StateMachine, many: ManyTargets
) -> None:
    machine.bucket[machine.name("plan.json")] = b"{}"
    assert "exists: this step was begun before" in failed(machine)
    assert machine.steps() == ["plan"]
    removes_nothing(many)


# -- Scan and the confirming scan ----------------------------------------------------------------

Edit = Callable[[StateMachine, str], None]


def is_missing(machine: StateMachine, name: str) -> None:
    del machine.bucket[name]


def is_truncated(machine: StateMachine, name: str) -> None:
    machine.bucket[name] = machine.bucket[name][:-9]


def is_empty(machine: StateMachine, name: str) -> None:
    machine.bucket[name] = b""


def lacks_its_last_line(machine: StateMachine, name: str) -> None:
    machine.bucket.edit(name, lambda lines: lines.pop())


def lacks_a_usage(machine: StateMachine, name: str) -> None:
    machine.bucket.edit(name, lambda lines: lines.pop(1))


def says_of_itself(**fields: Any) -> Edit:
    def change(machine: StateMachine, name: str) -> None:
        machine.bucket.edit(name, lambda lines: lines[0].update(fields))

    return change


def lacks_a_source(machine: StateMachine, name: str) -> None:
    def change(lines: list[Event]) -> None:
        lines[0]["sources"] = [one for one in lines[0]["sources"] if one["source"] != "ecs"]

    machine.bucket.edit(name, change)


def began(minutes_ago: int) -> Edit:
    def change(machine: StateMachine, name: str) -> None:
        then = (datetime.now(UTC) - timedelta(minutes=minutes_ago)).isoformat()
        machine.bucket.edit(name, lambda lines: lines[0].update(started=then))

    return change


def is_of_another_target(machine: StateMachine, name: str) -> None:
    machine.bucket[name] = machine.bucket[name.replace(LAST, HOME)]


DOCUMENTS: Mapping[str, tuple[Edit, str]] = {
    "is missing": (is_missing, "does not exist"),
    "is incomplete": (says_of_itself(complete=False, problem="a page lacks"), "a page lacks"),
    "is of another run": (says_of_itself(run="run-0"), "of the run run-0"),
    "is of another target": (is_of_another_target, f"it is of {HOME}"),
    "is of an unknown schema": (says_of_itself(schema=99), "unknown schema 99"),
    "is truncated": (is_truncated, "truncated or damaged"),
    "is empty": (is_empty, "cannot be parsed"),
    "lacks its last line": (lacks_its_last_line, "has no end"),
    "lacks a usage": (lacks_a_usage, "it has 0 of 1 references"),
    "lacks a source": (lacks_a_source, "it lacks ecs"),
}


@pytest.mark.parametrize(
    ("number", "what"),
    [
        (1, "is missing"),
        (1, "is incomplete"),
        (1, "lacks a usage"),
        *((2, one) for one in DOCUMENTS),
    ],
)
def test_nothing_is_removed_if_the_document_of_one_target(
    machine: StateMachine, many: ManyTargets, number: int, what: str
) -> None:
    fault, told = DOCUMENTS[what]
    name = scan_name(machine.run, number, LAST)
    machine.before["gather"] = lambda _: fault(machine, name)
    why = failed(machine)
    assert f"scan {number} of {LAST} is not believed, so nothing is removed" in why
    assert told in why
    # What follows a failed gathering is the report, which fails.
    assert machine.steps()[-2:] == ["gather", "report"]
    removes_nothing(many)


@pytest.mark.parametrize(
    ("number", "told"),
    [
        (1, "it began 31 minutes ago, more than MAX_SCAN_AGE_MINUTES"),
        (2, "it began before the scan that it confirms had ended"),
    ],
    ids=["first", "confirming"],
)
def test_nothing_is_removed_if_the_document_of_one_target_is_too_old(
    machine: StateMachine, many: ManyTargets, number: int, told: str
) -> None:
    name = scan_name(machine.run, number, LAST)
    machine.before["gather"] = lambda _: began(31)(machine, name)
    assert f"scan {number} of {LAST} is not believed, so nothing is removed: {told}" in failed(
        machine
    )
    removes_nothing(many)


def only_in(round_: int, machine: StateMachine, answer: Answer) -> Answer:
    """Answer so in scans of one round."""

    def some(parameters: Parameters, ask: Ask) -> dict[str, Any]:
        found = machine.events[-1].get("round") == round_
        return answer(parameters, ask) if found else ask(parameters)

    return some


SCANS: Mapping[str, tuple[str, Answer, str]] = {
    "its role cannot be assumed": ("sts:AssumeRole", DENIED, "sts AssumeRole failed with Access"),
    "one operation is denied": ("ecs:ListClusters", DENIED, "ecs ListClusters failed with Access"),
    "one answer is not one of AWS": ("lambda:ListFunctions", says(), "ListFunctions"),
    "its document cannot be written": (
        "s3:PutObject",
        of_object(f"{LAST}.jsonl.gz", DENIED),
        "does not exist",
    ),
    "the function dies": ("lambda:ListFunctions", dies, "does not exist"),
}


@pytest.mark.parametrize(
    ("number", "what"), [(1, "one operation is denied"), *((2, one) for one in SCANS)]
)
def test_nothing_is_removed_if_in_a_scan_of_one_target(
    machine: StateMachine, many: ManyTargets, number: int, what: str
) -> None:
    action, answer, told = SCANS[what]
    machine.scanned = {LAST}
    machine.answers[action] = only_in(number, machine, answer)
    why = failed(machine)
    assert f"scan {number} of {LAST} is not believed, so nothing is removed" in why
    assert told in why
    assert machine.steps().count("scan") == 2 * len(SIX)
    removes_nothing(many)


def targets_of_the_second_round(
    machine: StateMachine, change: Callable[[list[Event]], list[Event]]
) -> None:
    """Change the list that Step Functions reads, after it has read it for the first round."""
    name = machine.name("targets.json")

    def edit(event: Event) -> None:
        if event["round"] == 1 and machine.steps().count("scan") == 1:
            machine.bucket[name] = json.dumps(change(json.loads(machine.bucket[name]))).encode()

    machine.before["scan"] = edit


def is_last(target: Event) -> bool:
    return f"{target['account']}/{target['region']}" == LAST


def test_a_target_that_the_confirming_scan_reads_twice_counts_once(
    machine: StateMachine, many: ManyTargets
) -> None:
    targets_of_the_second_round(machine, lambda found: [*found, *filter(is_last, found)])
    machine.scanned = {LAST}
    removes_all_that_is_unused(machine, many)
    assert machine.steps().count("scan") == 2 * len(SIX) + 1


def test_a_target_that_is_not_in_the_frozen_list_is_refused_and_the_others_count(
    machine: StateMachine, many: ManyTargets
) -> None:
    stranger = {"account": "444455556666", "region": REGION, "partition": "aws"}
    targets_of_the_second_round(machine, lambda found: [*found, stranger])
    removes_all_that_is_unused(machine, many)
    (line,) = machine.log("Run failed")
    assert "444455556666/eu-west-1 is not a target of the run" in line["error"]


def test_a_target_that_step_functions_leaves_out_fails_the_run(
    machine: StateMachine, many: ManyTargets
) -> None:
    targets_of_the_second_round(machine, lambda found: [one for one in found if not is_last(one)])
    assert f"scan 2 of {LAST} is not believed" in failed(machine)
    removes_nothing(many)


@pytest.mark.parametrize(
    ("name", "told"), [("targets.json", "scan 1 of"), ("shares.json", "share 0 left no result")]
)
def test_a_list_that_step_functions_cannot_read_fails_the_run(
    machine: StateMachine, many: ManyTargets, name: str, told: str
) -> None:
    machine.answers["s3:GetObject"] = of_object(name, DENIED)
    assert told in failed(machine)
    removes_nothing(many)


def in_the_second_round(machine: StateMachine, act: Callable[[], object]) -> None:
    """Act once, after the first round and before the second."""

    def before(event: Event) -> None:
        if event["round"] == 2 and sum(one.get("round") == 2 for one in machine.events) == 1:
            act()

    machine.before["scan"] = before


@pytest.mark.parametrize("appears", [True, False], ids=["appears", "disappears"])
def test_an_image_is_kept_if_between_the_scans_its_consumer(
    machine: StateMachine, many: ManyTargets, appears: bool
) -> None:
    world = many.world
    account, region = LAST.split("/")
    ecs = world.elsewhere(region, account).client("ecs")

    def stop() -> None:
        listed = ecs.list_task_definitions(familyPrefix="of-unused")["taskDefinitionArns"]
        for one in listed:
            ecs.deregister_task_definition(taskDefinition=one)

    machine.scanned = {LAST}
    if appears:
        in_the_second_round(machine, lambda: use(world, LAST, "unused"))
    else:
        use(world, LAST, "unused")
        in_the_second_round(machine, stop)
    try:
        ended = machine.start()
    finally:
        stop()
    assert json.loads(ended["output"]) == {"complete": True, "removed": 1}
    assert many.images == many.all
    kept = {one["digest"]: one["because"] for one in machine.log("Found old image in use")}
    assert kept[many.unused][0].split(":")[3:5] == [region, THIRD]


# -- Gather --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("action", "answer", "told"),
    [
        ("s3:PutObject", of_object("/in-use.jsonl.gz", DENIED), "in-use.jsonl.gz does not exist"),
        ("s3:PutObject", of_object("ledger", DENIED), "the ledger s3://"),
        ("s3:GetObject", of_object(f"scan-2/{LAST}.jsonl.gz", DENIED), f"scan 2 of {LAST}"),
        ("s3:GetObject", of_object(f"scan-1/{LAST}.jsonl.gz", dies), "in-use.jsonl.gz does not"),
    ],
    ids=[
        "what was gathered cannot be written",
        "the ledger cannot be written",
        "a document cannot be read",
        "the function dies",
    ],
)
def test_nothing_is_removed_if_in_gathering(
    machine: StateMachine, many: ManyTargets, action: str, answer: Answer, told: str
) -> None:
    machine.answers[action] = answer
    assert told in failed(machine)
    assert machine.steps()[-2:] == ["gather", "report"]
    removes_nothing(many)


# -- Clean ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fault", "told"),
    [
        (is_missing, "in-use.jsonl.gz does not exist"),
        (is_truncated, "is truncated or damaged"),
        (lacks_its_last_line, "it has no end"),
        (lacks_a_usage, "it has 5 of 6 references"),
        (says_of_itself(run="run-0"), "of the run run-0"),
        (says_of_itself(schema=99), "unknown schema 99"),
        (says_of_itself(rounds=1), "1 rounds of scans, not of 2"),
        (
            says_of_itself(scanned_at=(datetime.now(UTC) - timedelta(hours=1)).isoformat()),
            "more than MAX_SCAN_AGE_MINUTES",
        ),
    ],
    ids=[
        "is missing",
        "is truncated",
        "lacks its last line",
        "lacks a usage",
        "is of another run",
        "is of an unknown schema",
        "is of one round",
        "is too old",
    ],
)
def test_a_share_removes_nothing_if_what_was_gathered(
    machine: StateMachine, many: ManyTargets, fault: Edit, told: str
) -> None:
    machine.before["clean"] = lambda _: fault(machine, machine.name("in-use.jsonl.gz"))
    failed(machine)
    assert any(told in one["error"] for one in machine.log("Run failed"))
    removes_nothing(many)


@pytest.mark.parametrize(
    ("action", "answer", "told", "removed"),
    [
        ("s3:PutObject", of_object("clean/0.begun", DENIED), "share 0 left no result", 0),
        ("s3:PutObject", of_object("clean/0.plan", DENIED), "clean/0.plan cannot be written", 0),
        ("s3:PutObject", of_object("clean/0.json", DENIED), "share 0 left no result", 2),
        ("ecr:BatchDeleteImage", on_calls({2}, dies), "share 0 left no result", 1),
        ("ecr:BatchDeleteImage", DENIED, "2 images could not be removed", 0),
        ("ecr:BatchDeleteImage", on_calls({1}, DENIED), "1 images could not be removed", 1),
        ("ecr:GetRegistryPolicy", DENIED, "share 0 left no result", 0),
    ],
    ids=[
        "its mark cannot be written",
        "its plan cannot be written",
        "its result cannot be written",
        "the function dies half way",
        "no deletion is allowed",
        "one deletion fails",
        "guards cannot be read",
    ],
)
def test_the_run_fails_if_in_a_share(
    machine: StateMachine,
    many: ManyTargets,
    action: str,
    answer: Answer,
    told: str,
    removed: int,
) -> None:
    machine.answers[action] = answer
    assert told in failed(machine)
    left = len(many.images | many.world.digests(OTHER))
    assert len(SIX) + 2 - left == removed
    nothing_in_use_is_removed(many)


def test_a_repository_that_is_deleted_during_the_run_has_nothing_left_to_remove(
    machine: StateMachine, many: ManyTargets
) -> None:
    repositories: Any = ecr_backends[OWN][REGION].repositories
    machine.before["clean"] = lambda _: repositories.pop(OTHER)
    assert machine.start()["status"] == "SUCCEEDED"
    (summary,) = machine.log("Run finished")
    assert (summary["removed"], summary["failed"]) == (1, 0)
    assert many.images == set(many.used.values())


# -- Report --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "fault", "told"),
    [
        ("clean/0.json", is_missing, "share 0 left no result"),
        ("clean/0.json", is_truncated, "share 0: the result of the share cannot be parsed"),
        ("clean/0.plan", is_missing, "the plan of share 0 is not known"),
        ("clean/0.plan", is_truncated, "the plan of share 0 is not known"),
        ("clean/0.ledger", is_truncated, "what share 0 found in use is not remembered"),
        ("in-use.jsonl.gz", is_missing, "in-use.jsonl.gz does not exist"),
        ("plan.json", is_missing, "plan.json does not exist"),
        ("plan.json", is_truncated, "the frozen list of the run cannot be parsed"),
    ],
)
def test_a_document_that_is_lost_or_damaged_before_the_report_fails_the_run(
    machine: StateMachine, many: ManyTargets, name: str, fault: Edit, told: str
) -> None:
    machine.before["report"] = lambda _: fault(machine, machine.name(name))
    assert told in failed(machine)
    nothing_in_use_is_removed(many)


# -- Steps that are called twice -----------------------------------------------------------------


def test_steps_whose_answers_get_lost_are_called_again_and_count_once(
    machine: StateMachine, many: ManyTargets
) -> None:
    machine.lost = {"scan": 2, "report": 2}
    removes_all_that_is_unused(machine, many)
    assert machine.steps() == ["plan", *["scan"] * 14, "gather", "clean", *["report"] * 3]


def test_a_share_whose_answer_gets_lost_is_not_called_again_and_its_result_counts(
    machine: StateMachine, many: ManyTargets
) -> None:
    machine.lost = {"clean": 1}
    removes_all_that_is_unused(machine, many)
    assert machine.steps().count("clean") == 1


@pytest.mark.parametrize(
    ("step", "told"),
    [("plan", "the answer did not arrive"), ("gather", "share 0 left no result")],
)
def test_a_step_whose_answer_gets_lost_ends_the_run(
    machine: StateMachine, many: ManyTargets, step: str, told: str
) -> None:
    machine.lost = {step: 1}
    ended = machine.start()
    assert ended["status"] == "FAILED", ended
    assert told in ended["cause"]
    removes_nothing(many)


@pytest.mark.parametrize("step", ["plan", "scan", "gather", "clean", "report"])
def test_max_deletions_bounds_the_run_although_a_step_is_called_twice(
    machine: StateMachine, many: ManyTargets, step: str
) -> None:
    """Somebody calls it by hand, or Step Functions would repeat it after Lambda.Unknown."""
    machine.environ["MAX_DELETIONS"] = "1"
    again: list[Event] = []

    def twice(event: Event) -> None:
        if not again:
            again.append(event)
            machine.work(event)

    machine.before[step] = twice
    machine.start()
    assert again
    both = len(many.images) + len(many.world.digests(OTHER))
    assert both >= len(SIX) + 1
    nothing_in_use_is_removed(many)
    summaries = machine.log("Run finished")
    assert [one["removed"] for one in summaries] == ([] if step == "plan" else [1])


@pytest.fixture
def sent(machine: StateMachine) -> list[Parameters]:
    """The messages of runs that wait for approval."""
    messages: list[Parameters] = []

    def publish(parameters: Parameters, _: Ask) -> dict[str, Any]:
        messages.append(parameters)
        return {"MessageId": "1"}

    machine.environ |= {"APPROVAL": "true", "APPROVAL_TOPIC_ARN": TOPIC}
    machine.answers["sns:Publish"] = publish
    return messages


@pytest.mark.parametrize("lost", [0, 1, 3])
def test_however_often_the_report_is_called_one_message_asks_for_approval(
    machine: StateMachine, many: ManyTargets, sent: list[Parameters], lost: int
) -> None:
    machine.lost = {"report": lost}
    assert machine.start()["status"] == "SUCCEEDED"
    assert machine.steps().count("report") == lost + 1
    ((message),) = sent
    assert message["TopicArn"] == TOPIC
    assert len(machine.log("Run finished")) == len(machine.log("Plan waits for approval")) == 1
    removes_nothing(many)


def test_a_report_that_dies_after_its_message_does_not_send_another_and_fails(
    machine: StateMachine, many: ManyTargets, sent: list[Parameters]
) -> None:
    machine.answers["s3:PutObject"] = of_object("report.json", on_calls({1}, dies))
    machine.lost = {"report": 1}
    assert "an earlier call of this step may have sent it" in failed(machine)
    assert len(sent) == 1
    removes_nothing(many)
