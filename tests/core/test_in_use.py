"""What is in use, asked image by image."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from core.worlds import REGISTRY, image, repository, sha, usage
from ecr_cleaner.core.in_use import CONSUMERS_NAMED, Broken, InUse
from ecr_cleaner.core.model import (
    NOT_ECR,
    ImageReference,
    ImageStatus,
    ReferencePattern,
    Registry,
    Usage,
)
from fakes.ecr import INDEX

OTHER_ACCOUNT = Registry("999988887777", "eu-west-1")
OTHER_REGION = Registry("111122223333", "us-east-1")


def elsewhere(found: Usage, registry: Registry) -> Usage:
    assert isinstance(found.reference, ImageReference)
    return dataclasses.replace(
        found, reference=dataclasses.replace(found.reference, registry=registry)
    )


def consumers(*usages: Usage, tags: str = "v1 v2") -> tuple[str, ...]:
    return InUse(usages).of(repository()).consumers_of(image("a", tags=tags))


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (usage(digest=sha("a")), ("arn:task",)),
        (usage(tag="v1"), ("arn:task",)),
        (usage(tag="v2"), ("arn:task",)),
        (usage(), ("arn:task",)),
        (usage(digest=sha("b")), ()),
        (usage(tag="v"), ()),
        (usage(tag="latest"), ()),
        (usage("app-prod", tag="v1"), ()),
        (usage("ap", tag="v1"), ()),
        (elsewhere(usage(tag="v1"), OTHER_ACCOUNT), ()),
        (elsewhere(usage(tag="v1"), OTHER_REGION), ()),
        (elsewhere(usage(digest=sha("a")), OTHER_ACCOUNT), ()),
    ],
)
def test_a_usage_protects_exactly_what_it_names(found: Usage, expected: tuple[str, ...]) -> None:
    assert consumers(found) == expected


def test_every_consumer_is_named_once_digests_first() -> None:
    found = (
        usage(consumer="whole"),
        usage(consumer="second", tag="v2"),
        usage(consumer="first", tag="v1"),
        usage(consumer="running", digest=sha("a")),
        usage(consumer="running", tag="v1"),
    )
    assert consumers(*found) == ("running", "first", "second", "whole")


def test_a_thousand_consumers_are_one_reason() -> None:
    found = [usage(consumer=f"task-{number:03}", tag="v1") for number in range(1000)]
    assert consumers(*found) == tuple(f"task-{number:03}" for number in range(CONSUMERS_NAMED))


def test_what_a_later_scan_finds_is_added_and_nothing_is_taken_away() -> None:
    in_use = InUse([usage(consumer="old", tag="v1")])
    in_use.add([usage(consumer="new", tag="v2")])
    in_use.add([])
    assert in_use.of(repository()).consumers_of(image("a", tags="v1 v2")) == ("old", "new")


@pytest.mark.parametrize(
    "found",
    [
        usage(digest=sha("a")),
        usage("other", digest=sha("a")),
        elsewhere(usage(digest=sha("a")), OTHER_ACCOUNT),
        elsewhere(usage("docker.io/app", digest=sha("a")), NOT_ECR),
        Usage(ReferencePattern("*", digest=sha("a")), "arn:task", "stub"),
    ],
)
def test_users_of_a_digest_are_found_in_whichever_registry(found: Usage) -> None:
    assert InUse([found]).users_of(sha("a")) == ("arn:task",)


def test_who_names_another_digest_or_a_tag_is_no_user_of_a_digest() -> None:
    in_use = InUse([usage(digest=sha("b")), usage(tag="v1"), usage()])

    assert in_use.users_of(sha("a")) == ()


def test_later_scan_adds_users_of_a_digest() -> None:
    in_use = InUse([elsewhere(usage(digest=sha("a")), OTHER_ACCOUNT)])
    in_use.add([elsewhere(usage(consumer="new", digest=sha("a")), OTHER_ACCOUNT)])

    assert in_use.users_of(sha("a")) == ("arn:task", "new")


def test_a_repository_that_nobody_uses_has_no_consumers() -> None:
    assert InUse().of(repository()).consumers_of(image("a", tags="v1")) == ()


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        ((), False),
        ((elsewhere(usage(tag="v1"), OTHER_ACCOUNT),), False),
        ((elsewhere(usage(tag="v1"), OTHER_REGION),), False),
        ((elsewhere(usage(tag="v1"), OTHER_REGION), usage("any", tag="v1")), True),
    ],
)
def test_a_registry_is_in_use_if_anything_of_it_is(
    found: tuple[Usage, ...],
    expected: bool,
) -> None:
    assert bool(InUse(found).repositories_in(REGISTRY)) is expected


def test_asking_about_a_repository_is_no_usage_of_it() -> None:
    in_use = InUse()
    in_use.of(repository())
    assert not in_use.repositories_in(REGISTRY)


def test_the_repositories_in_use_are_told_by_name_with_what_is_used_of_them() -> None:
    in_use = InUse([usage("app", tag="v1"), usage("gone", tag="v2")])
    assert in_use.repositories_in(REGISTRY) == {
        "app": in_use.of(repository("app")),
        "gone": in_use.of(repository("gone")),
    }


def test_a_reference_is_broken_where_its_image_is_missing_or_archived() -> None:
    found = [
        usage(consumer="fine", tag="v1"),
        usage(consumer="fine", digest=sha("a")),
        usage(consumer="missing-tag", tag="v9"),
        usage(consumer="missing-digest", digest=sha("gone")),
        usage(consumer="asleep", tag="old"),
        usage(consumer="whoever"),
    ]
    images = [image("a", tags="v1"), image("b", tags="old", status=ImageStatus.ARCHIVED)]
    assert set(InUse(found).of(repository()).broken(images)) == {
        Broken("v9", "missing", ("missing-tag",)),
        Broken(sha("gone"), "missing", ("missing-digest",)),
        Broken("old", "archived", ("asleep",)),
    }


def pattern(repository: str, **parts: Any) -> Usage:
    return Usage(ReferencePattern(repository, **parts), "arn:machine", "step-functions")


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (pattern("app"), ("arn:machine",)),
        (pattern("*"), ("arn:machine",)),
        (pattern("a*"), ("arn:machine",)),
        (pattern("a*p"), ("arn:machine",)),
        (pattern("*p"), ("arn:machine",)),
        (pattern("app*"), ("arn:machine",)),
        (pattern("*a*p*"), ("arn:machine",)),
        (pattern("app", tag="v1"), ("arn:machine",)),
        (pattern("app", digest=sha("a")), ("arn:machine",)),
        (pattern("app", account=REGISTRY.account, region=REGISTRY.region), ("arn:machine",)),
        (pattern("app", tag="v9"), ()),
        (pattern("app", digest=sha("b")), ()),
        (pattern("ap"), ()),
        (pattern("team/*"), ()),
        (pattern("app*p"), ()),
        (pattern("a*x*p"), ()),
        (pattern("*/app"), ()),
        (pattern("app", account="999988887777"), ()),
        (pattern("app", region="us-east-1"), ()),
    ],
)
def test_a_pattern_protects_what_it_may_mean(found: Usage, expected: tuple[str, ...]) -> None:
    assert consumers(found) == expected


def test_what_is_written_is_named_before_what_is_computed() -> None:
    assert consumers(pattern("*"), usage(consumer="runs", tag="v1")) == ("runs", "arn:machine")


def test_a_pattern_is_never_a_broken_reference_nor_a_use_of_a_missing_repository() -> None:
    in_use = InUse([pattern("app", tag="v9"), pattern("gone", digest=sha("gone"))])

    assert list(in_use.of(repository()).broken([image("a", tags="v1")])) == []
    assert in_use.repositories_in(REGISTRY) == {}


def test_consumers_of_every_kind_are_told() -> None:
    in_use = InUse([usage(consumer="by-tag", tag="v1"), usage(consumer="any")])

    assert list(in_use.of(repository()).consumers()) == ["by-tag", "any"]


CHART = "application/vnd.cncf.helm.config.v1+json"
IMAGE = "application/vnd.docker.container.image.v1+json"


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ({"artifact_type": CHART}, ("arn:machine", "arn:charts")),
        # ECR does not say what it is.
        ({"artifact_type": None}, ("arn:machine", "arn:charts")),
        ({"artifact_type": IMAGE}, ("arn:machine",)),
        ({"artifact_type": None, "media_type": INDEX}, ("arn:machine",)),
    ],
)
def test_pattern_of_charts_protects_charts_only(
    kind: dict[str, Any], expected: tuple[str, ...]
) -> None:
    charts = dataclasses.replace(pattern("*", charts=True), consumer="arn:charts")
    use = InUse([pattern("app", tag="v1"), charts]).of(repository())

    assert use.consumers_of(image("a", tags="v1", **kind)) == expected
    assert InUse([charts]).of(repository()).consumers_of(image("a", **kind)) == expected[1:]


def test_consumers_of_charts_are_held() -> None:
    in_use = InUse([pattern("*", charts=True)])

    assert list(in_use.held()) == [dataclasses.replace(pattern("*", charts=True), source="")]
