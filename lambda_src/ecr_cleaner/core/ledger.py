"""The ledger: which images were in use, by whom, and on which day last. Pure.

A stored ledger is one gzip file: a line of JSON, then three columns with an item for each image.
``zcat LEDGER | head -1`` shows the line.
"""

from __future__ import annotations

import gzip
import json
import zlib
from array import array
from bisect import bisect_left
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from itertools import islice
from typing import Any, NamedTuple

from ecr_cleaner.core.digests import number_of
from ecr_cleaner.core.documents import MALFORMED, time_from
from ecr_cleaner.core.errors import LedgerError
from ecr_cleaner.core.model import Image, ImageReference

VERSION = 1
FORMAT = "ecr-cleaner ledger"

# Remembered for at least so many days, even if less of it counts: a setting may be raised again.
LEAST_DAYS = 35

# New entries are sorted in when there are so many of them, and when the ledger is stored.
MOST_UNSORTED = 200_000

# The names of that many consumers are remembered. Most images have few, but each task has its own.
MOST_CONSUMERS = 50_000
OTHER_CONSUMER = "a consumer whose name was not remembered"

_WAY_ON = "restore an earlier version of it, or delete it to begin a new one"
_EPOCH = date(1970, 1, 1).toordinal()

# The columns of a ledger: the number of a digest, the day, the number of a consumer.
_Columns = tuple["array[int]", "array[int]", "array[int]"]
_PARTS = 16
_KEY, _DAY = 48, 32
_LITTLE_ENDIAN = array("H", [1]).tobytes()[0] == 1


class Use(NamedTuple):
    """The last use of an image: by whom, and on which day (in UTC)."""

    consumer: str
    day: date


class Reader(NamedTuple):
    """The run that receives events, and until when those may be invisible to other runs."""

    run: str
    until: datetime


class Ledger:
    """The last use of each image of a registry, by digest; and of tags, until they are listed.

    Sorted columns instead of a dictionary: a million images take 14 MB. Of a digest, the first 64
    bits are kept; if two images shared them, the use of one would keep both. Not thread-safe.
    """

    def __init__(self, since: date) -> None:
        self.since = since
        self.reader: Reader | None = None
        self._columns = (array("Q"), array("H"), array("I"))
        self._new: dict[int, tuple[int, int]] = {}
        self._tags: dict[str, tuple[int, int]] = {}
        self._consumers: list[str] = []
        self._numbers: dict[str, int] = {}

    @property
    def _keys(self) -> array[int]:
        return self._columns[0]

    @property
    def _days(self) -> array[int]:
        return self._columns[1]

    @property
    def _users(self) -> array[int]:
        return self._columns[2]

    @property
    def images(self) -> int:
        """The number of images whose last use is known."""
        return len(self._keys) + len(self._new)

    def record(self, digest: str, use: Use) -> None:
        """Record a use of an image; an older one than that known is ignored."""
        self._record(number_of(digest), _number(use.day), use.consumer)

    def record_reference(self, reference: ImageReference, use: Use) -> None:
        """Record a use of what a reference names; nothing if it names no image."""
        if reference.digest is not None:
            self.record(reference.digest, use)
        elif reference.tag is not None:
            name = f"{reference.repository}:{reference.tag}"
            known = self._tags.get(name)
            if known is None or known[0] < _number(use.day):
                self._tags[name] = (_number(use.day), self._user(use.consumer))

    def last_use(self, repository: str, image: Image) -> Use | None:
        """Return the last use of an image by its digest or by one of its tags."""
        found = [self._find(number_of(image.digest))]
        if self._tags:
            found += [self._tags.get(f"{repository}:{tag}") for tag in image.tags]
        day, user = max((one for one in found if one), default=(None, 0))
        return None if day is None else Use(self._consumers[user], _date(day))

    def set_reader(self, run: str, until: datetime | None, now: datetime) -> None:
        """Make this run the reader of the events until then; None: it is not, or no longer.

        Another run stays the reader until its time is over.
        """
        if self.reader is None or self.reader.run == run or self.reader.until <= now:
            self.reader = Reader(run, until) if until else None

    def merge(self, other: Ledger) -> None:
        """Take over what another run has stored meanwhile, and that run's reader."""
        self.reader = other.reader
        self.since = min(self.since, other.since)
        numbers = array("I", map(self._user, other._consumers))
        other._sort_in()
        users = array("I", map(numbers.__getitem__, other._users))
        self._sort_in()
        self._columns = _merged(self._columns, (other._keys, other._days, users))
        for name, (day, user) in other._tags.items():
            known = self._tags.get(name)
            if known is None or known[0] < day:
                self._tags[name] = (day, self._user(other._consumers[user]))

    def pruned(self, today: date, days: int) -> Ledger:
        """Return a ledger of what was used within so many days, and the consumers of that only."""
        oldest = _number(today) - max(days, LEAST_DAYS)
        left = Ledger(self.since)
        left.reader = self.reader
        self._sort_in()
        for key, day, user in zip(*self._columns, strict=True):
            if day >= oldest:
                left._keys.append(key)
                left._days.append(day)
                left._users.append(left._user(self._consumers[user]))
        for name, (day, user) in self._tags.items():
            if day >= oldest:
                left._tags[name] = (day, left._user(self._consumers[user]))
        return left

    def stored(self) -> bytes:
        """Return the ledger as it is stored."""
        self._sort_in()
        line = {
            "format": FORMAT,
            "version": VERSION,
            "since": self.since.isoformat(),
            "reader": self.reader and [self.reader.run, self.reader.until.isoformat()],
            "images": len(self._keys),
            "consumers": self._consumers,
            "tags": self._tags,
        }
        columns = map(_in_stored_order, self._columns)
        text = json.dumps(line, separators=(",", ":")).encode()
        return gzip.compress(b"".join([text, b"\n", *columns]), compresslevel=1, mtime=0)

    @classmethod
    def read(cls, content: bytes) -> Ledger:
        """Return a stored ledger; raise LedgerError if it is damaged or of an unknown version."""
        try:
            text, _, columns = gzip.decompress(content).partition(b"\n")
            line = json.loads(text)
        except (OSError, EOFError, zlib.error, *MALFORMED) as error:
            raise LedgerError(f"it is damaged; {_WAY_ON}") from error
        if not isinstance(line, dict) or line.get("format") != FORMAT:
            raise LedgerError(f"it is not a ledger of this program; {_WAY_ON}")
        if line.get("version") != VERSION:
            raise LedgerError(f"its version is {line.get('version')!r}, not {VERSION}; {_WAY_ON}")
        try:
            return cls._parsed(line, columns)
        except (OverflowError, *MALFORMED) as error:
            raise LedgerError(f"it is damaged; {_WAY_ON}") from error

    @classmethod
    def _parsed(cls, line: dict[str, Any], columns: bytes) -> Ledger:
        ledger = cls(date.fromisoformat(line["since"]))
        ledger.reader = _reader(line.get("reader"))
        stored = memoryview(columns)
        for column in ledger._columns:
            size = line["images"] * column.itemsize
            column.frombytes(stored[:size])
            column[:] = _in_stored_order(column)
            stored = stored[size:]
        for consumer in line["consumers"]:
            ledger._user(str(consumer))
        ledger._tags = {str(name): (int(d), int(user)) for name, (d, user) in line["tags"].items()}
        ledger._check(line, rest=len(stored))
        return ledger

    def _check(self, line: dict[str, Any], rest: int) -> None:
        known = len(self._consumers)
        users = [user for _, user in self._tags.values()]
        lengths = set(map(len, self._columns))
        if rest or lengths != {line["images"]} or known != len(line["consumers"]):
            raise ValueError("it has another length")
        if max(self._users, default=-1) >= known or not all(0 <= user < known for user in users):
            raise ValueError("it names an unknown consumer")
        if any(one >= other for one, other in zip(self._keys, islice(self._keys, 1, None))):  # noqa: B905 - the second is one shorter
            raise ValueError("it is not sorted")

    def _record(self, key: int, day: int, consumer: str) -> None:
        keys, days, users = self._columns
        position = bisect_left(keys, key)
        if position < len(keys) and keys[position] == key:
            if days[position] < day:
                days[position], users[position] = day, self._user(consumer)
            return
        known = self._new.get(key)
        if known is None or known[0] < day:
            self._new[key] = (day, self._user(consumer))
        if len(self._new) >= MOST_UNSORTED:
            self._sort_in()

    def _find(self, key: int) -> tuple[int, int] | None:
        keys, days, users = self._columns
        position = bisect_left(keys, key)
        if position < len(keys) and keys[position] == key:
            return days[position], users[position]
        return self._new.get(key)

    def _user(self, consumer: str) -> int:
        """Return the number of a consumer."""
        number = self._numbers.get(consumer)
        if number is None:
            if len(self._consumers) >= MOST_CONSUMERS and consumer != OTHER_CONSUMER:
                return self._user(OTHER_CONSUMER)
            number = self._numbers[consumer] = len(self._consumers)
            self._consumers.append(consumer)
        return number

    def _sort_in(self) -> None:
        if self._new:
            new = sorted(self._new.items())
            keys = array("Q", (key for key, _ in new))
            days = array("H", (day for _, (day, _) in new))
            users = array("I", (user for _, (_, user) in new))
            self._columns = _merged(self._columns, (keys, days, users))
            self._new = {}


def _merged(first: _Columns, second: _Columns) -> _Columns:
    """Merge sorted columns; of two entries of an image, the later one stays.

    One part after the other, because a number takes four times as much memory outside of a column.
    """
    merged: _Columns = (array("Q"), array("H"), array("I"))
    for part in range(_PARTS):
        both = sorted([*_packed(first, part), *_packed(second, part)])
        # The order of the first of two entries with one key, and the value of the last.
        latest = {one >> _KEY: one for one in both}
        merged[0].extend(latest)
        merged[1].extend(one >> _DAY & 0xFFFF for one in latest.values())
        merged[2].extend(one & 0xFFFFFFFF for one in latest.values())
    return merged


def _packed(columns: _Columns, part: int) -> Iterator[int]:
    """Yield each entry of a part of the keys as one number: key, day, consumer."""
    begin = bisect_left(columns[0], (part << 64) // _PARTS)
    end = bisect_left(columns[0], (part + 1 << 64) // _PARTS)
    for key, day, user in zip(*(column[begin:end] for column in columns), strict=True):
        yield key << _KEY | day << _DAY | user


def _reader(stored: list[str] | None) -> Reader | None:
    if stored is None:
        return None
    run, until = stored
    return Reader(str(run), time_from(until))


def is_recent(use: Use, today: date, days: int) -> bool:
    """Return whether the use was within so many days. A day that is not over counts as well."""
    return days > 0 and use.day >= today - timedelta(days=days)


def day_of(time: datetime) -> date:
    """Return the day of a time, in UTC."""
    return time.astimezone(UTC).date()


def _number(day: date) -> int:
    return day.toordinal() - _EPOCH


def can_be_stored(day: date) -> bool:
    """Return whether a ledger has room for the day: from 1970 to 2149."""
    return 0 <= _number(day) < 1 << 16


def _date(number: int) -> date:
    return date.fromordinal(_EPOCH + number)


def _in_stored_order(column: array[int]) -> array[int]:
    """Return the column with the bytes of each item in little-endian order, or back."""
    if _LITTLE_ENDIAN:
        return column
    turned = array(column.typecode, column)
    turned.byteswap()
    return turned
