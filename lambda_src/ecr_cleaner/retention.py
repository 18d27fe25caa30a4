"""Keep or remove: the judgement over one repository. Pure: the time is handed in.

The steps of ``judge``:

1. What is in use, and what was pushed during the run, is *needed*, and so is all it follows.
2. Every other root, an image that follows nothing, is judged by the rules of the policy.
3. What follows something does as its parents and subjects do, the mildest of them.
4. What cannot be reached that way (a cycle) is kept, and so is what an archived index, which ECR
   does not let anybody read, may list.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from fnmatch import fnmatchcase

from ecr_cleaner.graph import Graph, can_be_read, may_have_children, subjects_of
from ecr_cleaner.inuse import RepositoryUse
from ecr_cleaner.model import Action, Image, ImageStatus, Plan, Reason, Repository, Verdict
from ecr_cleaner.policy import Policy

_MILDNESS = (Action.KEEP, Action.ARCHIVE, Action.DELETE)
_OLDEST = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Moment:
    """When the run's first scan began, and the time that ages are counted to. Both in UTC."""

    scan_began: datetime
    now: datetime


@dataclass(frozen=True, slots=True)
class Fate:
    """What is to become of an image, and of all that follows it."""

    action: Action
    reason: Reason
    because: tuple[str, ...] = ()


def judge(
    repository: Repository, graph: Graph, policy: Policy, use: RepositoryUse, moment: Moment
) -> Plan:
    """Return the plan for one repository, whose full listing the graph was built from."""
    court = _Court(graph, policy, use, moment)
    fates = court.fates()
    verdicts = {
        digest: court.verdict(image, fates[digest]) for digest, image in graph.images.items()
    }
    steps = _steps(graph, verdicts)
    leaders = {
        verdict.image.digest: graph.leaders(verdict.image.digest)
        for step in steps
        for verdict in step
    }
    return Plan(repository, tuple(verdicts.values()), steps, leaders)


def would_remove(graph: Graph, policy: Policy, use: RepositoryUse, moment: Moment) -> bool:
    """Tell, sooner than ``judge``, whether a plan may hold anything to remove.

    Never False where ``judge`` removes an image at the same moment, be it by this graph or by one
    that knows more children.
    """
    court = _Court(graph, policy, use, moment)
    return any(
        court.verdict(graph.images[digest], fate).action is not Action.KEEP
        for digest, fate in court.decisions()
    )


class _Court:
    def __init__(self, graph: Graph, policy: Policy, use: RepositoryUse, moment: Moment) -> None:
        self._graph = graph
        self._policy = policy
        self._use = use
        self._moment = moment
        self._unused = Fate(policy.action, Reason.UNUSED)
        self._young_since = _days_before(moment.now, policy.keep_days)
        self._pulled_since = _days_before(moment.now, policy.keep_pulled_days)
        self._archive_ends = (
            None if policy.archive_days is None else _days_before(moment.now, policy.archive_days)
        )
        self._needed = self._find_needed()
        self._newest = self._find_newest()

    def fates(self) -> dict[str, Fate]:
        """Judge, and judge again while an index that cannot be read may list what would go."""
        while True:
            fates = self._judge_all()
            unclear = self._unclear(fates)
            if not unclear:
                return fates
            self._needed |= unclear

    def _unclear(self, fates: Mapping[str, Fate]) -> dict[str, Fate]:
        images = self._graph.images
        staying = [d for d in self._graph.unread if fates[d].action is not Action.DELETE]
        hidden = [images[digest] for digest in staying if not can_be_read(images[digest])]
        return {
            digest: _UNCLEAR
            for digest, fate in fates.items()
            if hidden and fate.action is Action.DELETE and _may_be_child(images[digest])
            if any(_may_list(index, images[digest]) for index in hidden)
        }

    def _judge_all(self) -> dict[str, Fate]:
        unreached = {digest: self._needed.get(digest, _UNCLEAR) for digest in self._graph.images}
        return unreached | dict(self.decisions())

    def decisions(self) -> Iterator[tuple[str, Fate]]:
        """Yield what is to become of each image that can be reached, one after its leaders."""
        fates: dict[str, Fate] = {}
        for digest in self._graph.leaders_first():
            fate = self._needed.get(digest) or self._judge_one(digest, fates)
            fates[digest] = fate
            yield digest, fate

    def verdict(self, image: Image, fate: Fate) -> Verdict:
        """What is done with the image itself, where its fate is also that of its followers."""
        old = self._is_old(image)
        if fate.action is Action.ARCHIVE and image.status is ImageStatus.ARCHIVED:
            return Verdict(image, Action.KEEP, Reason.ARCHIVED, old=old)
        return Verdict(image, fate.action, fate.reason, fate.because, old)

    # What is needed whatever the policy says.

    def _find_needed(self) -> dict[str, Fate]:
        needed = {
            digest: need
            for digest, image in self._graph.images.items()
            if (need := self._own_need(image))
        }
        in_use = [d for d, need in needed.items() if need.reason is Reason.IN_USE]
        for origins in (in_use, list(needed)):
            for digest, origin in self._graph.upwards(origins).items():
                needed.setdefault(digest, _passed_up(origin, needed[origin]))
        return needed

    def _own_need(self, image: Image) -> Fate | None:
        consumers = self._use.consumers_of(image)
        if consumers:
            return Fate(Action.KEEP, Reason.IN_USE, consumers)
        if image.pushed_at is None:
            return _TIME_UNKNOWN
        if image.pushed_at >= self._moment.scan_began:
            return _PUSHED_DURING_RUN
        if image.status is ImageStatus.ACTIVATING:
            return _RESTORED
        return None

    def _find_newest(self) -> frozenset[str]:
        """The images that take the slots of keep count: whole, unused, and no artifacts."""
        if not self._policy.keep_count:
            return frozenset()
        candidates = [
            image
            for digest, image in self._graph.images.items()
            if not self._graph.leaders(digest)
            and digest not in self._needed
            and image.status is ImageStatus.ACTIVE
            and not subjects_of(image)
        ]
        candidates.sort(key=lambda image: image.digest)
        candidates.sort(key=lambda image: image.pushed_at or _OLDEST, reverse=True)
        return frozenset(image.digest for image in candidates[: self._policy.keep_count])

    # One image that is not needed.

    def _judge_one(self, digest: str, fates: Mapping[str, Fate]) -> Fate:
        leaders = self._graph.leaders(digest)
        image = self._graph.images[digest]
        fate = self._follow(digest, leaders, fates) if leaders else self._by_rules(image)
        stays = image.status is ImageStatus.ARCHIVED and not self._archived_long_enough(image)
        return _STAYS_ARCHIVED if stays and fate.action is Action.DELETE else fate

    def _follow(self, digest: str, leaders: Iterable[str], fates: Mapping[str, Fate]) -> Fate:
        leader = min(leaders, key=lambda one: _MILDNESS.index(fates[one].action))
        action = fates[leader].action
        if action is Action.ARCHIVE and self._policy.action is Action.DELETE:
            action = Action.KEEP
        if action is Action.DELETE and self._graph.images[digest].status is ImageStatus.ACTIVE:
            # A leader that was archived long enough: what is active has not been archived yet.
            action = self._policy.action
        is_parent = leader in self._graph.parents.get(digest, ())
        if action is Action.KEEP:
            reason = Reason.PARENT_KEPT if is_parent else Reason.SUBJECT_KEPT
        else:
            reason = Reason.PARENT_REMOVED if is_parent else Reason.SUBJECT_REMOVED
        return Fate(action, reason, (leader,))

    def _by_rules(self, image: Image) -> Fate:
        """The first rule that keeps the image names the reason."""
        if not self._is_old(image):
            return _TOO_YOUNG
        if image.activated_at and image.activated_at >= self._young_since:
            return _RESTORED
        pattern = self._pattern_of(image)
        if pattern is not None:
            return Fate(Action.KEEP, Reason.TAG_PATTERN, (pattern,))
        if self._is_recently_pulled(image):
            return _RECENTLY_PULLED
        if image.digest in self._newest:
            return _NEWEST
        return _DELETED if image.status is ImageStatus.ARCHIVED else self._unused

    def _pattern_of(self, image: Image) -> str | None:
        patterns = self._policy.keep_tag_patterns
        if not patterns:
            return None
        tags = [tag for member in self._graph.family(image.digest) for tag in member.tags]
        matches = (one for tag in tags for one in patterns if fnmatchcase(tag, one))
        return next(matches, None)

    def _is_recently_pulled(self, image: Image) -> bool:
        if not self._policy.keep_pulled_days:
            return False
        times = [image.pushed_at, *self._pull_times(image)]
        return any(time and time >= self._pulled_since for time in times)

    def _pull_times(self, image: Image) -> Iterator[datetime | None]:
        """Pulls of leaves only: reading a manifest is a pull, and those of others were ours.

        Source: https://github.com/aws/containers-roadmap/issues/2390
        """
        for member in self._graph.family(image.digest):
            is_index = member.digest in self._graph.children
            if not is_index and (member.media_type is None or not may_have_children(member)):
                yield member.pulled_at

    # Times.

    def _is_old(self, image: Image) -> bool:
        return image.pushed_at is not None and image.pushed_at < self._young_since

    def _archived_long_enough(self, image: Image) -> bool:
        if self._archive_ends is None or image.archived_at is None:
            return False
        return image.archived_at < self._archive_ends


def _days_before(now: datetime, days: int) -> datetime:
    return now - timedelta(days=days)


# Nearly all images share one of these: there is none made for each of them.
_TIME_UNKNOWN = Fate(Action.KEEP, Reason.TIME_UNKNOWN)
_PUSHED_DURING_RUN = Fate(Action.KEEP, Reason.PUSHED_DURING_RUN)
_RESTORED = Fate(Action.KEEP, Reason.RESTORED)
_TOO_YOUNG = Fate(Action.KEEP, Reason.TOO_YOUNG)
_RECENTLY_PULLED = Fate(Action.KEEP, Reason.RECENTLY_PULLED)
_NEWEST = Fate(Action.KEEP, Reason.NEWEST)
_UNCLEAR = Fate(Action.KEEP, Reason.GRAPH_UNCLEAR)
_STAYS_ARCHIVED = Fate(Action.ARCHIVE, Reason.ARCHIVED)
_DELETED = Fate(Action.DELETE, Reason.UNUSED)


def _may_be_child(image: Image) -> bool:
    return not subjects_of(image)


def _may_list(index: Image, image: Image) -> bool:
    """Tell whether an archived index, whose manifest ECR does not give out, may list the image.

    Children are pushed before their index, and are archived with it or later, if at all.
    """
    if image.pushed_at and index.pushed_at and image.pushed_at > index.pushed_at:
        return False
    if index.status is ImageStatus.ACTIVATING:
        return True
    together = timedelta(days=1)
    before = image.archived_at and index.archived_at and index.archived_at - image.archived_at
    return not (before and before > together)


def _passed_up(origin: str, need: Fate) -> Fate:
    """What an image is needed for also needs the index that lists it and what it is about."""
    if need.reason is Reason.IN_USE:
        return Fate(Action.KEEP, Reason.FAMILY_IN_USE, need.because)
    return Fate(Action.KEEP, need.reason, (origin,))


def _steps(graph: Graph, verdicts: Mapping[str, Verdict]) -> tuple[tuple[Verdict, ...], ...]:
    """Sort removals into steps: nothing is led by something of its own step or a later one."""
    depth: dict[str, int] = {}
    steps: dict[int, list[Verdict]] = defaultdict(list)
    for digest in graph.leaders_first():
        if verdicts[digest].action is not Action.KEEP:
            above = (depth[leader] + 1 for leader in graph.leaders(digest) if leader in depth)
            depth[digest] = max(above, default=0)
            steps[depth[digest]].append(verdicts[digest])
    return tuple(tuple(steps[level]) for level in sorted(steps))
