"""Whose pulls ECR does not record: who that is, and what is said about it."""

from __future__ import annotations

import pytest

from ecr_cleaner.core.pull_exclusions import is_same, not_excluded, others, role_of

SESSION = "arn:aws:sts::111122223333:assumed-role/cleaner/function"
ROLE = "arn:aws:iam::111122223333:role/cleaner"
USER = "arn:aws:iam::111122223333:user/me"


@pytest.mark.parametrize(
    ("principal", "caller", "same"),
    [
        (ROLE, SESSION, True),
        ("arn:aws:iam::111122223333:role/team/cleaner", SESSION, True),
        ("arn:aws:iam::111122223333:role/other-cleaner", SESSION, False),
        ("arn:aws:iam::111122223333:role/cleaner/other", SESSION, False),
        ("arn:aws:iam::999999999999:role/cleaner", SESSION, False),
        (USER, SESSION, False),
        (USER, USER, True),
        (ROLE, USER, False),
        (
            "arn:aws-cn:iam::111122223333:role/cleaner",
            "arn:aws-cn:sts::111122223333:assumed-role/cleaner/x",
            True,
        ),
    ],
)
def test_a_principal_is_the_caller_whatever_the_path_of_its_role(
    principal: str, caller: str, same: bool
) -> None:
    assert is_same(principal, caller) is same


def test_the_principal_of_a_session_is_its_role() -> None:
    assert (role_of(SESSION), role_of(USER)) == (ROLE, USER)


def test_each_other_principal_is_warned_about() -> None:
    (warning,) = others([ROLE, USER], SESSION)
    assert USER in warning


def test_the_command_names_the_role_if_it_is_known() -> None:
    assert not_excluded(SESSION).endswith(f"--principal-arn {ROLE}")
    assert not_excluded(None).endswith("--principal-arn THE_ROLE_OF_THIS_PROGRAM")
