"""A run in steps against in-memory ECR and S3: the whole of it, and each fault of a document."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import IO, Any, cast

import pytest

from core.worlds import HOST, ago, sha, usage
from ecr_cleaner.aws.session import Aws
from ecr_cleaner.core.errors import (
    ApiError,
    CleanerError,
    InvalidSettingError,
    LedgerError,
    OutOfTimeError,
    RunFailedError,
    ScanError,
)
from ecr_cleaner.core.fan_out import Reported, StepError, step_of
from ecr_cleaner.core.ledger import Ledger
from ecr_cleaner.core.locations import Location, NamedElsewhere
from ecr_cleaner.core.model import ClusterReading, ImageReference, Registry, Usage
from ecr_cleaner.core.plan_document import (
    PlanHeader,
    PlannedRepository,
    PlanPart,
    State,
    read_plan,
)
from ecr_cleaner.core.settings import Mode, Settings
from ecr_cleaner.deadline import Deadline
from ecr_cleaner.run.plan_places import place_of
from ecr_cleaner.run.plans import SUFFIX, NoPlan, Plans
from ecr_cleaner.run.steps import StepRunner
from ecr_cleaner.usage.shared.target import Target
from ecr_cleaner.workers import Workers
from fakes.ecr import FakeEcr
from fakes.small_services import FakeEc2, FakeS3, FakeSts, client_error, etag, meta_of
from run.test_cleaner import SOMETHING_IN_USE, StubAws, World

HERE, THERE = "eu-west-1", "us-east-1"
OWN, MEMBER = "111122223333", "222233334444"
RUNS = "s3://bucket/runs/"
LEDGER = "s3://bucket/ledger"
PLANS = "s3://bucket/plans/"
STEPPING = Settings(dry_run=False, runs=RUNS, max_deletions=100)
REMEMBERING = replace(STEPPING, ledger=LEDGER)
PLANNING = replace(STEPPING, plans=PLANS)


class RunS3(FakeS3):
    """Also takes writes without a condition: documents of a step that is repeated."""

    def put_object(  # type: ignore[override]
        self,
        Bucket: str,  # noqa: N803
        Key: str,  # noqa: N803
        Body: bytes | IO[bytes],  # noqa: N803
        **more: Any,
    ) -> dict[str, Any]:
        if more:
            return super().put_object(Bucket, Key, Body, **more)
        self._fail("PutObject", f"s3://{Bucket}/{Key}")
        content = Body if isinstance(Body, bytes) else Body.read()
        self.objects[f"s3://{Bucket}/{Key}"] = content
        return {"ETag": etag(content)}


@dataclass
class PlacedSource:
    """A usage source that finds something in use by account and region."""

    found: dict[str, Callable[[], Iterable[Usage]]] = field(default_factory=dict)
    clusters: list[ClusterReading] = field(default_factory=list)
    named: dict[str, Callable[[], list[NamedElsewhere]]] = field(default_factory=dict)
    name: str = "stub"
    service: str = "stub"
    everywhere: bool = True

    def usages(self, target: Target) -> Iterable[Usage]:
        place = str(target.elsewhere) if target.elsewhere else f"{OWN}/{HERE}"
        named = self.named.get(place, list)()
        target.named_elsewhere.update(dict.fromkeys(named))
        if not target.elsewhere:
            target.clusters.extend(self.clusters)
        return self.found.get(place, list)()


class PlacedAws(StubAws):
    """An account and region; others, and member accounts, have registries of their own."""

    rules: dict[str, Any]

    def elsewhere(self, region: str, session: object = None) -> Aws:
        del session
        ecr = FakeEcr()
        rules = self.rules.get(region, [])
        if rules is None:
            ecr.fail("DescribePullThroughCacheRules", "UnknownOperationException")
        ecr.cache_rules = rules or []
        other = PlacedAws(ecr, self.workers, self.deadline, self.others, region)
        other.rules = self.rules
        return cast("Aws", other)


@dataclass
class StubEcs:
    """ECS with task definitions: of each, a tag of ``app`` and what its environment names."""

    definitions: dict[str, tuple[str, str]]
    code: str = ""
    asked: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.meta = meta_of("ecs")

    def describe_task_definition(self, taskDefinition: str) -> dict[str, Any]:  # noqa: N803
        self.asked.append(taskDefinition)
        if self.code:
            raise client_error("DescribeTaskDefinition", self.code)
        tag, named = self.definitions[taskDefinition]
        environment = [{"name": "NEXT", "value": named}]
        container = {"image": f"{HOST}/app:{tag}", "environment": environment}
        return {"taskDefinition": {"containerDefinitions": [container]}}


@dataclass
class Steps:
    """Drives a run step by step."""

    world: World
    source: PlacedSource = field(default_factory=PlacedSource)
    rules: dict[str, Any] = field(default_factory=dict)
    settings: Settings = STEPPING
    run: str = "run-1"
    seconds_left: float = float("inf")
    ecs: StubEcs = field(default_factory=lambda: StubEcs({}))

    def __post_init__(self) -> None:
        self.world.s3 = RunS3()
        self.source.found[f"{OWN}/{HERE}"] = lambda: [SOMETHING_IN_USE]

    @property
    def objects(self) -> dict[str, bytes]:
        return self.world.s3.objects

    def step(self, name: str, **more: Any) -> dict[str, Any]:
        others = {
            "s3": self.world.s3,
            "sqs": self.world.sqs,
            "sns": self.world.sns,
            "sts": FakeSts(),
            "ec2": FakeEc2(HERE, THERE),
            "ecs": self.ecs,
        }
        deadline = Deadline(self.world.clock, lambda: self.seconds_left)
        aws = PlacedAws(self.world.ecr, self.world.workers, deadline, others)
        aws.rules = self.rules
        log = self.world.log.logger()
        place = place_of(cast("Aws", aws), self.settings.plans)

        def plans(run: str) -> Plans | NoPlan:
            return Plans(run, place) if place else NoPlan()

        steps = StepRunner(cast("Aws", aws), self.settings, log, [self.source], plans)
        return steps.run(step_of({"step": name, "run": self.run, **more}))

    def plan(self) -> dict[str, Any]:
        return self.step("plan")

    def scan(self, number: int = 1) -> None:
        for target in json.loads(self.content("targets.json")):
            self.step("scan", round=number, target=target)

    def clean(self) -> None:
        for share in json.loads(self.content("shares.json")):
            self.step("clean", **share)

    def until_gathered(self) -> None:
        self.plan()
        self.scan(1)
        if not self.settings.dry_run:
            self.scan(2)
        self.step("gather")

    def all(self) -> dict[str, Any]:
        """Run every step of a run."""
        self.until_gathered()
        self.clean()
        return self.step("report")

    def name(self, name: str) -> str:
        return f"{RUNS}{self.run}/{name}"

    def content(self, name: str) -> bytes:
        return self.objects[self.name(name)]

    def edit(self, name: str, change: Callable[[list[dict[str, Any]]], object]) -> None:
        """Change the lines of a compressed document."""
        lines = [json.loads(one) for one in gzip.decompress(self.content(name)).splitlines()]
        change(lines)
        text = "".join(f"{json.dumps(one)}\n" for one in lines)
        self.objects[self.name(name)] = gzip.compress(text.encode())

    @property
    def finished(self) -> dict[str, Any]:
        (line,) = self.world.events("Run finished")
        return line

    def removed(self) -> bool:
        return bool(self.world.ecr.mutations())


THERE_OBJECT = f"scan-2/{OWN}/{THERE}.jsonl.gz"
HERE_OBJECT = f"scan-2/{OWN}/{HERE}.jsonl.gz"
GATHERED = "in-use.jsonl.gz"


@pytest.fixture
def steps() -> Iterator[Steps]:
    with Workers(4) as workers:
        world = World(workers)
        world.create("app")
        world.push("app", "old", tags=["v1"])
        yield Steps(world)


# -- A whole run ---------------------------------------------------------------------------------


def test_an_unused_image_is_removed_and_one_line_sums_up(steps: Steps) -> None:
    answer = steps.all()
    assert answer == {"complete": True, "removed": 1}
    assert steps.world.ecr.digests("app") == set()
    line = steps.finished
    assert (line["removed"], line["targets"], line["errors"]) == (1, 2, [])
    assert line["coverage"] == {"stub": {"state": "scanned", "usages": 1}}


@pytest.mark.parametrize("number", [1, 2])
def test_what_one_scan_of_another_region_found_is_kept(steps: Steps, number: int) -> None:
    scans = iter([1, 2])
    used = [usage("app", "arn:there", tag="v1")]
    steps.source.found[f"{OWN}/{THERE}"] = lambda: used if next(scans) == number else []
    assert steps.all() == {"complete": True, "removed": 0}
    (kept,) = steps.world.events("Found old image in use")
    assert list(kept["because"]) == ["arn:there"]


def test_what_another_account_uses_is_kept(steps: Steps) -> None:
    steps.settings = replace(STEPPING, scan_accounts=(MEMBER,))
    steps.source.found[f"{MEMBER}/{THERE}"] = lambda: [usage("app", "arn:member", tag="v1")]
    assert steps.all()["removed"] == 0
    assert steps.finished["targets"] == 4


def test_a_replica_in_use_keeps_the_image(steps: Steps) -> None:
    destination = {"registryId": OWN, "region": THERE}
    steps.world.ecr.replication = {"rules": [{"destinations": [destination]}]}
    replica = ImageReference(Registry(OWN, THERE), "app", tag="v1")
    steps.source.found[f"{OWN}/{THERE}"] = lambda: [Usage(replica, "arn:there", "stub")]
    assert steps.all()["removed"] == 0


def test_replicas_that_the_list_of_regions_leaves_out_are_warned_about_once(steps: Steps) -> None:
    steps.settings = replace(STEPPING, scan_regions=("eu-west-1",), expect_no_usage=True)
    destination = {"registryId": OWN, "region": THERE}
    steps.world.ecr.replication = {"rules": [{"destinations": [destination]}]}
    assert steps.all()["removed"] == 1
    (line,) = steps.world.events("Setting may not do what was meant")
    assert line["why"].startswith(f"images are replicated to {THERE}, which SCAN_REGIONS")


@pytest.mark.parametrize(("named", "guarded"), [("tag", True), ("digest", False)])
def test_a_replica_that_is_named_by_a_tag_guards_replicated_deletions(
    steps: Steps, named: str, guarded: bool
) -> None:
    rule = {"destinations": [{"registryId": OWN, "region": THERE}]}
    steps.world.ecr.replication = {"rules": [rule | {"deleteReplication": {"enabled": True}}]}
    what = {named: "v0" if named == "tag" else sha("other")}
    replica = ImageReference(Registry(OWN, THERE), "app", **what)
    steps.source.found[f"{OWN}/{THERE}"] = lambda: [Usage(replica, "arn:there", "stub")]
    assert steps.all()["removed"] == (0 if guarded else 1)
    assert steps.finished["guarded"] == ({"delete-replication": 1} if guarded else {})


def test_a_cached_copy_in_use_keeps_the_image(steps: Steps) -> None:
    rule = {"ecrRepositoryPrefix": "central", "upstreamRegistry": "ecr"}
    steps.rules[THERE] = [rule | {"upstreamRegistryUrl": HOST}]
    copy = ImageReference(Registry(OWN, THERE), "central/app", tag="v1")
    steps.source.found[f"{OWN}/{HERE}"] = lambda: [
        SOMETHING_IN_USE,
        Usage(copy, "arn:here", "stub"),
    ]
    assert steps.all()["removed"] == 0


def test_a_region_without_caches_is_named_in_the_coverage(steps: Steps) -> None:
    steps.rules[THERE] = None
    assert steps.all()["removed"] == 1
    absent = [f"DescribePullThroughCacheRules in {THERE}"]
    caches = {"state": "scanned", "absent_operations": absent}
    assert steps.finished["coverage"]["pull-through-caches"] == caches


def test_a_dry_run_scans_once_and_removes_nothing(steps: Steps) -> None:
    steps.settings = replace(STEPPING, dry_run=True)
    assert steps.plan() == {"run": "run-1", "round": 1, "confirm": False}
    steps.scan()
    steps.step("gather")
    steps.clean()
    assert steps.step("report") == {"complete": True, "removed": 0}
    assert steps.finished["removable"] == 1
    assert not steps.removed()


def test_nothing_in_use_guards_all(steps: Steps) -> None:
    steps.source.found = {}
    steps.until_gathered()
    steps.clean()
    with pytest.raises(RunFailedError, match="nothing was deleted"):
        steps.step("report")
    assert steps.finished["guarded"] == {"no-usage": 1}
    assert not steps.removed()


def test_a_cluster_that_was_not_read_guards_all(steps: Steps) -> None:
    steps.source.clusters = [ClusterReading("cluster-documents", "prod", "is too old", "do it")]
    assert steps.all()["removed"] == 0
    assert steps.finished["guarded"] == {"eks-clusters": 1}


def test_a_cluster_that_only_the_first_scan_could_read_ends_the_run(steps: Steps) -> None:
    steps.plan()
    steps.source.clusters = [ClusterReading("cluster-documents", "prod")]
    steps.scan(1)
    steps.source.clusters = [ClusterReading("cluster-documents", "prod", "gone", "do it")]
    steps.scan(2)
    with pytest.raises(ScanError, match="prod"):
        steps.step("gather")


def test_the_parts_of_the_bound_bind_the_run(steps: Steps) -> None:
    for number in range(60):
        steps.world.create(f"r{number}")
        steps.world.push(f"r{number}", f"a{number}")
    steps.settings = replace(STEPPING, max_deletions=3)
    assert steps.all() == {"complete": False, "removed": 3}
    shares = json.loads(steps.content("plan.json"))["shares"]
    assert [one["most_deletions"] for one in shares] == [2, 1]


def test_a_share_is_cleaned_once(steps: Steps) -> None:
    steps.until_gathered()
    steps.clean()
    with pytest.raises(StepError, match="begun before"):
        steps.clean()


def test_an_image_that_was_pushed_during_the_run_is_kept(steps: Steps) -> None:
    steps.settings = replace(STEPPING, keep_days=0)
    steps.until_gathered()
    steps.world.now += timedelta(minutes=1)
    young = steps.world.push("app", "young", pushed_at=ago(0))
    steps.clean()
    steps.step("report")
    assert steps.world.ecr.digests("app") == {young.digest}


def test_one_message_asks_for_approval_of_the_plan_of_all_shares(steps: Steps) -> None:
    topic = "arn:aws:sns:eu-west-1:111122223333:approvals"
    steps.settings = replace(
        STEPPING, dry_run=True, plans="s3://bucket/plans/", approval=True, approval_topic=topic
    )
    for number in range(60):
        steps.world.create(f"r{number}")
        steps.world.push(f"r{number}", f"a{number}")
    steps.plan()
    steps.scan()
    steps.step("gather")
    steps.clean()
    assert steps.world.sns.published == []
    assert steps.step("report") == {"complete": True, "removed": 0}
    ((_, subject, message),) = steps.world.sns.published
    assert subject.startswith("ecr-cleaner: 61 images to remove in 111122223333 eu-west-1")
    (plan,) = (one for one in steps.objects if one.startswith(PLANS) and one.endswith(SUFFIX))
    assert plan in message
    (line,) = steps.world.events("Plan waits for approval")
    assert line["apply"] == f"python -m ecr_cleaner apply {plan}"


# -- A report that is repeated ---------------------------------------------------------------------

TOPIC = "arn:aws:sns:eu-west-1:111122223333:approvals"
ASKING = replace(PLANNING, dry_run=True, approval=True, approval_topic=TOPIC)


def all_but_the_report(steps: Steps, settings: Settings = ASKING) -> None:
    steps.settings = settings
    steps.until_gathered()
    steps.clean()


def test_a_repeated_report_asks_and_counts_once_and_has_the_same_result(steps: Steps) -> None:
    all_but_the_report(steps)
    first = steps.step("report")
    kept = dict(steps.objects)
    assert steps.step("report") == first == {"complete": True, "removed": 0}
    assert len(steps.world.sns.published) == 1
    assert steps.finished["removable"] == 1
    assert steps.objects == kept


def test_a_report_beside_one_that_ended_first_has_the_result_of_that(steps: Steps) -> None:
    all_but_the_report(steps, REMEMBERING)
    other = Reported("run-1", complete=True, removed=5)
    # It is written after this report looked for it: the first write is that of the ledger.
    steps.world.s3.before = lambda: steps.objects.update(
        {steps.name("report.json"): other.to_json().encode()}
    )
    assert steps.step("report") == {"complete": True, "removed": 5}


def test_a_repeated_report_of_a_run_that_failed_fails_again_and_counts_once(steps: Steps) -> None:
    all_but_the_report(steps, STEPPING)
    without_result(steps)
    for _ in range(2):
        with pytest.raises(RunFailedError, match="share 0 left no result"):
            steps.step("report")
    assert steps.finished["complete"] is False


def test_a_report_that_ended_before_it_was_stored_asks_once_and_its_repetition_fails(
    steps: Steps,
) -> None:
    """Whether the message was sent is unknown then."""
    all_but_the_report(steps)
    steps.world.s3.error[f"PutObject {steps.name('report.json')}"] = "SlowDown"
    with pytest.raises(ApiError, match="SlowDown"):
        steps.step("report")
    steps.world.s3.error.clear()
    with pytest.raises(RunFailedError, match="an earlier call of this step may have sent it; the"):
        steps.step("report")
    assert len(steps.world.sns.published) == 1


def test_without_its_mark_no_message_is_sent(steps: Steps) -> None:
    all_but_the_report(steps)
    steps.world.s3.error[f"PutObject {steps.name('asked')}"] = "AccessDenied"
    with pytest.raises(RunFailedError, match=r"no message could be sent .* AccessDenied"):
        steps.step("report")
    assert steps.world.sns.published == []


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"run": "run-0"}, "of the run run-0, not of run-1"),
        ({"removed": "all"}, "cannot be parsed"),
    ],
)
def test_a_report_that_is_not_one_of_the_run_is_not_taken_for_it(
    steps: Steps, change: dict[str, Any], told: str
) -> None:
    steps.all()
    name = steps.name("report.json")
    steps.objects[name] = json.dumps(json.loads(steps.objects[name]) | change).encode()
    with pytest.raises(StepError, match=told):
        steps.step("report")


@pytest.mark.parametrize("name", ["plan.json", "clean/0.begun", "asked"])
def test_a_mark_whose_first_answer_was_lost_is_our_own(steps: Steps, name: str) -> None:
    """The SDK asks again then, and finds the mark that it made."""
    put = steps.world.s3.put_object

    def twice(**what: Any) -> dict[str, Any]:
        if what["Key"].endswith(name):
            put(**what)
        return put(**what)

    steps.world.s3.put_object = twice  # type: ignore[method-assign, assignment]
    all_but_the_report(steps)
    assert steps.step("report") == {"complete": True, "removed": 0}
    assert len(steps.world.sns.published) == 1


# -- Memory --------------------------------------------------------------------------------------


def test_the_ledger_is_written_before_the_shares_and_after_them(steps: Steps) -> None:
    steps.settings = REMEMBERING
    steps.world.push("app", "used", tags=["v2"])
    steps.source.found[f"{OWN}/{HERE}"] = lambda: [usage("app", "arn:task", tag="v2")]
    steps.until_gathered()
    early = steps.objects[LEDGER]
    steps.clean()
    assert steps.objects[LEDGER] == early
    steps.step("report")
    # By its tag at first, by its digest when the share knows that.
    assert (Ledger.read(early).images, Ledger.read(steps.objects[LEDGER]).images) == (0, 1)


def test_what_was_in_use_yesterday_is_kept(steps: Steps) -> None:
    steps.settings = REMEMBERING
    steps.source.found[f"{OWN}/{HERE}"] = lambda: [usage("app", "arn:task", tag="v1")]
    steps.all()
    steps.run = "run-2"
    steps.world.now += timedelta(days=1)
    steps.source.found[f"{OWN}/{HERE}"] = lambda: [SOMETHING_IN_USE]
    assert steps.all()["removed"] == 0


def test_a_ledger_that_is_deleted_between_the_steps_ends_the_share(steps: Steps) -> None:
    steps.settings = replace(REMEMBERING, max_scan_age_minutes=1440)
    steps.world.now += timedelta(hours=11, minutes=50)
    steps.until_gathered()
    del steps.objects[LEDGER]
    steps.world.now += timedelta(minutes=20)
    with pytest.raises(LedgerError, match="deleted or replaced"):
        steps.clean()
    assert not steps.removed()


def test_a_ledger_that_cannot_be_written_ends_the_run_before_a_removal(steps: Steps) -> None:
    steps.settings = REMEMBERING
    steps.plan()
    steps.scan(1)
    steps.scan(2)
    steps.world.s3.error[f"PutObject {LEDGER}"] = "AccessDenied"
    with pytest.raises(LedgerError, match="cannot be written"):
        steps.step("gather")
    with pytest.raises(StepError, match="cannot be written"):
        steps.clean()
    with pytest.raises(StepError, match="cannot be written"):
        steps.step("report")
    assert not steps.removed()


def test_a_ledger_that_cannot_be_written_at_the_end_fails_the_run(steps: Steps) -> None:
    steps.settings = REMEMBERING
    steps.until_gathered()
    steps.clean()
    steps.world.s3.error[f"PutObject {LEDGER}"] = "AccessDenied"
    with pytest.raises(RunFailedError, match="cannot be written"):
        steps.step("report")
    assert steps.finished["removed"] == 1

    steps.world.s3.error.clear()
    answer = steps.step("report")
    assert answer["complete"], "a repeated report writes the ledger"


def test_messages_that_are_not_events_stop_all_removals(steps: Steps) -> None:
    steps.settings = replace(REMEMBERING, event_queue="https://sqs.example/111122223333/events")
    steps.world.sqs.send("not an event")
    steps.until_gathered()
    steps.clean()
    with pytest.raises(RunFailedError, match="are not events"):
        steps.step("report")
    assert not steps.removed()


# -- Documents that are not believed -------------------------------------------------------------


def absent(steps: Steps) -> None:
    del steps.objects[steps.name(THERE_OBJECT)]


def header(**fields: Any) -> Callable[[Steps], None]:
    def change(steps: Steps) -> None:
        steps.edit(THERE_OBJECT, lambda lines: lines[0].update(fields))

    return change


def truncated(steps: Steps) -> None:
    steps.objects[steps.name(THERE_OBJECT)] = steps.content(THERE_OBJECT)[:-9]


def without_its_end(steps: Steps) -> None:
    steps.edit(THERE_OBJECT, lambda lines: lines.pop())


def without_a_usage(steps: Steps) -> None:
    steps.edit(THERE_OBJECT, lambda lines: lines.pop(1))


def empty(steps: Steps) -> None:
    steps.objects[steps.name(THERE_OBJECT)] = gzip.compress(b"")


def of_the_first_round(steps: Steps) -> None:
    steps.objects[steps.name(THERE_OBJECT)] = steps.content(f"scan-1/{OWN}/{THERE}.jsonl.gz")


def of_another_target(steps: Steps) -> None:
    steps.objects[steps.name(THERE_OBJECT)] = steps.content(HERE_OBJECT)


def too_old(steps: Steps) -> None:
    steps.world.now += timedelta(minutes=31)


def unreadable(steps: Steps) -> None:
    steps.world.s3.error[f"GetObject {steps.name(THERE_OBJECT)}"] = "AccessDenied"


@pytest.mark.parametrize(
    ("fault", "told"),
    [
        (absent, "does not exist"),
        (header(run="run-0"), "of the run run-0"),
        (of_the_first_round, "of round 1"),
        (of_another_target, f"it is of {OWN}/{HERE}"),
        (header(complete=False, problem="ecs could not be read"), "ecs could not be read"),
        (header(complete=False), "no reason is given"),
        (header(schema=2), "unknown schema 2"),
        (header(sources=[]), "lacks stub"),
        (header(started="yesterday"), "cannot be parsed"),
        (truncated, "truncated or damaged"),
        (without_its_end, "has no end"),
        (without_a_usage, "has 0 of 1"),
        (empty, "cannot be parsed"),
        (too_old, "31 minutes ago"),
        (unreadable, "AccessDenied"),
    ],
    ids=lambda one: getattr(one, "__name__", None),
)
def test_a_document_that_is_not_believed_ends_the_run_and_names_the_target(
    steps: Steps, fault: Callable[[Steps], None], told: str
) -> None:
    steps.source.found[f"{OWN}/{THERE}"] = lambda: [usage("app", "arn:there", tag="v0")]
    steps.plan()
    steps.scan(1)
    steps.scan(2)
    fault(steps)
    with pytest.raises(StepError, match="is not believed, so nothing is removed") as raised:
        steps.step("gather")
    assert told in str(raised.value)
    # Documents are read side by side: of two that are too old, either may be named.
    places = (HERE, THERE) if fault is too_old else (THERE,)
    target = raised.value.fields["target"]
    assert target in {f"{OWN}/{place}" for place in places}
    assert target in str(raised.value)
    # Whatever Step Functions calls next removes nothing, and the run ends as failed.
    with pytest.raises(StepError, match="not believed"):
        steps.clean()
    with pytest.raises(StepError, match="not believed"):
        steps.step("report")
    assert not steps.removed()


def test_a_second_scan_from_before_the_end_of_the_first_is_not_believed(steps: Steps) -> None:
    steps.plan()
    steps.scan(2)
    steps.world.now += timedelta(minutes=1)
    steps.scan(1)
    with pytest.raises(StepError, match="before the scan that it confirms had ended"):
        steps.step("gather")


def test_a_target_that_cannot_be_read_leaves_the_reason(steps: Steps) -> None:
    def denied() -> list[Usage]:
        raise ApiError("ecs", "ListClusters", code="AccessDenied", message="no")

    steps.source.found[f"{OWN}/{THERE}"] = denied
    steps.plan()
    target = {"account": OWN, "region": THERE, "partition": "aws"}
    steps.step("scan", round=1, target=target | {"region": HERE})
    with pytest.raises(ScanError):
        steps.step("scan", round=1, target=target)
    with pytest.raises(StepError, match=f"scan 1 of {OWN}/{THERE} .*ListClusters"):
        steps.step("gather")


# -- Task definitions of other targets ------------------------------------------------------------


JOB = Location(OWN, HERE).arn("ecs", "task-definition/job:7")
OF_MEMBER = Location(MEMBER, THERE).arn("ecs", "task-definition/other:3")


def names(definition: str, place: Location) -> NamedElsewhere:
    return NamedElsewhere("stub", "arn:rule", definition, place)


@pytest.fixture
def naming(steps: Steps) -> Steps:
    """A consumer in another region names a task definition of the registry's."""
    steps.ecs = StubEcs({JOB: ("v1", "")})
    steps.source.named[f"{OWN}/{THERE}"] = lambda: [names(JOB, Location(OWN, HERE))]
    return steps


def test_a_task_definition_that_another_target_names_is_described_once_and_kept(
    naming: Steps,
) -> None:
    assert naming.all()["removed"] == 0
    (kept,) = naming.world.events("Found old image in use")
    assert list(kept["because"]) == ["arn:rule"]
    assert naming.ecs.asked == [JOB]
    assert naming.finished["coverage"]["stub"]["usages"] == 2


@pytest.mark.parametrize("number", [1, 2])
def test_a_task_definition_that_one_scan_found_named_counts(naming: Steps, number: int) -> None:
    found = naming.source.named[f"{OWN}/{THERE}"]
    scans = iter([1, 2])
    naming.source.named[f"{OWN}/{THERE}"] = lambda: found() if next(scans) == number else []
    assert naming.all()["removed"] == 0


def test_what_a_task_definition_names_in_a_third_target_counts(naming: Steps) -> None:
    naming.settings = replace(STEPPING, scan_accounts=(MEMBER,))
    naming.ecs.definitions = {JOB: ("v0", OF_MEMBER), OF_MEMBER: ("v1", JOB)}
    assert naming.all()["removed"] == 0
    assert sorted(naming.ecs.asked) == [JOB, OF_MEMBER]


def test_a_task_definition_that_cannot_be_described_ends_the_run(naming: Steps) -> None:
    naming.ecs.code = "AccessDeniedException"
    naming.plan()
    naming.scan(1)
    naming.scan(2)
    with pytest.raises(ScanError, match=r"source stub could not be read .*DescribeTaskDefinition"):
        naming.step("gather")
    with pytest.raises(StepError, match="DescribeTaskDefinition failed with AccessDenied"):
        naming.clean()
    with pytest.raises(StepError, match="DescribeTaskDefinition failed with AccessDenied"):
        naming.step("report")
    assert not naming.removed()


def test_a_task_definition_outside_the_targets_is_warned_about_once(naming: Steps) -> None:
    naming.source.named[f"{OWN}/{THERE}"] = lambda: [names(OF_MEMBER, Location(MEMBER, THERE))]
    assert naming.all()["removed"] == 1
    (line,) = naming.world.events("Task definition is not in a scanned account or region")
    assert (line["task_definition"], line["consumers"]) == (OF_MEMBER, ["arn:rule"])
    assert naming.ecs.asked == []


@pytest.mark.parametrize("lacking", ["source", "consumer", "definition", "location"])
def test_a_task_definition_that_is_not_named_in_full_ends_the_run(
    naming: Steps, lacking: str
) -> None:
    naming.plan()
    naming.scan(1)
    naming.scan(2)
    naming.edit(THERE_OBJECT, lambda lines: lines[0]["named_elsewhere"][0].pop(lacking))
    with pytest.raises(StepError, match=f"is not believed.*{lacking}"):
        naming.step("gather")


# -- Documents that cannot be written ------------------------------------------------------------


def test_a_scan_whose_document_cannot_be_written_is_missing(steps: Steps) -> None:
    def broken() -> list[Usage]:
        raise ValueError

    steps.source.found[f"{OWN}/{THERE}"] = broken
    steps.plan()
    steps.world.s3.error["PutObject"] = "SlowDown"
    with pytest.raises(ScanError):
        steps.step("scan", round=1, target={"account": OWN, "region": THERE, "partition": "aws"})
    del steps.world.s3.error["PutObject"]
    with pytest.raises(StepError, match="does not exist"):
        steps.step("gather")


def test_each_document_is_read_once(steps: Steps, monkeypatch: pytest.MonkeyPatch) -> None:
    """So what is judged by is what was checked."""
    steps.plan()
    steps.scan(1)
    steps.scan(2)
    read = RunS3.get_object
    seen: list[str] = []

    def get_object(s3: RunS3, **what: str) -> dict[str, Any]:
        seen.append(what["Key"].removeprefix("runs/run-1/"))
        return read(s3, **what)

    monkeypatch.setattr(RunS3, "get_object", get_object)
    steps.step("gather")
    documents = [
        f"scan-{number}/{OWN}/{place}.jsonl.gz" for number in (1, 2) for place in (HERE, THERE)
    ]
    assert sorted(seen) == ["plan.json", *documents]


def test_gathering_that_is_out_of_time_removes_nothing(steps: Steps) -> None:
    steps.plan()
    steps.scan(1)
    steps.scan(2)
    steps.seconds_left = 30
    with pytest.raises(OutOfTimeError):
        steps.step("gather")


def test_an_error_without_words_is_named(steps: Steps, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: object) -> None:
        raise LookupError

    steps.plan()
    monkeypatch.setattr("ecr_cleaner.run.step_gather.Gatherer._gather", fail)
    with pytest.raises(LookupError):
        steps.step("gather")
    with pytest.raises(StepError, match=r"LookupError\(\)"):
        steps.step("report")


# -- What was gathered ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda lines: lines[0].update(run="run-0"), "of the run run-0"),
        (lambda lines: lines[0].update(rounds=1), "1 rounds of scans"),
        (lambda lines: lines[0].update(schema=7), "unknown schema 7"),
        (lambda lines: lines[0].pop("coverage"), "cannot be parsed"),
        (lambda lines: lines.pop(), "has no end"),
        (lambda lines: lines.pop(1), "has 0 of 1"),
    ],
)
def test_usages_that_are_not_those_of_the_run_clean_nothing(
    steps: Steps, change: Callable[[list[dict[str, Any]]], object], told: str
) -> None:
    steps.until_gathered()
    steps.edit(GATHERED, change)
    with pytest.raises(StepError, match=told):
        steps.clean()
    assert not steps.removed()


def test_a_share_that_comes_too_late_cleans_nothing_and_names_the_oldest_scan(
    steps: Steps,
) -> None:
    steps.until_gathered()
    steps.world.now += timedelta(minutes=31)
    with pytest.raises(StepError, match=f"the scan of {OWN}/.* 31 minutes ago"):
        steps.clean()
    assert not steps.removed()


def test_scans_that_grow_too_old_during_a_share_stop_it(steps: Steps) -> None:
    steps.until_gathered()

    def later() -> None:
        steps.world.now += timedelta(minutes=31)

    # The marker of the share is the last write before anything is judged.
    steps.world.s3.before = later
    steps.clean()
    assert not steps.removed()
    assert steps.step("report") == {"complete": False, "removed": 0}
    (line,) = steps.world.events("Setting may not do what was meant")
    assert line["why"].startswith("MAX_SCAN_AGE_MINUTES is 30, and the second scan of ")


@pytest.mark.parametrize(("minutes", "batches"), [(30, 2), (31, 1)])
def test_each_batch_of_a_share_is_confirmed_by_a_scan_that_is_not_too_old(
    steps: Steps, monkeypatch: pytest.MonkeyPatch, minutes: int, batches: int
) -> None:
    monkeypatch.setattr("ecr_cleaner.run.sweeper.IMAGES_A_CALL", 1)
    monkeypatch.setattr("ecr_cleaner.run.sweeper.BATCHES_AT_ONCE", 1)
    steps.world.push("app", "old-too")
    steps.until_gathered()
    scanned, delete = steps.world.now, steps.world.ecr.batch_delete_image

    def slowly(**what: Any) -> dict[str, Any]:
        steps.world.now = scanned + timedelta(minutes=minutes)
        return delete(**what)

    monkeypatch.setattr(steps.world.ecr, "batch_delete_image", slowly)
    steps.clean()
    assert steps.step("report") == {"complete": batches == 2, "removed": batches}


@pytest.mark.parametrize("dry_run", [True, False])
def test_new_scans_of_an_old_list_of_targets_are_not_believed(steps: Steps, dry_run: bool) -> None:
    """A stopped execution was continued; since then, another account may have joined."""
    steps.settings = replace(STEPPING, dry_run=dry_run)
    steps.plan()
    steps.world.now += timedelta(days=7)
    steps.scan(1)
    if not dry_run:
        steps.scan(2)
    told = "the frozen list of targets and repositories is not believed.* 10080 minutes ago"
    with pytest.raises(StepError, match=told):
        steps.step("gather")
    with pytest.raises(StepError, match=told):
        steps.clean()
    with pytest.raises(StepError, match=told):
        steps.step("report")
    assert not steps.removed()


# -- Shares --------------------------------------------------------------------------------------


def without_result(steps: Steps) -> None:
    del steps.objects[steps.name("clean/0.json")]


def of_another_share(steps: Steps) -> None:
    found = json.loads(steps.content("clean/0.json"))
    steps.objects[steps.name("clean/0.json")] = json.dumps(found | {"share": 5}).encode()


def unparsed(steps: Steps) -> None:
    steps.objects[steps.name("clean/0.json")] = b"{"


@pytest.mark.parametrize(
    ("fault", "told"),
    [
        (without_result, "share 0 left no result"),
        (of_another_share, "share 0: its result is of share 5"),
        (unparsed, "share 0: the result of the share cannot be parsed"),
    ],
)
def test_a_share_whose_result_is_unknown_fails_the_run(
    steps: Steps, fault: Callable[[Steps], None], told: str
) -> None:
    steps.until_gathered()
    steps.clean()
    fault(steps)
    with pytest.raises(RunFailedError, match=told):
        steps.step("report")
    assert steps.finished["complete"] is False


def test_a_repository_that_fails_fails_the_run_and_no_other_repository(steps: Steps) -> None:
    steps.world.create("other")
    steps.world.push("other", "old-too")
    steps.world.ecr.fail("DescribeImages", "ServerException", nth=1)
    steps.until_gathered()
    steps.clean()
    with pytest.raises(RunFailedError, match="ServerException"):
        steps.step("report")
    assert steps.finished["removed"] == 1


# -- The plan ------------------------------------------------------------------------------------

PART = "clean/0.plan"


def plan_of(steps: Steps) -> list[PlanPart]:
    """Return the one plan of the run, which is whole."""
    (name,) = [one for one in steps.objects if one.startswith(PLANS) and one.endswith(SUFFIX)]
    return list(read_plan(gzip.decompress(steps.objects[name]).splitlines()))


def by_repository(parts: list[PlanPart]) -> dict[str, list[PlanPart]]:
    found: dict[str, list[PlanPart]] = {}
    for one in parts:
        found.setdefault(str(getattr(one, "repository", "")), []).append(one)
    return found


@pytest.mark.parametrize("dry_run", [True, False])
def test_the_plan_is_the_one_of_a_run_in_one_function(steps: Steps, dry_run: bool) -> None:
    for number in range(60):
        steps.world.create(f"r{number}")
        steps.world.push(f"r{number}", f"a{number}", tags=["v1"])
    used = [usage("r1", "arn:task", tag="v1"), usage("nowhere", "arn:task", tag="v1")]
    steps.source.found[f"{OWN}/{HERE}"] = lambda: [SOMETHING_IN_USE, *used]
    steps.world.uses(*used)
    steps.settings = replace(PLANNING, dry_run=True)
    steps.world.run(steps.settings)
    in_one = plan_of(steps)
    steps.objects.clear()
    steps.settings = replace(PLANNING, dry_run=dry_run)
    steps.all()
    in_steps = plan_of(steps)
    assert [one.run for one in in_steps if isinstance(one, PlanHeader)] == ["run-1"]
    header = replace(cast("PlanHeader", in_steps[0]), dry_run=True, mode=Mode.DRY_RUN)
    assert header == in_one[0]
    assert by_repository(in_steps[1:]) == by_repository(in_one[1:])


@pytest.mark.parametrize("approval", [True, False])
def test_one_line_says_where_the_plan_and_its_page_are(steps: Steps, approval: bool) -> None:
    steps.settings = replace(PLANNING, approval=approval, dry_run=approval)
    steps.all()
    (line,) = steps.world.events("Plan written")
    (page,) = line["others"]
    assert line["plan"].startswith(PLANS)
    assert page == line["plan"].replace(SUFFIX, ".html")
    assert page in steps.objects


def lost(steps: Steps) -> None:
    del steps.objects[steps.name(PART)]


def without_an_end(steps: Steps) -> None:
    steps.edit(PART, lambda lines: lines.pop())


def cut_short(steps: Steps) -> None:
    steps.edit(PART, lambda lines: lines[2].pop("digest"))


def of_another_run(steps: Steps) -> None:
    steps.edit(PART, lambda lines: lines[0].update(run="run-0-0"))


@pytest.mark.parametrize(
    ("fault", "told"),
    [
        (lost, "clean/0.plan does not exist"),
        (of_another_run, "it is not a plan of run-1-0"),
        (without_an_end, "its last line is missing"),
        (cut_short, "lacks 'digest'"),
    ],
)
def test_a_share_without_its_part_of_the_plan_is_one_that_failed(
    steps: Steps, fault: Callable[[Steps], None], told: str
) -> None:
    steps.settings = PLANNING
    steps.until_gathered()
    steps.clean()
    fault(steps)
    with pytest.raises(RunFailedError, match=f"the plan of share 0 is not known: .*{told}"):
        steps.step("report")
    (repository,) = [one for one in plan_of(steps) if isinstance(one, PlannedRepository)]
    assert (repository.repository, repository.state) == ("app", State.FAILED)
    assert repository.problem == "share 0 left no whole plan of it"


@pytest.mark.parametrize(
    "unwritable", [f"{PLANS}2026-03-01T120000Z-run-1{SUFFIX}", f"{RUNS}run-1/{PART}"]
)
def test_without_a_place_for_the_plan_nothing_is_removed(steps: Steps, unwritable: str) -> None:
    steps.settings = PLANNING
    steps.world.s3.error[f"PutObject {unwritable}"] = "AccessDenied"
    with pytest.raises(RunFailedError, match="nothing is removed without a plan"):
        steps.all()
    assert not steps.removed()


# -- Events --------------------------------------------------------------------------------------


def test_a_run_is_planned_once(steps: Steps) -> None:
    steps.plan()
    steps.world.now += timedelta(seconds=1)
    with pytest.raises(StepError, match="begun before"):
        steps.plan()


def test_a_plan_that_cannot_be_stored_ends_the_run(steps: Steps) -> None:
    steps.world.s3.error["PutObject"] = "AccessDenied"
    with pytest.raises(ApiError, match="AccessDenied"):
        steps.plan()


@pytest.mark.parametrize("step", ["gather", "report"])
def test_without_a_plan_there_are_no_steps(steps: Steps, step: str) -> None:
    with pytest.raises(StepError, match=r"plan.json does not exist"):
        steps.step(step)


def test_settings_that_change_during_a_run_end_it(steps: Steps) -> None:
    steps.settings = replace(STEPPING, dry_run=True)
    steps.plan()
    steps.settings = STEPPING
    with pytest.raises(StepError, match="settings of the function changed"):
        steps.scan()


def test_a_target_outside_the_frozen_list_is_not_scanned(steps: Steps) -> None:
    steps.plan()
    target = {"account": MEMBER, "region": HERE, "partition": "aws"}
    with pytest.raises(StepError, match="is not a target of the run"):
        steps.step("scan", round=1, target=target)


def test_steps_need_the_place_of_runs(steps: Steps) -> None:
    steps.settings = Settings()
    with pytest.raises(InvalidSettingError, match="RUNS"):
        steps.plan()


def test_a_document_that_is_too_large_is_not_read(
    steps: Steps, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps.plan()
    monkeypatch.setattr("ecr_cleaner.run.run_objects.MOST_BYTES", 10)
    with pytest.raises(CleanerError, match="more than 10 bytes"):
        steps.scan()


def test_every_step_says_that_it_is_done(steps: Steps) -> None:
    steps.all()
    done = [(line["step"], line.get("target")) for line in steps.world.events("Step finished")]
    scans = [("scan", f"{OWN}/{HERE}"), ("scan", f"{OWN}/{THERE}")]
    later = [("gather", None), ("clean", None), ("report", None)]
    assert done == [("plan", None), *scans, *scans, *later]


def test_a_network_error_is_one_of_the_object(steps: Steps) -> None:
    steps.until_gathered()
    steps.world.s3.before = lambda: (_ for _ in ()).throw(client_error("PutObject", "SlowDown"))
    with pytest.raises(ApiError, match="SlowDown"):
        steps.clean()
    assert not steps.removed()


# -- What the report must not lose -----------------------------------------------------------------


def test_an_image_behind_a_cache_of_a_replica_is_kept(steps: Steps) -> None:
    steps.settings = replace(STEPPING, scan_accounts=(MEMBER,))
    destination = {"registryId": OWN, "region": THERE}
    steps.world.ecr.replication = {"rules": [{"destinations": [destination]}]}
    url = f"{OWN}.dkr.ecr.{THERE}.amazonaws.com"
    rule = {"ecrRepositoryPrefix": "central", "upstreamRegistry": "ecr", "upstreamRegistryUrl": url}
    steps.rules[THERE] = [rule]
    copy = ImageReference(Registry(MEMBER, THERE), "central/app", tag="v1")
    steps.source.found[f"{MEMBER}/{THERE}"] = lambda: [Usage(copy, "arn:there", "stub")]
    assert steps.all()["removed"] == 0


def test_the_run_that_receives_events_stays_their_reader(steps: Steps) -> None:
    """The next run would take the queue for whole otherwise."""
    steps.settings = replace(
        REMEMBERING, event_queue="https://sqs.eu-west-1.amazonaws.com/111122223333/events"
    )
    ledger = Ledger(steps.world.now.date())
    ledger.set_reader("another", steps.world.now + timedelta(minutes=25), steps.world.now)
    steps.objects[LEDGER] = ledger.stored()
    steps.until_gathered()
    steps.clean()
    steps.step("report")
    reader = Ledger.read(steps.objects[LEDGER]).reader
    assert reader
    assert reader.run == "another"


def test_a_ledger_that_is_deleted_before_the_report_fails_the_run(steps: Steps) -> None:
    """What it remembered is lost, so it must not seem to remember since then."""
    steps.settings = REMEMBERING
    long_ago = (steps.world.now - timedelta(days=30)).date()
    steps.objects[LEDGER] = Ledger(long_ago).stored()
    steps.until_gathered()
    steps.clean()
    del steps.objects[LEDGER]
    with pytest.raises(RunFailedError, match="somebody deleted or replaced it"):
        steps.step("report")
    assert LEDGER not in steps.objects


def test_a_share_whose_ledger_is_damaged_does_not_lose_those_of_the_others(steps: Steps) -> None:
    steps.settings = REMEMBERING
    for number in range(60):
        steps.world.create(f"r{number}")
        steps.world.push(f"r{number}", f"a{number}", tags=["v2"])
    used = [usage(f"r{number}", "arn:task", tag="v2") for number in range(60)]
    steps.source.found[f"{OWN}/{HERE}"] = lambda: used
    steps.until_gathered()
    steps.clean()
    before = Ledger.read(steps.objects[LEDGER]).images
    steps.objects[steps.name("clean/0.ledger")] = b"damaged"
    with pytest.raises(RunFailedError, match="what share 0 found in use is not remembered"):
        steps.step("report")
    assert Ledger.read(steps.objects[LEDGER]).images > before


def test_a_result_that_cannot_be_fetched_is_a_problem_and_the_run_is_summed_up(
    steps: Steps,
) -> None:
    steps.until_gathered()
    steps.clean()
    steps.world.s3.error[f"GetObject {steps.name('clean/0.json')}"] = "SlowDown"
    with pytest.raises(RunFailedError, match="share 0: s3 GetObject failed with SlowDown"):
        steps.step("report")
    assert steps.world.events("Run finished")


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"results": []}, "it has results of 0 of 1 repositories"),
        (
            {"results": [{"tally": {"kept": {}}, "guards": [], "error": None, "unvisited": False}]},
            "a tally without already_gone, broken_references, failed,",
        ),
    ],
)
def test_a_result_that_is_not_whole_is_not_success(
    steps: Steps, change: dict[str, Any], problem: str
) -> None:
    steps.until_gathered()
    steps.clean()
    name = steps.name("clean/0.json")
    steps.objects[name] = json.dumps(json.loads(steps.objects[name]) | change).encode()
    with pytest.raises(RunFailedError, match=problem):
        steps.step("report")


def test_the_log_says_once_whether_our_reading_counts_as_pulls(steps: Steps) -> None:
    steps.world.ecr.pull_exclusions = ["arn:aws:iam::111122223333:role/scanner"]
    steps.all()
    assert len(steps.world.events("Own reading counts as pulls")) == 1
    assert len(steps.world.events("Pull times may mislead")) == 1
