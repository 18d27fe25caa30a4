"""What was found in answers of AWS that never change, so that they are asked for once. Pure.

Answers hold environment variables, so they are not kept: only what the walk found in them is. What
is found depends on the program, so another version of it begins a new cache.

A stored cache is one gzip file: a line of JSON about it, then a line for each answer, with a
checksum in front. ``zcat`` shows it.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import zlib
from collections.abc import Iterator
from datetime import date
from typing import Any, NamedTuple

from ecr_cleaner.core.documents import (
    MALFORMED,
    REFERENCE_FIELDS,
    Reference,
    reference_fields,
    reference_from,
)
from ecr_cleaner.core.errors import CacheError
from ecr_cleaner.core.walk import Found, TaskDefinition

VERSION = 1
FORMAT = "ecr-cleaner answers"

# Forgotten if it was not needed for so many days.
UNNEEDED_DAYS = 14

# Asked for again after so many days, and up to so many more, so that not all answers fall due in
# one night. Until then, a deleted task definition that a rule still names protects its images.
RENEWED_DAYS = 28
SPREAD_DAYS = 14

# Characters of all answers in memory, and bytes of a stored cache that is unpacked. What would not
# fit is asked for in every run.
MOST_CHARACTERS = 32_000_000
MOST_UNPACKED = 3 * MOST_CHARACTERS
_ENTRY = 200


class _Answer(NamedTuple):
    """``text`` is JSON; days are ordinals: when AWS answered, and when it was needed last."""

    text: str
    answered: int
    needed: int


class AnswerCache:
    """What was found in each answer, by a key that names one unchangeable thing. Not thread-safe.

    ``program`` identifies the version of the program; ``today`` is the day of the run.
    ``damaged`` counts the answers that were stored and could not be read; ``has_changed`` says
    whether there is something to store.
    """

    def __init__(self, program: str, today: date) -> None:
        self._program = program
        self._today = today.toordinal()
        self._answers: dict[str, _Answer] = {}
        self._size = 0
        self.damaged = 0
        self.has_changed = False

    def __len__(self) -> int:
        return len(self._answers)

    def get(self, key: str) -> Any:
        """Return what was put under the key; None if it is unknown or due to be asked for again."""
        answer = self._answers.get(key)
        if answer is None or self._today - answer.answered >= RENEWED_DAYS + _spread(key):
            return None
        if answer.needed < self._today:
            self._answers[key] = answer._replace(needed=self._today)
            self.has_changed = True
        return json.loads(answer.text)

    def put(self, key: str, content: Any) -> None:
        """Remember something that JSON can hold; nothing if there is no room for it."""
        before = self._answers.pop(key, None)
        self._size -= _size(key, before) if before else 0
        self._add(key, _Answer(_json(content), self._today, self._today))
        self.has_changed = True

    def stored(self) -> bytes:
        """Return the cache as it is stored, without what was not needed lately."""
        line = {"format": FORMAT, "version": VERSION, "program": self._program}
        lines = [_json(line), *self._lines()]
        return gzip.compress("\n".join(lines).encode(), compresslevel=1, mtime=0)

    @classmethod
    def read(cls, content: bytes, program: str, today: date) -> AnswerCache:
        """Return a stored cache, or an empty one if another version of the program stored it.

        An answer that is damaged is left out. Raise CacheError if nothing can be read.
        """
        first, *lines = _unpacked(content).split("\n")
        about = _about(first)
        cache = cls(program, today)
        if about.get("program") == program:
            for line in lines:
                cache._read(line)
        return cache

    def _read(self, line: str) -> None:
        check, _, rest = line.partition(" ")
        if check != _check(rest):
            self.damaged += 1
            return
        key, text, answered, needed = json.loads(rest)
        # A day to come is one of a clock that was wrong.
        if max(answered, needed) <= self._today:
            self._add(key, _Answer(text, answered, needed))

    def _add(self, key: str, answer: _Answer) -> None:
        size = _size(key, answer)
        if self._size + size <= MOST_CHARACTERS:
            self._answers[key] = answer
            self._size += size

    def _lines(self) -> Iterator[str]:
        for key, answer in self._answers.items():
            if self._today - answer.needed <= UNNEEDED_DAYS:
                rest = _json([key, *answer])
                yield f"{_check(rest)} {rest}"


def _size(key: str, answer: _Answer) -> int:
    return _ENTRY + len(key) + len(answer.text)


def found_as_json(found: Found) -> Any:
    """Return what ``found_from`` makes the same of."""
    references = list(map(_reference_as_json, found.references))
    return [references, list(map(_task_as_json, found.task_definitions))]


def found_from(content: Any) -> Found | None:
    """Return what ``found_as_json`` was given; None if the content is not understood."""
    try:
        references, definitions = content
        return Found(
            dict.fromkeys(map(_reference_from, references)),
            dict.fromkeys(TaskDefinition(*one) for one in definitions),
        )
    except MALFORMED:
        return None


def names_from(content: Any) -> list[str] | None:
    """Return the content if it is a list of strings, otherwise None."""
    is_right = isinstance(content, list) and all(isinstance(one, str) for one in content)
    return content if is_right else None


def _reference_as_json(reference: Reference) -> list[str | bool | None]:
    """Return the values of its fields without their names: there are many in a cache."""
    return list(reference_fields(reference).values())


def _reference_from(content: Any) -> Reference:
    return reference_from(dict(zip(REFERENCE_FIELDS, content, strict=False)))


def _task_as_json(definition: TaskDefinition) -> list[str | None]:
    return [definition.name, definition.region, definition.account]


def _unpacked(content: bytes) -> str:
    reader = zlib.decompressobj(zlib.MAX_WBITS | 16)
    try:
        text = reader.decompress(content, MOST_UNPACKED).decode()
    except (zlib.error, UnicodeDecodeError) as error:
        raise CacheError("it is damaged") from error
    if not reader.eof:
        raise CacheError("it is cut off, or too large")
    return text


def _about(line: str) -> dict[str, Any]:
    try:
        about = json.loads(line)
    except MALFORMED as error:
        raise CacheError("it is damaged") from error
    if not isinstance(about, dict) or about.get("format") != FORMAT:
        raise CacheError("it is not a cache of this program")
    if about.get("version") != VERSION:
        raise CacheError(f"its version is {about.get('version')!r}, not {VERSION}")
    return about


def _json(content: Any) -> str:
    return json.dumps(content, separators=(",", ":"))


def _check(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _spread(key: str) -> int:
    return zlib.crc32(key.encode()) % SPREAD_DAYS
