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

from ecr_cleaner.core.graph import Graph, may_have_children, subjects_of
from ecr_cleaner.core.hidden import possibly_listed
from ecr_cleaner.core.in_use import RepositoryUse
from ecr_cleaner.core.model import Action, Image, ImageStatus, Plan, Reason, Repository, Verdict
from ecr_cleaner.core.policy import Policy

_OLDEST = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Moment:
    """When the run's first scan began, and the time that ages are counted to. Both in UTC."""

    scan_began: datetime
    now: datetime


@dataclass(frozen=True, slots=True)
class Decision:
    """What is to become of an image, and of all that follows it."""

    action: Action
    reason: Reason
    because: tuple[str, ...] = ()


def judge(
    repository: Repository, graph: Graph, policy: Policy, use: RepositoryUse, moment: Moment
) -> Plan:
    """Return the plan for one repository, whose full listing the graph was built from."""
    judgement = _Judgement(graph, policy, use, moment)
    decisions = judgement.all_decisions()
    verdicts = {
        digest: judgement.verdict(image, decisions[digest])
        for digest, image in graph.images.items()
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
    judgement = _Judgement(graph, policy, use, moment)
    return any(
        judgement.verdict(graph.images[digest], decision).action is not Action.KEEP
        for digest, decision in judgement.decisions()
    )


class _Judgement:
    def __init__(self, graph: Graph, policy: Policy, use: RepositoryUse, moment: Moment) -> None:
        self._graph = graph
        self._policy = policy
        self._use = use
        self._moment = moment
        self._unused = Decision(policy.action, Reason.UNUSED)
        self._young_since = _days_before(moment.now, policy.keep_days)
        self._pulled_since = _days_before(moment.now, policy.keep_pulled_days)
        self._archive_ends = (
            None if policy.archive_days is None else _days_before(moment.now, policy.archive_days)
        )
        self._needed = self._find_needed()
        self._newest = self._find_newest()

    def all_decisions(self) -> dict[str, Decision]:
        """Judge all; judge again if a hidden index may list what would be deleted."""
        decisions = self._judge_all()
        actions = {digest: decision.action for digest, decision in decisions.items()}
        listed = possibly_listed(self._graph, actions)
        if not listed:
            return decisions
        self._needed |= dict.fromkeys(listed, _UNCLEAR)
        return self._judge_all()

    def _judge_all(self) -> dict[str, Decision]:
        unreached = {digest: self._needed.get(digest, _UNCLEAR) for digest in self._graph.images}
        return unreached | dict(self.decisions())

    def decisions(self) -> Iterator[tuple[str, Decision]]:
        """Yield what is to become of each image that can be reached, one after its leaders."""
        decisions: dict[str, Decision] = {}
        for digest in self._graph.leaders_first():
            decision = self._needed.get(digest) or self._judge_one(digest, decisions)
            decisions[digest] = decision
            yield digest, decision

    def verdict(self, image: Image, decision: Decision) -> Verdict:
        """What is done with the image itself, where its decision is also that of its followers."""
        old = self._is_old(image)
        if decision.action is Action.ARCHIVE and image.status is ImageStatus.ARCHIVED:
            return Verdict(image, Action.KEEP, Reason.ARCHIVED, old=old)
        return Verdict(image, decision.action, decision.reason, decision.because, old)

    # What is needed whatever the policy says.

    def _find_needed(self) -> dict[str, Decision]:
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

    def _own_need(self, image: Image) -> Decision | None:
        consumers = self._use.consumers_of(image)
        if consumers:
            return Decision(Action.KEEP, Reason.IN_USE, consumers)
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

    def _judge_one(self, digest: str, decisions: Mapping[str, Decision]) -> Decision:
        leaders = self._graph.leaders(digest)
        image = self._graph.images[digest]
        decision = self._follow(digest, leaders, decisions) if leaders else self._by_rules(image)
        stays = image.status is ImageStatus.ARCHIVED and not self._archived_long_enough(image)
        return _STAYS_ARCHIVED if stays and decision.action is Action.DELETE else decision

    def _follow(
        self, digest: str, leaders: Iterable[str], decisions: Mapping[str, Decision]
    ) -> Decision:
        leader = min(leaders, key=lambda one: decisions[one].action.severity)
        action = decisions[leader].action
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
        return Decision(action, reason, (leader,))

    def _by_rules(self, image: Image) -> Decision:
        """The first rule that keeps the image names the reason."""
        if not self._is_old(image):
            return _TOO_YOUNG
        if image.activated_at and image.activated_at >= self._young_since:
            return _RESTORED
        pattern = self._pattern_of(image)
        if pattern is not None:
            return Decision(Action.KEEP, Reason.TAG_PATTERN, (pattern,))
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
        pushed = [image.pushed_at] if self._policy.push_is_pull else []
        times = [*pushed, *self._pull_times(image)]
        return any(time and time >= self._pulled_since for time in times)

    def _pull_times(self, image: Image) -> Iterator[datetime | None]:
        """Leaves only: our own manifest reads count as pulls of indexes.

        An image without a media type counts, even if its manifest turns out to be an index: what
        was kept before manifests were read must not be removed after it.
        Source: https://github.com/aws/containers-roadmap/issues/2390
        """
        for member in self._graph.family(image.digest):
            is_index = member.digest in self._graph.children
            if member.media_type is None or not (is_index or may_have_children(member)):
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
_TIME_UNKNOWN = Decision(Action.KEEP, Reason.TIME_UNKNOWN)
_PUSHED_DURING_RUN = Decision(Action.KEEP, Reason.PUSHED_DURING_RUN)
_RESTORED = Decision(Action.KEEP, Reason.RESTORED)
_TOO_YOUNG = Decision(Action.KEEP, Reason.TOO_YOUNG)
_RECENTLY_PULLED = Decision(Action.KEEP, Reason.RECENTLY_PULLED)
_NEWEST = Decision(Action.KEEP, Reason.NEWEST)
_UNCLEAR = Decision(Action.KEEP, Reason.GRAPH_UNCLEAR)
_STAYS_ARCHIVED = Decision(Action.ARCHIVE, Reason.ARCHIVED)
_DELETED = Decision(Action.DELETE, Reason.UNUSED)


def _passed_up(origin: str, need: Decision) -> Decision:
    """What an image is needed for also needs the index that lists it and what it is about."""
    if need.reason is Reason.IN_USE:
        return Decision(Action.KEEP, Reason.FAMILY_IN_USE, need.because)
    return Decision(Action.KEEP, need.reason, (origin,))


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
