"""A run that only looks, for a person at a shell: nothing is written in AWS."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace

from structlog.typing import FilteringBoundLogger

from ecr_cleaner.aws.session import Aws
from ecr_cleaner.core.model import Repository, Usage
from ecr_cleaner.core.settings import Settings
from ecr_cleaner.core.summary import Result
from ecr_cleaner.run.cleaner import Cleaner
from ecr_cleaner.run.memory import LedgerStore
from ecr_cleaner.run.plans import Plans
from ecr_cleaner.run.stored_answers import StoredAnswers
from ecr_cleaner.run.trends import Trends
from ecr_cleaner.usage.shared.known_answers import KnownAnswers
from ecr_cleaner.usage.shared.target import Target
from ecr_cleaner.usage.source import UsageSource


@dataclass(slots=True)
class Look:
    """What is looked at, and what was seen.

    ``plans`` holds the plan after the run. ``only`` names the one repository to judge; None: all of
    them. ``repositories`` are all that the registry has, ``usages`` those for which ``is_wanted``
    returns True.
    """

    plans: Plans
    only: str | None = None
    is_wanted: Callable[[Usage], bool] = lambda _: False
    repositories: list[Repository] = field(default_factory=list)
    usages: list[Usage] = field(default_factory=list)

    def see(self, usage: Usage) -> Usage:
        """Note a usage; called by several threads."""
        if self.is_wanted(usage):
            self.usages.append(usage)
        return usage


@dataclass(frozen=True, slots=True)
class SeenSource:
    """A usage source whose usages are noted."""

    source: UsageSource
    look: Look

    @property
    def name(self) -> str:
        return self.source.name

    @property
    def service(self) -> str:
        return self.source.service

    @property
    def everywhere(self) -> bool:
        return self.source.everywhere

    def usages(self, target: Target) -> Iterable[Usage]:
        return map(self.look.see, self.source.usages(target))


class ReadAnswers(StoredAnswers):
    """Reads the cache beside the ledger and does not write it."""

    def _write(self, store: LedgerStore, answers: KnownAnswers) -> None:
        del store, answers


class Looker(Cleaner):
    """A dry run that reads the ledger and does not write it, and leaves all events in the queue."""

    def __init__(
        self,
        aws: Aws,
        settings: Settings,
        log: FilteringBoundLogger,
        sources: Sequence[UsageSource],
        look: Look,
    ) -> None:
        seen = [SeenSource(source, look) for source in sources]
        super().__init__(aws, settings, log, seen, look.plans)
        self._look = look
        self._answers = ReadAnswers(aws, settings, self._report)
        if look.only is not None:
            # Of one repository, nothing of earlier runs is shown.
            self._trends = Trends(aws, replace(settings, plans=None), self._report)

    def _remember_events(self, repositories: Sequence[Repository]) -> None:
        self._report.remembers(self._memory.where, self._memory.since, self._memory.images)
        self._look.repositories += repositories

    def _remember(self) -> list[str]:
        return []

    def _clean(
        self, chosen: Sequence[Repository], repositories: Sequence[Repository]
    ) -> list[Result]:
        wanted = [one for one in chosen if self._look.only in {None, one.name}]
        return super()._clean(wanted, repositories)
