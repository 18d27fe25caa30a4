"""Usages, indexed by registry and repository."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain

from ecr_cleaner.core.graph import may_be_chart
from ecr_cleaner.core.model import (
    Image,
    ImageReference,
    ImageStatus,
    ReferencePattern,
    Registry,
    Repository,
    Usage,
)

# Enough names to find the consumers: a service may have thousands of tasks.
CONSUMERS_NAMED = 10


def _holders() -> dict[str, list[str]]:
    return defaultdict(list)


@dataclass(frozen=True, slots=True)
class Broken:
    """A tag or digest that consumers name and cannot pull; ``problem``: missing or archived."""

    name: str
    problem: str
    consumers: tuple[str, ...]


@dataclass(slots=True)
class RepositoryUse:
    """What is in use in one repository: digests, tags or, with neither, any image or any chart.

    Each has the names of its consumers, at most ``CONSUMERS_NAMED`` of them by ``add``.
    ``computed`` holds the usages by patterns that match this repository, None if there are none.
    """

    digests: dict[str, list[str]] = field(default_factory=_holders)
    tags: dict[str, list[str]] = field(default_factory=_holders)
    any_image: list[str] = field(default_factory=list)
    any_chart: list[str] = field(default_factory=list)
    computed: RepositoryUse | None = None

    def add(self, usage: Usage) -> None:
        reference = usage.reference
        charts = isinstance(reference, ReferencePattern) and reference.charts
        named = self.any_chart if charts else self.any_image
        if reference.digest is not None:
            named = self.digests[reference.digest]
        elif reference.tag is not None:
            named = self.tags[reference.tag]
        if len(named) < CONSUMERS_NAMED and usage.consumer not in named:
            named.append(usage.consumer)

    def extend(self, other: RepositoryUse) -> None:
        """Add what another pattern uses."""
        for digest, named in other.digests.items():
            self.digests[digest] += named
        for tag, named in other.tags.items():
            self.tags[tag] += named
        self.any_image += other.any_image
        self.any_chart += other.any_chart

    def consumers_of(self, image: Image) -> tuple[str, ...]:
        """Return the names of the consumers of this image; an unused image has none."""
        if self._is_unused(image):
            return ()
        by_tag = (self.tags.get(tag, ()) for tag in image.tags)
        any_image = chain(self.any_image, self.any_chart if may_be_chart(image) else ())
        by_pattern = self.computed.consumers_of(image) if self.computed else ()
        named = chain(self.digests.get(image.digest, ()), *by_tag, any_image, by_pattern)
        return tuple(dict.fromkeys(named))

    def consumers(self) -> Iterator[str]:
        """Yield the names of all consumers, with repetitions."""
        # Copies: another thread may add usages meanwhile.
        for named in [
            *self.digests.values(),
            *self.tags.values(),
            self.any_image,
            self.any_chart,
        ]:
            yield from list(named)

    def _is_unused(self, image: Image) -> bool:
        """Fast path: most images are unused."""
        by_tag = not self.tags.keys().isdisjoint(image.tags)
        any_image = self.any_image or self.any_chart or self.computed
        return not (by_tag or image.digest in self.digests or any_image)

    def broken(self, images: Iterable[Image]) -> Iterator[Broken]:
        """Yield each tag or digest in use that is missing or archived."""
        status = {name: one.status for one in images for name in (one.digest, *one.tags)}
        # A copy: another thread may add usages meanwhile.
        for name, consumers in [*self.digests.items(), *self.tags.items()]:
            if name not in status:
                yield Broken(name, "missing", tuple(consumers))
            elif status[name] is ImageStatus.ARCHIVED:
                yield Broken(name, "archived", tuple(consumers))


class InUse:
    """Every usage of an account, by registry and repository.

    A pattern protects what it may refer to in each repository that it matches. It never is a
    broken reference, nor does it name a repository that is missing: what is computed may be right.
    """

    def __init__(self, usages: Iterable[Usage] = ()) -> None:
        self._repositories: dict[tuple[Registry, str], RepositoryUse] = defaultdict(RepositoryUse)
        # By the repository that is written, and those in which it is computed.
        self._patterns: dict[str, dict[ReferencePattern, RepositoryUse]] = {}
        self._computed: dict[ReferencePattern, RepositoryUse] = {}
        # The consumers of each digest, whatever the registry.
        self._digests: dict[str, list[str]] = {}
        self.add(usages)

    def add(self, usages: Iterable[Usage]) -> None:
        """Add what a scan found. Usages are never taken away: what one scan saw stays protected."""
        for usage in usages:
            reference = usage.reference
            if isinstance(reference, ReferencePattern):
                held = self._computed
                if "*" not in reference.repository:
                    held = self._patterns.setdefault(reference.repository, {})
                use = held.setdefault(reference, RepositoryUse())
            else:
                use = self._repositories[reference.registry, reference.repository]
            use.add(usage)
            if reference.digest is not None:
                self._digests.setdefault(reference.digest, use.digests[reference.digest])

    def of(self, repository: Repository) -> RepositoryUse:
        """Return what is in use in this repository of this registry."""
        key = (repository.registry, repository.name)
        written = self._repositories.get(key) or RepositoryUse()
        # Copies: another thread may add what it scanned while this one looks.
        held = list(self._patterns.get(repository.name, {}).items())
        held += list(self._computed.items())
        patterns = [use for one, use in held if one.matches(repository)]
        if not patterns:
            return written
        computed = RepositoryUse()
        for use in patterns:
            computed.extend(use)
        return replace(written, computed=computed)

    def users_of(self, digest: str) -> tuple[str, ...]:
        """Return the names of consumers that name this digest, in whichever registry.

        It only matters for artifacts about an image: the image itself may be a copy.
        """
        return tuple(self._digests.get(digest, ()))

    def repositories_in(self, registry: Registry) -> dict[str, RepositoryUse]:
        """Return what is in use in each repository of this registry, existing or not."""
        # A copy: another thread may add usages meanwhile.
        found = list(self._repositories.items())
        return {name: use for (held, name), use in found if held == registry}

    def written_in(self, registry: Registry) -> Iterator[tuple[ImageReference, str]]:
        """Yield each tag and each digest of this registry that is in use, with one consumer."""
        for name, use in self.repositories_in(registry).items():
            for digest, (consumer, *_) in use.digests.items():
                yield ImageReference(registry, name, digest=digest), consumer
            for tag, (consumer, *_) in use.tags.items():
                yield ImageReference(registry, name, tag=tag), consumer

    def held(self) -> Iterator[Usage]:
        """Yield every usage, with the consumers that are held. The names of sources are not."""
        for (registry, name), use in self._repositories.items():
            for digest, named in use.digests.items():
                reference = ImageReference(registry, name, digest=digest)
                yield from (Usage(reference, consumer, "") for consumer in named)
            for tag, named in use.tags.items():
                reference = ImageReference(registry, name, tag=tag)
                yield from (Usage(reference, consumer, "") for consumer in named)
            for consumer in use.any_image:
                yield Usage(ImageReference(registry, name), consumer, "")
        patterns = chain.from_iterable(held.items() for held in self._patterns.values())
        for pattern, use in chain(patterns, self._computed.items()):
            yield from (Usage(pattern, consumer, "") for consumer in use.consumers())


def missing_repositories(
    repositories: Sequence[Repository], in_use: InUse
) -> dict[str, tuple[Broken, ...]]:
    """Return the references to each repository that does not exist in the registries of these."""
    existing = {(repository.registry, repository.name) for repository in repositories}
    return {
        name: tuple(use.broken(()))
        for registry in {repository.registry for repository in repositories}
        for name, use in in_use.repositories_in(registry).items()
        if (registry, name) not in existing
    }
