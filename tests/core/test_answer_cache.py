"""What is kept of answers that never change, for how long, and what happens to damaged ones."""

from __future__ import annotations

import gzip
import json
import re
from datetime import date, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ecr_cleaner.core import answer_cache
from ecr_cleaner.core.answer_cache import (
    RENEWED_DAYS,
    SPREAD_DAYS,
    UNNEEDED_DAYS,
    AnswerCache,
    found_as_json,
    found_from,
    names_from,
)
from ecr_cleaner.core.errors import CacheError
from ecr_cleaner.core.model import ImageReference, ReferencePattern, Registry
from ecr_cleaner.core.walk import Found, TaskDefinition

TODAY = date(2026, 3, 1)
KEY = "arn:aws:ecs:eu-west-1:123456789012:task-definition/web:1"


def cache(today: date = TODAY, program: str = "1.0") -> AnswerCache:
    return AnswerCache(program, today)


def read(content: bytes, days_later: int = 0, program: str = "1.0") -> AnswerCache:
    return AnswerCache.read(content, program, TODAY + timedelta(days=days_later))


def stored(**answers: Any) -> bytes:
    made = cache()
    for key, content in answers.items():
        made.put(key, content)
    return made.stored()


def lines(content: bytes) -> list[str]:
    return gzip.decompress(content).decode().split("\n")


def zipped(*content: str) -> bytes:
    return gzip.compress("\n".join(content).encode(), mtime=0)


def test_what_is_put_is_known_and_nothing_else() -> None:
    made = cache()
    made.put(KEY, [["a"], []])
    assert (made.get(KEY), made.get("another"), len(made)) == ([["a"], []], None, 1)


def test_what_is_put_again_takes_its_place() -> None:
    made = cache()
    made.put(KEY, "old")
    made.put(KEY, "new")
    assert (made.get(KEY), len(made)) == ("new", 1)


def test_what_is_stored_is_read() -> None:
    known = read(stored(a=[1, "ä"], b=None))
    assert (known.get("a"), len(known), known.damaged) == ([1, "ä"], 2, 0)


def test_another_version_of_the_program_begins_a_new_cache() -> None:
    assert len(read(stored(a=1), program="1.1")) == 0


@pytest.mark.parametrize(
    "pattern", ["(?P<left>.*)...", "(?P<left>.*)web.*", ".(?P<left>.*)", "(?P<left>).*"]
)
def test_a_damaged_answer_is_left_out_and_the_others_are_read(pattern: str) -> None:
    about, first, second = lines(stored(web=1, job=2))
    known = read(zipped(about, re.sub(f"^{pattern}$", r"\g<left>", first), second))
    assert (known.get("web"), known.get("job"), known.damaged) == (None, 2, 1)


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "it is cut off, or too large"),
        (b"not gzip", "it is damaged"),
        (stored(a=1)[:-9], "it is cut off, or too large"),
        (gzip.compress(b"\xff\xfe", mtime=0), "it is damaged"),
        (zipped("not JSON"), "it is damaged"),
        (zipped("[" * 100_000), "it is damaged"),
        (zipped("[]"), "it is not a cache of this program"),
        (zipped("{}"), "it is not a cache of this program"),
        (
            zipped(json.dumps({"format": answer_cache.FORMAT, "version": 2})),
            "its version is 2, not 1",
        ),
    ],
    ids=[
        *("nothing", "text", "cut off", "bytes", "no JSON", "too deep", "a list", "no format"),
        "another version",
    ],
)
def test_what_is_not_a_cache_is_an_error(content: bytes, why: str) -> None:
    with pytest.raises(CacheError, match=why):
        read(content)


def test_a_cache_that_unpacks_to_too_much_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    content = stored(a="x" * 1000)
    monkeypatch.setattr(answer_cache, "MOST_UNPACKED", 1000)
    with pytest.raises(CacheError, match="too large"):
        read(content)


def test_an_answer_is_asked_for_again_after_some_weeks_though_it_was_needed_every_day() -> None:
    content, known_for = stored(a=1), 0
    while (known := read(content, known_for)).get("a") is not None:
        content, known_for = known.stored(), known_for + 1
    assert RENEWED_DAYS <= known_for < RENEWED_DAYS + SPREAD_DAYS
    known.put("a", 2)
    assert read(known.stored(), known_for + 1).get("a") == 2


def test_not_all_answers_fall_due_on_the_same_day() -> None:
    answers = {f"key{number}": number for number in range(100)}
    content = stored(**answers)
    due = [
        sum(read(content, day).get(key) is None for key in answers)
        for day in range(RENEWED_DAYS, RENEWED_DAYS + SPREAD_DAYS)
    ]
    assert 0 < due[0] < 25
    assert due[-1] == 100


def test_what_is_not_needed_any_more_is_forgotten() -> None:
    content = stored(needed=1, unneeded=2)
    known = read(content, 1)
    assert known.get("needed") == 1
    later = read(known.stored(), UNNEEDED_DAYS + 1)
    assert [len(later), len(read(later.stored(), UNNEEDED_DAYS + 1))] == [2, 1]


def test_an_answer_of_a_day_to_come_is_left_out() -> None:
    assert len(read(stored(a=1), days_later=-1)) == 0


def test_there_is_something_to_store_if_an_answer_is_new_or_needed_for_the_first_time_today() -> (
    None
):
    made = cache()
    assert (made.get("a"), made.has_changed) == (None, False)
    made.put("a", 1)
    assert made.has_changed
    same_day = read(made.stored())
    assert (same_day.get("a"), same_day.has_changed) == (1, False)
    next_day = read(made.stored(), 1)
    assert (next_day.has_changed, next_day.get("a"), next_day.has_changed) == (False, 1, True)


def test_what_does_not_fit_is_not_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(answer_cache, "MOST_CHARACTERS", 1000)
    made = cache()
    for _ in range(5):
        made.put("a", "x" * 500)
    made.put("b", "x" * 500)
    made.put("c", "x")
    assert (made.get("a"), made.get("b"), made.get("c")) == ("x" * 500, None, "x")


# What is kept of an answer.

WORDS = st.text(max_size=5)
MAYBE = st.none() | WORDS
REFERENCES = st.builds(
    ImageReference, st.builds(Registry, WORDS, WORDS), WORDS, MAYBE, MAYBE
) | st.builds(ReferencePattern, WORDS, MAYBE, MAYBE, MAYBE, MAYBE)
DEFINITIONS = st.builds(TaskDefinition, WORDS, MAYBE, MAYBE)


@given(st.lists(REFERENCES), st.lists(DEFINITIONS))
def test_what_was_found_is_the_same_after_it_was_stored(
    references: list[ImageReference | ReferencePattern], definitions: list[TaskDefinition]
) -> None:
    found = Found(dict.fromkeys(references), dict.fromkeys(definitions))
    made = cache()
    made.put(KEY, found_as_json(found))
    again = found_from(read(made.stored()).get(KEY))
    assert again == found
    assert again is not None
    assert list(again.references) == list(found.references)


@pytest.mark.parametrize(
    "content",
    [
        None,
        "text",
        [],
        [[], [], []],
        [[["1"]], []],
        [[["1", "2", "3", None, None, "computed"]], []],
        [[[[], "2", "3", None, None]], []],
        [[], [[]]],
        [1, 2],
    ],
)
def test_what_is_not_understood_is_unknown(content: Any) -> None:
    assert found_from(content) is None


@pytest.mark.parametrize(
    ("content", "names"), [([], []), (["a"], ["a"]), (None, None), ([1], None), ({"a": 1}, None)]
)
def test_names_are_a_list_of_strings(content: Any, names: list[str] | None) -> None:
    assert names_from(content) == names
