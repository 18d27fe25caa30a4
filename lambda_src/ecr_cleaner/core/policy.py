"""The policy of one repository. Precedence: repository tag, rule, general setting."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from difflib import get_close_matches
from fnmatch import fnmatchcase
from typing import TypeVar

from ecr_cleaner.core.model import Action, Repository
from ecr_cleaner.core.settings import MOST_DAYS, MOST_KEPT, RepositoryRule, Settings, whole_number

T = TypeVar("T")

ENABLED_TAG = "BoxCleanerEnabled"
KEEP_DAYS_TAG = "BoxCleanerKeepDays"
KEEP_COUNT_TAG = "BoxCleanerKeepCount"
TAGS = (ENABLED_TAG, KEEP_DAYS_TAG, KEEP_COUNT_TAG)

# How long a pull keeps an image by default: long enough for what runs once a month.
PULLED_DAYS = 35

_PREFIX = "boxcleaner"
_SIMILAR = 0.85


@dataclass(frozen=True, slots=True)
class Policy:
    """The retention of one repository.

    ``keep_pulled_days`` 0 means that pulls do not count. ``push_is_pull``: an image that was never
    pulled counts as pulled when it was pushed. ``untagged_keep_days`` None: as ``keep_days``.
    ``keep_used_days`` 0 means that only what is in use now counts.
    """

    keep_days: int
    keep_count: int
    keep_tag_patterns: tuple[str, ...]
    keep_pulled_days: int
    push_is_pull: bool
    action: Action
    archive_days: int | None
    waived_guards: tuple[str, ...]
    untagged_keep_days: int | None = None
    keep_used_days: int = 0


def is_opted_in(repository: Repository) -> bool:
    """Return whether the repository's owner asked for it to be cleaned: exactly ``true``."""
    return repository.tags.get(ENABLED_TAG) == "true"


def opt_in_looks_meant(repository: Repository) -> bool:
    """Return whether the tag has a value that is neither ``true`` nor a plain no."""
    return repository.tags.get(ENABLED_TAG, "false") not in {"true", "false"}


def misspelled_tags(repository: Repository) -> list[str]:
    """Return the tags that look like ours and are not: what they should protect is unknown."""
    return sorted(key for key in repository.tags if key not in TAGS and _looks_like_ours(key))


def is_in_filter(repository: Repository, settings: Settings) -> bool:
    """Return whether ``REPOSITORY_FILTER`` leaves this repository to this run."""
    patterns = settings.repository_filter
    return not patterns or _matches(patterns, repository.name)


def unmatched_filters(settings: Settings, repositories: Iterable[Repository]) -> list[str]:
    """Return a warning for each pattern of the filter that matches no repository."""
    names = [repository.name for repository in repositories]
    return [
        f"REPOSITORY_FILTER has a pattern that matches no repository: {pattern}"
        for pattern in _unmatched(settings.repository_filter, names)
    ]


def without_opted_in(settings: Settings, repositories: Collection[Repository]) -> list[str]:
    """Return a warning if this run has no repository to judge: it succeeds and removes nothing.

    Hand in all repositories of the registry.
    """
    if any(is_opted_in(one) and is_in_filter(one, settings) for one in repositories):
        return []
    matching = " that REPOSITORY_FILTER matches" if settings.repository_filter else ""
    tagged = f"no repository of this registry{matching} has the tag {ENABLED_TAG} = true"
    why = tagged if repositories else "this registry has no repositories"
    return [f"{why}, so there is nothing to judge; check the account, the region and the tags"]


def unmatched_rules(settings: Settings, repositories: Iterable[Repository]) -> list[str]:
    """Return a warning for each pattern of a rule that matches no repository, probably by a typo.

    Hand in only repositories that the filter leaves to this run: a rule for others has no effect.
    """
    names = [repository.name for repository in repositories]
    return [
        f"entry {number} of REPOSITORY_RULES matches no repository: {', '.join(unmatched)}"
        for number, rule in enumerate(settings.rules, start=1)
        if (unmatched := _unmatched(rule.repositories, names))
    ]


def policy_for(repository: Repository, settings: Settings) -> Policy:
    """Return the policy of this repository; raise InvalidSettingError for a bad tag."""
    rule = _first_rule(repository.name, settings)
    tagged_days = _tag(repository, KEEP_DAYS_TAG, MOST_DAYS)
    days = _first(tagged_days, rule.keep_days, settings.keep_days)
    tagged_count = _tag(repository, KEEP_COUNT_TAG, MOST_KEPT)
    pulled_days = _first(rule.keep_pulled_days, settings.keep_pulled_days, -1)
    untagged_days = _first(rule.untagged_keep_days, settings.untagged_keep_days, -1)
    if untagged_days >= 0:
        # The owner of a repository asks for all of its images.
        untagged_days = max(untagged_days, settings.min_keep_days, tagged_days or 0)
    return Policy(
        keep_days=max(days, settings.min_keep_days),
        keep_count=_first(tagged_count, rule.keep_count, settings.keep_count),
        keep_tag_patterns=_first(rule.keep_tag_patterns, settings.keep_tag_patterns),
        keep_pulled_days=PULLED_DAYS if pulled_days < 0 else pulled_days,
        push_is_pull=pulled_days >= 0,
        action=settings.action,
        archive_days=settings.archive_days,
        waived_guards=(*settings.waived_guards, *rule.waived_guards),
        untagged_keep_days=None if untagged_days < 0 else untagged_days,
        keep_used_days=_first(rule.keep_used_days, settings.keep_used_days),
    )


def raised_keep_days(repository: Repository, settings: Settings) -> str | None:
    """Return a warning if the repository's tag asks for fewer days than ``MIN_KEEP_DAYS``."""
    tagged = _tag(repository, KEEP_DAYS_TAG, MOST_DAYS)
    if tagged is None or tagged >= settings.min_keep_days:
        return None
    return (
        f"tag {KEEP_DAYS_TAG} is {tagged}, but MIN_KEEP_DAYS is {settings.min_keep_days}: "
        "images are kept for the greater number of days"
    )


def _looks_like_ours(key: str) -> bool:
    letters = re.sub(r"[^a-z]", "", key.lower())
    known = [tag.lower() for tag in TAGS]
    return letters.startswith(_PREFIX) or bool(get_close_matches(letters, known, 1, _SIMILAR))


def _first_rule(name: str, settings: Settings) -> RepositoryRule:
    matching = (rule for rule in settings.rules if _matches(rule.repositories, name))
    return next(matching, RepositoryRule(repositories=()))


def _unmatched(patterns: Iterable[str], names: Collection[str]) -> list[str]:
    return [one for one in patterns if not any(fnmatchcase(name, one) for name in names)]


def _matches(patterns: Iterable[str], name: str) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in patterns)


def _tag(repository: Repository, key: str, most: int) -> int | None:
    value = repository.tags.get(key)
    return None if value is None else whole_number(f"tag {key} of {repository.name}", value, most)


def _first(*values: T | None) -> T:
    """Return the first value that is set, from the most specific to the most general."""
    return next(value for value in values if value is not None)
