"""What holds for one repository: its tags, else the first rule that names it, else the settings.

Pure.
"""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import TypeVar

from ecr_cleaner.core.model import Action, Repository
from ecr_cleaner.core.settings import MOST_DAYS, MOST_KEPT, RepositoryRule, Settings, whole_number

T = TypeVar("T")

ENABLED_TAG = "BoxCleanerEnabled"
KEEP_DAYS_TAG = "BoxCleanerKeepDays"
KEEP_COUNT_TAG = "BoxCleanerKeepCount"


@dataclass(frozen=True, slots=True)
class Policy:
    """The retention of one repository. ``keep_pulled_days`` 0 switches that rule off."""

    keep_days: int
    keep_count: int
    keep_tag_patterns: tuple[str, ...]
    keep_pulled_days: int
    action: Action
    archive_days: int | None
    waived_guards: tuple[str, ...]


def is_opted_in(repository: Repository) -> bool:
    """Tell whether the repository's owner asked for it to be cleaned: exactly ``true``."""
    return repository.tags.get(ENABLED_TAG) == "true"


def opt_in_looks_meant(repository: Repository) -> bool:
    """Tell whether the tag has a value that is neither ``true`` nor a plain no."""
    return repository.tags.get(ENABLED_TAG, "false") not in {"true", "false"}


def policy_for(repository: Repository, settings: Settings) -> Policy:
    """Return what holds for this repository; raise InvalidSettingError for a bad tag."""
    rule = _first_rule(repository.name, settings)
    days = _first(_tag(repository, KEEP_DAYS_TAG, MOST_DAYS), rule.keep_days, settings.keep_days)
    return Policy(
        keep_days=days,
        keep_count=_first(
            _tag(repository, KEEP_COUNT_TAG, MOST_KEPT), rule.keep_count, settings.keep_count
        ),
        keep_tag_patterns=_first(rule.keep_tag_patterns, settings.keep_tag_patterns),
        keep_pulled_days=_first(rule.keep_pulled_days, settings.keep_pulled_days, days),
        action=settings.action,
        archive_days=settings.archive_days,
        waived_guards=(*settings.waived_guards, *rule.waived_guards),
    )


def _first_rule(name: str, settings: Settings) -> RepositoryRule:
    matching = (
        rule
        for rule in settings.rules
        if any(fnmatchcase(name, pattern) for pattern in rule.repositories)
    )
    return next(matching, RepositoryRule(repositories=()))


def _tag(repository: Repository, key: str, most: int) -> int | None:
    value = repository.tags.get(key)
    return None if value is None else whole_number(f"tag {key} of {repository.name}", value, most)


def _first(*values: T | None) -> T:
    """Return the first value that is set, from the most special to the most general."""
    return next(value for value in values if value is not None)
