"""The usage document: what is written is read back, and what is not whole is not believed."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from core.worlds import NOW, REGISTRY, sha
from ecr_cleaner.core.in_use import CONSUMERS_NAMED
from ecr_cleaner.core.kubernetes import REQUIRED
from ecr_cleaner.core.model import ImageReference, ReferencePattern
from ecr_cleaner.core.usage_document import (
    DocumentError,
    HeldReferences,
    UsageDocument,
    parse_document,
)

KINDS = tuple(kind.name for kind in REQUIRED)
HOUR = timedelta(hours=1)
REFERENCES = (
    ImageReference(REGISTRY, "app", tag="1"),
    ImageReference(REGISTRY, "app", digest=sha("a")),
    ImageReference(REGISTRY, "app"),
    ReferencePattern("team/*", account=REGISTRY.account, tag="1"),
    ReferencePattern("app", region=REGISTRY.region, digest=sha("a")),
)


def document(**more: Any) -> UsageDocument:
    held = HeldReferences()
    for reference in REFERENCES:
        held.add(reference, "kind/shop/Deployment/web")
    common: dict[str, Any] = {
        "cluster": "kind",
        "started": NOW - timedelta(minutes=2),
        "ended": NOW - timedelta(minutes=1),
        "kinds": KINDS,
        "held": held,
    }
    return UsageDocument(**common | more)


def test_what_is_written_is_read_back() -> None:
    made = document(waived_api_groups=("argoproj.io",))

    read = parse_document(made.to_json())

    assert read.to_json() == made.to_json()
    assert list(read.held) == [(one, "kind/shop/Deployment/web") for one in REFERENCES]
    assert read.doubt(NOW, HOUR) == ""


def test_consumers_of_one_reference_are_bounded_and_named_once() -> None:
    held = HeldReferences()
    for number in range(100):
        held.add(REFERENCES[0], f"kind/shop/Pod/{number // 2}")

    assert [name for _, name in held] == [f"kind/shop/Pod/{n}" for n in range(CONSUMERS_NAMED)]


def test_incomplete_document_says_why() -> None:
    made = parse_document(document(problem="it denies a list", fix="allow it").to_json())

    assert made.doubt(NOW, HOUR) == "its usage document is incomplete: it denies a list"
    assert made.fix == "allow it"


def test_incomplete_document_without_a_reason_is_incomplete() -> None:
    content = json.loads(document().to_json()) | {"complete": False}

    assert "no reason is given" in parse_document(json.dumps(content)).doubt(NOW, HOUR)


@pytest.mark.parametrize("kind", KINDS)
def test_document_without_a_required_kind_is_incomplete(kind: str) -> None:
    made = document(kinds=[name for name in KINDS if name != kind])

    assert made.doubt(NOW, HOUR) == f"its usage document lacks {kind}"


@pytest.mark.parametrize(
    ("age", "doubt"),
    [
        (HOUR, ""),
        (HOUR + timedelta(seconds=1), "its usage document began 60 minutes ago"),
        (timedelta(minutes=-5), ""),
        (timedelta(minutes=-6), "its usage document is 6 minutes from the future"),
    ],
)
def test_age_counts_from_the_start_of_the_scan(age: timedelta, doubt: str) -> None:
    made = replace(document(), started=NOW - age, ended=NOW)

    assert made.doubt(NOW, HOUR) == doubt


GOOD: dict[str, Any] = json.loads(document().to_json())
USAGE = GOOD["usages"][0]


@pytest.mark.parametrize("name", GOOD)
def test_document_without_a_field_is_refused(name: str) -> None:
    content = {key: value for key, value in GOOD.items() if key != name}

    with pytest.raises(DocumentError):
        parse_document(json.dumps(content))


@pytest.mark.parametrize("name", USAGE)
def test_usage_without_a_field_is_refused(name: str) -> None:
    usage = {key: value for key, value in USAGE.items() if key != name}

    with pytest.raises(DocumentError):
        parse_document(json.dumps(GOOD | {"usages": [usage]}))


@pytest.mark.parametrize(
    "change",
    [
        {"schema": 2},
        {"schema": "1"},
        {"cluster": None},
        {"started": "yesterday"},
        {"started": 5},
        {"started": "2026-03-01T12:00:00"},
        {"complete": "true"},
        {"problem": None},
        {"fix": None},
        {"kinds": "pods"},
        {"kinds": [1]},
        {"waived_api_groups": {}},
        {"usages": None},
        {"usages": [None]},
        {"usages": ["x"]},
        {"usages": [USAGE | {"account": 5}]},
        {"usages": [USAGE | {"tag": 5}]},
        {"usages": [USAGE | {"consumer": None}]},
    ],
)
def test_document_with_another_value_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(DocumentError, match="not a usage document"):
        parse_document(json.dumps(GOOD | change))


@pytest.mark.parametrize("text", ["", "{}", "[]", "null", '"x"', "<html>", "[" * 100_000, b"\xff"])
def test_anything_else_is_refused(text: str | bytes) -> None:
    with pytest.raises(DocumentError, match="not a usage document"):
        parse_document(text)
