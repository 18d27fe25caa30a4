"""What hidden indexes may list: archived ones, whose manifests ECR does not give out."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime, timedelta

from ecr_cleaner.core.graph import Graph, can_be_read
from ecr_cleaner.core.model import Action, Image, ImageStatus

_ALWAYS = datetime.max.replace(tzinfo=UTC)
_TAKEN = datetime.min.replace(tzinfo=UTC)
_EVER = _TAKEN + timedelta(microseconds=1)

# Children are archived with their index or later, if at all; a run may take some time for it.
_TOGETHER = timedelta(days=1)


def possibly_listed(graph: Graph, actions: Mapping[str, Action]) -> set[str]:
    """Return the images to delete that a hidden index which stays may list.

    ``actions`` is what would be done with each image of the graph. A hidden index that stays only
    because another may list it adds nothing: whatever it lists, the other may list as well. One
    that follows an image which stays, as its referrer, may list more. Takes n log n steps.
    """
    hidden = {d for d in graph.unread if not can_be_read(graph.images[d])}
    pending = [digest for digest in hidden if actions[digest] is not Action.DELETE]
    if not pending:
        return set()
    doomed = {digest for digest, action in actions.items() if action is Action.DELETE}
    children = _Children(graph.images[d] for d in doomed if not graph.is_referrer(d))
    listed: set[str] = set()
    while pending:
        digest = pending.pop()
        found = children.take(graph.images[digest]) if digest in hidden else []
        found = [one for one in found if one in doomed]
        listed.update(found)
        following = [one for one in _followers(graph, [digest, *found]) if one in doomed]
        doomed.difference_update(found, following)
        pending += following
    return listed


def _followers(graph: Graph, digests: Iterable[str]) -> Iterator[str]:
    for digest in digests:
        yield from graph.led_by(digest)


class _Children:
    """Images that a hidden index may list, each taken at most once.

    In the order of their push times, below a tree of the latest archive times, so that all that
    one index may list are found without a look at the others.
    """

    def __init__(self, images: Iterable[Image]) -> None:
        ordered = sorted(images, key=lambda image: image.pushed_at or _EVER)
        self._digests = [image.digest for image in ordered]
        self._pushed = [image.pushed_at or _EVER for image in ordered]
        self._size = 1 << max(len(ordered) - 1, 0).bit_length()
        leaves = [image.archived_at or _ALWAYS for image in ordered]
        leaves += [_TAKEN] * (self._size - len(leaves))
        self._latest = [_TAKEN] * self._size + leaves
        for node in range(self._size - 1, 0, -1):
            self._latest[node] = max(self._latest[2 * node], self._latest[2 * node + 1])

    def take(self, index: Image) -> list[str]:
        """Take the images that the index may list.

        Children are pushed before their index. Those that are active may be listed, and those that
        were not archived long before it.
        """
        end = bisect_right(self._pushed, index.pushed_at or _ALWAYS)
        is_restored = index.status is ImageStatus.ACTIVATING or not index.archived_at
        since = _EVER if is_restored else _before(index.archived_at)
        taken = list(self._positions(end, since))
        for position in taken:
            self._remove(position)
        return [self._digests[position] for position in taken]

    def _positions(self, end: int, since: datetime) -> Iterator[int]:
        """Yield the positions before ``end`` whose archive time is not before ``since``."""
        pending = [(1, 0, self._size)]
        while pending:
            node, first, size = pending.pop()
            if first >= end or self._latest[node] < since:
                continue
            if size == 1:
                yield first
            else:
                half = size // 2
                pending += [(2 * node, first, half), (2 * node + 1, first + half, half)]

    def _remove(self, position: int) -> None:
        node = self._size + position
        self._latest[node] = _TAKEN
        while node > 1:
            node //= 2
            self._latest[node] = max(self._latest[2 * node], self._latest[2 * node + 1])


def _before(archived_at: datetime | None) -> datetime:
    return _EVER if archived_at is None else max(archived_at, _EVER + _TOGETHER) - _TOGETHER
