"""The last step of a run: one summary of all shares, and the ledger with what they add to it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import date

from ecr_cleaner.core.errors import CleanerError, RunFailedError
from ecr_cleaner.core.fan_out import (
    Reported,
    ShareResult,
    StepError,
    missing_shares,
    reported_from,
    share_result_from,
)
from ecr_cleaner.core.ledger import Ledger
from ecr_cleaner.core.policy import is_opted_in
from ecr_cleaner.core.scan_document import GatheredHeader, gathered_header
from ecr_cleaner.core.summary import Facts, Result
from ecr_cleaner.core.trend import RunNumbers
from ecr_cleaner.run.approval_requests import ApprovalRequests
from ecr_cleaner.run.later_step import LaterStep
from ecr_cleaner.run.plan_parts import add_part
from ecr_cleaner.run.run_objects import ASKED, GATHERED, REPORTED, share_name
from ecr_cleaner.run.step_clean import ShareMemory


class Reporter(LaterStep):
    """Sums up what the other steps left."""

    def report(self) -> Reported:
        """Write the summary of the run and the ledger; return how the run ended.

        Raise StepError if nothing was judged, because the scans are not believed, and
        RunFailedError if anything else failed. A run is reported once: a second call has the result
        of the first, and writes, sends and counts nothing again. If the first could not write the
        ledger, the second repeats it: what the shares found in use must not get lost.
        """
        reported = self._reported() or self._report_once()
        if reported.failure:
            raise RunFailedError(reported.failure)
        return reported

    def _reported(self) -> Reported | None:
        content = self._objects.find(REPORTED)
        if content is None:
            return None
        reported = reported_from(content)
        if reported.run != self._frozen.run:
            raise StepError(f"the report is of the run {reported.run}, not of {self._frozen.run}")
        return reported

    def _report_once(self) -> Reported:
        gathered = gathered_header(next(self._objects.lines(GATHERED), b""))
        gathered.check(self._frozen.run, self._frozen.rounds)
        self._locations.take(self._frozen.targets, self._frozen.organization)
        self._memory = ShareMemory(self._aws, self._settings, gathered)
        remembering = self._remember_shares()
        shares, problems = self._shares()
        results = [result for share in shares for result in share.results]
        problems += [*remembering, *self._write_plan(gathered, self._sum(shares, results))]
        since = gathered.remembers_since
        ended = self._deadline.now()
        facts = Facts(
            missing=gathered.missing,
            coverage=gathered.coverage,
            targets=len(self._frozen.targets),
            remembers_since=date.fromisoformat(since) if since else None,
            not_matching=self._frozen.not_matching,
            problems=list(dict.fromkeys([*gathered.problems, *problems])),
            seconds=(ended - self._frozen.time).total_seconds(),
            slowest_scan_seconds=gathered.slowest_seconds,
        )
        summary = self._sum_up(self._frozen.home.registry, self._frozen.time, facts, results)
        ended_as = (summary.complete, summary.total.removed, summary.failure or "")
        reported = Reported(self._frozen.run, *ended_as)
        if remembering:
            return reported
        try:
            self._objects.create(REPORTED, reported.to_json())
        except StepError:
            # A call beside this one ended first.
            return self._reported() or reported
        return reported

    def _requests(self) -> ApprovalRequests:
        return ApprovalRequests(self._aws, self._settings, self._report, self._begin_to_ask)

    def _begin_to_ask(self) -> None:
        """Raise StepError if a call before this one, which did not end, may have asked."""
        try:
            self._objects.begin(ASKED)
        except StepError as error:
            raise StepError("an earlier call of this step may have sent it") from error

    def _write_plan(self, gathered: GatheredHeader, numbers: RunNumbers) -> list[str]:
        """Write the plan of the run, of the parts that the shares left; return what failed."""
        problems: list[str] = []
        if self._settings.plans:
            repositories = self._frozen.repositories
            self._trends.read_runs(self._frozen.home.registry)
            self._begin_plan(self._frozen.time, repositories, gathered.missing, gathered.coverage)
            for number in range(len(self._frozen.shares)):
                problems += add_part(self._plans, self._objects, self._frozen, number)
        return [*problems, *self._finish_plan(numbers)]

    def _sum(self, shares: Sequence[ShareResult], results: Sequence[Result]) -> RunNumbers:
        """Return the numbers of the run. A share without a result judged nothing."""
        frozen = self._frozen
        compared = bool(shares) and all(share.compared for share in shares)
        waits = self._settings.waits_for_approval
        begun = RunNumbers(frozen.run, frozen.time, frozen.dry_run, waits=waits)
        known = begun.with_results(results, compared=compared)
        without_result = sum(len(share.repositories) for share in frozen.shares) - len(results)
        return replace(known, unjudged=known.unjudged + without_result)

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
