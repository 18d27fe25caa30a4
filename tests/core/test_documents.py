"""What documents have in common: types, times and references."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from core.worlds import NOW, REGISTRY, sha
from ecr_cleaner.core.documents import (
    MALFORMED,
    Reference,
    is_in_future,
    json_object,
    of_type,
    optional,
    reference_fields,
    reference_from,
    time_from,
)
from ecr_cleaner.core.model import NOT_ECR, ImageReference, ReferencePattern


@pytest.mark.parametrize("text", ["", "[]", "3", "null", "{", b"\xff", "[" * 100_000])
def test_a_text_that_is_not_an_object_is_malformed(text: str | bytes) -> None:
    with pytest.raises(MALFORMED):
        json_object(text)


@pytest.mark.parametrize(
    ("kind", "value"), [(int, 1), (bool, True), (str, ""), ((int, float), 0.5)]
)
def test_a_value_of_the_type_is_returned(kind: Any, value: Any) -> None:
    assert of_type(kind, value) is value
    assert optional(kind, value) is value


@pytest.mark.parametrize(
    ("kind", "value", "problem"),
    [
        (int, True, "an entry is True, not of type int"),
        ((int, float), "1", "an entry is '1', not of type int or float"),
        (str, None, "an entry is None, not of type str"),
    ],
)
def test_a_value_of_another_type_is_an_error(kind: Any, value: Any, problem: str) -> None:
    with pytest.raises(TypeError, match=problem):
        of_type(kind, value)


def test_nothing_may_stand_for_what_is_optional() -> None:
    assert optional(str, None) is None


@pytest.mark.parametrize("value", ["2026-03-01T12:00:00", "yesterday", 5, None])
def test_a_time_without_a_zone_is_malformed(value: Any) -> None:
    with pytest.raises(MALFORMED):
        time_from(value)


@pytest.mark.parametrize(("minutes", "future"), [(-60, False), (5, False), (6, True)])
def test_clocks_may_differ_by_some_minutes(minutes: int, future: bool) -> None:
    assert is_in_future(NOW + timedelta(minutes=minutes), NOW) is future


@pytest.mark.parametrize(
    "reference",
    [
        ImageReference(REGISTRY, "app"),
        ImageReference(REGISTRY, "app", tag="v1"),
        ImageReference(NOT_ECR, "docker.io/app", digest=sha("a")),
        ReferencePattern("app-*"),
        ReferencePattern("*", REGISTRY.account, REGISTRY.region, charts=True),
        ReferencePattern("app", REGISTRY.account, digest="sha256:*"),
    ],
)
def test_a_reference_is_read_as_it_was_written(reference: Reference) -> None:
    assert reference_from(reference_fields(reference)) == reference
