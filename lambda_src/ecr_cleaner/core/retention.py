"""Keep or remove: the judgement over one repository. Pure: the time is handed in.

The steps of ``judge``:

1. What is in use, what was in use lately, and what was pushed during the run is *needed*, and so
   is all it follows.
2. Every other root, an image that follows nothing, is judged by the rules of the policy.
3. What follows something does as its parents and subjects do, the mildest of them.
4. What cannot be reached that way (a cycle) is kept, and so is what an archived index, which ECR
   does not let anybody read, may list.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Container, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from fnmatch import fnmatchcase
from functools import cached_property
from itertools import chain

from ecr_cleaner.core.graph import Graph, is_build_cache, is_signature
from ecr_cleaner.core.hidden import possibly_listed
from ecr_cleaner.core.in_use import RepositoryUse
from ecr_cleaner.core.model import Action, Image, ImageStatus, Plan, Reason, Repository, Verdict
from ecr_cleaner.core.policy import Policy

# ECR records a pull up to a day late, so an index and its platforms that were pulled together may
# have pull times that are this far apart.
_TOGETHER = timedelta(days=1)

_OLDEST = datetime.min.replace(tzinfo=UTC)

_BY_USE = frozenset({Reason.IN_USE, Reason.FAMILY_IN_USE})


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


@dataclass(frozen=True, slots=True)
class Known:
    """What is known besides the scans of this run and the repository itself.

    ``last_use`` returns the consumer that used an image lately, and the day; nothing if there is
    none. ``elsewhere`` holds digests that exist in other repositories of the registry. ``users_of``
    returns the consumers that name a digest in any registry.
    """

    last_use: Callable[[Image], tuple[str, ...]] = lambda _: ()
    users_of: Callable[[str], tuple[str, ...]] = lambda _: ()
    elsewhere: Container[str] = frozenset()


def judge(  # noqa: PLR0913, PLR0917 - each of them is one thing that decides
    repository: Repository,
    graph: Graph,
    policy: Policy,
    use: RepositoryUse,
    moment: Moment,
    known: Known | None = None,
) -> Plan:
    """Return the plan for one repository, whose full listing the graph was built from."""
    judgement = _Judgement(graph, policy, use, moment, known or Known())
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
    following = graph.parents.keys() | graph.subjects.keys()
    follows = {digest: graph.leaders(digest) for digest in following}
    return Plan(repository, tuple(verdicts.values()), steps, leaders, follows)


def would_remove(
    graph: Graph,
    policy: Policy,
    use: RepositoryUse,
    moment: Moment,
    known: Known | None = None,
) -> bool:
    """Tell, sooner than ``judge``, whether a plan may hold anything to remove.

    Never False where ``judge`` removes an image at the same moment, be it by this graph or by one
    that knows more children.
    """
    judgement = _Judgement(graph, policy, use, moment, known or Known())
    return any(
        judgement.verdict(graph.images[digest], decision).action is not Action.KEEP
        for digest, decision in judgement.decisions()
    )


class _Judgement:
    def __init__(
        self,
        graph: Graph,
        policy: Policy,
        use: RepositoryUse,
        moment: Moment,
        known: Known,
    ) -> None:
        self._known = known
        self._graph = graph
        self._policy = policy
        self._use = use
        self._moment = moment
        self._unused = Decision(policy.action, Reason.UNUSED)
        untagged_days = policy.untagged_keep_days
        self._young_since = _days_before(moment.now, policy.keep_days)
        self._untagged_young_since = (
            self._young_since if untagged_days is None else _days_before(moment.now, untagged_days)
        )
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
        last_use = self._known.last_use(image)
        if last_use:
            return Decision(Action.KEEP, Reason.RECENTLY_USED, last_use)
        if image.pushed_at is None:
            return _TIME_UNKNOWN
        if image.pushed_at >= self._moment.scan_began:
            return _PUSHED_DURING_RUN
        if image.status is ImageStatus.ACTIVATING:
            return _RESTORED
        return self._by_missing_subjects(self._graph.missing.get(image.digest, ()))

    def _by_missing_subjects(self, missing: Iterable[str]) -> Decision | None:
        used = self._by_use_of(missing)
        if used:
            return used
        elsewhere = tuple(one for one in missing if one in self._known.elsewhere)
        return Decision(Action.KEEP, Reason.SUBJECT_KEPT, elsewhere) if elsewhere else None

    def _by_use_of(self, subjects: Iterable[str]) -> Decision | None:
        """Keep an artifact if one of its subjects is in use, in whichever registry.

        A tool that verifies signatures may look for all of them in one repository.
        """
        users = chain.from_iterable(map(self._known.users_of, subjects))
        because = tuple(dict.fromkeys(users))
        return Decision(Action.KEEP, Reason.FAMILY_IN_USE, because) if because else None

    def _find_newest(self) -> Mapping[str, Decision]:
        """The images that take the slots of keep count, unused releases, each with its rank.

        A release is tagged, and is not part of an index, an artifact about an image or the cache of
        a build.
        """
        if not self._policy.keep_count:
            return {}
        candidates = [
            image
            for digest, image in self._graph.images.items()
            if image.tags
            and not self._graph.leaders(digest)
            and digest not in self._needed
            and image.status is ImageStatus.ACTIVE
            and not is_signature(image)
            and not is_build_cache(image)
        ]
        candidates.sort(key=lambda image: image.digest)
        candidates.sort(key=lambda image: image.pushed_at or _OLDEST, reverse=True)
        most = self._policy.keep_count
        return {
            image.digest: Decision(Action.KEEP, Reason.NEWEST, (f"{rank} of {most}",))
            for rank, image in enumerate(candidates[:most], start=1)
        }

    # One image that is not needed.

    def _judge_one(self, digest: str, decisions: Mapping[str, Decision]) -> Decision:
        leaders = self._graph.leaders(digest)
        image = self._graph.images[digest]
        decision = self._follow(digest, leaders, decisions) if leaders else self._by_rules(image)
        if decision.action is not Action.KEEP and digest in self._graph.subjects:
            # A copy of the subject may be in use in another registry.
            used = self._by_use_of(self._graph.subjects[digest])
            # The tag of a child keeps its index, and that the child; a referrer has its own tag.
            decision = used or self._by_pattern(image) or decision
        if decision.action is not Action.KEEP and digest in self._graph.parents:
            decision = self._by_own_age(image) or decision
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
        kept = self._by_age(image) or self._by_pattern(image)
        if kept:
            return kept
        if self._is_recently_pulled(image):
            return _RECENTLY_PULLED
        if image.digest in self._newest:
            return self._newest[image.digest]
        return _DELETED if image.status is ImageStatus.ARCHIVED else self._unused

    def _by_age(self, image: Image) -> Decision | None:
        return self._by_restoration(image) if self._is_old(image) else _TOO_YOUNG

    def _by_own_age(self, image: Image) -> Decision | None:
        """Keep a child that has a tag, or was pushed again or restored since its indexes were.

        The age of an index without a tag, which may be a short one, is not that of tagged images.
        """
        indexes = (self._graph.images[one] for one in self._graph.parents[image.digest])
        latest = max(index.pushed_at or _OLDEST for index in indexes)
        is_newer = image.pushed_at is not None and image.pushed_at > latest
        counts = is_newer or image.tags
        return self._by_age(image) if counts else self._by_restoration(image)

    def _by_restoration(self, image: Image) -> Decision | None:
        is_recent = image.activated_at and image.activated_at >= self._young_since_of(image)
        return _RESTORED if is_recent else None

    def _by_pattern(self, image: Image) -> Decision | None:
        patterns = self._policy.keep_tag_patterns
        if not patterns:
            return None
        tags = [tag for member in self._graph.family(image.digest) for tag in member.tags]
        matches = (one for tag in tags for one in patterns if fnmatchcase(tag, one))
        pattern = next(matches, None)
        return None if pattern is None else Decision(Action.KEEP, Reason.TAG_PATTERN, (pattern,))

    def _is_recently_pulled(self, image: Image) -> bool:
        if not self._policy.keep_pulled_days:
            return False
        if self._policy.push_is_pull and self._is_recent(image.pushed_at):
            return True
        family = {member.digest: member for member in self._graph.family(image.digest)}
        return any(
            self._is_recent(member.pulled_at) and self._is_pull_of(family, member)
            for member in family.values()
        )

    def _is_recent(self, time: datetime | None) -> bool:
        return time is not None and time >= self._pulled_since

    def _is_pull_of(self, family: Container[str], member: Image) -> bool:
        """Return whether the pull of a member of this family may have been a pull of its root.

        The pull of an index counts even if it may have been our own. ECR records our reading of a
        manifest as a pull, unless our role is excluded from that, and such a record hides earlier
        pulls by others: without the exclusion, nothing shows that nobody else pulled the index.

        The pull of a platform counts for the index that it was pulled with. That is the index in
        use if there is one, otherwise each index with a pull time that fits. If no index has one,
        it counts for all that list the platform. The platform itself stays in any case.
        Source: https://github.com/aws/containers-roadmap/issues/2390
        """
        if member.digest in self._members_of_used:
            return False
        parents = self._graph.parents.get(member.digest, ())
        pulled = [one for one in parents if _is_pulled_with(self._graph.images[one], member)]
        return not pulled or any(one in family for one in pulled)

    @cached_property
    def _members_of_used(self) -> Container[str]:
        named = (d for d, need in self._needed.items() if need.reason is Reason.IN_USE)
        used = (d for d in self._graph.upwards(named) if self._needed[d].reason in _BY_USE)
        return self._graph.downwards(d for d in used if d in self._graph.children)

    # Times.

    def _is_old(self, image: Image) -> bool:
        return image.pushed_at is not None and image.pushed_at < self._young_since_of(image)

    def _young_since_of(self, image: Image) -> datetime:
        untagged = not (image.tags or self._graph.leaders(image.digest))
        return self._untagged_young_since if untagged else self._young_since

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
_UNCLEAR = Decision(Action.KEEP, Reason.GRAPH_UNCLEAR)
_STAYS_ARCHIVED = Decision(Action.ARCHIVE, Reason.ARCHIVED)
_DELETED = Decision(Action.DELETE, Reason.UNUSED)


def _is_pulled_with(index: Image, child: Image) -> bool:
    """Return whether the pull times say that the child may have been pulled with the index."""
    if index.pulled_at is None or child.pulled_at is None:
        return False
    return index.pulled_at >= child.pulled_at - _TOGETHER


def _passed_up(origin: str, need: Decision) -> Decision:
    """What an image is needed for also needs the index that lists it and what it is about."""
    if need.reason in _BY_USE:
        return Decision(Action.KEEP, Reason.FAMILY_IN_USE, need.because)
    if need.reason is Reason.RECENTLY_USED:
        return need
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
