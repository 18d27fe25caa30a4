"""What holds for one repository: its tags, else the first rule that names it, else the settings."""

from __future__ import annotations

import pytest

from core.worlds import policy_of, repository
from ecr_cleaner.core.errors import InvalidSettingError
from ecr_cleaner.core.model import Action, Repository
from ecr_cleaner.core.policy import Policy, is_opted_in, opt_in_looks_meant, policy_for
from ecr_cleaner.core.settings import RepositoryRule, Settings

ENVIRONMENT = Settings(keep_days=30, keep_count=1, keep_tag_patterns=("e*",), keep_pulled_days=31)
RULE = RepositoryRule(("ap*",), 60, 2, ("r*",), 61)
KEEP_90 = {"BoxCleanerKeepDays": "90"}
KEEP_NOTHING = {"BoxCleanerKeepDays": "0", "BoxCleanerKeepCount": "0"}
KEEP_3 = {"BoxCleanerKeepCount": "3"}


@pytest.mark.parametrize(
    ("tags", "rules", "expected"),
    [
        ({}, (), policy_of(30, 1, ("e*",), 31)),
        ({}, (RULE,), policy_of(60, 2, ("r*",), 61)),
        (KEEP_90 | KEEP_3, (RULE,), policy_of(90, 3, ("r*",), 61)),
        (KEEP_90 | KEEP_3, (), policy_of(90, 3, ("e*",), 31)),
        # The first rule that matches applies, and what it leaves open comes from the settings.
        ({}, (RepositoryRule(("other", "app"), keep_days=1), RULE), policy_of(1, 1, ("e*",), 31)),
        ({}, (RepositoryRule(("other",), keep_days=1), RULE), policy_of(60, 2, ("r*",), 61)),
        ({}, (RepositoryRule(("APP",), keep_days=1),), policy_of(30, 1, ("e*",), 31)),
        # Nothing and zero are set values.
        ({}, (RepositoryRule(("*",), 0, 0, (), 0),), policy_of(0, 0, (), 0)),
        (
            {"BoxCleanerKeepDays": "0", "BoxCleanerKeepCount": "0"},
            (RULE,),
            policy_of(0, 0, ("r*",), 61),
        ),
    ],
)
def test_a_tag_goes_before_a_rule_and_a_rule_before_the_environment(
    tags: dict[str, str], rules: tuple[RepositoryRule, ...], expected: Policy
) -> None:
    settings = Settings(
        keep_days=ENVIRONMENT.keep_days,
        keep_count=ENVIRONMENT.keep_count,
        keep_tag_patterns=ENVIRONMENT.keep_tag_patterns,
        keep_pulled_days=ENVIRONMENT.keep_pulled_days,
        rules=rules,
    )
    assert policy_for(repository("app", **tags), settings) == expected


@pytest.mark.parametrize(
    ("tags", "rules", "days"),
    [
        ({}, (), 14),
        ({}, (RepositoryRule(("app",), keep_days=60),), 60),
        (KEEP_90, (RepositoryRule(("app",), keep_days=60),), 90),
    ],
)
def test_pulled_days_that_nobody_set_are_the_days_of_the_repository(
    tags: dict[str, str], rules: tuple[RepositoryRule, ...], days: int
) -> None:
    policy = policy_for(repository("app", **tags), Settings(keep_days=14, rules=rules))
    assert policy.keep_pulled_days == days


def test_guards_are_waived_by_the_settings_and_by_the_rule() -> None:
    rule = RepositoryRule(("app",), waived_guards=("eks-clusters",))
    settings = Settings(rules=(rule,), waived_guards=("delete-replication",))
    assert set(policy_for(repository(), settings).waived_guards) == {
        "delete-replication",
        "eks-clusters",
    }
    assert policy_for(repository("other"), settings).waived_guards == ("delete-replication",)


def test_action_and_archive_days_come_from_the_settings() -> None:
    policy = policy_for(repository(), Settings(action=Action.ARCHIVE, archive_days=365))
    assert (policy.action, policy.archive_days) == (Action.ARCHIVE, 365)


@pytest.mark.parametrize("value", ["abc", "365d", "-1", "", " 1", "36501"])
def test_a_bad_keep_days_tag_is_an_error_that_names_it(value: str) -> None:
    with pytest.raises(InvalidSettingError) as caught:
        policy_for(repository("app", BoxCleanerKeepDays=value), Settings())
    allowed = "a whole number from 0 to 36500"
    assert str(caught.value) == (
        f"tag BoxCleanerKeepDays of app is {value!r}, but must be {allowed}"
    )


@pytest.mark.parametrize("value", ["many", "-1", "", "100001"])
def test_a_bad_keep_count_tag_is_an_error_that_names_it(value: str) -> None:
    with pytest.raises(InvalidSettingError) as caught:
        policy_for(repository("app", BoxCleanerKeepCount=value), Settings())
    allowed = "a whole number from 0 to 100000"
    assert str(caught.value) == (
        f"tag BoxCleanerKeepCount of app is {value!r}, but must be {allowed}"
    )


@pytest.mark.parametrize(
    ("value", "opted_in", "looks_meant"),
    [
        ("true", True, False),
        ("false", False, False),
        (None, False, False),
        ("True", False, True),
        ("TRUE", False, True),
        ("true ", False, True),
        ("yes", False, True),
        ("", False, True),
    ],
)
def test_only_the_exact_value_true_opts_in(
    value: str | None,
    opted_in: bool,
    looks_meant: bool,
) -> None:
    tags = {} if value is None else {"BoxCleanerEnabled": value}
    subject = Repository(repository().registry, "app", "arn", tags)
    assert is_opted_in(subject) is opted_in
    assert opt_in_looks_meant(subject) is looks_meant
