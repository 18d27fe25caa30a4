"""What an operator may set, and what is said about a value that is not understood."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ecr_cleaner.core.errors import InvalidSettingError
from ecr_cleaner.core.model import Action
from ecr_cleaner.core.settings import (
    Mode,
    Purpose,
    RepositoryRule,
    Settings,
    mode_of,
    whole_number,
)


def test_nothing_set_is_a_careful_dry_run() -> None:
    assert Settings.from_environ({}) == Settings(
        dry_run=True,
        keep_days=30,
        keep_count=0,
        keep_tag_patterns=(),
        keep_pulled_days=None,
        rules=(),
        action=Action.DELETE,
        archive_days=None,
        max_deletions=10_000,
        expect_no_usage=False,
        rescan_after_seconds=180,
        waived_sources=(),
        waived_guards=(),
        task_definition_revisions=1,
        reference_lists=(),
        reference_lists_max_age_days=7,
        inspector_coverage=False,
        inspector_administrator=None,
        log_level="INFO",
        warnings=(),
    )


@pytest.mark.parametrize(
    ("name", "value", "field", "meant"),
    [
        ("DRY_RUN", "false", "dry_run", False),
        ("DRY_RUN", "true", "dry_run", True),
        ("DRY_RUN", "", "dry_run", True),
        ("DRY_RUN", "False", "dry_run", True),
        ("DRY_RUN", " false", "dry_run", True),
        ("DEFAULT_KEEP_DAYS", "0", "keep_days", 0),
        ("DEFAULT_KEEP_DAYS", "007", "keep_days", 7),
        ("DEFAULT_KEEP_DAYS", "36500", "keep_days", 36_500),
        ("MIN_KEEP_DAYS", "0", "min_keep_days", 0),
        ("MIN_KEEP_DAYS", "36500", "min_keep_days", 36_500),
        ("LOG_LEVEL", "DEBUG", "log_level", "DEBUG"),
        ("LOG_LEVEL", "ERROR", "log_level", "ERROR"),
        ("KEEP_COUNT", "0", "keep_count", 0),
        ("KEEP_COUNT", "100000", "keep_count", 100_000),
        ("KEEP_TAG_PATTERNS", "", "keep_tag_patterns", ()),
        ("KEEP_TAG_PATTERNS", "v*", "keep_tag_patterns", ("v*",)),
        ("KEEP_TAG_PATTERNS", "v*, release-?", "keep_tag_patterns", ("v*", "release-?")),
        (
            *("KEEP_TAG_PATTERNS", "v[0-9]*.[!x],_A", "keep_tag_patterns"),
            ("v[0-9]*.[!x]", "_A"),
        ),
        ("KEEP_PULLED_DAYS", "0", "keep_pulled_days", 0),
        ("KEEP_PULLED_DAYS", "36500", "keep_pulled_days", 36_500),
        ("UNTAGGED_KEEP_DAYS", "0", "untagged_keep_days", 0),
        ("KEEP_USED_DAYS", "0", "keep_used_days", 0),
        ("KEEP_USED_DAYS", "365", "keep_used_days", 365),
        ("LEDGER", "s3://bucket/a/key", "ledger", "s3://bucket/a/key"),
        ("LEDGER", "/var/lib/ledger", "ledger", "/var/lib/ledger"),
        ("LEDGER", "ledger", "ledger", "ledger"),
        ("REGISTER_PULL_EXCLUSION", "true", "register_pull_exclusion", True),
        ("ACTION", "delete", "action", Action.DELETE),
        ("ACTION", "archive", "action", Action.ARCHIVE),
        ("ARCHIVE_DAYS", "0", "archive_days", 0),
        ("ARCHIVE_DAYS", "90", "archive_days", 90),
        ("MAX_DELETIONS", "1", "max_deletions", 1),
        ("MAX_DELETIONS", "1000000", "max_deletions", 1_000_000),
        ("EXPECT_NO_USAGE", "true", "expect_no_usage", True),
        ("EXPECT_NO_USAGE", "false", "expect_no_usage", False),
        ("RESCAN_AFTER_SECONDS", "0", "rescan_after_seconds", 0),
        ("RESCAN_AFTER_SECONDS", "900", "rescan_after_seconds", 900),
        ("REPOSITORY_FILTER", "team-a/*, tools", "repository_filter", ("team-a/*", "tools")),
        ("REPOSITORY_RULES", "[]", "rules", ()),
        ("WAIVED_SOURCES", "batch, ecs", "waived_sources", ("batch", "ecs")),
        ("WAIVED_GUARDS", "eks-clusters", "waived_guards", ("eks-clusters",)),
        ("TASK_DEFINITION_REVISIONS", "0", "task_definition_revisions", 0),
        ("TASK_DEFINITION_REVISIONS", "100", "task_definition_revisions", 100),
        ("REFERENCE_LISTS", "s3://a/b,ssm:/c", "reference_lists", ("s3://a/b", "ssm:/c")),
        (
            "REFERENCE_LISTS",
            "s3://a/b?owner=210987654321&empty=allowed",
            "reference_lists",
            ("s3://a/b?owner=210987654321&empty=allowed",),
        ),
        ("REFERENCE_LISTS_MAX_AGE_DAYS", "30", "reference_lists_max_age_days", 30),
        ("INSPECTOR_COVERAGE", "true", "inspector_coverage", True),
        ("WAIVED_CLUSTERS", "dev, test", "waived_clusters", ("dev", "test")),
        ("SCAN_REGIONS", "enabled", "scan_regions", ()),
        ("SCAN_REGIONS", "", "scan_regions", ()),
        ("SCAN_REGIONS", "eu-west-1,us-gov-east-1", "scan_regions", ("eu-west-1", "us-gov-east-1")),
        ("SCAN_ACCOUNTS", "organization", "scan_organization", True),
        ("SCAN_ACCOUNTS", "organization", "scan_accounts", ()),
        ("SCAN_ACCOUNTS", "222233334444", "scan_accounts", ("222233334444",)),
        ("SCAN_ROLE_NAME", "reader", "scan_role_name", "reader"),
        ("SCAN_ROLE_NAME", "platform/reader", "scan_role_name", "platform/reader"),
        ("SCAN_EXTERNAL_ID", "a1:b2", "scan_external_id", "a1:b2"),
        ("WAIVED_API_GROUPS", "argoproj.io", "waived_api_groups", ("argoproj.io",)),
        ("CLUSTER_DOCUMENTS", "s3://a/b/", "cluster_documents", ("s3://a/b/",)),
        ("CLUSTER_DOCUMENTS", "s3://a/", "cluster_documents", ("s3://a/",)),
        ("CLUSTER_DOCUMENTS", "s3://a/b/c.json", "cluster_documents", ("s3://a/b/c.json",)),
        ("CLUSTER_DOCUMENT_MINUTES", "1", "cluster_document_minutes", 1),
        ("CLUSTER_DOCUMENT_MINUTES", "1440", "cluster_document_minutes", 1440),
    ],
)
def test_a_good_value_is_taken_as_it_is(name: str, value: str, field: str, meant: Any) -> None:
    assert getattr(Settings.from_environ({name: value}), field) == meant


# None of them matches any tag as fnmatch reads them: regular expressions, braces, quotes, ...
BAD_TAG_PATTERNS = (
    *("^v1$", "v1|v2", "(v1)", "v+", r"v\d", "{v1}", "v1 v2", '"v*"', "'v*'", "app:v*", "team/*"),
    *("[v", "v]", "[]", "[!]", "[^0-9]", "v\u00e9", "v\uff11", "v1;v2"),
)
TAG_PATTERNS = (
    "a comma-separated list of shell-style patterns of tags, with no other characters than "
    "letters, digits, _ . - * ? and sets such as [0-9] or [!a]"
)
BAD_NUMBERS = (
    "abc",
    "365d",
    "-1",
    "",
    " 1",
    "1 ",
    "1.0",
    "1e3",
    "+1",
    "0x1",
    "1\n",
    "\u0663",
    "1_0",
)
DAYS = "a whole number from 0 to 36500"
LEVELS = "one of DEBUG, INFO, WARNING, ERROR"
LIST = "a comma-separated list without empty entries"
WAIVABLE_GUARDS = "a comma-separated list of eks-clusters, cross-account-pull, delete-replication"
API_GROUPS = "a comma-separated list of API groups of custom resources, such as argoproj.io"
SCAN_REGIONS = "enabled, or a comma-separated list of regions such as eu-west-1"
SCAN_ACCOUNTS = "organization, or a comma-separated list of account ids of 12 digits"
ROLE_NAME = "a role's NAME or PATH/NAME"
EXTERNAL_ID = "2 to 1224 letters, digits and +=,.@:/_-"
DOCUMENTS = "a comma-separated list of s3://BUCKET/PREFIX/ or s3://BUCKET/KEY.json"
GUARD_ARRAY = "an array of eks-clusters, cross-account-pull, delete-replication"


@pytest.mark.parametrize(
    ("name", "value", "allowed"),
    [
        *(("DEFAULT_KEEP_DAYS", value, DAYS) for value in (*BAD_NUMBERS, "36501", "9" * 5000)),
        *(("MIN_KEEP_DAYS", value, DAYS) for value in (*BAD_NUMBERS, "36501")),
        *(("KEEP_PULLED_DAYS", value, DAYS) for value in (*BAD_NUMBERS, "36501")),
        *(("UNTAGGED_KEEP_DAYS", value, DAYS) for value in (*BAD_NUMBERS, "36501")),
        *(
            ("KEEP_USED_DAYS", value, "a whole number from 0 to 365")
            for value in (*BAD_NUMBERS, "366")
        ),
        *(
            ("LEDGER", value, "s3://BUCKET/KEY or the path of a file")
            for value in ("", "s3://bucket", "s3://bucket/", "https://host/ledger")
        ),
        *(
            ("EVENT_QUEUE", value, "the URL of an SQS queue")
            for value in ("", "events", "arn:aws:sqs:eu-west-1:111122223333:events")
        ),
        *(("REGISTER_PULL_EXCLUSION", value, "one of true, false") for value in ("", "True")),
        *(("ARCHIVE_DAYS", value, DAYS) for value in (*BAD_NUMBERS, "36501")),
        *(
            ("KEEP_COUNT", value, "a whole number from 0 to 100000")
            for value in (*BAD_NUMBERS, "100001")
        ),
        *(
            ("MAX_DELETIONS", value, "a whole number from 1 to 1000000")
            for value in (*BAD_NUMBERS, "0", "1000001")
        ),
        *(
            ("RESCAN_AFTER_SECONDS", value, "a whole number from 0 to 900")
            for value in (*BAD_NUMBERS, "901")
        ),
        *(("LOG_LEVEL", value, LEVELS) for value in ("", "debug", "TRACE", "10")),
        *(("ACTION", value, "one of delete, archive") for value in ("", "keep", "Delete")),
        *(("EXPECT_NO_USAGE", value, "one of true, false") for value in ("", "True", "1")),
        *(
            (name, value, LIST)
            for name in (
                *("KEEP_TAG_PATTERNS", "WAIVED_SOURCES", "REFERENCE_LISTS", "WAIVED_GUARDS"),
                *("WAIVED_CLUSTERS", "WAIVED_API_GROUPS", "CLUSTER_DOCUMENTS"),
                *("SCAN_REGIONS", "SCAN_ACCOUNTS", "REPOSITORY_FILTER"),
            )
            for value in (",", "v*,", " ", "a,,b")
        ),
        *(("KEEP_TAG_PATTERNS", value, TAG_PATTERNS) for value in BAD_TAG_PATTERNS),
        *(
            ("WAIVED_GUARDS", value, WAIVABLE_GUARDS)
            for value in ("eks", "no-usage", "eks-clusters,x")
        ),
        *(
            ("TASK_DEFINITION_REVISIONS", value, "a whole number from 0 to 100")
            for value in (*BAD_NUMBERS, "101")
        ),
        *(("INSPECTOR_COVERAGE", value, "one of true, false") for value in ("", "True", "1")),
        *(
            ("INSPECTOR_ADMINISTRATOR", value, "an account id of 12 digits")
            for value in ("", "11112222333", "1111-2222-3333", "arn:aws:iam::111122223333:root")
        ),
        *(
            ("CLUSTER_DOCUMENT_MINUTES", value, "a whole number from 1 to 1440")
            for value in (*BAD_NUMBERS, "0", "1441")
        ),
        ("REPOSITORY_FILTER", "", "unset for all repositories, or name a pattern"),
        # The built-in groups with required kinds have no dot, so none of them can be waived.
        *(
            ("WAIVED_API_GROUPS", value, API_GROUPS)
            for value in ("apps", "batch", "core", "v1", "Argoproj.io", ".io", "argoproj.io/v1")
        ),
        *(
            ("CLUSTER_DOCUMENTS", value, DOCUMENTS)
            for value in ("bucket/", "s3://bucket", "s3:///x/", "s3://bucket/key", "ssm:x")
        ),
        *(
            ("SCAN_REGIONS", value, SCAN_REGIONS)
            for value in ("all", "eu-west", "eu_west_1", "EU-WEST-1", "eu-west-1a", "*")
        ),
        *(
            ("SCAN_ACCOUNTS", value, SCAN_ACCOUNTS)
            for value in ("all", "organisation", "1111-2222-3333", "11112222333", "o-a1b2c3d4e5")
        ),
        *(
            ("SCAN_ROLE_NAME", value, ROLE_NAME)
            for value in ("", "/path/name", "path/", "a b", "a" * 65)
        ),
        *(("SCAN_EXTERNAL_ID", value, EXTERNAL_ID) for value in ("", "a", "a b", "ä1")),
    ],
)
def test_a_bad_value_is_an_error_that_names_it_and_what_is_allowed(
    name: str, value: str, allowed: str
) -> None:
    with pytest.raises(InvalidSettingError) as caught:
        Settings.from_environ({name: value})
    assert str(caught.value) == f"{name} is {value!r}, but must be {allowed}"


QUEUE = "https://sqs.eu-west-1.amazonaws.com/111122223333/events"


def test_events_need_a_ledger() -> None:
    settings = Settings.from_environ({"EVENT_QUEUE": QUEUE, "LEDGER": "s3://bucket/key"})
    assert settings.event_queue == QUEUE
    with pytest.raises(InvalidSettingError, match="must be unset if LEDGER is not set"):
        Settings.from_environ({"EVENT_QUEUE": QUEUE})


@pytest.mark.parametrize(
    "value",
    [
        "False",
        "FALSE",
        " false",
        "false\n",
        "f",
        "no",
        "N",
        "off",
        "0",
        "disabled",
        '"false"',
    ],
)
def test_a_value_that_looks_like_an_attempt_at_false_is_warned_about(value: str) -> None:
    settings = Settings.from_environ({"DRY_RUN": value})
    assert settings.dry_run
    assert settings.warnings == (
        f"DRY_RUN is {value!r}: this is a dry run, only the exact value 'false' deletes",
    )


@pytest.mark.parametrize("value", ["false", "true", "True", "1", "yes", ""])
def test_any_other_value_of_dry_run_is_not_warned_about(value: str) -> None:
    assert Settings.from_environ({"DRY_RUN": value}).warnings == ()


def test_rules_are_read_in_their_order_and_unset_fields_stay_unset() -> None:
    rules = [
        {
            "repositories": ["team-a/*", "app"],
            "keep_days": 90,
            "keep_count": 5,
            "keep_tag_patterns": ["v*"],
            "keep_pulled_days": 0,
            "waived_guards": ["eks-clusters"],
        },
        {"repositories": ["*"], "keep_days": None, "keep_tag_patterns": []},
    ]
    assert Settings.from_environ({"REPOSITORY_RULES": json.dumps(rules)}).rules == (
        RepositoryRule(("team-a/*", "app"), 90, 5, ("v*",), 0, ("eks-clusters",)),
        RepositoryRule(("*",), keep_tag_patterns=()),
    )


@pytest.mark.parametrize("one", ["list.json", "s3://bucket", "s3:///key", "ssm:", "https://a/b"])
def test_a_reference_list_is_on_s3_or_in_a_parameter(one: str) -> None:
    with pytest.raises(InvalidSettingError) as caught:
        Settings.from_environ({"REFERENCE_LISTS": f"s3://bucket/key,{one}"})
    assert str(caught.value) == (
        f"REFERENCE_LISTS is {one!r}, but must be "
        "a comma-separated list of s3://BUCKET/KEY, ssm:NAME or SSM ARNs, "
        "each with ?empty=allowed or ?owner=ACCOUNT behind it if need be"
    )


@pytest.mark.parametrize(
    "value",
    [
        "",
        "{",
        "null",
        "{}",
        '"text"',
        "[1]",
        "[[]]",
        '["app"]',
        "[{}]",
        '[{"keep_days": 1}]',
        '[{"repositories": ["app"], "keep_days": 1, "keep_days": 2}]',
        '[{"repositories": []}]',
        '[{"repositories": "app"}]',
        '[{"repositories": [""]}]',
        '[{"repositories": [1]}]',
        '[{"repositories": {"app": 1}}]',
        '[{"repositories": ["app"], "keepdays": 1}]',
        '[{"repositories": ["app"], "keep_days": "1"}]',
        '[{"repositories": ["app"], "keep_days": 1.0}]',
        '[{"repositories": ["app"], "keep_days": true}]',
        '[{"repositories": ["app"], "keep_days": -1}]',
        '[{"repositories": ["app"], "keep_days": 36501}]',
        '[{"repositories": ["app"], "keep_days": NaN}]',
        '[{"repositories": ["app"], "keep_count": 100001}]',
        '[{"repositories": ["app"], "keep_pulled_days": 36501}]',
        '[{"repositories": ["app"], "keep_used_days": 366}]',
        '[{"repositories": ["app"], "keep_tag_patterns": "v*"}]',
        '[{"repositories": ["app"], "keep_tag_patterns": [""]}]',
        *(
            json.dumps([{"repositories": ["app"], "keep_tag_patterns": ["v*", pattern]}])
            for pattern in BAD_TAG_PATTERNS
        ),
        '[{"repositories": ["app"], "waived_guards": ["no-usage"]}]',
        '[{"repositories": ["app"], "waived_guards": "eks-clusters"}]',
        pytest.param("[" * 100_000, id="nested too deeply"),
        pytest.param("[" + "9" * 5000 + "]", id="a number of 5000 digits"),
    ],
)
def test_rules_that_are_not_understood_in_full_are_an_error(value: str) -> None:
    with pytest.raises(InvalidSettingError) as caught:
        Settings.from_environ({"REPOSITORY_RULES": value})
    message = str(caught.value)
    assert message.startswith(f"REPOSITORY_RULES is {value!r}, but must be a JSON array of objects")
    assert "repositories, keep_days, keep_count, keep_tag_patterns, keep_pulled_days" in message


@pytest.mark.parametrize(
    ("value", "mistake"),
    [
        ("{", "Expecting property name enclosed in double quotes: line 1 column 2 (char 1)"),
        ("{}", "it is not an array"),
        ('[{"repositories": ["a"]}, {"keep_days": 1}]', "entry 2 names no repositories"),
        ('[{"repositories": ["a"], "keepdays": 1}]', "entry 1 has the unknown field 'keepdays'"),
        (
            '[{"repositories": ["a"], "keep_days": "90"}]',
            "keep_days of entry 1 is '90', but must be a whole number from 0 to 36500",
        ),
        (
            '[{"repositories": ["a"], "keep_days": 1, "keep_days": 2}]',
            "an object has keep_days more than once",
        ),
        (
            '[{"repositories": ["a"], "waived_guards": "all"}]',
            f"waived_guards of entry 1 is 'all', but must be {GUARD_ARRAY}",
        ),
    ],
)
def test_a_mistake_in_the_rules_is_told(value: str, mistake: str) -> None:
    with pytest.raises(InvalidSettingError) as caught:
        Settings.from_environ({"REPOSITORY_RULES": value})
    assert str(caught.value).endswith(f"; {mistake}")


@given(st.text())
def test_a_whole_number_is_plain_digits_within_its_bounds_or_an_error(text: str) -> None:
    try:
        number = whole_number("N", text, most=500, least=3)
    except InvalidSettingError:
        assert text not in {str(number) for number in range(3, 501)}
    else:
        assert 3 <= number <= 500
        assert text.isascii()
        assert text.isdigit()


PLANS = {"PLANS": "plans"}
TOPIC = "arn:aws:sns:eu-west-1:111122223333:approvals"


@pytest.mark.parametrize(
    ("environ", "purpose", "expected"),
    [
        ({"DRY_RUN": "false"}, Purpose.CLEAN, False),
        ({"DRY_RUN": "false"}, Purpose.LOOK, True),
        ({"DRY_RUN": "false", "APPROVAL": "true"}, Purpose.CLEAN, True),
        ({"DRY_RUN": "false", "APPROVAL": "true"}, Purpose.APPLY, False),
        ({"DRY_RUN": "false", "APPROVAL": "true"}, Purpose.LOOK, True),
        ({"APPROVAL": "true"}, Purpose.APPLY, True),
        ({"APPROVAL": "false"}, Purpose.CLEAN, True),
        ({}, Purpose.APPLY, True),
    ],
)
def test_with_approval_only_applying_a_plan_removes(
    environ: dict[str, str],
    purpose: Purpose,
    expected: bool,  # a table
) -> None:
    assert Settings.from_environ(PLANS | environ, purpose).dry_run is expected


@pytest.mark.parametrize(
    ("environ", "purpose", "mode"),
    [
        ({}, Purpose.CLEAN, Mode.DRY_RUN),
        ({"DRY_RUN": "false"}, Purpose.CLEAN, Mode.CLEAN),
        ({"DRY_RUN": "false", "APPROVAL": "true"}, Purpose.CLEAN, Mode.PLAN),
        ({"APPROVAL": "true"}, Purpose.CLEAN, Mode.PLAN),
        ({"DRY_RUN": "false", "APPROVAL": "true"}, Purpose.APPLY, Mode.APPLY),
        ({"DRY_RUN": "false", "APPROVAL": "true"}, Purpose.LOOK, Mode.DRY_RUN),
    ],
)
def test_mode_distinguishes_a_plan_that_waits_from_a_dry_run(
    environ: dict[str, str], purpose: Purpose, mode: Mode
) -> None:
    assert Settings.from_environ(PLANS | environ, purpose).mode is mode
    assert mode_of(environ, purpose) is mode


@pytest.mark.parametrize(
    ("purpose", "waits"), [(Purpose.CLEAN, True), (Purpose.APPLY, False), (Purpose.LOOK, False)]
)
def test_only_a_run_that_cleans_waits_for_approval(
    purpose: Purpose,
    waits: bool,  # a table
) -> None:
    environ = PLANS | {"APPROVAL": "true"}
    assert Settings.from_environ(environ, purpose).waits_for_approval is waits
    assert not Settings.from_environ(PLANS, purpose).waits_for_approval


def test_run_that_waits_for_approval_needs_a_place_for_its_plan() -> None:
    environ = {"APPROVAL": "true"}
    with pytest.raises(InvalidSettingError, match=r"APPROVAL is 'true', .* if PLANS is not set"):
        Settings.from_environ(environ)
    for purpose in (Purpose.APPLY, Purpose.LOOK):
        assert Settings.from_environ(environ, purpose).approval


@pytest.mark.parametrize("dry_run", ["true", "false"])
def test_applying_removes_only_if_the_run_is_not_a_dry_run(dry_run: str) -> None:
    environ = PLANS | {"APPROVAL": "true", "DRY_RUN": dry_run}
    assert Settings.from_environ(environ).applying_removes is (dry_run == "false")


def test_topic_needs_approval() -> None:
    environ = PLANS | {"APPROVAL_TOPIC_ARN": TOPIC}
    assert Settings.from_environ(environ | {"APPROVAL": "true"}).approval_topic == TOPIC
    with pytest.raises(
        InvalidSettingError, match=r"APPROVAL_TOPIC_ARN .* unset if APPROVAL is not"
    ):
        Settings.from_environ(environ)


def test_administrator_of_inspector_is_read_if_coverage_is() -> None:
    environ = {"INSPECTOR_COVERAGE": "true", "INSPECTOR_ADMINISTRATOR": "222233334444"}
    assert Settings.from_environ(environ).inspector_administrator == "222233334444"


@pytest.mark.parametrize("coverage", [{}, {"INSPECTOR_COVERAGE": "false"}])
def test_administrator_of_inspector_needs_its_coverage(coverage: dict[str, str]) -> None:
    with pytest.raises(InvalidSettingError) as refused:
        Settings.from_environ(coverage | {"INSPECTOR_ADMINISTRATOR": "222233334444"})
    assert str(refused.value) == (
        "INSPECTOR_ADMINISTRATOR is '222233334444', but must be unset if INSPECTOR_COVERAGE is not "
        "true: without it, no coverage is read"
    )


@pytest.mark.parametrize(
    "topic", ["", "approvals", TOPIC.replace(":sns:", ":sqs:"), f"{TOPIC}.fifo", f"{TOPIC}:id"]
)
def test_what_is_not_a_topic_is_refused(topic: str) -> None:
    environ = PLANS | {"APPROVAL": "true", "APPROVAL_TOPIC_ARN": topic}
    with pytest.raises(InvalidSettingError, match="must be the ARN of an SNS topic"):
        Settings.from_environ(environ)


def test_look_does_not_warn_of_a_dry_run() -> None:
    environ = {"DRY_RUN": "False"}
    assert Settings.from_environ(environ).warnings
    assert not Settings.from_environ(environ, Purpose.LOOK).warnings
