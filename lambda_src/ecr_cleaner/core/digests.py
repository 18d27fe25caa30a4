"""Digests as numbers, for collections of very many of them. Pure."""

from __future__ import annotations

import zlib


def number_of(digest: str) -> int:
    """Return the first 64 bits of a digest.

    Two of a million images share them with a probability of 1 to 30 million. Use it only if that
    keeps an image and does not remove one.
    """
    try:
        return int(digest.partition(":")[2][:16], 16)
    except ValueError:  # not a digest that ECR gives an image
        return zlib.crc32(digest.encode())
