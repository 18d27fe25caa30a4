"""Digests as numbers."""

from __future__ import annotations

import pytest

from ecr_cleaner.core.digests import number_of


@pytest.mark.parametrize(
    ("digest", "number"),
    [
        ("sha256:00000000000000ff" + "0" * 48, 0xFF),
        ("sha256:" + "f" * 64, 2**64 - 1),
        ("sha512:00000000000000ff" + "0" * 112, 0xFF),
    ],
)
def test_a_digest_is_the_number_of_its_first_64_bits(digest: str, number: int) -> None:
    assert number_of(digest) == number


@pytest.mark.parametrize(
    "text", ["", "sha256", "sha256:", "sha256:not hexadecimal", "foo:-1", "foo:0x1", "foo:1_2"]
)
def test_what_is_not_a_digest_has_a_number_that_fits_too(text: str) -> None:
    assert 0 <= number_of(text) < 2**64
