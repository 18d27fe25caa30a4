"""The story of a run: scan, judge, report, sweep."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from structlog.typing import FilteringBoundLogger

from ecr_cleaner.aws import Aws
from ecr_cleaner.errors import RefusedError, RunFailedError
from ecr_cleaner.graph import Graph, may_have_children
from ecr_cleaner.model import Image, Plan, Repository
from ecr_cleaner.policy import ENABLED_TAG, Policy, is_opted_in, opt_in_looks_meant, policy_for
from ecr_cleaner.registry import EcrRegistry
from ecr_cleaner.report import RUN_DONE, Reporter, Tally
from ecr_cleaner.retention import Moment, judge
from ecr_cleaner.settings import Settings
from ecr_cleaner.sweeper import Budget, Sweeper
from ecr_cleaner.usage import SOURCES, UsageSource, scan
from ecr_cleaner.watch import UsageWatch

Clock = Callable[[], datetime]


@dataclass(slots=True)
class Result:
    """What one repository came to; ``error`` is why it was not, or not wholly, cleaned."""

    tally: Tally = field(default_factory=Tally)
    error: Exception | None = None


class Cleaner:
    """One run over one account and region."""

    def __init__(
        self,
        aws: Aws,
        settings: Settings,
        log: FilteringBoundLogger,
        clock: Clock,
        sources: Iterable[UsageSource] = SOURCES,
    ) -> None:
        self._workers = aws.workers
        self._settings = settings
        self._log = log
        self._clock = clock
        self._began = clock()
        self._registry = EcrRegistry(aws.api("ecr"), aws.workers)
        self._sweeper = Sweeper(self._registry, aws.workers, Budget(settings.max_deletions), clock)
        self._usage = UsageWatch(
            lambda: scan(aws, sources), clock, timedelta(seconds=settings.rescan_after_seconds)
        )

    def run(self) -> dict[str, Any]:
        """Clean every opted-in repository and return the summary of the run.

        Raise CleanerError at once where it is unknown what is in use or which repositories there
        are; raise RunFailedError at the end where something failed on the way.
        """
        repositories = self._registry.repositories()
        self._warn(repositories)
        chosen = [repository for repository in repositories if is_opted_in(repository)]
        refusal = self._refusal(chosen)
        results = self._workers.map(lambda one: self._clean_safely(one, refusal), chosen)
        return self._finish(results, refusal)

    def _clean_safely(self, repository: Repository, refusal: RefusedError | None) -> Result:
        """One repository's failure, even one that nobody thought of, does not stop the others."""
        result = Result()
        reporter = Reporter(self._log, repository.name, self._clock())
        try:
            result.error = self._clean(repository, reporter, result.tally, refusal)
        except Exception as error:  # noqa: BLE001 - reported, and the run ends as failed
            reporter.failure(error)
            result.error = error
        reporter.done(result.tally)
        return result

    def _clean(
        self,
        repository: Repository,
        reporter: Reporter,
        tally: Tally,
        refusal: RefusedError | None,
    ) -> Exception | None:
        policy = policy_for(repository, self._settings)
        listed_at = self._clock()
        images = self._registry.images(repository)
        plan, graph = self._judge(repository, images, policy)
        sweeping = bool(plan.steps) and not self._settings.dry_run and not refusal
        if sweeping and self._usage.renew():
            plan = self._verdicts(repository, graph, policy)
        tally.count_plan(plan)
        reporter.plan(plan, removing=sweeping, guards=["no_usage"] if refusal else [])
        if not sweeping:
            return None
        outcome = self._sweeper.sweep(plan, listed_at)
        tally.count_outcome(outcome)
        reporter.outcome(outcome)
        return outcome.error

    def _judge(
        self, repository: Repository, images: Sequence[Image], policy: Policy
    ) -> tuple[Plan, Graph]:
        """Judge without reading manifests; only where something would go are they worth reading.

        What goes by the first judgement is never less than by the second: children that are not
        known as such are protected by nothing but their own usage and age.
        """
        graph = Graph.build(images, {})
        plan = self._verdicts(repository, graph, policy)
        unread = [image for image in images if may_have_children(image)]
        if not plan.steps or not unread:
            return plan, graph
        graph = Graph.build(images, self._registry.children(repository, unread))
        return self._verdicts(repository, graph, policy), graph

    def _verdicts(self, repository: Repository, graph: Graph, policy: Policy) -> Plan:
        moment = Moment(self._usage.began, self._clock())
        return judge(repository, graph, policy, self._usage.in_use.of(repository), moment)

    def _refusal(self, chosen: Sequence[Repository]) -> RefusedError | None:
        """A whole account without a single usage is more likely a mistake than an empty account."""
        registries = {repository.registry for repository in chosen}
        unused = not any(map(self._usage.in_use.any_in, registries))
        if not registries or not unused or self._settings.expect_no_usage:
            return None
        refusal = RefusedError(
            "no usage source found any image of this registry in use, which is what a wrong "
            "region, a missing permission or consumers in other accounts look like; nothing is "
            "deleted. If it is right, set EXPECT_NO_USAGE to true"
        )
        self._log.warning("Refusing to delete", guard="no_usage", **refusal.fields)
        return refusal

    def _warn(self, repositories: Iterable[Repository]) -> None:
        for sentence in self._settings.warnings:
            self._log.warning(sentence)
        for repository in filter(opt_in_looks_meant, repositories):
            self._log.warning(
                "Repository is not opted in: its tag is not exactly true",
                repository=repository.name,
                tag=ENABLED_TAG,
                value=repository.tags[ENABLED_TAG],
            )

    def _finish(self, results: Sequence[Result], refusal: RefusedError | None) -> dict[str, Any]:
        total = Tally()
        for result in results:
            total.add(result.tally)
        errors = [str(result.error) for result in results if result.error]
        if refusal and not self._settings.dry_run:
            errors.append(str(refusal))
        summary = {
            "dry_run": self._settings.dry_run,
            "complete": not (errors or total.failed or total.left),
            "repositories": len(results),
            "usages": dict(self._usage.first.found),
            **total.fields(),
            "errors": errors,
            "duration_seconds": round((self._clock() - self._began).total_seconds(), 3),
        }
        self._log.info(RUN_DONE, **summary)
        if errors or total.failed:
            raise RunFailedError(
                f"{total.failed} images could not be removed, "
                f"{len(errors)} errors: {'; '.join(errors) or 'see the log'}"
            )
        return summary
