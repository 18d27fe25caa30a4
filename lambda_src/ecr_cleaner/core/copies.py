"""Copies: repositories that replication or a pull through cache fills from another registry."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ecr_cleaner.core.errors import IncompleteAnswerError
from ecr_cleaner.core.locations import Scanned
from ecr_cleaner.core.model import ImageReference, ReferencePattern, Registry, Usage
from ecr_cleaner.core.reference import registry_of

# A pull through cache rule for a whole registry
# (https://docs.aws.amazon.com/AmazonECR/latest/APIReference/API_CreatePullThroughCacheRule.html).
_ROOT = "ROOT"


@dataclass(frozen=True, slots=True)
class Copies:
    """Repositories of ``registry`` whose names begin with ``prefix``, filled from ``origin``.

    The repository ``prefix`` + rest is a copy of ``origin_prefix`` + rest, with the same tags and
    digests.
    """

    registry: Registry
    prefix: str
    origin: Registry
    origin_prefix: str

    def origin_of(self, reference: ImageReference | ReferencePattern) -> ReferencePattern | None:
        """Return what is used of the origin by whoever uses a copy; None if this is no copy.

        It is a pattern, because it only protects: a copy may have what the origin never had.
        """
        if isinstance(reference, ImageReference):
            if reference.registry != self.registry or not self._holds(reference.repository):
                return None
            name: str | None = self.origin_prefix + reference.repository[len(self.prefix) :]
        else:
            account, region = self.registry.account, self.registry.region
            if reference.account not in {None, account} or reference.region not in {None, region}:
                return None
            name = self._renamed(reference.repository)
        if name is None:
            return None
        origin = self.origin
        return ReferencePattern(
            name,
            origin.account,
            origin.region,
            tag=reference.tag,
            digest=reference.digest,
            charts=isinstance(reference, ReferencePattern) and reference.charts,
        )

    def _holds(self, name: str) -> bool:
        return name.startswith(self.prefix)

    def _renamed(self, name: str) -> str | None:
        """A pattern whose computed part begins within the prefix may mean any repository of it."""
        written, star, _ = name.partition("*")
        if self._holds(written):
            return self.origin_prefix + name[len(self.prefix) :]
        return f"{self.origin_prefix}*" if star and self.prefix.startswith(written) else None


def replicas(origin: Registry, configuration: Mapping[str, Any]) -> Iterator[Copies]:
    """Yield the copies that replication makes of the repositories of a registry.

    ``configuration`` is the ``replicationConfiguration`` of DescribeRegistry.
    """
    for rule in configuration.get("rules", ()):
        prefixes = sorted(prefixes_of(rule))
        for destination in rule.get("destinations", ()):
            registry = _registry(destination)
            for prefix in prefixes:
                yield Copies(registry, prefix, origin, prefix)


def unscanned_replicas(
    configuration: Mapping[str, Any], scanned: Scanned, regions: Sequence[str]
) -> Iterator[str]:
    """Yield a warning for each region with replicas that ``SCAN_REGIONS`` leaves out.

    ``regions`` is that setting, empty if all enabled regions are scanned. This warns and does not
    guard: the list is the operator's decision, and a replica stays if its original is deleted.
    """
    found = {
        str(destination["region"])
        for rule in configuration.get("rules", ())
        for destination in rule.get("destinations", ())
        if regions
        and str(destination["registryId"]) in scanned.accounts
        and _registry(destination) not in scanned.registries
    }
    for region in sorted(found):
        yield (
            f"images are replicated to {region}, which SCAN_REGIONS={','.join(regions)} leaves "
            "out: consumers of the replicas there are not found; name the region in SCAN_REGIONS "
            "if anything runs there"
        )


def _registry(destination: Mapping[str, Any]) -> Registry:
    return Registry(str(destination["registryId"]), str(destination["region"]))


def prefixes_of(rule: Mapping[str, Any]) -> set[str]:
    """Return what the names of the repositories that a replication rule copies begin with.

    A rule without filters copies every repository, and so does a filter of an unknown type.
    """
    return {
        one.get("filter", "") if one.get("filterType") == "PREFIX_MATCH" else ""
        for one in rule.get("repositoryFilters") or [{}]
    }


def cached(registry: Registry, rules: Iterable[Mapping[str, Any]]) -> Iterator[Copies]:
    """Yield the copies that the pull through cache rules of a registry make of other registries.

    Only rules with a private ECR registry upstream: others copy nothing from ECR. Raise
    IncompleteAnswerError if such a rule does not name its registry.
    """
    for rule in rules:
        url = str(rule.get("upstreamRegistryUrl", ""))
        origin = registry_of(url.removeprefix("https://"))
        if origin:
            prefix = _prefix(rule["ecrRepositoryPrefix"])
            yield Copies(registry, prefix, origin, _prefix(rule.get("upstreamRepositoryPrefix")))
        elif rule.get("upstreamRegistry") == "ecr":
            raise IncompleteAnswerError(f"a pull through cache rule has the ECR registry {url!r}")


def _prefix(name: str | None) -> str:
    return "" if name in {None, "", _ROOT} else f"{name}/"


class Origins:
    """Finds what references are copies of; each reference is looked up once."""

    def __init__(self, copies: Iterable[Copies]) -> None:
        self._copies = tuple(copies)
        self._known: dict[ImageReference | ReferencePattern, tuple[ReferencePattern, ...]] = {}

    def of(self, reference: ImageReference | ReferencePattern) -> tuple[ReferencePattern, ...]:
        """Return all that a reference is a copy of; nothing if it is no copy."""
        found = self._known.get(reference)
        if found is None:
            found = self._known[reference] = tuple(_origins(reference, self._copies))
        return found


def with_origins(usages: Iterable[Usage], copies: Iterable[Copies]) -> Iterator[Usage]:
    """Yield the usages, and for each usage of a copy those of all that it is a copy of."""
    origins = Origins(copies)
    for usage in usages:
        yield usage
        for origin in origins.of(usage.reference):
            yield replace(usage, reference=origin)


def _origins(
    reference: ImageReference | ReferencePattern, copies: Sequence[Copies]
) -> Iterator[ReferencePattern]:
    """Yield what a reference is a copy of, step by step: a cache may be one of a replica.

    Registries may copy each other; no chain of copies has more steps than there are copies.
    """
    known: set[ImageReference | ReferencePattern] = {reference}
    last: list[ImageReference | ReferencePattern] = [reference]
    for _ in copies:
        found = dict.fromkeys(one.origin_of(copy) for copy in last for one in copies)
        new = [one for one in found if one and one not in known]
        if not new:
            return
        known.update(new)
        yield from new
        last = [*new]
