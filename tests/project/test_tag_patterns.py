"""The module accepts exactly the tag patterns that the program accepts."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from ecr_cleaner.core.errors import InvalidSettingError
from ecr_cleaner.core.settings import Settings

VARIABLES = Path(__file__).parents[2] / "terraform/variables.tf"


def expressions() -> list[str]:
    """Return the regular expressions that the module holds tag patterns against."""
    lines = [line for line in VARIABLES.read_text().splitlines() if "keep_tag_patterns :" in line]
    return [
        found.replace("\\\\", "\\") for line in lines for found in re.findall(r'"(\^.*\$)"', line)
    ]


def program_accepts(pattern: str) -> bool:
    try:
        settings = Settings.from_environ({"KEEP_TAG_PATTERNS": pattern})
    except InvalidSettingError:
        return False
    return settings.keep_tag_patterns == (pattern,)


def test_setting_and_rules_have_the_same_expression() -> None:
    assert len(expressions()) == 2
    assert len(set(expressions())) == 1


@pytest.mark.parametrize(
    ("pattern", "is_accepted"),
    [
        ("v*", True),
        ("release-?", True),
        ("v[0-9]*.[!x]", True),
        ("_A.b-c", True),
        ("^v1$", False),
        ("v1|v2", False),
        ("{a}", False),
        ("[^0-9]", False),
        ("[", False),
        ("[]", False),
        ('"v1"', False),
        ("v1,v2", False),
        ("v 1", False),
        ("\uff11", False),
    ],
)
def test_pattern_is_accepted_by_both_or_by_neither(pattern: str, is_accepted: bool) -> None:
    assert program_accepts(pattern) is is_accepted
    assert [re.fullmatch(one, pattern) is not None for one in expressions()] == [is_accepted] * 2
