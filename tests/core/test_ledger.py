"""The ledger: what is recorded is found, and what is stored is what is read."""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
import tracemalloc
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.worlds import NOW, REGISTRY, image, sha
from ecr_cleaner.core import ledger as module
from ecr_cleaner.core.errors import LedgerError
from ecr_cleaner.core.ledger import OTHER_CONSUMER, Ledger, Reader, Use, day_of, is_recent
from ecr_cleaner.core.model import ImageReference

TODAY = date(2026, 3, 1)
YESTERDAY = TODAY - timedelta(days=1)
NAMES = [f"i{number}" for number in range(12)]

DAYS = st.dates(TODAY - timedelta(days=60), TODAY)
USES = st.lists(
    st.tuples(st.sampled_from(NAMES), DAYS, st.sampled_from(["arn:a", "arn:b", "arn:ü"]))
)


def ledger_of(uses: list[tuple[str, date, str]]) -> Ledger:
    ledger = Ledger(TODAY)
    for name, day, consumer in uses:
        ledger.record(sha(name), Use(consumer, day))
    return ledger


def last_days(ledger: Ledger) -> dict[str, date]:
    found = {name: ledger.last_use("app", image(name)) for name in NAMES}
    return {name: use.day for name, use in found.items() if use}


def expected(uses: list[tuple[str, date, str]]) -> dict[str, date]:
    latest: dict[str, date] = {}
    for name, day, _ in uses:
        latest[name] = max(day, latest.get(name, day))
    return latest


@given(USES)
def test_the_latest_use_of_each_image_is_found_and_survives_being_stored(
    uses: list[tuple[str, date, str]],
) -> None:
    ledger = ledger_of(uses)
    assert last_days(ledger) == expected(uses)
    read = Ledger.read(ledger.stored())
    assert last_days(read) == expected(uses)
    assert [read.last_use("app", image(name)) for name in NAMES] == [
        ledger.last_use("app", image(name)) for name in NAMES
    ]
    assert (read.since, read.images) == (ledger.since, ledger.images)


@given(USES, USES)
def test_a_merge_loses_nothing_of_either(
    first: list[tuple[str, date, str]], second: list[tuple[str, date, str]]
) -> None:
    merged = ledger_of(first)
    merged.merge(ledger_of(second))
    assert last_days(merged) == expected(first + second)
    assert merged.images == len(expected(first + second))


@given(USES, st.integers(0, 60))
def test_pruning_forgets_what_is_older_and_nothing_else(
    uses: list[tuple[str, date, str]], days: int
) -> None:
    oldest = TODAY - timedelta(days=max(days, module.LEAST_DAYS))
    left = {name: day for name, day in expected(uses).items() if day >= oldest}
    assert last_days(ledger_of(uses).pruned(TODAY, days)) == left


def test_many_new_images_are_sorted_in_on_the_way(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_UNSORTED", 3)
    ledger = ledger_of([(name, TODAY, f"arn:{name}") for name in NAMES])
    assert [ledger.last_use("app", image(name)) for name in NAMES] == [
        Use(f"arn:{name}", TODAY) for name in NAMES
    ]


def test_an_older_use_changes_nothing() -> None:
    ledger = ledger_of([("i0", TODAY, "arn:now"), ("i0", YESTERDAY, "arn:before")])
    assert ledger.last_use("app", image("i0")) == Use("arn:now", TODAY)


def ledger_of_tag(consumer: str, day: date) -> Ledger:
    ledger = Ledger(TODAY)
    ledger.record_reference(ImageReference(REGISTRY, "app", tag="v1"), Use(consumer, day))
    return ledger


def test_an_older_use_of_a_tag_changes_nothing() -> None:
    latest = Use("arn:now", TODAY)
    recorded = ledger_of_tag("arn:now", TODAY)
    before = ImageReference(REGISTRY, "app", tag="v1")
    recorded.record_reference(before, Use("arn:before", YESTERDAY))
    merged = ledger_of_tag("arn:now", TODAY)
    merged.merge(ledger_of_tag("arn:before", YESTERDAY))
    for ledger in (recorded, merged):
        assert ledger.last_use("app", image("a", tags="v1")) == latest


def test_a_tag_counts_in_its_repository_until_it_is_known_which_image_it_names() -> None:
    ledger = Ledger(TODAY)
    ledger.record_reference(ImageReference(REGISTRY, "app", tag="v1"), Use("arn:t", TODAY))
    ledger.record_reference(ImageReference(REGISTRY, "app"), Use("arn:t", TODAY))
    ledger.record_reference(
        ImageReference(REGISTRY, "app", digest=sha("d")), Use("arn:d", YESTERDAY)
    )
    read = Ledger.read(ledger.stored())
    assert read.last_use("app", image("a", tags="x v1")) == Use("arn:t", TODAY)
    assert read.last_use("other", image("a", tags="v1")) is None
    assert read.last_use("app", image("a", tags="v2")) is None
    assert read.last_use("app", image("d")) == Use("arn:d", YESTERDAY)
    merged = Ledger(TODAY)
    merged.merge(read)
    assert merged.last_use("app", image("a", tags="v1")) == Use("arn:t", TODAY)
    later = merged.pruned(TODAY + timedelta(days=36), 14)
    assert (later.images, later.last_use("app", image("a", tags="v1"))) == (0, None)


def test_a_big_endian_machine_turns_the_bytes_of_each_number(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ledger = ledger_of([("i0", TODAY, "arn:a"), ("i1", YESTERDAY, "arn:b")])
    as_here = columns_of(ledger.stored())

    monkeypatch.setattr(module, "_LITTLE_ENDIAN", sys.byteorder != "little")

    keys, days, users = as_here[:16], as_here[16:20], as_here[20:]
    turned = [turn(keys, 8), turn(days, 2), turn(users, 4)]
    assert columns_of(ledger.stored()) == b"".join(turned)
    assert last_days(Ledger.read(ledger.stored())) == {"i0": TODAY, "i1": YESTERDAY}


def columns_of(content: bytes) -> bytes:
    return gzip.decompress(content).partition(b"\n")[2]


def turn(column: bytes, size: int) -> bytes:
    return b"".join(column[at : at + size][::-1] for at in range(0, len(column), size))


def test_a_merge_remembers_since_the_earlier_day() -> None:
    ledger = Ledger(TODAY)
    ledger.merge(Ledger(YESTERDAY))
    assert ledger.since == YESTERDAY


LATER = NOW + timedelta(seconds=1)


def test_the_reader_of_the_events_stays_until_its_time_is_over_or_it_ends_it() -> None:
    ledger = Ledger(TODAY)
    ledger.set_reader("one", LATER, NOW)
    for until in (LATER + timedelta(days=1), None):
        ledger.set_reader("other", until, NOW)
        assert ledger.reader == Reader("one", LATER)
    ledger.set_reader("one", None, NOW)
    assert ledger.reader is None
    ledger.set_reader("one", LATER, NOW)
    ledger.set_reader("other", None, LATER)
    assert ledger.reader is None
    ledger.set_reader("one", NOW, NOW)
    ledger.set_reader("other", LATER, NOW)
    assert ledger.reader == Reader("other", LATER)


def test_the_reader_is_stored_survives_pruning_and_is_that_of_the_ledger_merged() -> None:
    ledger = Ledger(TODAY)
    ledger.set_reader("one", LATER, NOW)
    assert Ledger.read(ledger.pruned(TODAY, 14).stored()).reader == Reader("one", LATER)
    for stored_reader in (Reader("other", LATER), None):
        other = Ledger(TODAY)
        other.reader = stored_reader
        ledger.merge(other)
        assert ledger.reader == stored_reader


def test_a_ledger_that_was_stored_before_there_were_readers_has_none() -> None:
    text, _, columns = gzip.decompress(Ledger(TODAY).stored()).partition(b"\n")
    line = json.loads(text)
    del line["reader"]
    content = gzip.compress(json.dumps(line).encode() + b"\n" + columns)
    assert Ledger.read(content).reader is None


def test_names_of_too_many_consumers_are_not_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_CONSUMERS", 2)
    ledger = ledger_of([(name, TODAY, f"arn:{name}") for name in NAMES[:4]])
    read = Ledger.read(ledger.stored())
    uses = [read.last_use("app", image(name)) for name in NAMES[:4]]
    assert [use and use.consumer for use in uses] == [
        "arn:i0",
        "arn:i1",
        OTHER_CONSUMER,
        OTHER_CONSUMER,
    ]


def stored(**changes: Any) -> bytes:
    """A stored ledger of one image, its line of JSON changed."""
    text, _, columns = gzip.decompress(ledger_of([("i0", TODAY, "arn:a")]).stored()).partition(
        b"\n"
    )
    line = json.loads(text) | changes
    return gzip.compress(json.dumps(line).encode() + b"\n" + columns, mtime=0)


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "it is damaged"),
        (b"not gzip", "it is damaged"),
        (stored()[:-9], "it is damaged"),
        (stored()[:20], "it is damaged"),
        (gzip.compress(b"not JSON", mtime=0), "it is damaged"),
        (gzip.compress(b"[]\n", mtime=0), "it is not a ledger of this program"),
        (stored(format="another"), "it is not a ledger of this program"),
        (stored(version=2), "its version is 2, not 1"),
        (stored(version=None), "its version is None, not 1"),
        (stored(since="yesterday"), "it is damaged"),
        (stored(since=None), "it is damaged"),
        (stored(images=2), "it is damaged"),
        (stored(images=0), "it is damaged"),
        (stored(images="1"), "it is damaged"),
        (stored(images=-1), "it is damaged"),
        (stored(consumers=[]), "it is damaged"),
        (stored(consumers=["a", "a"]), "it is damaged"),
        (stored(consumers=None), "it is damaged"),
        (stored(tags={"app:v1": [1, 7]}), "it is damaged"),
        (stored(tags={"app:v1": [1]}), "it is damaged"),
        (stored(tags=[]), "it is damaged"),
        (stored(reader="run"), "it is damaged"),
        (stored(reader=["run"]), "it is damaged"),
        (stored(reader=["run", "noon"]), "it is damaged"),
        (stored(reader=["run", 1]), "it is damaged"),
        (stored(reader=["run", "2026-03-01T12:00:00"]), "it is damaged"),
    ],
)
def test_a_damaged_ledger_and_one_of_an_unknown_version_are_errors(
    content: bytes, problem: str
) -> None:
    with pytest.raises(LedgerError, match=problem) as error:
        Ledger.read(content)
    assert "restore an earlier version of it, or delete it to begin a new one" in str(error.value)


def test_entries_out_of_order_are_damage() -> None:
    content = gzip.decompress(ledger_of([("i0", TODAY, "a"), ("i1", TODAY, "a")]).stored())
    text, _, columns = content.partition(b"\n")
    swapped = columns[8:16] + columns[:8] + columns[16:]
    with pytest.raises(LedgerError):
        Ledger.read(gzip.compress(text + b"\n" + swapped))


@given(st.binary(max_size=60), st.integers(0, 40))
def test_any_content_is_a_ledger_or_an_error(content: bytes, cut: int) -> None:
    whole = stored()
    for one in (content, gzip.compress(content), whole[:cut] + content + whole[cut:]):
        try:
            Ledger.read(one)
        except LedgerError:
            continue


@pytest.mark.parametrize(
    ("day", "days", "recent"),
    [
        (TODAY, 1, True),
        (YESTERDAY, 1, True),
        (TODAY - timedelta(days=2), 1, False),
        (TODAY - timedelta(days=14), 14, True),
        (TODAY - timedelta(days=15), 14, False),
        (TODAY, 0, False),
        (TODAY + timedelta(days=1), 1, True),
    ],
)
def test_a_use_is_recent_for_so_many_days(day: date, days: int, recent: bool) -> None:
    assert is_recent(Use("arn:a", day), TODAY, days) is recent


def test_days_are_those_of_utc() -> None:
    assert day_of(NOW) == TODAY


# In a process of its own, whose memory is that of the ledgers. Of the images, a quarter is in both.
MILLION = """
import gzip, json
from array import array
from datetime import date
from ecr_cleaner.core.ledger import FORMAT, VERSION, Ledger

def stored(every, day):
    keys = array("Q", range(0, 2**64, every * (2**64 // 1_500_000)))
    line = {"format": FORMAT, "version": VERSION, "since": "2026-01-01", "images": len(keys),
            "consumers": [f"arn:{n}" for n in range(5000)], "tags": {}}
    users = array("I", (n % 5000 for n in range(len(keys))))
    columns = keys, array("H", [day]) * len(keys), users
    return gzip.compress(json.dumps(line).encode() + bytes([10]) + b"".join(columns), 1)

ledger = Ledger.read(stored(2, 20_000))
ledger.merge(Ledger.read(stored(3, 20_001)))
content = ledger.pruned(date(2024, 10, 10), 14).stored()
peak = open('/proc/self/status').read().split('VmHWM:')[1].split()[0]
print(Ledger.read(content).images, int(peak) // 1024)
"""


def test_a_million_images_are_read_merged_and_written_in_less_than_200_megabytes() -> None:
    program = subprocess.run(
        [sys.executable, "-c", MILLION],
        env={"PYTHONPATH": str(Path(module.__file__).parents[2])},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        timeout=200,
    )
    images, megabytes = map(int, program.stdout.split())
    assert images >= 1_000_000
    assert megabytes < 200


def test_an_ordinary_ledger_takes_few_bytes_for_each_image() -> None:
    tracemalloc.start()
    try:
        ledger = Ledger(TODAY)
        for number in range(20_000):
            ledger.record(sha(str(number)), Use(f"arn:{number % 100}", TODAY))
        content = ledger.stored()
        tracemalloc.reset_peak()
        before = tracemalloc.get_traced_memory()[0]
        read = Ledger.read(content)
        read.merge(ledger)
        read.stored()
        peak = tracemalloc.get_traced_memory()[1] - before
    finally:
        tracemalloc.stop()
    assert read.images == 20_000
    # 150 bytes for each image, so that a million take less than 200 MB with the listing.
    assert peak < 150 * 20_000
    assert len(content) < 16 * 20_000
