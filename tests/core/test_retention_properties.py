"""What holds for the judgement over any repository at all."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from random import Random

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from core.worlds import (
    MOMENT,
    NOW,
    REPOSITORY,
    SCAN_BEGAN,
    ago,
    removals,
    sha,
    usage,
)
from ecr_cleaner.core.graph import Graph, can_be_read, may_have_children
from ecr_cleaner.core.in_use import RepositoryUse
from ecr_cleaner.core.model import Action, Image, ImageStatus, Plan, Reason, Usage
from ecr_cleaner.core.policy import Policy
from ecr_cleaner.core.retention import Known, judge, would_remove
from fakes.ecr import DOCKER_LIST, INDEX, MANIFEST

pytestmark = pytest.mark.untraced

Listed = Mapping[str, tuple[str, ...] | None]

MOST_IMAGES = 8
DAYS = [0, 1, 7, 30, 60, 90]


@dataclass(frozen=True)
class World:
    """A repository, what each manifest lists, who uses what, and what holds for it."""

    images: tuple[Image, ...]
    listed: Listed
    usages: tuple[Usage, ...]
    policy: Policy
    lately: frozenset[str] = frozenset()
    elsewhere: frozenset[str] = frozenset()
    used_anywhere: frozenset[str] = frozenset()

    def judged(self, listed: Listed | None = None) -> Plan:
        graph = Graph.build(self.images, self.listed if listed is None else listed)
        return judge(REPOSITORY, graph, self.policy, self.use(), MOMENT, self.known())

    def foresees_removal(self, listed: Listed) -> bool:
        graph = Graph.build(self.images, listed)
        return would_remove(graph, self.policy, self.use(), MOMENT, self.known())

    def known(self) -> Known:
        return Known(
            last_use=lambda one: ("arn:task", "2026-02-28") if one.digest in self.lately else (),
            users_of=lambda one: ("arn:far",) if one in self.used_anywhere else (),
            elsewhere=self.elsewhere,
        )

    def use(self) -> RepositoryUse:
        use = RepositoryUse()
        for one in self.usages:
            use.add(one)
        return use


# Few different times, so that many are equal, on and beside every boundary.
TIMES = st.sampled_from(
    [None, ago(-1), NOW, SCAN_BEGAN, SCAN_BEGAN - timedelta(microseconds=1)]
    + [ago(days, seconds) for days in (1, 7, 29, 30, 60, 90, 365) for seconds in (0, 1)]
)
OLD_TIMES = st.sampled_from([ago(100), ago(200), ago(200), ago(365)])
MEDIA_TYPES = st.sampled_from([INDEX, DOCKER_LIST, MANIFEST, "application/unknown", None])
POLICIES = st.builds(
    Policy,
    keep_days=st.sampled_from(DAYS),
    keep_count=st.integers(0, 4),
    keep_tag_patterns=st.sampled_from([(), (), ("v*",), ("v1", "dev-?"), ("*",)]),
    keep_pulled_days=st.sampled_from(DAYS),
    action=st.sampled_from([Action.DELETE, Action.ARCHIVE]),
    archive_days=st.sampled_from([None, 0, 30, 90]),
    untagged_keep_days=st.sampled_from([None, *DAYS]),
)


@st.composite
def images(draw: st.DrawFn, number: int, before: list[str]) -> Image:
    """One image; it may be an artifact about any before it, or about one that is not there."""
    earlier = st.sampled_from([*before, sha("nowhere")])
    about = draw(st.none() | st.none() | earlier)
    about_tag = earlier | st.just(sha(str(number)))
    by_tag = [
        f"{draw(PREFIXES)}{draw(about_tag).replace(':', '-')}{suffix}" for suffix in draw(SUFFIXES)
    ]
    ordinary = [f"{name}{number}" for name in draw(ORDINARY)]
    return Image(
        digest=sha(str(number)),
        tags=tuple(by_tag + ordinary),
        pushed_at=draw(OLD_TIMES | OLD_TIMES | TIMES),
        size_bytes=number,
        media_type=draw(MEDIA_TYPES),
        pulled_at=draw(st.none() | TIMES),
        subject=about,
        status=draw(st.sampled_from([ImageStatus.ACTIVE] * 4 + list(ImageStatus))),
        archived_at=draw(TIMES),
        activated_at=draw(st.none() | st.none() | TIMES),
    )


ORDINARY = st.sampled_from([(), (), ("v",), ("dev-", "x")])
PREFIXES = st.sampled_from(["", "", "sbom-"])
SUFFIXES = st.sampled_from([(), (), (), ("",), (".sig",), (".att", ".sbom")])


@st.composite
def listings(draw: st.DrawFn, found: list[Image]) -> dict[str, tuple[str, ...] | None]:
    """What the manifests list: later images only, so that no digest is in its own content."""
    listed: dict[str, tuple[str, ...] | None] = {}
    for number, image in enumerate(found):
        if may_have_children(image) and can_be_read(image):
            later = [one.digest for one in found[number + 1 :]]
            children = draw(st.lists(st.sampled_from([*later, sha("gone")]), max_size=3))
            is_index = image.media_type in {INDEX, DOCKER_LIST}
            listed[image.digest] = tuple(children) if is_index or children else None
    return listed


@st.composite
def trees(draw: st.DrawFn) -> tuple[list[Image], Listed]:
    """A nested index, 1 to 4 deep with 1 to 3 children at each level, in one go."""
    old = Image(sha("root"), pushed_at=ago(200), media_type=INDEX)
    found, level = [old], [old]
    listed: dict[str, tuple[str, ...] | None] = {}
    for below in reversed(range(draw(st.integers(1, 4)))):
        following = []
        branching = draw(st.integers(1, 3))
        for parent in level:
            names = [f"{parent.digest}.{number}" for number in range(branching)]
            kind = INDEX if below else MANIFEST
            children = [replace(old, digest=sha(name), media_type=kind) for name in names]
            listed[parent.digest] = tuple(child.digest for child in children)
            following += children
        found += following
        level = following
    return found, listed


@st.composite
def usages_of(draw: st.DrawFn, found: list[Image]) -> tuple[Usage, ...]:
    """Usages by digest, by tag and, now and then, of the repository as a whole."""
    digests = st.sampled_from([image.digest for image in found] + [sha("elsewhere")])
    tags = st.sampled_from([tag for image in found for tag in image.tags] + ["latest"])
    by_digest = digests.map(lambda digest: usage(digest=digest))
    by_tag = tags.map(lambda tag: usage(tag=tag))
    used = draw(st.lists(by_digest | by_tag, max_size=3))
    whole = draw(st.sampled_from([False] * 9 + [True]))
    return (*used, usage()) if whole else tuple(used)


@st.composite
def worlds(draw: st.DrawFn) -> World:
    """A repository of anything: graphs, circles of subjects, orphans, times, statuses, usages."""
    found: list[Image] = []
    for number in range(draw(st.integers(1, MOST_IMAGES))):
        found.append(draw(images(number, [one.digest for one in found])))
    listed = draw(listings(found))
    if draw(st.booleans()):
        tree, listed_there = draw(trees())
        found, listed = found + tree, {**listed, **listed_there}
    if draw(st.sampled_from([True] + [False] * 5)):
        found[0] = replace(found[0], subject=found[-1].digest)  # by chance, a circle
    digests = st.sampled_from([one.digest for one in found] + [sha("nowhere")])
    lately = draw(st.just(frozenset()) | st.frozensets(digests, max_size=2))
    elsewhere = draw(st.sampled_from([frozenset(), frozenset({sha("nowhere")})]))
    used_anywhere = draw(st.just(frozenset()) | st.frozensets(digests, max_size=2))
    return World(
        images=tuple(found),
        listed=listed,
        usages=draw(usages_of(found)),
        policy=draw(POLICIES),
        lately=lately,
        elsewhere=elsewhere,
        used_anywhere=used_anywhere,
    )


def subjects(image: Image) -> set[str]:
    """What the image is about, told without the code under test."""
    told = [tag.partition(".")[0].removeprefix("sbom-") for tag in image.tags]
    by_tag = {tag.replace("-", ":") for tag in told if tag.startswith("sha256-")}
    declared = {image.subject} if image.subject else set()
    return declared | (by_tag if all(tag.startswith("sha256-") for tag in told) else set())


def edges(world: World) -> Iterator[tuple[Image, Image]]:
    """Each image that leads another, with the one that follows it."""
    images = {image.digest: image for image in world.images}
    for digest, children in world.listed.items():
        yield from ((images[digest], images[child]) for child in children or () if child in images)
    for image in world.images:
        about = subjects(image) & images.keys() - {image.digest}
        yield from ((images[subject], image) for subject in about)


def closure(start: set[str], following: Iterable[tuple[str, str]]) -> set[str]:
    """All that can be reached along these edges."""
    pairs = list(following)
    found = set(start)
    while more := {after for before, after in pairs if before in found} - found:
        found |= more
    return found


def reached(world: World) -> set[str]:
    """All that what is or was in use needs: up to its leaders, and down from all of these."""
    names = {one.reference.digest for one in world.usages if one.reference.digest} | world.lately
    signs = {one.digest for one in world.images if subjects(one) & world.elsewhere}
    tags = {one.reference.tag for one in world.usages if one.reference.tag}
    everything = any(not one.reference.digest and not one.reference.tag for one in world.usages)
    used = {
        image.digest
        for image in world.images
        if everything or image.digest in names | signs or tags.intersection(image.tags)
    }
    down = [(leader.digest, follower.digest) for leader, follower in edges(world)]
    return closure(closure(used, ((follower, leader) for leader, follower in down)), down)


def swept(image: Image, action: Action | None, at: datetime) -> Image | None:
    """What a sweep makes of an image."""
    if action is Action.DELETE:
        return None
    if action is Action.ARCHIVE:
        return replace(image, status=ImageStatus.ARCHIVED, archived_at=at)
    return image


def after(world: World) -> World:
    """The world that a sweep leaves."""
    removed = removals(world.judged())
    left = (swept(image, removed.get(image.digest), NOW) for image in world.images)
    found = tuple(image for image in left if image)
    still = {image.digest for image in found if can_be_read(image)}
    listed = {digest: children for digest, children in world.listed.items() if digest in still}
    return replace(world, images=found, listed=listed)


@given(worlds())
def test_every_image_has_exactly_one_verdict_and_every_removal_exactly_one_step(
    world: World,
) -> None:
    plan = world.judged()
    judged = [verdict.image.digest for verdict in plan.verdicts]
    assert sorted(judged) == sorted({image.digest for image in world.images})
    in_steps = [verdict for step in plan.steps for verdict in step]
    assert sorted(verdict.image.digest for verdict in in_steps) == sorted(removals(plan))
    assert all(step for step in plan.steps)


@given(worlds())
def test_nothing_that_a_usage_reaches_up_or_down_the_graph_is_removed(world: World) -> None:
    assert not reached(world) & removals(world.judged()).keys()


@given(worlds())
def test_no_artifact_about_a_digest_that_is_in_use_anywhere_is_removed(world: World) -> None:
    used = world.used_anywhere
    about = {one.digest for one in world.images if (subjects(one) - {one.digest}) & used}
    assert not about & removals(world.judged()).keys()


@given(worlds())
def test_what_is_kept_loses_no_child_and_no_referrer(world: World) -> None:
    removed = removals(world.judged())
    for leader, follower in edges(world):
        if leader.digest not in removed:
            # What is archived itself may be followed into the archive, but not left alone.
            asleep = leader.status is ImageStatus.ARCHIVED
            allowed = {None, Action.ARCHIVE} if asleep else {None}
            assert removed.get(follower.digest) in allowed


@given(worlds())
def test_what_is_archived_loses_no_child_and_no_referrer_for_good(world: World) -> None:
    removed = removals(world.judged())
    for leader, follower in edges(world):
        if removed.get(leader.digest) is Action.ARCHIVE:
            assert removed.get(follower.digest) is not Action.DELETE


@given(worlds())
def test_the_order_of_the_sweep_never_has_a_follower_with_or_before_its_leader(
    world: World,
) -> None:
    plan = world.judged()
    step_of = {one.image.digest: number for number, step in enumerate(plan.steps) for one in step}
    assert plan.leaders.keys() == step_of.keys()
    for leader, follower in edges(world):
        if follower.digest in step_of:
            assert leader.digest in plan.leaders[follower.digest]
            assert step_of.get(leader.digest, -1) < step_of[follower.digest]


@given(worlds())
def test_judging_the_world_that_a_sweep_left_removes_nothing_more(world: World) -> None:
    # ECR archives an index with its children: one archived days before its index is not one of it.
    children = {child for children in world.listed.values() for child in children or ()}
    asleep = [image for image in world.images if image.digest in children and image.archived_at]
    assume(not any(image.archived_at < ago(1) for image in asleep if image.archived_at))
    assert removals(after(world).judged()) == {}


@given(worlds())
def test_a_judgement_without_manifests_never_foresees_too_little(world: World) -> None:
    """Where it foresees no removal, no manifest is read: then there must be none."""
    assert world.foresees_removal({}) or not removals(world.judged())


@given(worlds())
def test_a_judgement_that_foresees_no_removal_is_right(world: World) -> None:
    assert world.foresees_removal(world.listed) or not removals(world.judged())


@given(worlds())
def test_a_policy_that_deletes_archives_nothing_and_one_that_archives_deletes_nothing_active(
    world: World,
) -> None:
    statuses = {image.digest: image.status for image in world.images}
    for digest, action in removals(world.judged()).items():
        asleep = statuses[digest] is ImageStatus.ARCHIVED
        assert action is (Action.DELETE if asleep else world.policy.action)


def deleting(world: World) -> World:
    return replace(world, policy=replace(world.policy, action=Action.DELETE))


@st.composite
def raised(draw: st.DrawFn, policy: Policy) -> Policy:
    """A policy that keeps at least as much, by any of its settings."""
    days = policy.archive_days
    return replace(
        policy,
        keep_days=policy.keep_days + draw(st.sampled_from(DAYS)),
        keep_count=policy.keep_count + draw(st.integers(0, 3)),
        keep_tag_patterns=policy.keep_tag_patterns + draw(st.sampled_from([(), ("v*",), ("x*",)])),
        keep_pulled_days=policy.keep_pulled_days + draw(st.sampled_from(DAYS)),
        untagged_keep_days=None
        if policy.untagged_keep_days is None
        else policy.untagged_keep_days + draw(st.sampled_from(DAYS)),
        archive_days=None
        if days is None or draw(st.booleans())
        else days + draw(st.integers(0, 9)),
    )


@given(worlds(), st.data())
def test_raising_any_keep_setting_never_removes_more(world: World, data: st.DataObject) -> None:
    more = replace(world, policy=data.draw(raised(world.policy)))
    assert removals(more.judged()).keys() <= removals(world.judged()).keys()


def without_shared_pulls(world: World) -> World:
    """The same world without the pulls of platforms that several indexes list."""
    listed = [child for children in world.listed.values() for child in set(children or ())]
    shared = {child for child in listed if listed.count(child) > 1}
    unpulled = (
        replace(one, pulled_at=None) if one.digest in shared else one for one in world.images
    )
    return replace(world, images=tuple(unpulled))


@given(worlds(), st.data())
def test_one_more_usage_never_removes_more(world: World, data: st.DataObject) -> None:
    """Without shared pulls: those count for the index in use, and no longer for the others."""
    world = without_shared_pulls(world)
    more = replace(world, usages=world.usages + data.draw(usages_of(list(world.images))))
    assert removals(more.judged()).keys() <= removals(world.judged()).keys()


@given(worlds(), st.data())
def test_one_more_usage_removes_at_most_what_only_a_pull_kept(
    world: World, data: st.DataObject
) -> None:
    more = replace(world, usages=world.usages + data.draw(usages_of(list(world.images))))
    before = world.judged()
    pulled = {one.image.digest for one in before.verdicts if one.reason is Reason.RECENTLY_PULLED}
    down = [(leader.digest, follower.digest) for leader, follower in edges(world)]
    allowed = removals(before).keys() | closure(pulled, down)
    assert removals(more.judged()).keys() <= allowed


@given(worlds(), st.data())
def test_more_memory_and_more_subjects_elsewhere_never_remove_more(
    world: World, data: st.DataObject
) -> None:
    digests = st.sampled_from([one.digest for one in world.images] + [sha("nowhere")])
    more = replace(
        world,
        lately=world.lately | data.draw(st.frozensets(digests, max_size=2)),
        elsewhere=world.elsewhere | data.draw(st.frozensets(digests, max_size=2)),
        used_anywhere=world.used_anywhere | data.draw(st.frozensets(digests, max_size=2)),
    )
    assert removals(more.judged()).keys() <= removals(world.judged()).keys()


@given(worlds())
def test_a_recent_pull_keeps_the_image_that_was_pulled(world: World) -> None:
    """Whichever index a pull counts for: what was pulled itself stays."""
    if world.policy.keep_pulled_days:
        since = NOW - timedelta(days=world.policy.keep_pulled_days)
        about = {one.digest for one in world.images if subjects(one)}
        recent = {d.digest for d in world.images if d.pulled_at and d.pulled_at >= since}
        active = {d.digest for d in world.images if d.status is ImageStatus.ACTIVE}
        followers = {follower.digest for leader, follower in edges(world) if leader.digest in about}
        removed = removals(world.judged()).keys()
        assert not removed & (recent & active) - about - followers


@given(worlds().map(deleting))
def test_the_first_judgement_without_manifests_has_steps_wherever_the_full_one_has(
    world: World,
) -> None:
    if not world.judged(listed={}).steps:
        assert world.judged().steps == ()


@given(worlds())
def test_the_first_judgement_without_manifests_has_steps_wherever_the_full_one_deletes(
    world: World,
) -> None:
    # As long as it is young, an archived index may hide any image, unless it is known as a child.
    assume(not any(may_hide(image) for image in world.images if image.digest in children(world)))
    if not world.judged(listed={}).steps:
        # An archived index may take along a child that was not known as one: that can wait.
        assert set(removals(world.judged()).values()) <= {Action.ARCHIVE}


def children(world: World) -> set[str]:
    return {child for listed in world.listed.values() for child in listed or ()}


def may_hide(image: Image) -> bool:
    return may_have_children(image) and not can_be_read(image)


@given(worlds(), st.randoms(use_true_random=False))
def test_the_order_of_the_listing_changes_no_verdict(world: World, random: Random) -> None:
    shuffled = replace(world, images=tuple(random.sample(world.images, len(world.images))))
    assert removals(shuffled.judged()) == removals(world.judged())
