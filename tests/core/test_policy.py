"""What holds for one repository: its tags, else the first rule that names it, else the settings."""

from __future__ import annotations

import pytest

from core.worlds import policy_of, repository
from ecr_cleaner.core.errors import InvalidSettingError
from ecr_cleaner.core.model import Action, Repository
from ecr_cleaner.core.policy import (
    Policy,
    is_in_filter,
    is_opted_in,
    misspelled_tags,
    opt_in_looks_meant,
    policy_for,
    raised_keep_days,
    unmatched_filters,
    unmatched_rules,
)
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
    ("general", "by_rule", "days", "push_is_pull"),
    [
        (None, None, 35, False),
        (7, None, 7, True),
        (0, None, 0, True),
        (None, 60, 60, True),
        (7, 60, 60, True),
    ],
)
def test_pulls_keep_for_35_days_unless_somebody_says_otherwise(
    general: int | None, by_rule: int | None, days: int, *, push_is_pull: bool
) -> None:
    rules = (RepositoryRule(("app",), keep_pulled_days=by_rule),)
    policy = policy_for(repository("app"), Settings(keep_pulled_days=general, rules=rules))
    assert (policy.keep_pulled_days, policy.push_is_pull) == (days, push_is_pull)


@pytest.mark.parametrize("tag", ["0", "1", "36500"])
def test_tag_of_days_to_keep_does_not_change_what_pulls_do(tag: str) -> None:
    tagged = policy_for(repository("app", BoxCleanerKeepDays=tag), Settings())
    assert tagged.keep_pulled_days == policy_for(repository("app"), Settings()).keep_pulled_days


@pytest.mark.parametrize(
    ("tag", "rule", "general", "least", "days"),
    [
        ("0", None, 30, 7, 7),
        ("7", None, 30, 7, 7),
        ("8", None, 30, 7, 8),
        (None, 0, 30, 7, 7),
        (None, None, 1, 7, 7),
        ("0", None, 30, 0, 0),
    ],
)
def test_floor_of_the_operator_is_under_tag_rule_and_setting(
    tag: str | None, rule: int | None, general: int, least: int, days: int
) -> None:
    tags = {} if tag is None else {"BoxCleanerKeepDays": tag}
    rules = (RepositoryRule(("app",), keep_days=rule),)
    settings = Settings(keep_days=general, min_keep_days=least, rules=rules)
    assert policy_for(repository("app", **tags), settings).keep_days == days
    warning = raised_keep_days(repository("app", **tags), settings)
    assert (warning is not None) is (tag is not None and int(tag) < least)


@pytest.mark.parametrize(
    ("tag", "rule", "general", "least", "days"),
    [
        (None, None, None, 0, None),
        ("90", None, None, 0, None),
        (None, None, 7, 0, 7),
        (None, 3, 7, 0, 3),
        (None, 0, 7, 0, 0),
        (None, 3, None, 0, 3),
        (None, None, 7, 14, 14),
        ("90", None, 7, 0, 90),
        ("3", None, 7, 0, 7),
    ],
)
def test_untagged_images_have_days_of_their_own_if_somebody_says_so(
    tag: str | None, rule: int | None, general: int | None, least: int, days: int | None
) -> None:
    tags = {} if tag is None else {"BoxCleanerKeepDays": tag}
    rules = (RepositoryRule(("app",), untagged_keep_days=rule),)
    settings = Settings(untagged_keep_days=general, min_keep_days=least, rules=rules)
    assert policy_for(repository("app", **tags), settings).untagged_keep_days == days


@pytest.mark.parametrize(("rule", "days"), [(None, 14), (0, 0), (60, 60)])
def test_days_of_a_use_come_from_the_rule_or_the_setting(rule: int | None, days: int) -> None:
    settings = Settings(rules=(RepositoryRule(("app",), keep_used_days=rule),))
    assert policy_for(repository("app"), settings).keep_used_days == days
    assert settings.most_used_days == max(14, days)
    assert Settings(keep_used_days=0).most_used_days == 0


@pytest.mark.parametrize(
    "tag",
    [
        *("boxcleanerkeepdays", "BoxCleanerKeepDay", "BoxCleanerkeepDays", "BoxCleanerKeep"),
        *("box-cleaner-keep-days", "BoxCleaner:KeepDays", "BoxCleanerKeepDays ", "BoxCleaner"),
        *("BoxClenerKeepDays", "BoxCleanrEnabled", "boxcleanerenabled", "BoxCleanerDisabled"),
    ],
)
def test_tag_that_looks_like_ours_is_misspelled(tag: str) -> None:
    assert misspelled_tags(repository("app", **{tag: "90"})) == [tag]


@pytest.mark.parametrize(
    "tag",
    ["BoxCleanerEnabled", "BoxCleanerKeepDays", "BoxCleanerKeepCount", "Name", "KeepDays", "Box"],
)
def test_other_tags_are_not(tag: str) -> None:
    assert misspelled_tags(repository("app", **{tag: "90"})) == []


def test_each_pattern_of_a_rule_that_matches_no_repository_is_named() -> None:
    rules = (
        RepositoryRule(("app",)),
        RepositoryRule(("payment/*", "pay")),
        RepositoryRule(("payments/*", "biling/*")),
        RepositoryRule(("*",)),
    )
    found = unmatched_rules(Settings(rules=rules), [repository("app"), repository("payments/api")])
    assert found == [
        "entry 2 of REPOSITORY_RULES matches no repository: payment/*, pay",
        "entry 3 of REPOSITORY_RULES matches no repository: biling/*",
    ]


@pytest.mark.parametrize(
    ("patterns", "name", "expected"),
    [
        ((), "app", True),
        (("*",), "team-a/app", True),
        (("team-a/*",), "team-a/web/app", True),
        (("team-a/*",), "team-ab/app", False),
        (("team-a/*",), "Team-A/app", False),
        (("app", "team-a/*"), "app", True),
        (("app",), "app2", False),
    ],
)
def test_filter_decides_by_the_whole_name(
    patterns: tuple[str, ...], name: str, *, expected: bool
) -> None:
    settings = Settings(repository_filter=patterns)
    assert is_in_filter(repository(name), settings) is expected


def test_pattern_of_the_filter_that_matches_no_repository_is_named() -> None:
    settings = Settings(repository_filter=("team-a/*", "team-b/*", "app"))
    found = unmatched_filters(settings, [repository("app"), repository("team-a/app")])
    assert found == ["REPOSITORY_FILTER has a pattern that matches no repository: team-b/*"]


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
