"""Texts for people."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.worlds import sha
from ecr_cleaner.core.text import counted, dollars, human_size, price_tag, short_digest, visible


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("arn:aws:ecs:eu-west-1:1:service/shop", "arn:aws:ecs:eu-west-1:1:service/shop"),
        ("größe 東京", "größe 東京"),
        ("\x1b[31mred", "\\x1b[31mred"),
        ("a\nb\r", "a\\nb\\r"),
        ("a\u2028b\u202eb", "a\\u2028b\\u202eb"),
        ("\ud800", "\\ud800"),
    ],
)
def test_what_is_not_shown_as_itself_is_escaped(text: str, shown: str) -> None:
    assert visible(text) == shown


@given(st.text())
def test_any_text_is_printable_then(text: str) -> None:
    assert visible(text).isprintable()


@pytest.mark.parametrize(
    ("size", "shown"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1_000, "1 kB"),
        (214_000_000, "214 MB"),
        (1_960_000_000, "2.0 GB"),
        (3_210_000_000_000, "3.2 TB"),
    ],
)
def test_sizes_have_units(size: int, shown: str) -> None:
    assert human_size(size) == shown


@pytest.mark.parametrize(
    ("size", "price", "shown"),
    [
        (0, 0.1, "$0.00"),
        (1_000, 0.1, "< $0.01"),
        (2_000_000_000, 0.1, "$0.20"),
        (20_000 * 10**9, 0.1, "$2,000.00"),
        (10**9, 0.0, "$0.00"),
    ],
)
def test_costs_are_by_price(size: int, price: float, shown: str) -> None:
    assert dollars(size, price) == shown


@pytest.mark.parametrize(
    ("price", "shown"), [(0.1, "$0.10"), (0.0, "$0.00"), (0.125, "$0.125"), (12.5, "$12.50")]
)
def test_prices_are_as_precise_as_they_are(price: float, shown: str) -> None:
    assert price_tag(price) == shown


def test_digests_are_short() -> None:
    assert short_digest(sha("a")) == sha("a")[7:19]
    assert short_digest("odd") == "odd"


def test_numbers_have_nouns() -> None:
    assert (counted(1, "image"), counted(1234, "image")) == ("1 image", "1,234 images")
