"""What hidden indexes may list: the fast search finds what a naive one finds."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.worlds import ago, graph_of, image, index, sha
from ecr_cleaner.core.graph import Graph, can_be_read
from ecr_cleaner.core.hidden import possibly_listed
from ecr_cleaner.core.model import Action, Image, ImageStatus

DAY = timedelta(days=1)
TIMES = st.none() | st.sampled_from([ago(days) for days in range(6)]) | st.just(ago(2, 1))


@st.composite
def repositories(draw: st.DrawFn) -> tuple[Graph, dict[str, Action]]:
    """A repository of indexes and images, and what would be done with each."""
    names = [f"i{number}" for number in range(draw(st.integers(1, 8)))]
    images = []
    for name in names:
        make = draw(st.sampled_from([image, index]))
        subject = draw(st.sampled_from([None, *map(sha, names)]))
        status = draw(st.sampled_from(ImageStatus))
        archived_at = draw(TIMES)
        more = {"subject": subject, "status": status, "archived_at": archived_at}
        images.append(make(name, pushed_at=draw(TIMES), **more))
    readable = [one for one in images if can_be_read(one) and "index" in str(one.media_type)]
    listed = {one.digest: tuple(draw(st.lists(st.sampled_from(names)))) for one in readable}
    graph = Graph.build(
        images, {digest: tuple(map(sha, children)) for digest, children in listed.items()}
    )
    actions = {one.digest: draw(st.sampled_from(Action)) for one in images}
    kept = [digest for digest, action in actions.items() if action is not Action.DELETE]
    return graph, actions | dict.fromkeys(followers(graph, kept), Action.KEEP)


def followers(graph: Graph, digests: Iterable[str]) -> set[str]:
    """Return these and all that follow them: what follows something that stays, stays."""
    found = set(digests)
    pending = list(found)
    while pending:
        new = set(graph.led_by(pending.pop())) - found
        found |= new
        pending += new
    return found


def may_list(hidden: Image, child: Image) -> bool:
    """The rule, said once more and plainly."""
    if child.pushed_at and hidden.pushed_at and child.pushed_at > hidden.pushed_at:
        return False
    if hidden.status is ImageStatus.ACTIVATING:
        return True
    both = child.archived_at and hidden.archived_at
    return not (both and hidden.archived_at - child.archived_at > DAY)  # type: ignore[operator]


def naive(graph: Graph, actions: dict[str, Action]) -> set[str]:
    """Return every image that stays after all, by going over all pairs until nothing changes."""
    begun = {digest for digest, action in actions.items() if action is not Action.DELETE}
    listed: set[str] = set()
    following: set[str] = set()
    while True:
        listing = [graph.images[d] for d in graph.unread & (begun | following)]
        listing = [one for one in listing if not can_be_read(one)]
        stays = begun | listed | following
        led = {d for d in graph.images if stays.intersection(graph.leaders(d))} - stays
        found = {
            digest
            for digest in graph.images.keys() - stays
            if not (graph.images[digest].subject or graph.subjects.get(digest))
            and any(may_list(one, graph.images[digest]) for one in listing)
        }
        if not led | found:
            return stays - begun
        following |= led
        listed |= found


@given(repositories())
def test_the_same_images_stay_as_by_looking_at_all_pairs(
    repository: tuple[Graph, dict[str, Action]],
) -> None:
    graph, actions = repository
    staying = followers(graph, possibly_listed(graph, actions))
    assert {one for one in staying if actions[one] is Action.DELETE} == naive(graph, actions)


@pytest.mark.parametrize("count", [1, 2, 3, 1000, 20_000])
def test_chain_of_indexes_archived_a_day_apart_keeps_the_first_only(count: int) -> None:
    """Each may list the next, but nothing that the first may list is further down the chain."""
    chain = [
        index(
            f"i{number}",
            pushed_at=ago(count + 1),
            status=ImageStatus.ARCHIVED,
            archived_at=ago(number),
        )
        for number in range(count + 1)
    ]
    actions = {one.digest: Action.DELETE for one in chain} | {chain[0].digest: Action.KEEP}

    assert possibly_listed(graph_of(chain), actions) == {chain[1].digest}


def test_nothing_is_listed_if_every_hidden_index_is_deleted() -> None:
    asleep = index("asleep", status=ImageStatus.ARCHIVED, archived_at=ago(1))
    child = image("child", 101)
    actions = dict.fromkeys((asleep.digest, child.digest), Action.DELETE)

    assert possibly_listed(graph_of([asleep, child]), actions) == set()


@pytest.mark.parametrize(
    ("index_pushed_at", "is_listed"),
    [(None, True), (ago(101), True), (ago(101, 1), False)],
    ids=["unknown", "with its child", "before its child"],
)
def test_children_are_pushed_before_their_index(
    index_pushed_at: datetime | None, *, is_listed: bool
) -> None:
    asleep = index("asleep", pushed_at=index_pushed_at, status=ImageStatus.ARCHIVED)
    child = image("child", 101)
    actions = {asleep.digest: Action.KEEP, child.digest: Action.DELETE}

    assert (child.digest in possibly_listed(graph_of([asleep, child]), actions)) is is_listed
