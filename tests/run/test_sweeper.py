"""The sweeper, with an ECR that refuses, fails and changes during the sweep."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from threading import Barrier
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.worlds import NOW, REPOSITORY, ago, image, index, plan_of, policy_of, removals, sha
from ecr_cleaner.aws.api import Api
from ecr_cleaner.aws.registry import EcrRegistry
from ecr_cleaner.core.errors import ApiError, OutOfTimeError
from ecr_cleaner.core.model import Action, Image, ImageStatus, Plan
from ecr_cleaner.core.outcome import Left, Outcome
from ecr_cleaner.core.policy import Policy
from ecr_cleaner.deadline import Deadline
from ecr_cleaner.run.sweeper import BATCHES_AT_ONCE, Budget, Sweeper
from ecr_cleaner.workers import Workers
from fakes.ecr import SILENT, Call, FakeEcr, StoredImage, manifest_of

REFERENCED = "ImageReferencedByManifestList"
ARCHIVING = policy_of(action=Action.ARCHIVE)
LONG_AGO = NOW - timedelta(minutes=1, seconds=1)
FAMILY = [index("top"), index("mid"), image("leaf"), image("sig", subject=sha("leaf"))]
CHILDREN = {"top": ["mid"], "mid": ["leaf"]}


@pytest.fixture(scope="module")
def workers() -> Iterator[Workers]:
    with Workers(4) as made:
        yield made


Sweep = Callable[..., Outcome]


@dataclass
class Quiet:
    """Usage that does not change during the sweep."""

    plan: Plan

    def renew(self) -> bool:
        return True

    def removable(self) -> Container[str]:
        return self.plan.leaders.keys()

    def scanned_since(self, time: datetime) -> bool:
        return time > NOW


def registry_of(ecr: FakeEcr, workers: Workers) -> EcrRegistry:
    aws: Any = SimpleNamespace(workers=workers, api=lambda _: Api(ecr))
    return EcrRegistry(aws)


class World:
    """A repository in a fake ECR, the plan for it, and a sweeper."""

    def __init__(self, workers: Workers) -> None:
        self.ecr = FakeEcr(clock=lambda: NOW)
        self.ecr.create(REPOSITORY.name)
        self._workers = workers

    def holds(self, images: Sequence[Image], children: dict[str, list[str]] | None = None) -> None:
        listed = {sha(name): [*map(sha, names)] for name, names in (children or {}).items()}
        for one in images:
            manifest = manifest_of(one.digest, listed.get(one.digest, ()), str(one.media_type))
            self.ecr.repositories[REPOSITORY.name].images[one.digest] = StoredImage(
                one.digest,
                manifest,
                str(one.media_type),
                tags=list(one.tags),
                pushed_at=one.pushed_at,
                subject=one.subject,
                status=one.status.value,
                archived_at=one.archived_at,
            )

    def planned(
        self,
        images: Sequence[Image],
        children: dict[str, list[str]] | None = None,
        policy: Policy | None = None,
    ) -> Plan:
        self.holds(images, children)
        return plan_of(*images, children=children, policy=policy)

    def sweep(
        self,
        plan: Plan,
        most: int = 1000,
        listed_at: datetime = NOW,
        budget: Budget | None = None,
    ) -> Outcome:
        registry = registry_of(self.ecr, self._workers)
        deadline = Deadline(lambda: NOW)
        sweeper = Sweeper(registry, self._workers, budget or Budget(most), deadline)
        return sweeper.sweep(plan, listed_at, Quiet(plan))

    @property
    def left(self) -> set[str]:
        return self.ecr.digests(REPOSITORY.name)

    @property
    def deletions(self) -> list[list[str]]:
        return [call.digests for call in self.ecr.calls_of("BatchDeleteImage")]


@pytest.fixture
def world(workers: Workers) -> World:
    return World(workers)


def test_parents_are_deleted_in_calls_before_their_children(world: World) -> None:
    outcome = world.sweep(world.planned(FAMILY, CHILDREN))
    assert world.deletions == [[sha("top")], [sha("mid")], [sha("leaf")], [sha("sig")]]
    assert outcome.removed.keys() == {*map(sha, ("top", "mid", "leaf", "sig"))}
    assert outcome == Outcome(removed=outcome.removed)
    assert world.left == set()


def test_the_fake_refuses_a_child_in_the_same_call_as_its_index(world: World) -> None:
    world.holds(FAMILY, CHILDREN)
    ids = [{"imageDigest": sha("mid")}, {"imageDigest": sha("top")}]
    answer = world.ecr.batch_delete_image(repositoryName=REPOSITORY.name, imageIds=ids)
    assert answer["imageIds"] == [{"imageDigest": sha("top")}]
    assert [one["failureCode"] for one in answer["failures"]] == [REFERENCED]


def test_empty_plan_makes_no_call(world: World) -> None:
    outcome = world.sweep(world.planned([image("young", 1)]), listed_at=LONG_AGO)
    assert outcome == Outcome()
    assert world.ecr.calls == []


def test_250_deletions_take_calls_of_100_100_and_50(world: World) -> None:
    images = [image(str(number), tags=f"a{number} b{number}") for number in range(250)]
    outcome = world.sweep(world.planned(images))
    assert sorted(map(len, world.deletions)) == [50, 100, 100]
    assert len(outcome.removed) == 250
    assert sum(one.image.size_bytes for one in outcome.removed.values()) == 2500


def test_batches_run_in_parallel_and_leave_threads_for_a_rescan() -> None:
    together = Barrier(BATCHES_AT_ONCE)
    under_way: list[str] = []
    most = 0

    def before(call: Call) -> None:
        nonlocal most
        under_way.append(call.operation)
        most = max(most, len(under_way))
        together.wait(timeout=60)
        under_way.pop()

    images = [image(str(number)) for number in range(2 * BATCHES_AT_ONCE * 100)]
    with Workers(4 * BATCHES_AT_ONCE) as many:
        crowded = World(many)
        plan = crowded.planned(images)
        crowded.ecr.before = before
        assert len(crowded.sweep(plan).removed) == len(images)
    assert most == BATCHES_AT_ONCE


def test_referenced_child_is_retried_after_its_parents(world: World) -> None:
    plan = world.planned(FAMILY, CHILDREN)
    world.ecr.refuse("BatchDeleteImage", sha("leaf"), REFERENCED, times=1)
    outcome = world.sweep(plan)
    assert world.deletions == [
        [sha("top")],
        [sha("mid")],
        [sha("leaf")],
        [sha("leaf")],
        [sha("sig")],
    ]
    assert outcome.removed.keys() == {*map(sha, ("top", "mid", "leaf", "sig"))}
    assert outcome == Outcome(removed=outcome.removed)


def test_child_that_stays_referenced_fails_and_its_followers_are_kept(world: World) -> None:
    plan = world.planned(FAMILY, CHILDREN)
    # An index that was pushed after the listing.
    world.ecr.push(REPOSITORY.name, "new", [sha("leaf")])
    outcome = world.sweep(plan)
    assert outcome.removed.keys() == {sha("top"), sha("mid")}
    assert outcome.failed == {sha("leaf"): REFERENCED}
    assert outcome.left == {sha("sig"): Left.LEADER_STAYED}
    assert {sha("leaf"), sha("sig")} <= world.left


def test_other_failures_are_not_retried(world: World) -> None:
    world.ecr.refuse("BatchDeleteImage", sha("a"), "KmsError")
    outcome = world.sweep(world.planned([image("a"), image("b")]))
    assert world.deletions == [[sha("a"), sha("b")]]
    assert outcome.removed.keys() == {sha("b")}
    assert outcome.failed == {sha("a"): "KmsError"}


def test_image_that_somebody_else_deleted_is_gone_and_not_a_failure(world: World) -> None:
    plan = world.planned([image("a"), image("b")])
    del world.ecr.repositories[REPOSITORY.name].images[sha("a")]
    outcome = world.sweep(plan)
    assert outcome.removed.keys() == {sha("b")}
    assert outcome.gone.keys() == {sha("a")}
    assert not outcome.failed


def test_children_are_deleted_if_their_index_is_already_gone(world: World) -> None:
    plan = world.planned(FAMILY, CHILDREN)
    del world.ecr.repositories[REPOSITORY.name].images[sha("top")]
    outcome = world.sweep(plan)
    assert outcome.gone.keys() == {sha("top")}
    assert outcome.removed.keys() == {*map(sha, ("mid", "leaf", "sig"))}


def test_all_followers_of_a_failed_image_are_kept(world: World) -> None:
    plan = world.planned([*FAMILY, image("other")], CHILDREN)
    world.ecr.refuse("BatchDeleteImage", sha("top"), "KmsError")
    outcome = world.sweep(plan)
    assert outcome.removed.keys() == {sha("other")}
    assert outcome.failed == {sha("top"): "KmsError"}
    assert outcome.left == dict.fromkeys(map(sha, ("mid", "leaf", "sig")), Left.LEADER_STAYED)


def test_image_that_the_answer_omits_is_looked_up(world: World) -> None:
    plan = world.planned([image("a"), image("b"), image("c")])
    for name in ("a", "b"):
        world.ecr.refuse("BatchDeleteImage", sha(name), SILENT)

    def vanish(call: Call) -> None:
        if call.operation == "DescribeImages":
            world.ecr.repositories[REPOSITORY.name].images.pop(sha("b"), None)

    world.ecr.before = vanish
    outcome = world.sweep(plan)
    assert outcome.removed.keys() == {sha("b"), sha("c")}
    assert outcome.failed == {sha("a"): "NotInAnswer"}


def test_failed_batch_does_not_lose_the_results_of_other_batches(world: World) -> None:
    images = [image(str(number)) for number in range(250)]
    world.ecr.fail("BatchDeleteImage", "ThrottlingException", nth=2)
    outcome = world.sweep(world.planned(images))
    assert isinstance(outcome.error, ApiError)
    assert outcome.error.code == "ThrottlingException"
    assert set(outcome.failed.values()) == {"ThrottlingException"}
    assert len(outcome.removed) + len(outcome.failed) == 250
    assert len(outcome.failed) in {50, 100}
    assert world.left == set(outcome.failed)


def test_later_steps_are_left_after_an_error(world: World) -> None:
    plan = world.planned([*FAMILY, index("i"), image("j")], CHILDREN | {"i": ["j"]})
    world.ecr.fail("BatchDeleteImage", "AccessDeniedException", nth=2)
    outcome = world.sweep(plan)
    assert outcome.removed.keys() == {sha("top"), sha("i")}
    assert outcome.failed.keys() == {sha("mid"), sha("j")}
    assert outcome.left == dict.fromkeys(map(sha, ("leaf", "sig")), Left.AFTER_ERROR)
    assert len(world.deletions) == 2


def test_no_more_deletions_are_tried_than_the_bound_allows(world: World) -> None:
    images = [image(str(number)) for number in range(250)]
    outcome = world.sweep(world.planned(images), most=120)
    assert sum(map(len, world.deletions)) == 120
    assert len(outcome.removed) == 120
    assert list(outcome.left.values()) == [Left.MAX_DELETIONS] * 130


def test_followers_of_images_over_the_bound_are_kept(world: World) -> None:
    outcome = world.sweep(world.planned(FAMILY, CHILDREN), most=1)
    assert outcome.removed.keys() == {sha("top")}
    assert outcome.left == {
        sha("mid"): Left.MAX_DELETIONS,
        sha("leaf"): Left.LEADER_STAYED,
        sha("sig"): Left.LEADER_STAYED,
    }


def test_bound_is_shared_by_all_repositories() -> None:
    budget = Budget(5)
    assert [budget.take(3), budget.take(3), budget.take(3)] == [3, 2, 0]


def test_what_was_tried_is_charged_whatever_became_of_it(world: World) -> None:
    """An answer may be lost: then only the registry knows what was removed."""
    plan = world.planned([image("a"), image("b"), image("c")])
    world.ecr.refuse("BatchDeleteImage", sha("a"), "KmsError")
    del world.ecr.repositories[REPOSITORY.name].images[sha("b")]
    budget = Budget(10)
    outcome = world.sweep(plan, budget=budget)
    assert (set(outcome.failed), set(outcome.gone)) == ({sha("a")}, {sha("b")})
    assert budget.take(10) == 7


def test_call_for_which_there_is_no_time_leaves_its_images(world: World) -> None:
    plan = world.planned([image("a"), image("b")])

    def no_time(_: Call) -> None:
        raise OutOfTimeError("no time left to call ecr")

    world.ecr.before = no_time
    outcome = world.sweep(plan)
    assert outcome.left == dict.fromkeys(map(sha, "ab"), Left.OUT_OF_TIME)
    assert outcome.error is None


def test_archiving_for_which_there_is_no_time_leaves_the_rest(world: World) -> None:
    plan = world.planned([image("a"), image("b")], policy=ARCHIVING)

    def no_time(call: Call) -> None:
        if call.parameters["imageId"] == {"imageDigest": sha("b")}:
            raise OutOfTimeError("no time left to call ecr")

    world.ecr.before = no_time
    outcome = world.sweep(plan)
    assert outcome.removed.keys() == {sha("a")}
    assert outcome.left == {sha("b"): Left.OUT_OF_TIME}


def test_fresh_listing_is_not_repeated(world: World) -> None:
    world.sweep(world.planned([image("a")]), listed_at=NOW - timedelta(minutes=1))
    assert [call.operation for call in world.ecr.calls] == ["BatchDeleteImage"]


def test_stale_listing_is_repeated_for_each_batch(world: World) -> None:
    outcome = world.sweep(world.planned(FAMILY, CHILDREN), listed_at=LONG_AGO)
    assert [call.operation for call in world.ecr.calls] == [
        "DescribeImages",
        "BatchDeleteImage",
    ] * 4
    assert len(outcome.removed) == 4


@pytest.mark.parametrize("tags", ["v1 v2", "v2", ""])
def test_image_whose_tags_changed_is_kept_with_its_followers(world: World, tags: str) -> None:
    images = [index("top", tags="v1"), image("leaf"), image("other", tags="a b")]
    plan = world.planned(images, {"top": ["leaf"]})
    stored = world.ecr.repositories[REPOSITORY.name].images
    stored[sha("top")].tags = tags.split()
    stored[sha("other")].tags = ["b", "a"]
    outcome = world.sweep(plan, listed_at=LONG_AGO)
    assert outcome.removed.keys() == {sha("other")}
    assert outcome.left == {sha("top"): Left.CHANGED, sha("leaf"): Left.LEADER_STAYED}


def test_image_restored_since_the_listing_is_kept(world: World) -> None:
    asleep = image("a", status=ImageStatus.ARCHIVED, archived_at=ago(91))
    plan = world.planned([asleep], policy=policy_of(archive_days=90))
    world.ecr.repositories[REPOSITORY.name].images[sha("a")].status = "ACTIVATING"
    assert world.sweep(plan, listed_at=LONG_AGO).left == {sha("a"): Left.CHANGED}


def test_image_that_vanished_since_a_stale_listing_is_gone(world: World) -> None:
    plan = world.planned([image("a"), image("b")])
    del world.ecr.repositories[REPOSITORY.name].images[sha("a")]
    outcome = world.sweep(plan, listed_at=LONG_AGO)
    assert outcome.removed.keys() == {sha("b")}
    assert outcome.gone.keys() == {sha("a")}
    assert world.deletions == [[sha("b")]]


def test_every_image_of_a_repository_that_vanished_since_a_stale_listing_is_gone(
    world: World,
) -> None:
    plan = world.planned([image("a"), image("b")])
    world.ecr.repositories.clear()
    outcome = world.sweep(plan, listed_at=LONG_AGO)
    assert outcome.gone.keys() == {sha("a"), sha("b")}
    assert not outcome.error


def test_listing_that_cannot_be_repeated_fails_its_batch_and_deletes_nothing(
    world: World,
) -> None:
    world.ecr.fail("DescribeImages", "ThrottlingException")
    outcome = world.sweep(world.planned([image("a")]), listed_at=LONG_AGO)
    assert outcome.failed == {sha("a"): "ThrottlingException"}
    assert outcome.error
    assert world.ecr.mutations() == []


def test_archiving_changes_each_image_and_deletes_none(world: World) -> None:
    outcome = world.sweep(world.planned(FAMILY, CHILDREN, ARCHIVING))
    moved = [call.parameters for call in world.ecr.mutations()]
    assert moved == [
        {
            "repositoryName": "app",
            "imageId": {"imageDigest": sha(name)},
            "targetStorageClass": "ARCHIVE",
        }
        for name in ("top", "mid", "leaf", "sig")
    ]
    stored = world.ecr.repositories["app"].images.values()
    assert [(one.status, one.archived_at) for one in stored] == [("ARCHIVED", NOW)] * 4
    assert len(outcome.removed) == 4


def test_plan_may_archive_some_images_and_delete_others(world: World) -> None:
    asleep = image("asleep", status=ImageStatus.ARCHIVED, archived_at=ago(91))
    policy = replace(ARCHIVING, archive_days=90)
    outcome = world.sweep(world.planned([asleep, image("awake")], policy=policy))
    assert world.deletions == [[sha("asleep")]]
    assert world.left == {sha("awake")}
    assert len(outcome.removed) == 2


def test_image_that_cannot_be_archived_fails_and_its_followers_are_kept(world: World) -> None:
    plan = world.planned([*FAMILY, image("other")], CHILDREN, ARCHIVING)
    code = "ImageStorageClassUpdateNotSupportedException"
    world.ecr.refuse("UpdateImageStorageClass", sha("top"), code)
    outcome = world.sweep(plan)
    assert outcome.removed.keys() == {sha("other")}
    assert outcome.failed == {sha("top"): code}
    assert outcome.left == dict.fromkeys(map(sha, ("mid", "leaf", "sig")), Left.LEADER_STAYED)


def test_missing_image_to_archive_is_gone(world: World) -> None:
    plan = world.planned([image("a"), image("b")], policy=ARCHIVING)
    del world.ecr.repositories[REPOSITORY.name].images[sha("a")]
    outcome = world.sweep(plan)
    assert outcome.removed.keys() == {sha("b")}
    assert outcome.gone.keys() == {sha("a")}


def test_missing_permission_to_archive_is_an_error_that_names_it(world: World) -> None:
    world.ecr.fail("UpdateImageStorageClass", "AccessDeniedException")
    outcome = world.sweep(world.planned(FAMILY, CHILDREN, ARCHIVING))
    assert isinstance(outcome.error, ApiError)
    assert outcome.error.action == "ecr:UpdateImageStorageClass"
    assert outcome.failed == {sha("top"): "AccessDeniedException"}
    assert set(outcome.left.values()) == {Left.AFTER_ERROR}


def test_when_time_runs_out_the_rest_is_reported_and_no_index_loses_a_child(
    workers: Workers,
) -> None:
    world = World(workers)
    plan = world.planned([*FAMILY, image("other")], CHILDREN)
    registry = registry_of(world.ecr, workers)
    seconds_left = iter([100, 0])
    deadline = Deadline(lambda: NOW, lambda: next(seconds_left))
    sweeper = Sweeper(registry, workers, Budget(9), deadline)
    outcome = sweeper.sweep(plan, NOW, Quiet(plan))
    assert outcome.removed.keys() == {sha("top"), sha("other")}
    assert outcome.left == {
        sha("mid"): Left.OUT_OF_TIME,
        sha("leaf"): Left.LEADER_STAYED,
        sha("sig"): Left.LEADER_STAYED,
    }


# Any graph, any failures.


@st.composite
def graphs(draw: st.DrawFn) -> tuple[list[Image], dict[str, list[str]]]:
    """Mostly old images; later ones are children or referrers of earlier ones."""
    names = [str(number) for number in range(draw(st.integers(1, 8)))]
    images, children = [], {}
    for number, name in enumerate(names):
        subject = draw(st.sampled_from([None, *names[:number]]))
        below = draw(st.lists(st.sampled_from([*names[number + 1 :], "gone"]), max_size=3))
        days = draw(st.sampled_from([100, 100, 100, 1]))
        about = sha(subject) if subject else None
        images.append((index if below else image)(name, days, subject=about))
        children[name] = below
    return images, {name: below for name, below in children.items() if below}


NAMES = st.integers(0, 7).map(str)


@dataclass(frozen=True)
class Trouble:
    """The faults of a sweep."""

    failures: dict[str, tuple[str, int | None]]
    vanished: set[str]
    most: int
    broken_call: int | None
    listed_at: datetime


TROUBLES = st.builds(
    Trouble,
    failures=st.dictionaries(
        NAMES,
        st.tuples(st.sampled_from([REFERENCED, "KmsError", SILENT]), st.sampled_from([1, 2, None])),
        max_size=3,
    ),
    vanished=st.sets(NAMES, max_size=2),
    most=st.integers(1, 20),
    broken_call=st.none() | st.integers(1, 4),
    listed_at=st.sampled_from([NOW, LONG_AGO]),
)


@given(graphs(), TROUBLES)
def test_no_fault_leaves_an_index_without_a_child_and_each_removal_has_one_outcome(
    graph: tuple[list[Image], dict[str, list[str]]], trouble: Trouble
) -> None:
    images, children = graph
    with Workers(1) as workers:
        world = World(workers)
        plan = world.planned(images, children)
        for name, (code, times) in trouble.failures.items():
            # Who deleted an image that is gone and not in the answer is unknown.
            if name in trouble.vanished:
                continue
            world.ecr.refuse("BatchDeleteImage", sha(name), code, times)
        if trouble.broken_call:
            world.ecr.fail("BatchDeleteImage", "ThrottlingException", nth=trouble.broken_call)
        for name in trouble.vanished:
            world.ecr.repositories[REPOSITORY.name].images.pop(sha(name), None)
        before = world.left
        outcome = world.sweep(plan, trouble.most, trouble.listed_at)
    settled = [*outcome.removed, *outcome.gone, *outcome.failed, *outcome.left]
    assert sorted(settled) == sorted(removals(plan))
    assert set(outcome.removed) == before - world.left
    assert not before & outcome.gone.keys()
    assert len(outcome.removed) <= trouble.most
    for one in images:
        if one.digest in world.left:
            listed = world.ecr.repositories[REPOSITORY.name].images[one.digest].children
            about = {other.digest for other in images if other.subject == one.digest}
            assert (about | set(listed)) & before <= world.left
