"""What a run in steps freezes, and what its steps leave for one another."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from core.worlds import HOST, NOW, REGISTRY, repository, sha, usage
from ecr_cleaner.core.copies import Copies
from ecr_cleaner.core.errors import ScanError
from ecr_cleaner.core.fan_out import (
    REPOSITORIES_A_SHARE,
    Frozen,
    ShareResult,
    Step,
    StepError,
    StepName,
    fingerprint,
    frozen_from,
    missing_shares,
    share_result_from,
    shares_of,
    step_of,
)
from ecr_cleaner.core.in_use import InUse
from ecr_cleaner.core.locations import Location, NamedElsewhere
from ecr_cleaner.core.model import (
    ClusterReading,
    Guard,
    ImageReference,
    ReferencePattern,
    Registry,
    StandingGuard,
    Usage,
)
from ecr_cleaner.core.scan_document import (
    GatheredHeader,
    OriginsOf,
    ScanHeader,
    Wanted,
    gathered_header,
    scan_header,
    usage_lines,
    usages_from,
)
from ecr_cleaner.core.settings import Settings
from ecr_cleaner.core.summary import Result, Tally

HOME = Location("111122223333", "eu-west-1")
OTHER = Location("222233334444", "us-east-1")
SETTINGS = Settings(dry_run=False)
FROZEN = Frozen(
    run="run-1",
    time=NOW,
    settings=fingerprint(SETTINGS),
    dry_run=False,
    targets=(HOME, OTHER),
    organization="o-1",
    repositories=(repository("app"), repository("other", team="a")),
    shares=shares_of(["app"], 10),
    not_matching=1,
)
HEADER = ScanHeader(
    run="run-1",
    round=1,
    target=OTHER,
    started=NOW,
    ended=NOW + timedelta(seconds=2),
    sources=[{"source": "ecs", "usages": 1}],
    clusters=[ClusterReading("eks", "prod", "no", "do")],
    listed_clusters=["prod"],
    copies=[Copies(REGISTRY, "a/", OTHER.registry, "")],
    absent_operations=["DescribePullThroughCacheRules in there"],
    named_elsewhere=[NamedElsewhere("ecs", "arn:rule", "arn:task-definition", HOME)],
    replication={"rules": []},
)
WANTED = Wanted("run-1", 1, OTHER, ["ecs"], timedelta(minutes=30))
GATHERED = GatheredHeader(
    run="run-1",
    scanned_at=NOW,
    ended_at=NOW,
    oldest=str(OTHER),
    rounds=2,
    coverage={"ecs": {"state": "scanned"}},
    clusters=(ClusterReading("eks", "prod"),),
    listed_clusters=("prod",),
    replication={"rules": []},
    problems=("a problem",),
    remembers_since="2026-02-01",
    slowest_seconds=1.5,
)


# -- Events --------------------------------------------------------------------------------------


def event(step: str, **more: Any) -> dict[str, Any]:
    return {"step": step, "run": "run-1", **more}


TARGET = {"account": OTHER.account, "region": OTHER.region, "partition": "aws"}


@pytest.mark.parametrize(
    ("given", "step", "fields"),
    [
        (event("plan"), Step(StepName.PLAN, "run-1"), {}),
        (
            event("scan", round=2, target=TARGET),
            Step(StepName.SCAN, "run-1", 2, OTHER),
            {"round": 2, "target": str(OTHER)},
        ),
        (event("gather"), Step(StepName.GATHER, "run-1"), {}),
        (event("clean", share=3), Step(StepName.CLEAN, "run-1", share=3), {"share": 3}),
        (event("report"), Step(StepName.REPORT, "run-1"), {}),
    ],
)
def test_event_names_a_step(given: dict[str, Any], step: Step, fields: dict[str, Any]) -> None:
    assert step_of(given) == step
    assert step.fields() == {"step": given["step"], "run": "run-1"} | fields


@pytest.mark.parametrize(
    "given",
    [
        {"step": "plan"},
        event("sweep"),
        {"step": "plan", "run": 1},
        {"step": "plan", "run": "../other"},
        {"step": "plan", "run": ""},
        event("scan", round=1),
        event("scan", round=True, target=TARGET),
        event("scan", round=1, target={"account": OTHER.account}),
        event("scan", round=1, target=None),
        event("clean"),
        event("clean", share="1"),
    ],
)
def test_event_that_is_not_exactly_a_step_is_an_error(given: dict[str, Any]) -> None:
    with pytest.raises(StepError, match="names no step"):
        step_of(given)


# -- Shares --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("count", "most", "parts"),
    [
        (0, 10, []),
        (1, 10, [10]),
        (REPOSITORIES_A_SHARE, 10, [10]),
        (REPOSITORIES_A_SHARE + 1, 11, [6, 5]),
        (3 * REPOSITORIES_A_SHARE, 1, [1, 0, 0]),
    ],
)
def test_shares_have_every_repository_once_and_parts_of_the_bound(
    count: int, most: int, parts: list[int]
) -> None:
    names = [str(number) for number in range(count)]
    shares = shares_of(names, most)
    assert [one.most_deletions for one in shares] == parts
    assert sorted(name for one in shares for name in one.repositories) == sorted(names)
    assert all(len(one.repositories) <= REPOSITORIES_A_SHARE for one in shares)


def test_a_share_without_result_is_named() -> None:
    frozen = replace(FROZEN, shares=shares_of([f"r{number}" for number in range(60)], 10))
    (sentence,) = missing_shares(frozen, [0])
    assert sentence.startswith("share 1 left no result")
    assert "30 repositories, r1 among them" in sentence


# -- The frozen list -----------------------------------------------------------------------------


@pytest.mark.parametrize("frozen", [FROZEN, replace(FROZEN, organization=None, dry_run=True)])
def test_frozen_list_is_read_as_it_was_written(frozen: Frozen) -> None:
    assert frozen_from(frozen.to_json().encode()) == frozen
    assert frozen.rounds == (1 if frozen.dry_run else 2)


def edited(**fields: Any) -> bytes:
    return json.dumps(json.loads(FROZEN.to_json()) | fields).encode()


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "cannot be parsed"),
        (b"[]", "cannot be parsed"),
        (edited(schema=2), "unknown schema 2"),
        (edited(targets=[]), "cannot be parsed"),
        (edited(time="2026-03-01T00:00:00"), "has no zone"),
        (edited(dry_run="false"), "not of type bool"),
        (edited(organization=1), "not of type str"),
        (edited(not_matching=True), "not of type int"),
        (edited(repositories=[{"name": "app"}]), "cannot be parsed"),
        (edited(shares=[1]), "cannot be parsed"),
        (b"[" * 100_000, "cannot be parsed"),
    ],
)
def test_frozen_list_that_is_not_one_is_an_error(content: bytes, told: str) -> None:
    with pytest.raises(StepError, match=told):
        frozen_from(content)


@pytest.mark.parametrize(
    ("step", "settings", "region", "told"),
    [
        (Step(StepName.GATHER, "run-2"), SETTINGS, HOME.region, "of the run run-1, not of run-2"),
        (Step(StepName.GATHER, "run-1"), Settings(), HOME.region, "settings .* changed"),
        (Step(StepName.GATHER, "run-1"), SETTINGS, "us-east-1", "one of eu-west-1"),
        (
            Step(StepName.SCAN, "run-1", 1, replace(OTHER, region="eu-north-1")),
            SETTINGS,
            HOME.region,
            "is not a target",
        ),
        (Step(StepName.SCAN, "run-1", 3, OTHER), SETTINGS, HOME.region, "2 rounds"),
        (Step(StepName.SCAN, "run-1", 0, OTHER), SETTINGS, HOME.region, "2 rounds"),
        (Step(StepName.CLEAN, "run-1", share=1), SETTINGS, HOME.region, "1 shares"),
        (Step(StepName.CLEAN, "run-1", share=-1), SETTINGS, HOME.region, "1 shares"),
    ],
)
def test_step_that_is_not_one_of_the_run_is_an_error(
    step: Step, settings: Settings, region: str, told: str
) -> None:
    with pytest.raises(StepError, match=told):
        FROZEN.check(step, settings, region)


@pytest.mark.parametrize(
    "step", [Step(StepName.SCAN, "run-1", 2, OTHER), Step(StepName.CLEAN, "run-1")]
)
def test_step_of_the_run_is_none(step: Step) -> None:
    FROZEN.check(step, SETTINGS, HOME.region)


# -- Results of shares ---------------------------------------------------------------------------


def test_results_are_read_as_they_were_written() -> None:
    kept, stays = Counter({"in_use": 2}), Counter({"kept_now": 1})
    tally = Tally(images=3, removable=1, removed=1, kept=kept, stays=stays)
    guards = [StandingGuard(Guard.NO_USAGE, "why")]
    error = ScanError("ecs", ValueError("no"))
    results = (
        Result(tally, guards, repository="app"),
        Result(error=error),
        Result(error=ValueError()),
        Result(),
    )
    results[-1].unvisited = True
    written = ShareResult("run-1", 2, results, ("a problem",))
    read = share_result_from(written.to_json().encode())
    assert (read.run, read.share, read.problems) == ("run-1", 2, ("a problem",))
    assert [one.tally for one in read.results] == [one.tally for one in results]
    assert [one.repository for one in read.results] == ["app", "", "", ""]
    assert list(read.results[0].guards) == guards
    assert [str(one.error) if one.error else None for one in read.results] == [
        None,
        str(error),
        "ValueError()",
        None,
    ]
    assert [one.unvisited for one in read.results] == [False, False, False, True]


def test_results_of_the_version_before_have_no_repository() -> None:
    written = json.loads(ShareResult("run-1", 2, (Result(repository="app"),)).to_json())
    for one in written["results"]:
        del one["repository"]
    (read,) = share_result_from(json.dumps(written).encode()).results
    assert read.repository == ""


def test_result_that_is_not_one_is_an_error() -> None:
    with pytest.raises(StepError, match="result of the share cannot be parsed"):
        share_result_from(b'{"schema": 1}')


# -- Documents of scans --------------------------------------------------------------------------


def test_header_is_read_as_it_was_written() -> None:
    read = scan_header(HEADER.to_line().encode())
    assert read.doubt(WANTED, NOW) == ""
    assert read.to_line() == HEADER.to_line()
    assert (read.clusters, read.copies) == (tuple(HEADER.clusters), tuple(HEADER.copies))


@pytest.mark.parametrize(
    ("header", "wanted", "told"),
    [
        (replace(HEADER, run="run-0"), WANTED, "of round 1 of the run run-0"),
        (replace(HEADER, round=2), WANTED, "of round 2"),
        (replace(HEADER, target=HOME), WANTED, "it is of 111122223333/eu-west-1"),
        (replace(HEADER, problem="denied"), WANTED, "incomplete: denied"),
        (HEADER, replace(WANTED, sources=["ecs", "eks", "batch"]), "lacks batch, eks"),
        (HEADER, replace(WANTED, after=NOW + timedelta(seconds=1)), "before the scan"),
        (HEADER, replace(WANTED, after=NOW), ""),
        (replace(HEADER, started=NOW - timedelta(minutes=30)), WANTED, ""),
        (replace(HEADER, started=NOW - timedelta(minutes=31)), WANTED, "31 minutes ago"),
        (replace(HEADER, started=NOW + timedelta(minutes=5)), WANTED, ""),
        (replace(HEADER, started=NOW + timedelta(minutes=6)), WANTED, "6 minutes from the future"),
    ],
)
def test_document_is_doubted(header: ScanHeader, wanted: Wanted, told: str) -> None:
    doubt = header.doubt(wanted, NOW)
    assert told in doubt
    assert bool(doubt) == bool(told)


Parse = Callable[[bytes], Any]


@pytest.mark.parametrize(
    ("parse", "line"), [(scan_header, HEADER.to_line()), (gathered_header, GATHERED.to_line())]
)
def test_header_that_is_not_one_is_an_error(parse: Parse, line: str) -> None:
    found = json.loads(line)
    for content in (b"", b"[]", b"{", b"[" * 100_000, b"{}"):
        with pytest.raises(StepError):
            parse(content)
    for name in found.keys() - {"problem"}:
        lacking = {key: value for key, value in found.items() if key != name}
        with pytest.raises(StepError):
            parse(json.dumps(lacking).encode())


@pytest.mark.parametrize(
    ("parse", "line"), [(scan_header, HEADER.to_line()), (gathered_header, GATHERED.to_line())]
)
@pytest.mark.parametrize("complete", [False, "true", 1, None])
def test_only_what_is_said_to_be_complete_is_complete(
    parse: Parse, line: str, complete: object
) -> None:
    found = json.loads(line) | {"complete": complete}
    assert parse(json.dumps(found).encode()).problem == "no reason is given"


# -- What was gathered ---------------------------------------------------------------------------


def test_gathered_header_is_read_as_it_was_written() -> None:
    for header in (GATHERED, replace(GATHERED, remembers_since=None, may_remove=False)):
        read = gathered_header(header.to_line().encode())
        assert read == header
        read.check("run-1", 2)
        read.check_age(NOW, timedelta(minutes=1))


@pytest.mark.parametrize(
    ("header", "told"),
    [
        (replace(GATHERED, run="run-0"), "of the run run-0"),
        (replace(GATHERED, problem="a target is missing"), "a target is missing"),
        (replace(GATHERED, rounds=1), "1 rounds of scans, not of 2"),
    ],
)
def test_usages_that_are_not_those_of_the_run_are_an_error(
    header: GatheredHeader, told: str
) -> None:
    with pytest.raises(StepError, match=told):
        header.check("run-1", 2)


def test_usages_that_are_too_old_name_the_target() -> None:
    with pytest.raises(StepError, match=f"scan of {OTHER} is not believed: it began 2 minutes"):
        GATHERED.check_age(NOW + timedelta(minutes=2), timedelta(minutes=1))


# -- Usages --------------------------------------------------------------------------------------

PATTERN = ReferencePattern("app/*", region="eu-west-1")
USAGES = [
    usage("app", "a", tag="v1"),
    usage("app", "b", tag="v1"),
    usage("app", "a", digest=sha("x")),
    usage("app", "a"),
    Usage(PATTERN, "c", "other"),
]


def lines(*usages: Usage) -> list[bytes]:
    return [one.encode() for one in usage_lines(usages)]


def test_usages_are_read_as_they_were_written() -> None:
    assert list(usages_from(lines(*USAGES))) == USAGES
    assert list(usages_from(lines())) == []


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda found: found[:-1], "has no end"),
        (lambda found: found[1:], "has 3 of 4 references"),
        (lambda found: [*found, found[-1]], "goes on after its end"),
        (lambda found: [b"{}", *found], "KeyError"),
        (lambda found: [b"nothing", *found], "JSONDecodeError"),
        (lambda found: [b"[]", *found], "not a JSON object"),
        (lambda found: [found[0].replace(b'["a", "b"]', b"[]"), *found[1:]], "without a consumer"),
    ],
)
def test_usages_that_are_not_whole_are_an_error(
    change: Callable[[list[bytes]], list[bytes]], told: str
) -> None:
    with pytest.raises(StepError, match=told):
        list(usages_from(change(lines(*USAGES))))


def test_held_usages_are_all_that_is_judged_by() -> None:
    elsewhere = Usage(ImageReference(OTHER.registry, "app", tag="v1"), "a", "stub")
    found = list(InUse([*USAGES, elsewhere]).held())
    assert {(one.reference, one.consumer) for one in found} == {
        (one.reference, one.consumer) for one in [*USAGES, elsewhere]
    }


COPY = Copies(OTHER.registry, "cached/", REGISTRY, "")


@pytest.mark.parametrize(
    ("reference", "found"),
    [
        (ImageReference(REGISTRY, "app"), [ImageReference(REGISTRY, "app")]),
        # Of a registry with copies, which the guard of replicated deletions looks at.
        (ImageReference(OTHER.registry, "app"), [ImageReference(OTHER.registry, "app")]),
        (
            ImageReference(OTHER.registry, "cached/app", tag="v1"),
            [
                ImageReference(OTHER.registry, "cached/app", tag="v1"),
                ReferencePattern("app", REGISTRY.account, REGISTRY.region, tag="v1"),
            ],
        ),
        (ImageReference(Registry("3" * 12, "eu-west-1"), "cached/app"), []),
        # A signature of it may be in the registry.
        (
            ImageReference(Registry("3" * 12, "eu-west-1"), "app", digest="sha256:a"),
            [ImageReference(Registry("3" * 12, "eu-west-1"), "app", digest="sha256:a")],
        ),
        (
            ReferencePattern("app", account="3" * 12, digest="sha256:a"),
            [ReferencePattern("app", account="3" * 12, digest="sha256:a")],
        ),
        (ReferencePattern("app", account="3" * 12), []),
        (ReferencePattern("app", region="eu-north-1"), []),
        (PATTERN, [PATTERN]),
        (
            ReferencePattern("cached/*", OTHER.account, OTHER.region),
            [
                ReferencePattern("cached/*", OTHER.account, OTHER.region),
                ReferencePattern("*", REGISTRY.account, REGISTRY.region),
            ],
        ),
    ],
)
def test_what_is_used_of_a_registry(reference: Any, found: list[Any]) -> None:
    assert HOST.startswith(REGISTRY.account)
    others = Copies(OTHER.registry, "", Registry("3" * 12, "eu-west-1"), "")
    origins = OriginsOf(REGISTRY, [COPY, others])
    assert [one.reference for one in origins.of(Usage(reference, "a", "stub"))] == found


def test_a_cache_of_a_replica_uses_what_was_replicated() -> None:
    replica, cache = Registry("4" * 12, "us-east-1"), Registry("5" * 12, "us-east-1")
    copies = [Copies(replica, "", REGISTRY, ""), Copies(cache, "hub/", replica, "")]
    used = Usage(ImageReference(cache, "hub/app", tag="v1"), "a", "stub")

    assert [one.reference for one in OriginsOf(REGISTRY, copies).of(used)] == [
        ReferencePattern("app", replica.account, replica.region, tag="v1"),
        ReferencePattern("app", REGISTRY.account, REGISTRY.region, tag="v1"),
    ]
