"""Whole runs against an in-memory ECR: what is removed, and how the run ends."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from threading import Event
from types import SimpleNamespace
from typing import Any, cast
from unittest import mock

import pytest

from core.worlds import NOW, ago, sha, usage
from ecr_cleaner.aws.api import Api
from ecr_cleaner.aws.session import Aws
from ecr_cleaner.core.errors import (
    ApiError,
    InvalidSettingError,
    ManifestError,
    RunFailedError,
    ScanError,
)
from ecr_cleaner.core.model import Action, ImageReference, Plan, Registry, Usage
from ecr_cleaner.core.retention import judge
from ecr_cleaner.core.settings import Settings
from ecr_cleaner.deadline import Deadline
from ecr_cleaner.run.cleaner import Cleaner
from ecr_cleaner.run.plan_places import place_of
from ecr_cleaner.run.plans import NoPlan, Plans
from ecr_cleaner.usage.shared.target import Target
from ecr_cleaner.workers import Workers
from fakes.ecr import ROLE, Call, FakeEcr, StoredImage
from fakes.log import FakeLog
from fakes.small_services import FakeEc2, FakeS3, FakeSns, FakeSqs, FakeSts

DELETING = Settings(dry_run=False)
ARCHIVING = Settings(dry_run=False, action=Action.ARCHIVE)
OPTED_IN = {"BoxCleanerEnabled": "true"}
SOMETHING_IN_USE = usage("elsewhere", tag="v1")


@dataclass
class StubSource:
    """A usage source whose scans find the given usages, or fail."""

    found: Callable[[int], Iterable[Usage]]
    name: str = "stub"
    service: str = "stub"
    everywhere: bool = True
    scans: int = 0

    def usages(self, target: Target) -> Iterable[Usage]:
        del target
        self.scans += 1
        return self.found(self.scans)


@dataclass
class StubAws:
    """The part of Aws that a run needs, around fake clients."""

    ecr: FakeEcr
    workers: Workers
    deadline: Deadline
    others: dict[str, Any] = field(default_factory=dict)
    region: str = "eu-west-1"

    def api(self, service: str, region: str | None = None) -> Api:
        del region
        return Api(self.ecr if service == "ecr" else self.others[service])

    clients = 1

    def close(self) -> None:
        """Do nothing: fake clients have no connections."""

    def offers(self, service: str) -> bool:
        """Say that the region has no EKS, so that no clusters are listed."""
        return service != "eks"


@dataclass
class World:
    """An ECR, a clock that a test can move, and the log of the runs."""

    workers: Workers
    now: datetime = NOW
    ecr: FakeEcr = field(init=False)
    source: StubSource = field(init=False)
    log: FakeLog = field(default_factory=FakeLog)
    s3: FakeS3 = field(default_factory=FakeS3)
    sqs: FakeSqs = field(init=False)
    sns: FakeSns = field(default_factory=FakeSns)

    def __post_init__(self) -> None:
        self.ecr = FakeEcr(clock=self.clock)
        self.sqs = FakeSqs(self.clock)
        self.source = StubSource(lambda _: [SOMETHING_IN_USE])

    def clock(self) -> datetime:
        return self.now

    def create(self, name: str, **tags: str) -> None:
        self.ecr.create(name, OPTED_IN | tags)

    def push(
        self, repository: str, name: str, children: Sequence[str] = (), **more: Any
    ) -> StoredImage:
        return self.ecr.push(repository, name, children, **({"pushed_at": ago(100)} | more))

    def uses(self, *usages: Usage) -> None:
        self.source = StubSource(lambda _: [SOMETHING_IN_USE, *usages])

    def run(
        self,
        settings: Settings = DELETING,
        seconds_left: Callable[[], float] = lambda: math.inf,
        plans: Plans | None = None,
    ) -> dict[str, Any]:
        deadline = Deadline(self.clock, seconds_left)
        others = {
            "s3": self.s3,
            "sqs": self.sqs,
            "sns": self.sns,
            "sts": FakeSts(),
            "ec2": FakeEc2(),
        }
        aws = cast("Aws", StubAws(self.ecr, self.workers, deadline, others))
        place = place_of(aws, settings.plans)
        with closing(plans or (Plans("run-1", place) if place else NoPlan())) as sink:
            return Cleaner(aws, settings, self.log.logger(), [self.source], sink).run()

    def events(self, event: str) -> list[dict[str, Any]]:
        return self.log.events(event)


@pytest.fixture(scope="module")
def workers() -> Iterator[Workers]:
    with Workers(4) as made:
        yield made


@pytest.fixture
def world(workers: Workers) -> World:
    made = World(workers)
    made.create("app")
    return made


def test_making_a_run_asks_nothing_and_opens_nothing(workers: Workers) -> None:
    has_no_clients: Any = SimpleNamespace(workers=workers, deadline=Deadline())
    settings = Settings(ledger="s3://bucket/ledger", event_queue="https://queue")
    with mock.patch("tempfile.TemporaryFile", side_effect=OSError) as opened:
        plans = Plans("run-1", place_of(has_no_clients, "s3://bucket/plans/"))
        Cleaner(has_no_clients, settings, FakeLog().logger(), [], plans)
    assert not opened.called


def test_old_and_unused_images_are_removed_and_the_others_kept(world: World) -> None:
    world.push("app", "old", tags=["v1"])
    used = world.push("app", "used", tags=["v2"])
    running = world.push("app", "running")
    young = world.push("app", "young", pushed_at=ago(1))
    world.uses(usage("app", tag="v2"), usage("app", digest=running.digest))
    summary = world.run()
    assert world.ecr.digests("app") == {used.digest, running.digest, young.digest}
    assert summary["complete"] is True
    assert summary["removed"] == 1


def test_only_opted_in_repositories_are_judged_and_a_misspelt_tag_is_warned_about(
    world: World,
) -> None:
    for name, tags in {
        "off": {"BoxCleanerEnabled": "false"},
        "shout": {"BoxCleanerEnabled": "True"},
        "none": {},
    }.items():
        world.ecr.create(name, tags)
        world.push(name, f"old-{name}")
    world.run()
    assert {call.parameters["repositoryName"] for call in world.ecr.calls_of("DescribeImages")} == {
        "app"
    }
    assert [len(world.ecr.digests(name)) for name in ("off", "shout", "none")] == [1, 1, 1]
    warned = world.events("Repository is not opted in: its tag is not exactly true")
    assert [(one["repository"], one["tag"], one["value"]) for one in warned] == [
        ("shout", "BoxCleanerEnabled", "True")
    ]


def test_guards_are_not_read_if_no_repository_is_opted_in(workers: Workers) -> None:
    world = World(workers)
    world.ecr.create("off", {})
    assert world.run()["repositories"] == 0
    # A scan asks for replication: who uses a replica uses the image.
    assert {call.operation for call in world.ecr.calls} == {
        "DescribeRegistry",
        "DescribeRepositories",
        "ListTagsForResource",
    }


@pytest.mark.parametrize("action", [Action.DELETE, Action.ARCHIVE])
def test_dry_run_gives_the_same_verdicts_and_changes_nothing(world: World, action: Action) -> None:
    child = world.push("app", "child")
    world.push("app", "index", [child.digest], tags=["v1"])
    before = world.ecr.digests("app")
    summary = world.run(Settings(action=action))
    assert world.ecr.mutations() == []
    assert world.ecr.digests("app") == before
    assert (summary["removable"], summary["removed"]) == (2, 0)
    assert len(world.events("Found unused image, should be removed")) == 2
    assert world.run(Settings(dry_run=False, action=action))["removed"] == 2


def test_summary_has_the_totals_of_all_repositories(world: World) -> None:
    world.create("second")
    world.push("app", "old-1", size_bytes=5)
    world.push("app", "old-2", size_bytes=7)
    world.push("app", "young", pushed_at=ago(1))
    world.push("second", "old-3", size_bytes=11)
    world.push("second", "used", tags=["v1"])
    world.uses(usage("second", tag="v1"))
    summary = world.run()
    expected = {
        "dry_run": False,
        "complete": True,
        "repositories": 2,
        "images": 5,
        "kept": {"in_use": 1, "too_young": 1},
        "removable": 3,
        "removable_bytes": 23,
        "removed": 3,
        "removed_bytes": 23,
        "already_gone": 0,
        "failed": 0,
        "left": 0,
        "errors": [],
        "duration_seconds": 0.0,
    }
    assert {key: summary[key] for key in expected} == expected
    assert world.events("Run finished") == [
        {"event": "Run finished", "log_level": "info"} | summary
    ]
    done = world.events("Repository finished")
    assert {one["repository"]: one["removed"] for one in done} == {"app": 2, "second": 1}


def test_listing_includes_all_pages_also_after_empty_ones(world: World) -> None:
    world.ecr.page_size = 3
    world.ecr.empty_pages = True
    for number in range(10):
        world.create(f"more-{number}")
        world.push("app", f"old-{number}")
    summary = world.run()
    assert (summary["repositories"], summary["removed"]) == (11, 10)
    assert world.ecr.digests("app") == set()


def test_run_in_an_empty_account_succeeds(world: World) -> None:
    world.ecr.repositories.clear()
    assert world.run()["complete"] is True


# Faults.


def test_failing_repository_is_skipped_the_others_are_cleaned_and_the_run_fails(
    world: World,
) -> None:
    for name in ("second", "third"):
        world.create(name)
    for name in ("app", "second", "third"):
        world.push(name, f"old-{name}")

    def refuse(call: Call) -> None:
        if call.operation == "DescribeImages" and call.parameters["repositoryName"] == "second":
            raise ApiError("ecr", "DescribeImages", code="ServerException", message="oh")

    world.ecr.before = refuse
    with pytest.raises(RunFailedError, match="DescribeImages failed with ServerException: oh"):
        world.run()
    assert [len(world.ecr.digests(name)) for name in ("app", "second", "third")] == [0, 1, 0]
    assert [one["repository"] for one in world.events("Repository failed")] == ["second"]
    (summary,) = world.events("Run finished")
    assert (summary["complete"], summary["removed"], len(summary["errors"])) == (False, 2, 1)


def test_unexpected_error_skips_only_its_repository(world: World) -> None:
    world.create("second")
    world.push("app", "old")
    world.push("second", "old-2")

    def surprise(call: Call) -> None:
        if call.parameters.get("repositoryName") == "app":
            raise LookupError("surprise")

    world.ecr.before = surprise
    with pytest.raises(RunFailedError, match="surprise"):
        world.run()
    assert (len(world.ecr.digests("app")), len(world.ecr.digests("second"))) == (1, 0)
    (failure,) = world.events("Repository failed")
    assert failure["error"] == "LookupError('surprise')"
    assert isinstance(failure["exc_info"], LookupError)


@pytest.mark.parametrize("tag", ["BoxCleanerKeepDays", "BoxCleanerKeepCount"])
def test_bad_tag_skips_its_repository_and_the_run_fails(world: World, tag: str) -> None:
    world.create("bad", **{tag: "365d"})
    world.push("bad", "old-bad")
    world.push("app", "old")
    with pytest.raises(RunFailedError, match=f"tag {tag} of bad is '365d', but must be"):
        world.run()
    assert (len(world.ecr.digests("app")), len(world.ecr.digests("bad"))) == (0, 1)
    assert not [call for call in world.ecr.calls if call.parameters.get("repositoryName") == "bad"]


def test_failed_image_is_counted_and_the_run_fails(world: World) -> None:
    one = world.push("app", "one")
    world.push("app", "two")
    world.ecr.refuse("BatchDeleteImage", one.digest, "KmsError")
    with pytest.raises(RunFailedError, match=r"^1 images could not be removed$"):
        world.run()
    (failed,) = world.events("Image could not be removed")
    assert (failed["digest"], failed["code"]) == (one.digest, "KmsError")
    (summary,) = world.events("Run finished")
    assert (summary["removed"], summary["failed"], summary["complete"]) == (1, 1, False)


def test_images_over_the_bound_are_not_a_failure_and_the_next_run_continues(
    world: World,
) -> None:
    for number in range(5):
        world.push("app", f"old-{number}")
    summary = world.run(Settings(dry_run=False, max_deletions=3))
    assert (summary["removed"], summary["left"], summary["complete"]) == (3, 2, False)
    (left,) = world.events("Images left for the next run")
    assert (left["reason"], left["count"]) == ("max_deletions_reached", 2)
    assert world.run()["removed"] == 2


def test_usage_source_that_cannot_be_read_stops_the_run_before_images_are_listed(
    world: World,
) -> None:
    world.push("app", "old")
    error = ApiError("ecs", "ListClusters", code="AccessDenied", message="no", action="ecs:L")

    def fail(_: int) -> Iterator[Usage]:
        yield SOMETHING_IN_USE
        raise error

    world.source = StubSource(fail)
    with pytest.raises(ScanError) as caught:
        world.run()
    assert caught.value.__cause__ is error
    assert (caught.value.fields["source"], caught.value.fields["missing_action"]) == (
        "stub",
        "ecs:L",
    )
    assert "usage source stub could not be read in full" in str(caught.value)
    # The registry may be read beside the scan; its images are not.
    asked = {call.operation for call in world.ecr.calls}
    assert not asked & {"DescribeImages", "ListImages", "BatchGetImage", "BatchDeleteImage"}


@pytest.mark.parametrize("operation", ["DescribeRepositories", "ListTagsForResource"])
def test_repositories_that_cannot_be_read_in_full_stop_the_run(
    world: World, operation: str
) -> None:
    world.create("second")
    world.push("app", "old")
    world.ecr.page_size = 1
    world.ecr.fail(operation, "AccessDeniedException", nth=2)
    with pytest.raises(ApiError) as caught:
        world.run()
    assert caught.value.action == f"ecr:{operation}"
    assert world.ecr.mutations() == []


def test_waiving_an_unknown_source_stops_the_run(world: World) -> None:
    with pytest.raises(InvalidSettingError, match="WAIVED_SOURCES is 'stbu', but must be"):
        world.run(Settings(waived_sources=("stbu",)))


@pytest.mark.parametrize("nth", [1, 2])
def test_missing_page_of_images_skips_its_repository(world: World, nth: int) -> None:
    world.ecr.page_size = 1
    world.push("app", "old-1")
    world.push("app", "old-2")
    world.ecr.fail("DescribeImages", "ThrottlingException", nth=nth)
    with pytest.raises(RunFailedError):
        world.run()
    assert world.ecr.mutations() == []


def test_repository_that_vanished_during_the_run_is_skipped(world: World) -> None:
    world.create("gone")
    world.push("app", "old")

    def vanish(call: Call) -> None:
        if call.operation == "DescribeImages":
            world.ecr.repositories.pop("gone", None)

    world.ecr.before = vanish
    assert world.run()["complete"] is True
    assert world.ecr.digests("app") == set()


# The graph.


def test_children_of_an_index_in_use_are_kept_and_those_of_an_unused_one_are_removed_after_it(
    world: World,
) -> None:
    shared, mine, other = (world.push("app", name) for name in ("shared", "mine", "other"))
    used = world.push("app", "used", [shared.digest, mine.digest], tags=["v2"])
    unused = world.push("app", "unused", [shared.digest, other.digest], tags=["v1"])
    world.uses(usage("app", tag="v2"))
    world.run()
    assert world.ecr.digests("app") == {shared.digest, mine.digest, used.digest}
    assert [call.digests for call in world.ecr.calls_of("BatchDeleteImage")] == [
        [unused.digest],
        [other.digest],
    ]


def test_only_manifests_of_indexes_are_read_with_100_per_call(world: World) -> None:
    child = world.push("app", "child")
    indexes = {world.push("app", f"i{n}", [child.digest]).digest for n in range(150)}
    world.run(Settings())
    read = [call.digests for call in world.ecr.calls_of("BatchGetImage")]
    assert sorted(map(len, read)) == [50, 100]
    assert {digest for batch in read for digest in batch} == indexes


def test_no_manifest_is_read_if_nothing_would_be_removed(world: World) -> None:
    child = world.push("app", "child", pushed_at=ago(1))
    world.push("app", "index", [child.digest], pushed_at=ago(1))
    world.run()
    assert world.ecr.calls_of("BatchGetImage") == []


def test_reading_a_manifest_does_not_count_as_a_recent_pull(world: World) -> None:
    child = world.push("app", "child")
    index = world.push("app", "index", [child.digest], tags=["v1"])
    world.run(Settings())
    assert index.pulled_at is None
    assert world.run()["removed"] == 2


def test_without_our_exclusion_from_pull_times_an_index_stays_and_the_run_says_why(
    world: World,
) -> None:
    world.ecr.pull_exclusions.clear()
    child = world.push("app", "child")
    index = world.push("app", "index", [child.digest], tags=["v1"])
    world.run(Settings())
    assert index.pulled_at == NOW
    assert world.run()["kept"] == {"recently_pulled": 1, "parent_kept": 1}
    why = [one["why"] for one in world.events("Own reading counts as pulls")]
    assert len(why) == 2
    assert "aws ecr register-pull-time-update-exclusion --principal-arn" in why[0]


def test_without_our_exclusion_from_pull_times_our_own_reading_is_no_change(world: World) -> None:
    world.ecr.pull_exclusions.clear()
    child = world.push("app", "child")
    world.push("app", "index", [child.digest], tags=["v1"])
    assert world.run()["removed"] == 2


@pytest.mark.parametrize(
    ("settings", "registered"),
    [
        (Settings(dry_run=False, register_pull_exclusion=True), True),
        (Settings(dry_run=True, register_pull_exclusion=True), False),
        (Settings(dry_run=False), False),
    ],
)
def test_only_a_real_run_that_may_excludes_its_own_role(
    world: World, settings: Settings, registered: bool
) -> None:
    world.ecr.pull_exclusions.clear()
    world.run(settings)
    assert world.ecr.pull_exclusions == ([ROLE] if registered else [])


def test_others_whose_pulls_are_not_recorded_are_warned_about(world: World) -> None:
    world.ecr.pull_exclusions.append("arn:aws:iam::111122223333:role/nodes")
    world.run()
    (warning,) = world.events("Pull times may mislead")
    assert "does not record the pulls of arn:aws:iam::111122223333:role/nodes" in warning["why"]


def test_a_run_goes_on_without_the_exclusions_and_says_so(world: World) -> None:
    world.push("app", "old")
    world.ecr.fail("ListPullTimeUpdateExclusions", "AccessDeniedException")
    assert world.run()["removed"] == 1
    why = [one["why"] for one in world.events("Pull times may mislead")]
    assert "missing IAM action: ecr:ListPullTimeUpdateExclusions" in why[0]


def tag_of(digest: str, suffix: str = ".sig") -> str:
    return digest.replace(":", "-") + suffix


def test_signatures_in_a_repository_of_their_own_stay_as_long_as_their_subject(
    world: World,
) -> None:
    world.create("signatures")
    world.ecr.create("not-opted-in", {})
    used = world.push("app", "used")
    other = world.push("not-opted-in", "other")
    gone = world.push("app", "gone")
    by_tag = world.push("signatures", "by-tag", tags=[tag_of(used.digest)])
    by_subject = world.push("signatures", "by-subject", subject=other.digest)
    of_gone = world.push("signatures", "of-gone", tags=[tag_of(gone.digest)])
    world.push("signatures", "orphan", tags=[tag_of("sha256:" + "0" * 64)])
    world.uses(usage("app", digest=used.digest))
    world.run()
    assert world.ecr.digests("app") == {used.digest}
    assert world.ecr.digests("signatures") >= {by_tag.digest, by_subject.digest}
    world.run()
    assert world.ecr.digests("signatures") == {by_tag.digest, by_subject.digest}
    assert of_gone.digest not in world.ecr.digests("signatures")


def test_signature_of_an_image_that_runs_from_another_registry_stays(world: World) -> None:
    """The image itself, copied to that registry, does not."""
    world.create("signatures")
    copied, far, gone = world.push("app", "copied").digest, sha("far"), sha("gone")
    signature = world.push("app", "signature", tags=[tag_of(copied)])
    about_far = world.push("signatures", "about-far", tags=[tag_of(far)])
    world.push("signatures", "about-gone", tags=[tag_of(gone)])
    other = Registry("999988887777", "eu-west-1")
    run = [ImageReference(other, "app", digest=one) for one in (copied, far)]
    world.uses(*(Usage(one, "arn:pod", "stub") for one in run))

    world.run()

    assert world.ecr.digests("app") == {signature.digest}
    assert world.ecr.digests("signatures") == {about_far.digest}
    found = world.events("Found old image in use")
    assert {(one["reason"], *one["because"]) for one in found} == {("family_in_use", "arn:pod")}


def test_other_repositories_are_not_listed_without_a_need(world: World) -> None:
    world.ecr.create("not-opted-in", {})
    image = world.push("app", "image")
    world.push("app", "signature", tags=[tag_of(image.digest)])
    world.push("app", "young", tags=[tag_of("sha256:" + "0" * 64)], pushed_at=ago(1))
    assert world.run()["removed"] == 2
    listed = {one.parameters["repositoryName"] for one in world.ecr.calls_of("DescribeImages")}
    assert listed == {"app"}


def test_a_repository_that_cannot_be_listed_keeps_the_signatures_of_the_others(
    world: World,
) -> None:
    world.ecr.create("not-opted-in", {})
    world.push("app", "signature", tags=[tag_of("sha256:" + "0" * 64)])

    def refuse(call: Call) -> None:
        if call.parameters.get("repositoryName") == "not-opted-in":
            raise ApiError("ecr", "DescribeImages", code="ServerException", message="oh")

    world.ecr.before = refuse
    with pytest.raises(RunFailedError, match="ServerException"):
        world.run()
    assert len(world.ecr.digests("app")) == 1


@pytest.mark.parametrize("manifest", ["{", "[]", '{"manifests": [{}]}', '{"config": {}}'])
def test_malformed_manifest_skips_only_its_repository(world: World, manifest: str) -> None:
    world.create("second")
    world.push("app", "child")
    world.push("app", "index", media_type="application/vnd.oci.image.index.v1+json",
               manifest=manifest)  # fmt: skip
    world.push("second", "old")
    with pytest.raises(RunFailedError, match="manifest of sha256:"):
        world.run()
    assert (len(world.ecr.digests("app")), len(world.ecr.digests("second"))) == (2, 0)


@pytest.mark.parametrize(("code", "told"), [("KmsError", "KmsError"), ("(silent)", "no answer")])
def test_manifest_missing_from_the_answer_skips_its_repository(
    world: World, code: str, told: str
) -> None:
    child = world.push("app", "child")
    index = world.push("app", "index", [child.digest])
    world.ecr.refuse("BatchGetImage", index.digest, code)
    with pytest.raises(RunFailedError) as caught:
        world.run()
    assert str(ManifestError(index.digest, f"could not be read: {told}")) in str(caught.value)
    assert world.ecr.mutations() == []


# Usage changes during the run.


def test_image_pushed_after_the_scan_began_is_kept(world: World) -> None:
    world.push("app", "old")
    late: list[str] = []

    def push(call: Call) -> None:
        if call.operation == "DescribeRepositories":
            world.now += timedelta(seconds=5)
            late.append(world.push("app", "late", pushed_at=world.now).digest)

    world.ecr.before = push
    summary = world.run(Settings(dry_run=False, keep_days=0, keep_pulled_days=0))
    assert world.ecr.digests("app") == set(late)
    assert summary["kept"] == {"pushed_during_run": 1}


def slow_listing(world: World, by: timedelta) -> Callable[[Call], None]:
    def move_on(call: Call) -> None:
        if call.operation == "DescribeImages" and "imageIds" not in call.parameters:
            world.now += by

    return move_on


def test_image_that_came_into_use_between_scan_and_sweep_is_kept(world: World) -> None:
    old = world.push("app", "old")
    late = world.push("app", "late")
    deployed = usage("app", consumer="arn:deployment", digest=late.digest)
    world.source = StubSource(lambda scan: [SOMETHING_IN_USE] + [deployed] * (scan > 1))
    world.ecr.before = slow_listing(world, timedelta(seconds=180))
    summary = world.run()
    assert world.source.scans == 2
    assert world.ecr.digests("app") == {late.digest}
    assert summary["kept"] == {"in_use": 1}
    (kept,) = world.events("Found old image in use")
    assert (kept["digest"], kept["because"]) == (late.digest, ("arn:deployment",))
    assert old.digest not in world.ecr.digests("app")


def test_digest_that_only_the_first_scan_found_is_kept(world: World) -> None:
    stopping = world.push("app", "stopping")
    running = usage("app", digest=stopping.digest)
    world.source = StubSource(lambda scan: [SOMETHING_IN_USE] + [running] * (scan == 1))
    world.push("app", "old")
    world.ecr.before = slow_listing(world, timedelta(minutes=10))
    world.run()
    assert world.ecr.digests("app") == {stopping.digest}


@pytest.mark.parametrize(
    ("seconds", "rescan_after", "scans"), [(179, 180, 2), (180, 180, 2), (0, 0, 3), (899, 900, 2)]
)
def test_usage_is_scanned_again_if_the_scan_is_stale(
    world: World, seconds: int, rescan_after: int, scans: int
) -> None:
    world.push("app", "old")
    world.ecr.before = slow_listing(world, timedelta(seconds=seconds))
    world.run(Settings(dry_run=False, rescan_after_seconds=rescan_after))
    assert world.source.scans == scans
    assert world.ecr.digests("app") == set()


def test_usage_is_not_scanned_again_if_nothing_is_to_be_removed(world: World) -> None:
    world.push("app", "young", pushed_at=ago(1))
    world.ecr.before = slow_listing(world, timedelta(hours=1))
    world.run()
    assert world.source.scans == 1


def test_failed_rescan_stops_deletions_in_every_repository(world: World) -> None:
    for name in ("second", "third"):
        world.create(name)
    for name in ("app", "second", "third"):
        world.push(name, f"old-{name}")

    def found(scan: int) -> list[Usage]:
        if scan > 1:
            raise ApiError("ecs", "ListTasks", code="ThrottlingException", message="slow")
        return [SOMETHING_IN_USE]

    world.source = StubSource(found)
    world.ecr.before = slow_listing(world, timedelta(minutes=5))
    with pytest.raises(RunFailedError, match=r"^[^;]+slow \(in 3 repositories\)$"):
        world.run()
    assert world.ecr.mutations() == []
    assert world.source.scans == 2


@pytest.mark.timeout(60)
def test_rescan_for_another_repository_applies_to_an_earlier_plan(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.create("second")
    late = world.push("app", "late")
    world.push("second", "old")
    deployed = usage("app", digest=late.digest)
    world.source = StubSource(lambda scan: [SOMETHING_IN_USE] + [deployed] * (scan > 1))
    app_is_judged, second_is_swept = Event(), Event()

    def slow_judge(*arguments: Any) -> Plan:
        plan = judge(*arguments)
        if plan.repository.name == "app" and not app_is_judged.is_set():
            app_is_judged.set()
            assert second_is_swept.wait(timeout=30)
        return plan

    def before(call: Call) -> None:
        if call.parameters.get("repositoryName") != "second":
            return
        if call.operation == "DescribeImages" and "imageIds" not in call.parameters:
            assert app_is_judged.wait(timeout=30)
            world.now += timedelta(minutes=5)
        if call.operation == "BatchDeleteImage":
            second_is_swept.set()

    monkeypatch.setattr("ecr_cleaner.run.judging.judge", slow_judge)
    world.ecr.before = before
    world.run()
    assert world.source.scans == 2
    assert world.ecr.digests("app") == {late.digest}


def test_image_whose_tag_moved_since_a_stale_listing_is_kept(world: World) -> None:
    old = world.push("app", "old", tags=["v1", "live"])
    other = world.push("app", "other")

    def move(call: Call) -> None:
        if call.operation == "BatchGetImage" or "imageIds" in call.parameters:
            old.tags = ["v1"]

    def slow_and_moving(call: Call) -> None:
        slow_listing(world, timedelta(minutes=2))(call)
        move(call)

    world.ecr.before = slow_and_moving
    summary = world.run()
    assert world.ecr.digests("app") == {old.digest}
    assert other.digest not in world.ecr.digests("app")
    assert (summary["removed"], summary["left"], summary["complete"]) == (1, 1, False)
    (left,) = world.events("Images left for the next run")
    assert left["reason"] == "changed_since_listing"


# Circuit breakers.


def test_no_usage_at_all_stops_deletions_and_names_the_setting(world: World) -> None:
    world.push("app", "old")
    world.source = StubSource(lambda _: [])
    with pytest.raises(RunFailedError, match="set EXPECT_NO_USAGE to true"):
        world.run()
    assert world.ecr.mutations() == []
    (found,) = world.events("Found unused image, should be removed")
    assert found["guarded_by"] == ["no-usage"]


def test_no_usage_at_all_is_accepted_if_expected(world: World) -> None:
    world.push("app", "old")
    world.source = StubSource(lambda _: [])
    assert world.run(Settings(dry_run=False, expect_no_usage=True))["removed"] == 1


def test_no_usage_at_all_is_reported_without_an_error_in_a_dry_run(world: World) -> None:
    world.push("app", "old")
    world.source = StubSource(lambda _: [])
    summary = world.run(Settings())
    assert summary["errors"] == []
    assert summary["guarded"] == {"no-usage": 1}


def test_usage_in_another_registry_does_not_count(world: World) -> None:
    world.ecr.repositories.clear()
    world.ecr.account = "999988887777"
    world.create("app")
    world.push("app", "old")
    with pytest.raises(RunFailedError, match="no usage source found any image of this registry"):
        world.run()
    assert world.ecr.mutations() == []


# Archiving.


def test_image_is_archived_once_and_deleted_after_archive_days(world: World) -> None:
    world.push("app", "old")
    settings = Settings(dry_run=False, action=Action.ARCHIVE, archive_days=90)
    assert world.run(settings)["removed"] == 1
    assert world.run(settings)["removable"] == 0
    world.now += timedelta(days=90)
    assert world.run(settings)["removable"] == 0
    world.now += timedelta(seconds=1)
    assert world.run(settings)["removed"] == 1
    assert world.ecr.digests("app") == set()


def test_restored_image_is_kept_as_long_as_a_new_one(world: World) -> None:
    image = world.push("app", "old")
    world.run(ARCHIVING)
    world.ecr.update_image_storage_class(
        repositoryName="app",
        imageId={"imageDigest": image.digest},
        targetStorageClass="STANDARD",
    )
    assert world.run(ARCHIVING)["kept"] == {"restored": 1}
    world.ecr.finish_restores()
    world.now += timedelta(days=30)
    assert world.run(ARCHIVING)["kept"] == {"restored": 1}
    world.now += timedelta(seconds=1)
    assert world.run(ARCHIVING)["removed"] == 1


def test_archived_index_without_readable_manifest_does_not_skip_its_repository(
    world: World,
) -> None:
    child = world.push("app", "child")
    world.push("app", "index", [child.digest], tags=["v1"])
    assert world.run(ARCHIVING)["removed"] == 2
    later = world.push("app", "later")
    assert world.run(ARCHIVING)["removed"] == 1
    assert {one.status for one in world.ecr.repositories["app"].images.values()} == {"ARCHIVED"}
    assert later.status == "ARCHIVED"


# Time.


def test_run_without_time_leaves_its_repositories_to_the_next_run(world: World) -> None:
    world.push("app", "old")
    summary = world.run(seconds_left=lambda: 0)
    assert (summary["repositories_unvisited"], summary["complete"]) == (1, False)
    assert [line["repositories"] for line in world.events("No repository was visited")] == [1]
    assert world.ecr.calls_of("DescribeImages") == []
