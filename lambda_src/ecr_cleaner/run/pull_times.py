"""Whose pulls ECR records, read once per run."""

from __future__ import annotations

from ecr_cleaner.aws.registry import EcrRegistry
from ecr_cleaner.aws.session import Aws
from ecr_cleaner.core.errors import CleanerError, OutOfTimeError
from ecr_cleaner.core.pull_exclusions import is_same, not_excluded, others, role_of
from ecr_cleaner.core.settings import Settings


class PullTimes:
    """Finds out whether our own reading counts as pulls, and whose pulls do not count.

    No judgement depends on the answer: pulls of indexes count in any case. So a run goes on without
    it, with a warning. ``own_are_recorded``: ECR may record our own reading as a pull, and ``own``
    says what that means.
    """

    def __init__(self, aws: Aws, registry: EcrRegistry, settings: Settings) -> None:
        self._aws = aws
        self._registry = registry
        self._settings = settings
        self.own_are_recorded = True
        self.own: str | None = None
        self.warnings: list[str] = []

    def read(self) -> None:
        """Read the exclusions; exclude our own role if a setting and a real run allow it."""
        try:
            self._read()
        except OutOfTimeError:
            raise
        except CleanerError as error:
            self.own = not_excluded(None)
            self.warnings.append(f"the exclusions from pull times are unknown: {error}")
        except Exception as error:  # noqa: BLE001 - no judgement depends on it
            self.own = f"{not_excluded(None)}; whether that was done is unknown: {error!r}"

    def _read(self) -> None:
        excluded = self._registry.pull_exclusions()
        may_register = self._settings.register_pull_exclusion and not self._settings.dry_run
        if not (excluded or may_register):
            self.own = not_excluded(None)
            return
        caller = str(self._aws.api("sts").call("GetCallerIdentity")["Arn"])
        self.warnings += others(excluded, caller)
        self.own_are_recorded = not any(is_same(one, caller) for one in excluded)
        if self.own_are_recorded and may_register:
            self._registry.exclude_pulls_of(role_of(caller))
        elif self.own_are_recorded:
            self.own = not_excluded(caller)
