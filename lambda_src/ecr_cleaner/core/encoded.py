"""Texts that stand in another text as base64, gzipped or not, or encoded for an address. Pure."""

from __future__ import annotations

import binascii
import re
import zlib
from collections.abc import Iterator
from urllib.parse import unquote

# The most that a gzipped text may grow; scripts stay far below.
MOST_UNPACKED = 100
SHORTEST_BASE64 = 40

_BASE64 = re.compile(rf"[A-Za-z0-9+/_-]{{{SHORTEST_BASE64},}}+(?:\s++[A-Za-z0-9+/_-]++)*+")
# An encoded slash, colon or at sign; %25 is an encoded percent sign. Bounded: each level is a text.
_IN_ADDRESS = re.compile(r"%(?:25){0,3}(?:2F|3A|40)", re.IGNORECASE)


def decoded(text: str) -> Iterator[str]:
    """Yield each text that is encoded in this one; the caller looks into these in turn."""
    if "%" in text and "dkr" in text and _IN_ADDRESS.search(text):
        yield unquote(text)
    for run in _BASE64.finditer(text):
        signs = "".join(run[0].split()).replace("-", "+").replace("_", "/")
        content = binascii.a2b_base64(signs[: len(signs) // 4 * 4] + _tail(signs))
        if content[:2] == b"\x1f\x8b":
            content = _unzipped(content)
        # PowerShell encodes UTF-16.
        content = content.replace(b"\x00", b"")
        if b"dkr" in content or b"task-definition" in content or _is_text(content):
            yield content.decode("utf-8", "replace")


def _tail(signs: str) -> str:
    left = signs[len(signs) // 4 * 4 :]
    return left + "=" * (4 - len(left)) if len(left) > 1 else ""


def _is_text(content: bytes) -> bool:
    try:
        return content.decode("ascii").isprintable() or b"\n" in content
    except UnicodeDecodeError:
        return False


def _unzipped(content: bytes) -> bytes:
    reader = zlib.decompressobj(zlib.MAX_WBITS | 16)
    try:
        return reader.decompress(content, MOST_UNPACKED * len(content))
    except zlib.error:
        return b""
