"""The last step of a run: one summary of all shares, and the ledger with what they add to it."""

from __future__ import annotations

from datetime import date

from ecr_cleaner.core.errors import CleanerError, RunFailedError
from ecr_cleaner.core.fan_out import (
    ShareResult,
    StepError,
    missing_shares,
    share_result_from,
)
from ecr_cleaner.core.in_use import InUse, missing_repositories
from ecr_cleaner.core.ledger import Ledger
from ecr_cleaner.core.policy import is_opted_in
from ecr_cleaner.core.scan_document import gathered_header, usages_from
from ecr_cleaner.core.summary import Facts, Summary, summarize
from ecr_cleaner.run.later_step import LaterStep
from ecr_cleaner.run.run_objects import GATHERED, share_name


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
        shares, problems = self._shares()
        problems += self._remember_shares()
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
        summary = summarize(results, self._settings, facts)
        self._report.finished(summary)
        if summary.failure:
            raise RunFailedError(summary.failure)
        return summary

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
        except StepError as error:
            return f"share {number}: {error}"
        if (share.run, share.share) != (self._frozen.run, number):
            return f"share {number}: its result is of share {share.share} of the run {share.run}"
        return share

    def _remember_shares(self) -> list[str]:
        """Add to the ledger which images the shares found in use; return what failed."""
        if not any(map(is_opted_in, self._frozen.repositories)):
            return []
        try:
            self._memory.read()
            for number in range(len(self._frozen.shares)):
                content = self._objects.find(share_name(number, "ledger"))
                if content:
                    self._memory.merge(Ledger.read(content))
            self._report.events_left(self._memory.write())
        except CleanerError as error:
            self._report.unwritten(error)
            return [str(error)]
        return []
