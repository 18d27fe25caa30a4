"""Who uses a copy uses the image that it is a copy of."""

from __future__ import annotations

from typing import Any

import pytest

from core.worlds import REGISTRY, repository, sha
from ecr_cleaner.core.copies import (
    Copies,
    cached,
    replicas,
    unscanned_replicas,
    with_origins,
)
from ecr_cleaner.core.errors import IncompleteAnswerError
from ecr_cleaner.core.in_use import InUse, missing_repositories
from ecr_cleaner.core.locations import Scanned
from ecr_cleaner.core.model import ImageReference, ReferencePattern, Registry, Usage

ELSEWHERE = Registry("222233334444", "us-east-1")
UPSTREAM = "111122223333.dkr.ecr.eu-west-1.amazonaws.com"
DESTINATION = {"registryId": "222233334444", "region": "us-east-1"}


def copies(prefix: str = "hub/", origin_prefix: str = "") -> Copies:
    return Copies(ELSEWHERE, prefix, REGISTRY, origin_prefix)


def reference(repository: str, registry: Registry = ELSEWHERE, **more: Any) -> ImageReference:
    return ImageReference(registry, repository, **more)


def pattern(repository: str, **more: Any) -> ReferencePattern:
    return ReferencePattern(repository, **more)


OURS = {"account": REGISTRY.account, "region": REGISTRY.region}


@pytest.mark.parametrize(
    ("made", "used", "origin"),
    [
        (copies(), reference("hub/app", tag="v1"), pattern("app", tag="v1", **OURS)),
        (
            copies("hub/", "team/"),
            reference("hub/app", digest=sha("a")),
            pattern("team/app", digest=sha("a"), **OURS),
        ),
        (copies(""), reference("app"), pattern("app", **OURS)),
        (copies(), reference("app"), None),
        (copies(), reference("hub/app", REGISTRY), None),
        (copies(), pattern("hub/app", tag="v1"), pattern("app", tag="v1", **OURS)),
        (copies(), pattern("hub/a*", account="222233334444"), pattern("a*", **OURS)),
        (copies(), pattern("hub/a", account="999988887777"), None),
        (copies(), pattern("hub/a", region="eu-north-1"), None),
        (copies("hub/", "team/"), pattern("h*/app"), pattern("team/*", **OURS)),
        (copies("hub/", "team/"), pattern("*"), pattern("team/*", **OURS)),
        (copies(), pattern("hub/*", charts=True), pattern("*", charts=True, **OURS)),
        (copies(), pattern("other/*"), None),
        (copies(), pattern("hub"), None),
    ],
)
def test_a_reference_to_a_copy_means_the_origin(made: Copies, used: Any, origin: Any) -> None:
    assert made.origin_of(used) == origin


def filtered(*filters: tuple[str, str]) -> dict[str, Any]:
    listed = [{"filter": text, "filterType": kind} for text, kind in filters]
    return {"destinations": [DESTINATION], "repositoryFilters": listed}


@pytest.mark.parametrize(
    ("rule", "prefixes"),
    [
        ({"destinations": [DESTINATION]}, [""]),
        (filtered(), [""]),
        (filtered(("prod", "PREFIX_MATCH"), ("base", "PREFIX_MATCH")), ["base", "prod"]),
        (filtered(("prod", "SOMETHING_NEW")), [""]),
    ],
)
def test_replication_copies_by_prefix(rule: dict[str, Any], prefixes: list[str]) -> None:
    found = list(replicas(REGISTRY, {"rules": [rule]}))
    assert found == [Copies(ELSEWHERE, prefix, REGISTRY, prefix) for prefix in prefixes]


def test_no_replication_means_no_copies() -> None:
    assert list(replicas(REGISTRY, {})) == []


@pytest.mark.parametrize(
    ("rule", "prefix", "origin_prefix"),
    [
        ({"ecrRepositoryPrefix": "hub"}, "hub/", ""),
        ({"ecrRepositoryPrefix": "hub", "upstreamRepositoryPrefix": "ROOT"}, "hub/", ""),
        ({"ecrRepositoryPrefix": "ROOT", "upstreamRepositoryPrefix": "team"}, "", "team/"),
        ({"ecrRepositoryPrefix": "a/b", "upstreamRepositoryPrefix": "c/d"}, "a/b/", "c/d/"),
    ],
)
@pytest.mark.parametrize("url", [UPSTREAM, f"https://{UPSTREAM}"])
def test_a_cache_copies_what_is_behind_it(
    rule: dict[str, str], prefix: str, origin_prefix: str, url: str
) -> None:
    rules = [rule | {"upstreamRegistry": "ecr", "upstreamRegistryUrl": url}]
    assert list(cached(ELSEWHERE, rules)) == [Copies(ELSEWHERE, prefix, REGISTRY, origin_prefix)]


def test_a_cache_of_another_kind_of_registry_copies_nothing_of_ecr() -> None:
    rule = {"ecrRepositoryPrefix": "quay", "upstreamRegistryUrl": "quay.io"}
    assert list(cached(ELSEWHERE, [rule])) == []


def test_a_cache_of_an_unknown_registry_of_ecr_is_an_error() -> None:
    rule = {"ecrRepositoryPrefix": "hub", "upstreamRegistry": "ecr"}
    with pytest.raises(IncompleteAnswerError, match="has the ECR registry ''"):
        list(cached(ELSEWHERE, [rule]))


def test_a_copy_of_what_the_origin_does_not_have_is_no_broken_reference() -> None:
    found = with_origins([Usage(reference("hub/gone", tag="v1"), "arn:service", "ecs")], [copies()])
    in_use = InUse(found)
    assert in_use.repositories_in(REGISTRY) == {}
    assert missing_repositories([repository("app")], in_use) == {}


def test_usages_keep_their_consumer() -> None:
    used = Usage(reference("hub/app", tag="v1"), "arn:service", "ecs")
    unrelated = Usage(reference("app", REGISTRY, tag="v1"), "arn:task", "ecs")
    assert list(with_origins([used, unrelated], [copies()])) == [
        used,
        Usage(pattern("app", tag="v1", **OURS), "arn:service", "ecs"),
        unrelated,
    ]


def test_who_uses_a_cache_of_a_replica_uses_the_image() -> None:
    replica = Registry(REGISTRY.account, "us-east-1")
    chain = [
        Copies(ELSEWHERE, "hub/", replica, ""),
        Copies(replica, "", REGISTRY, ""),
    ]
    used = Usage(reference("hub/app", tag="v1"), "arn:service", "ecs")
    assert [one.reference for one in with_origins([used], chain)] == [
        reference("hub/app", tag="v1"),
        pattern("app", account=replica.account, region=replica.region, tag="v1"),
        pattern("app", **OURS, tag="v1"),
    ]


def test_registries_that_copy_each_other_end_the_chain() -> None:
    here, there = Registry("222233334444", "us-east-1"), Registry("222233334444", "eu-north-1")
    circle = [Copies(here, "", there, "a/"), Copies(there, "", here, "b/")]
    used = Usage(reference("app", here), "arn:service", "ecs")
    assert [one.reference.repository for one in with_origins([used], circle)] == [
        "app",
        "a/app",
        "b/a/app",
    ]


@pytest.mark.parametrize(
    ("account", "region", "listed", "warned"),
    [
        (REGISTRY.account, "us-east-1", ("eu-west-1", "eu-north-1"), True),
        (REGISTRY.account, "us-east-1", (), False),  # every enabled region is scanned
        (REGISTRY.account, "eu-north-1", ("eu-west-1", "eu-north-1"), False),
        ("999988887777", "us-east-1", ("eu-west-1", "eu-north-1"), False),  # not scanned at all
    ],
)
def test_replicas_in_regions_that_the_list_leaves_out_are_warned_about(
    account: str, region: str, listed: tuple[str, ...], *, warned: bool
) -> None:
    rule = {"destinations": [{"registryId": account, "region": region}] * 2}
    scanned = Scanned(frozenset({REGISTRY, Registry(REGISTRY.account, "eu-north-1")}))

    found = list(unscanned_replicas({"rules": [rule, rule]}, scanned, listed))

    assert len(found) == int(warned)
    if warned:
        assert found[0].startswith(
            "images are replicated to us-east-1, which SCAN_REGIONS=eu-west-1,eu-north-1 leaves out"
        )
