"""The last step of a run: one summary of all shares, and the ledger with what they add to it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import date

from ecr_cleaner.core.errors import CleanerError, RunFailedError
from ecr_cleaner.core.fan_out import (
    ShareResult,
    missing_shares,
    share_result_from,
    share_run,
)
from ecr_cleaner.core.in_use import InUse, missing_repositories
from ecr_cleaner.core.ledger import Ledger
from ecr_cleaner.core.policy import is_opted_in
from ecr_cleaner.core.scan_document import gathered_header, usages_from
from ecr_cleaner.core.summary import Facts, Result, Summary, summarize
from ecr_cleaner.core.trend import RunNumbers, StoredPlan
from ecr_cleaner.run.later_step import LaterStep
from ecr_cleaner.run.plans import SUFFIX, plan_name
from ecr_cleaner.run.run_objects import GATHERED, share_name
from ecr_cleaner.run.step_clean import ShareMemory


class Reporter(LaterStep):
    """Sums up what the other steps left."""

    def report(self) -> Summary:
        """Write the summary of the run and the ledger.

        Raise StepError if nothing was judged, because the scans are not believed, and
        RunFailedError if anything else failed.
        """
        lines = self._objects.lines(GATHERED)
        gathered = gathered_header(next(lines, b""))
        gathered.check(self._frozen.run, self._frozen.rounds)
        repositories = self._frozen.repositories
        missing = missing_repositories(repositories, InUse(usages_from(lines)))
        self._memory = ShareMemory(self._aws, self._settings, gathered)
        remembering = self._remember_shares()
        shares, problems = self._shares()
        problems += remembering
        since = gathered.remembers_since
        ended = self._deadline.now()
        facts = Facts(
            missing=missing,
            coverage=gathered.coverage,
            targets=len(self._frozen.targets),
            remembers_since=date.fromisoformat(since) if since else None,
            not_matching=self._frozen.not_matching,
            problems=[*gathered.problems, *problems],
            seconds=(ended - self._frozen.time).total_seconds(),
            slowest_scan_seconds=gathered.slowest_seconds,
        )
        results = [result for share in shares for result in share.results]
        self._add_to_trend(shares, results)
        summary = summarize(results, self._settings, facts)
        self._report.finished(summary)
        if summary.failure:
            raise RunFailedError(summary.failure)
        return summary

    def _add_to_trend(self, shares: Sequence[ShareResult], results: Sequence[Result]) -> None:
        frozen = self._frozen
        if not frozen.shares:
            return
        begun = RunNumbers(frozen.run, frozen.time, frozen.dry_run)
        known = begun.with_results(results, compared=all(share.compared for share in shares))
        without_result = sum(len(share.repositories) for share in frozen.shares) - len(results)
        numbers = replace(known, unjudged=known.unjudged + without_result)
        plans = [
            StoredPlan(
                plan_name(frozen.time, share_run(frozen.run, one.share)) + SUFFIX,
                frozen.shares[one.share].repositories,
            )
            for one in shares
        ]
        registry = frozen.repositories[0].registry
        self._trends.add(registry, numbers, plans)

    def _shares(self) -> tuple[list[ShareResult], list[str]]:
        """Return the results of the shares, and why any of them are unknown."""
        found: dict[int, ShareResult] = {}
        problems: list[str] = []
        numbers = range(len(self._frozen.shares))
        read = self._aws.workers.map(self._share, numbers)
        for number, share in zip(numbers, read, strict=True):
            if isinstance(share, str):
                problems.append(share)
            elif share:
                found[number] = share
                problems += share.problems
        return list(found.values()), [*missing_shares(self._frozen, found), *problems]

    def _share(self, number: int) -> ShareResult | str | None:
        try:
            content = self._objects.find(share_name(number, "json"))
            if content is None:
                return None
            share = share_result_from(content)
        except CleanerError as error:
            return f"share {number}: {error}"
        if (share.run, share.share) != (self._frozen.run, number):
            return f"share {number}: its result is of share {share.share} of the run {share.run}"
        judged, expected = len(share.results), len(self._frozen.shares[number].repositories)
        if judged != expected:
            return f"share {number}: it has results of {judged} of {expected} repositories"
        return share

    def _remember_shares(self) -> list[str]:
        """Add to the ledger which images the shares found in use; return what failed."""
        if not any(map(is_opted_in, self._frozen.repositories)):
            return []
        problems: list[str] = []
        try:
            self._memory.read()
            for number in range(len(self._frozen.shares)):
                problems += self._remember_share(number)
            self._report.events_left(self._memory.write())
        except CleanerError as error:
            self._report.unwritten(error)
            problems.append(str(error))
        return problems

    def _remember_share(self, number: int) -> list[str]:
        """Add what one share found; return why that failed. The other shares are remembered."""
        try:
            content = self._objects.find(share_name(number, "ledger"))
            if content:
                self._memory.merge(Ledger.read(content))
        except CleanerError as error:
            return [f"what share {number} found in use is not remembered: {error}"]
        return []
