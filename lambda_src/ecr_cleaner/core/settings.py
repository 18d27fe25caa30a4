"""What the operator may set, read from a mapping such as the environment."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from enum import StrEnum
from typing import Any

from ecr_cleaner.core.errors import InvalidSettingError
from ecr_cleaner.core.model import WAIVABLE_GUARDS, Action

MOST_DAYS = 36_500
MOST_USED_DAYS = 365
MOST_KEPT = 100_000
MOST_DELETIONS = 1_000_000
MOST_REVISIONS = 100
MOST_SECONDS = 900
MOST_MINUTES = 1_440
LOG_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR")
_REFERENCE_LIST = re.compile(
    r"(?:s3://[^/?]+/[^?]+|ssm:[^?]+|arn:[^:]+:ssm:[^?]+)"
    r"(?:\?(?:empty=allowed|owner=[0-9]{12})(?:&(?:empty=allowed|owner=[0-9]{12}))?)?"
)
_LEDGER = re.compile(r"s3://[^/]+/.+|(?![a-z0-9]+://).+")
_PLANS = re.compile(r"s3://[^/]+/(?:.+/)?|(?![a-z0-9]+://).+")
_RUNS = re.compile(r"s3://[^/]+/(?:.+/)?")
_QUEUE = re.compile(r"https?://.+/[0-9]{12}/.+")
# Without topics of the kind FIFO, which want more of a message.
_TOPIC = re.compile(r"arn:[^:]+:sns:[^:]+:[0-9]{12}:[A-Za-z0-9_-]{1,256}")
# Anything else is in no tag, so that a pattern with it would silently keep nothing.
_TAG_PATTERN = re.compile(r"(?:[A-Za-z0-9_.*?-]|\[!?[A-Za-z0-9_.-]+\])+")
_TAG_PATTERNS = (
    "shell-style patterns of tags, with no other characters than letters, digits, _ . - * ? and "
    "sets such as [0-9] or [!a]"
)
_PRICE = re.compile(r"[0-9]{1,6}(?:\.[0-9]{1,6})?")
# What a run does about its verdicts, not which verdicts it comes to.
_NOT_DECIDING = frozenset(
    {
        "dry_run",
        "log_level",
        "approval",
        "approval_topic",
        "max_deletions",
        "max_scan_age_minutes",
        "plan_max_age_days",
        "plans",
        "price_per_gb_month",
        "register_pull_exclusion",
        "rescan_after_seconds",
        "runs",
        # A secret that decides only whether an account can be read.
        "scan_external_id",
    }
)
_REGION = re.compile(r"[a-z]+(-[a-z]+)+-[0-9]+")
_ACCOUNT = re.compile(r"[0-9]{12}")
# https://docs.aws.amazon.com/IAM/latest/APIReference/API_CreateRole.html
_ROLE_NAME = re.compile(r"(?:[\w+=,.@-]+/)*[\w+=,.@-]{1,64}", re.ASCII)
# https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRole.html
_EXTERNAL_ID = re.compile(r"[\w+=,.@:/-]{2,1224}", re.ASCII)
_REMOVING = (Action.DELETE, Action.ARCHIVE)


# Of a run, not of the operator.
_NOT_SETTINGS = frozenset(
    {"applying_removes", "function_name", "purpose", "scan_external_id", "warnings"}
)


class Purpose(StrEnum):
    """What a run is for: to clean, to apply a plan that was approved, or only to look."""

    CLEAN = "clean"
    APPLY = "apply"
    LOOK = "look"


class Mode(StrEnum):
    """What a run does about its verdicts. With ``DRY_RUN``, applying a plan only reports, too."""

    DRY_RUN = "dry_run"
    PLAN = "plan"
    CLEAN = "clean"
    APPLY = "apply"


@dataclass(frozen=True, slots=True)
class RepositoryRule:
    """One entry of ``REPOSITORY_RULES``. None: the general setting applies."""

    repositories: tuple[str, ...]
    keep_days: int | None = None
    keep_count: int | None = None
    keep_tag_patterns: tuple[str, ...] | None = None
    keep_pulled_days: int | None = None
    waived_guards: tuple[str, ...] = ()
    untagged_keep_days: int | None = None
    keep_used_days: int | None = None


@dataclass(frozen=True, slots=True)
class Settings:
    """Every setting of a run, parsed and within its bounds.

    ``min_keep_days`` is a floor under every number of days to keep, also under those of tags.
    ``keep_pulled_days`` None means 35 days, actual pulls only; ``archive_days`` None means never;
    ``untagged_keep_days`` None means as ``keep_days``; ``repository_filter`` without patterns means
    all repositories; ``ledger`` None means that the program does not remember what was in use,
    ``event_queue`` None that it reads no events, and ``plans`` None that it writes no plan.
    ``price_per_gb_month`` is in dollars, for 10^9 bytes. ``runs`` is where the steps of a run leave
    their documents; None: there are no steps.
    ``approval_topic`` is the ARN of the SNS topic that is told of plans to approve. A run that
    applies a plan removes images if ``applying_removes``.
    ``scan_regions`` empty means every region that is enabled in an account; ``scan_accounts`` holds
    the accounts to scan besides that of the registry, and ``scan_organization`` means all of its
    organization. ``inspector_administrator`` is the account whose Amazon Inspector is read as well.
    ``function_name`` is the name of the Lambda function, set by Lambda.
    ``warnings`` are sentences about values that are valid but may not do what was meant.
    """

    dry_run: bool = True
    keep_days: int = 30
    min_keep_days: int = 0
    keep_count: int = 0
    keep_tag_patterns: tuple[str, ...] = ()
    keep_pulled_days: int | None = None
    untagged_keep_days: int | None = None
    keep_used_days: int = 14
    ledger: str | None = None
    event_queue: str | None = None
    register_pull_exclusion: bool = False
    repository_filter: tuple[str, ...] = ()
    rules: tuple[RepositoryRule, ...] = ()
    action: Action = Action.DELETE
    archive_days: int | None = None
    max_deletions: int = 10_000
    expect_no_usage: bool = False
    rescan_after_seconds: int = 180
    waived_sources: tuple[str, ...] = ()
    waived_guards: tuple[str, ...] = ()
    task_definition_revisions: int = 1
    reference_lists: tuple[str, ...] = ()
    reference_lists_max_age_days: int = 7
    inspector_coverage: bool = False
    inspector_administrator: str | None = None
    waived_clusters: tuple[str, ...] = ()
    waived_api_groups: tuple[str, ...] = ()
    cluster_documents: tuple[str, ...] = ()
    cluster_document_minutes: int = 120
    plans: str | None = None
    plan_max_age_days: int = 7
    approval: bool = False
    approval_topic: str | None = None
    applying_removes: bool = False
    purpose: Purpose = Purpose.CLEAN
    price_per_gb_month: float = 0.10
    runs: str | None = None
    max_scan_age_minutes: int = 30
    scan_regions: tuple[str, ...] = ()
    scan_accounts: tuple[str, ...] = ()
    scan_organization: bool = False
    scan_role_name: str = "ecr-cleaner-scan"
    scan_external_id: str | None = None
    log_level: str = "INFO"
    function_name: str = ""
    warnings: tuple[str, ...] = field(default=())

    @classmethod
    def from_environ(cls, environ: Mapping[str, str], purpose: Purpose = Purpose.CLEAN) -> Settings:
        """Read every setting; raise InvalidSettingError for the first that is not allowed."""
        read = _Reader(environ)
        default = cls()
        return cls(
            dry_run=is_dry_run(environ, purpose),
            keep_days=read.number("DEFAULT_KEEP_DAYS", MOST_DAYS, default.keep_days),
            min_keep_days=read.number("MIN_KEEP_DAYS", MOST_DAYS, default.min_keep_days),
            keep_count=read.number("KEEP_COUNT", MOST_KEPT, default.keep_count),
            keep_tag_patterns=_keep_tag_patterns(read),
            keep_pulled_days=read.optional_number("KEEP_PULLED_DAYS", MOST_DAYS),
            untagged_keep_days=read.optional_number("UNTAGGED_KEEP_DAYS", MOST_DAYS),
            keep_used_days=read.number("KEEP_USED_DAYS", MOST_USED_DAYS, default.keep_used_days),
            ledger=read.matching("LEDGER", _LEDGER, "s3://BUCKET/KEY or the path of a file"),
            event_queue=_event_queue(read),
            register_pull_exclusion=read.switch(
                "REGISTER_PULL_EXCLUSION", default=default.register_pull_exclusion
            ),
            repository_filter=_repository_filter(read),
            rules=_rules(environ.get("REPOSITORY_RULES", "[]")),
            action=Action(read.one_of("ACTION", _REMOVING, default.action)),
            archive_days=read.optional_number("ARCHIVE_DAYS", MOST_DAYS),
            max_deletions=read.number(
                "MAX_DELETIONS", MOST_DELETIONS, default.max_deletions, least=1
            ),
            expect_no_usage=read.switch("EXPECT_NO_USAGE", default=default.expect_no_usage),
            rescan_after_seconds=read.number(
                "RESCAN_AFTER_SECONDS", MOST_SECONDS, default.rescan_after_seconds
            ),
            waived_sources=read.names("WAIVED_SOURCES"),
            waived_guards=read.some_of("WAIVED_GUARDS", WAIVABLE_GUARDS),
            task_definition_revisions=read.number(
                "TASK_DEFINITION_REVISIONS", MOST_REVISIONS, default.task_definition_revisions
            ),
            reference_lists=_reference_lists(read.names("REFERENCE_LISTS")),
            reference_lists_max_age_days=read.number(
                "REFERENCE_LISTS_MAX_AGE_DAYS",
                MOST_DAYS,
                default.reference_lists_max_age_days,
                least=1,
            ),
            inspector_coverage=read.switch(
                "INSPECTOR_COVERAGE", default=default.inspector_coverage
            ),
            inspector_administrator=_inspector_administrator(read),
            waived_clusters=read.names("WAIVED_CLUSTERS"),
            waived_api_groups=waived_api_groups(environ),
            cluster_documents=_cluster_documents(read.names("CLUSTER_DOCUMENTS")),
            cluster_document_minutes=read.number(
                "CLUSTER_DOCUMENT_MINUTES", MOST_MINUTES, default.cluster_document_minutes, least=1
            ),
            plans=read.matching("PLANS", _PLANS, "s3://BUCKET/PREFIX/ or the path of a directory"),
            plan_max_age_days=read.number(
                "PLAN_MAX_AGE_DAYS", MOST_DAYS, default.plan_max_age_days, least=1
            ),
            approval=_approval(read, purpose),
            approval_topic=_approval_topic(read),
            applying_removes=not is_dry_run(environ, Purpose.APPLY),
            purpose=purpose,
            price_per_gb_month=float(
                read.matching("PRICE_PER_GB_MONTH", _PRICE, "a number of dollars, such as 0.10")
                or default.price_per_gb_month
            ),
            runs=read.matching("RUNS", _RUNS, "s3://BUCKET/PREFIX/"),
            max_scan_age_minutes=read.number(
                "MAX_SCAN_AGE_MINUTES", MOST_MINUTES, default.max_scan_age_minutes, least=1
            ),
            scan_regions=read.all_or_each(
                "SCAN_REGIONS", _ENABLED, _REGION, "regions such as eu-west-1"
            ),
            scan_accounts=read.all_or_each(
                "SCAN_ACCOUNTS", _ORGANIZATION, _ACCOUNT, "account ids of 12 digits"
            ),
            scan_organization=read.names("SCAN_ACCOUNTS") == (_ORGANIZATION,),
            scan_role_name=read.matching("SCAN_ROLE_NAME", _ROLE_NAME, "a role's NAME or PATH/NAME")
            or default.scan_role_name,
            scan_external_id=read.matching(
                "SCAN_EXTERNAL_ID", _EXTERNAL_ID, "2 to 1224 letters, digits and +=,.@:/_-"
            ),
            log_level=read.one_of("LOG_LEVEL", LOG_LEVELS, default.log_level),
            function_name=environ.get("AWS_LAMBDA_FUNCTION_NAME", default.function_name),
            warnings=() if purpose is Purpose.LOOK else _dry_run_warnings(environ.get("DRY_RUN")),
        )

    @property
    def most_used_days(self) -> int:
        """The greatest number of days for which a use counts in any repository."""
        return max(self.keep_used_days, *(rule.keep_used_days or 0 for rule in self.rules), 0)

    @property
    def waits_for_approval(self) -> bool:
        """Whether the run only plans, for a person to approve."""
        return self.approval and self.purpose is Purpose.CLEAN

    @property
    def mode(self) -> Mode:
        """What the run does about its verdicts."""
        return _mode(self.purpose, waits=self.waits_for_approval, dry_run=self.dry_run)

    def fields(self) -> dict[str, Any]:
        """Return the settings as a field of a log line, without those that are not set."""
        names = [one.name for one in fields(self) if one.name not in _NOT_SETTINGS]
        values = {name: getattr(self, name) for name in names}
        values["rules"] = [asdict(rule) for rule in self.rules]
        return {name: value for name, value in values.items() if value not in (None, (), [])}

    def deciding(self) -> dict[str, Any]:
        """Return the settings that decide about images, as JSON has them.

        Two runs with the same ones come to the same verdicts on the same account.
        """
        values = {name: one for name, one in self.fields().items() if name not in _NOT_DECIDING}
        parsed: dict[str, Any] = json.loads(json.dumps(values))
        return parsed


def is_dry_run(environ: Mapping[str, str], purpose: Purpose = Purpose.CLEAN) -> bool:
    """Return whether the run only reports: always, unless ``DRY_RUN`` is exactly ``false``.

    With ``APPROVAL``, it also only reports unless it applies a plan that was approved.
    """
    waits = _waits(environ, purpose)
    return environ.get("DRY_RUN") != "false" or waits or purpose is Purpose.LOOK


def mode_of(environ: Mapping[str, str], purpose: Purpose = Purpose.CLEAN) -> Mode:
    """Return what a run does about its verdicts, even if its settings cannot be read."""
    dry_run = is_dry_run(environ, purpose)
    return _mode(purpose, waits=_waits(environ, purpose), dry_run=dry_run)


def _waits(environ: Mapping[str, str], purpose: Purpose) -> bool:
    return environ.get("APPROVAL", "false") != "false" and purpose is Purpose.CLEAN


def _mode(purpose: Purpose, *, waits: bool, dry_run: bool) -> Mode:
    if purpose is Purpose.APPLY:
        return Mode.APPLY
    if waits:
        return Mode.PLAN
    return Mode.DRY_RUN if dry_run else Mode.CLEAN


def waived_api_groups(environ: Mapping[str, str]) -> tuple[str, ...]:
    """Return the Kubernetes API groups that need not be read; no built-in group with pods in it."""
    name = "WAIVED_API_GROUPS"
    groups = _Reader(environ).names(name)
    for group in groups:
        if not re.fullmatch(r"[a-z0-9-]+(\.[a-z0-9-]+)+", group):
            allowed = (
                "a comma-separated list of API groups of custom resources, such as argoproj.io"
            )
            raise InvalidSettingError(name, group, allowed)
    return groups


def whole_number(name: str, value: str, most: int, least: int = 0) -> int:
    """Read a whole number in plain digits; raise InvalidSettingError for anything else."""
    if not re.fullmatch(r"[0-9]{1,9}", value) or not least <= int(value) <= most:
        raise InvalidSettingError(name, value, f"a whole number from {least} to {most}")
    return int(value)


@dataclass(frozen=True, slots=True)
class _Reader:
    """Reads one setting at a time; raises InvalidSettingError if it is not understood."""

    environ: Mapping[str, str]

    def number(self, name: str, most: int, default: int, least: int = 0) -> int:
        value = self.environ.get(name)
        return default if value is None else whole_number(name, value, most, least)

    def optional_number(self, name: str, most: int) -> int | None:
        value = self.environ.get(name)
        return None if value is None else whole_number(name, value, most)

    def one_of(self, name: str, allowed: Sequence[str], default: str) -> str:
        value = self.environ.get(name, default)
        if value not in allowed:
            raise InvalidSettingError(name, value, "one of " + ", ".join(allowed))
        return value

    def switch(self, name: str, *, default: bool) -> bool:
        return self.one_of(name, ("true", "false"), str(default).lower()) == "true"

    def matching(self, name: str, pattern: re.Pattern[str], allowed: str) -> str | None:
        value = self.environ.get(name)
        if value is not None and not pattern.fullmatch(value):
            raise InvalidSettingError(name, value, allowed)
        return value

    def names(self, name: str) -> tuple[str, ...]:
        value = self.environ.get(name, "")
        names = tuple(part.strip() for part in value.split(",")) if value else ()
        if not all(names):
            raise InvalidSettingError(name, value, "a comma-separated list without empty entries")
        return names

    def all_or_each(
        self, name: str, everything: str, pattern: re.Pattern[str], each: str
    ) -> tuple[str, ...]:
        """Return the values of a list; none if its only one is the word for all of them."""
        values = self.names(name)
        if values == (everything,):
            return ()
        for one in values:
            if not pattern.fullmatch(one):
                allowed = f"{everything}, or a comma-separated list of {each}"
                raise InvalidSettingError(name, one, allowed)
        return values

    def some_of(self, name: str, allowed: Sequence[str]) -> tuple[str, ...]:
        chosen = self.names(name)
        if not set(chosen) <= set(allowed):
            value = self.environ[name]
            raise InvalidSettingError(
                name, value, f"a comma-separated list of {', '.join(allowed)}"
            )
        return chosen


def _repository_filter(read: _Reader) -> tuple[str, ...]:
    name = "REPOSITORY_FILTER"
    patterns = read.names(name)
    if name in read.environ and not patterns:
        # Hardly meant: to leave out a filter by mistake would clean every repository.
        raise InvalidSettingError(name, "", "unset for all repositories, or name a pattern")
    return patterns


def _keep_tag_patterns(read: _Reader) -> tuple[str, ...]:
    name = "KEEP_TAG_PATTERNS"
    patterns = read.names(name)
    for pattern in patterns:
        if not _TAG_PATTERN.fullmatch(pattern):
            raise InvalidSettingError(name, pattern, f"a comma-separated list of {_TAG_PATTERNS}")
    return patterns


def _event_queue(read: _Reader) -> str | None:
    name = "EVENT_QUEUE"
    url = read.matching(name, _QUEUE, "the URL of an SQS queue")
    if url and "LEDGER" not in read.environ:
        raise InvalidSettingError(name, url, "unset if LEDGER is not set: events are kept there")
    return url


def _approval(read: _Reader, purpose: Purpose) -> bool:
    name = "APPROVAL"
    approval = read.switch(name, default=False)
    if approval and purpose is Purpose.CLEAN and "PLANS" not in read.environ:
        allowed = "false if PLANS is not set: the run would only plan, and write its plan nowhere"
        raise InvalidSettingError(name, "true", allowed)
    return approval


def _approval_topic(read: _Reader) -> str | None:
    name = "APPROVAL_TOPIC_ARN"
    topic = read.matching(name, _TOPIC, "the ARN of an SNS topic that is not a FIFO topic")
    if topic and read.environ.get("APPROVAL") != "true":
        allowed = "unset if APPROVAL is not true: only runs that wait for approval send a message"
        raise InvalidSettingError(name, topic, allowed)
    return topic


def _inspector_administrator(read: _Reader) -> str | None:
    name = "INSPECTOR_ADMINISTRATOR"
    account = read.matching(name, _ACCOUNT, "an account id of 12 digits")
    if account and read.environ.get("INSPECTOR_COVERAGE") != "true":
        allowed = "unset if INSPECTOR_COVERAGE is not true: without it, no coverage is read"
        raise InvalidSettingError(name, account, allowed)
    return account


def _reference_lists(lists: tuple[str, ...]) -> tuple[str, ...]:
    for one in lists:
        if not _REFERENCE_LIST.fullmatch(one):
            allowed = (
                "a comma-separated list of s3://BUCKET/KEY, ssm:NAME or SSM ARNs, "
                "each with ?empty=allowed or ?owner=ACCOUNT behind it if need be"
            )
            raise InvalidSettingError("REFERENCE_LISTS", one, allowed)
    return lists


def _cluster_documents(prefixes: tuple[str, ...]) -> tuple[str, ...]:
    for one in prefixes:
        if not re.fullmatch(r"s3://[^/]+/(.+/|.+\.json)?", one):
            allowed = "a comma-separated list of s3://BUCKET/PREFIX/ or s3://BUCKET/KEY.json"
            raise InvalidSettingError("CLUSTER_DOCUMENTS", one, allowed)
    return prefixes


_ENABLED = "enabled"
_ORGANIZATION = "organization"


def _dry_run_warnings(value: str | None) -> tuple[str, ...]:
    looks_like_false = value is not None and value.strip().lower() in {
        *("false", "f", "no", "n", "off", "0", "disabled"),
        *('"false"', "'false'"),
    }
    if value == "false" or not looks_like_false:
        return ()
    return (f"DRY_RUN is {value!r}: this is a dry run, only the exact value 'false' deletes",)


def _rules(value: str) -> tuple[RepositoryRule, ...]:
    try:
        entries = _array(json.loads(value, object_pairs_hook=_without_repeats))
        return tuple(_rule(number, entry) for number, entry in enumerate(entries, start=1))
    except (ValueError, RecursionError) as error:
        raise InvalidSettingError(
            "REPOSITORY_RULES", value, f"{_RULES_ALLOWED}; {error}"
        ) from error


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    names = [name for name, _ in pairs]
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise ValueError(f"an object has {', '.join(repeated)} more than once")
    return dict(pairs)


def _array(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise ValueError("it is not an array")  # noqa: TRY004 - a mistake like any other in the rules
    return value


def _rule(number: int, entry: Any) -> RepositoryRule:
    if not isinstance(entry, dict) or not entry.get("repositories"):
        raise ValueError(f"entry {number} names no repositories")
    understood: dict[str, Any] = {}
    for name, value in entry.items():
        if name not in _RULE_FIELDS:
            raise ValueError(f"entry {number} has the unknown field {name!r}")
        is_right, allowed = _RULE_FIELDS[name]
        if not is_right(value):
            raise ValueError(f"{name} of entry {number} is {value!r}, but must be {allowed}")
        understood[name] = tuple(value) if isinstance(value, list) else value
    return RepositoryRule(**understood)


def _is_whole_number(most: int) -> Callable[[Any], bool]:
    # bool is an int to Python, but not to an operator.
    return lambda value: value is None or (type(value) is int and 0 <= value <= most)


def _are_strings(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(item, str) and item for item in value)


def _are_tag_patterns(value: Any) -> bool:
    return value is None or (_are_strings(value) and all(map(_TAG_PATTERN.fullmatch, value)))


def _are_guards(value: Any) -> bool:
    return _are_strings(value) and set(value) <= set(WAIVABLE_GUARDS)


_PATTERNS = "an array of patterns, none of them empty"

# What each field may hold: a test, and the words for it.
_RULE_FIELDS: Mapping[str, tuple[Callable[[Any], bool], str]] = {
    "repositories": (_are_strings, _PATTERNS),
    "keep_days": (_is_whole_number(MOST_DAYS), f"a whole number from 0 to {MOST_DAYS}"),
    "keep_count": (_is_whole_number(MOST_KEPT), f"a whole number from 0 to {MOST_KEPT}"),
    "keep_tag_patterns": (_are_tag_patterns, f"an array of {_TAG_PATTERNS}"),
    "keep_pulled_days": (_is_whole_number(MOST_DAYS), f"a whole number from 0 to {MOST_DAYS}"),
    "untagged_keep_days": (_is_whole_number(MOST_DAYS), f"a whole number from 0 to {MOST_DAYS}"),
    "keep_used_days": (
        _is_whole_number(MOST_USED_DAYS),
        f"a whole number from 0 to {MOST_USED_DAYS}",
    ),
    "waived_guards": (_are_guards, f"an array of {', '.join(WAIVABLE_GUARDS)}"),
}
_RULES_ALLOWED = (
    'a JSON array of objects such as {"repositories": ["team-a/*"], "keep_days": 90}; '
    f"the fields are {', '.join(_RULE_FIELDS)}, and repositories must name at least one pattern"
)
