"""Wire the program: from an environment to the summary of a run."""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from functools import partial
from typing import Any

from structlog.typing import FilteringBoundLogger

from ecr_cleaner.aws.api import Api
from ecr_cleaner.aws.kubernetes_access import in_cluster
from ecr_cleaner.aws.registry import EcrRegistry
from ecr_cleaner.aws.session import Aws, open_session
from ecr_cleaner.core.applied_plan import AppliedPlan
from ecr_cleaner.core.approval import approved_by
from ecr_cleaner.core.errors import ApiError, LogError, RunFailedError
from ecr_cleaner.core.fan_out import step_of
from ecr_cleaner.core.invocation import Order, order_of
from ecr_cleaner.core.settings import Purpose, Settings, is_dry_run, mode_of, waived_api_groups
from ecr_cleaner.deadline import Deadline
from ecr_cleaner.report import events
from ecr_cleaner.report.lines import INTERRUPTED, MakeLogger, log_error, make_logger
from ecr_cleaner.report.run_report import RunReport
from ecr_cleaner.run.applying import Applier
from ecr_cleaner.run.cleaner import Cleaner
from ecr_cleaner.run.cluster_scan import scan_own_cluster, writer
from ecr_cleaner.run.looking import Look, Looker
from ecr_cleaner.run.plan_places import place_of, stored_plan
from ecr_cleaner.run.plans import NoPlan, Plans
from ecr_cleaner.run.steps import StepRunner
from ecr_cleaner.usage.sources import sources_for
from ecr_cleaner.workers import Workers

THREADS = 48

# Images and verdicts come in tens of thousands and in no cycles. Looking for cycles among them as
# often as Python does by default takes up to a tenth of the time of a run.
_COLLECTION_THRESHOLDS = (20_000, 50, 50)


def understood(environ: Mapping[str, str], request_id: str, event: object) -> Order:
    """Return what the event of the function asks for. An error is logged before it is raised."""
    with _failures_logged(make_logger("INFO", **_bound(environ, request_id))):
        return order_of(event)


def run(
    environ: Mapping[str, str], request_id: str, deadline: Deadline | None = None
) -> dict[str, Any]:
    """Run once and return the summary. Every error is logged before it is raised.

    When the deadline is near, nothing new begins: the work in progress is finished, and the
    summary says that the run is not complete.
    """
    gc.set_threshold(*_COLLECTION_THRESHOLDS)
    bound = _bound(environ, request_id)
    with _failures_logged(make_logger("INFO", **bound)):
        settings = Settings.from_environ(environ)
        log = make_logger(settings.log_level, **bound)
        with Workers(THREADS) as workers:
            aws = Aws(open_session(environ.get("AWS_REGION")), workers, deadline)
            with closing(_plans(aws, settings, request_id)) as plans:
                return Cleaner(aws, settings, log, sources_for(settings), plans).run()


def apply(  # noqa: PLR0913 - what a person sees of it beside what a run needs
    environ: Mapping[str, str],
    request_id: str,
    plan: str,
    deadline: Deadline | None = None,
    *,
    make: MakeLogger = make_logger,
    see: Callable[[AppliedPlan], None] = lambda _: None,
) -> dict[str, Any]:
    """Apply a plan, named by its address; return the summary. Every error is logged.

    Removes what the plan removes and a fresh judgement still does. A plan that is too old, or of
    other settings or another registry, is refused before anything is removed. ``see`` gets what the
    run notes of the images of the plan.
    """
    gc.set_threshold(*_COLLECTION_THRESHOLDS)
    bound = _bound(environ, request_id, Purpose.APPLY)
    with _failures_logged(make("INFO", **bound)):
        settings = Settings.from_environ(environ, Purpose.APPLY)
        log = make(settings.log_level, **bound)
        with Workers(THREADS) as workers:
            aws = Aws(open_session(environ.get("AWS_REGION")), workers, deadline)
            with stored_plan(aws, plan) as parts:
                approved = approved_by(parts)
            RunReport(log, settings).applying(plan, approved)
            approved.check(settings, aws.deadline.now())
            applied = AppliedPlan(plan, approved)
            see(applied)
            with closing(_plans(aws, settings, request_id)) as plans:
                sources = sources_for(settings)
                return Applier(aws, settings, log, sources, plans, applied).run()


def run_step(
    environ: Mapping[str, str],
    request_id: str,
    event: Mapping[str, Any],
    deadline: Deadline | None = None,
) -> dict[str, Any]:
    """Run one step of a run, named by the event; return what the next steps need of it."""
    gc.set_threshold(*_COLLECTION_THRESHOLDS)
    bound = _bound(environ, request_id)
    log = make_logger("INFO", **bound)
    with _failures_logged(log):
        step = step_of(event)
    with _failures_logged(log.bind(**step.fields())):
        settings = Settings.from_environ(environ)
        log = make_logger(settings.log_level, **bound)
        with Workers(THREADS) as workers:
            aws = Aws(open_session(environ.get("AWS_REGION")), workers, deadline)
            plans = partial(_plans, aws, settings)
            return StepRunner(aws, settings, log, sources_for(settings), plans).run(step)


def look(environ: Mapping[str, str], log: FilteringBoundLogger, what: Look) -> str:
    """Make a dry run that writes nothing but its plan; return why it failed at its end, or nothing.

    Every error is logged. Raise CleanerError if there is no plan, because it is unknown what is in
    use or which repositories exist.
    """
    gc.set_threshold(*_COLLECTION_THRESHOLDS)
    with _failures_logged(log):
        settings = Settings.from_environ(environ, Purpose.LOOK)
        with Workers(THREADS) as workers:
            aws = Aws(open_session(environ.get("AWS_REGION")), workers)
            try:
                Looker(aws, settings, log, sources_for(settings), what).run()
            except RunFailedError as error:
                log_error(log, events.RUN_FAILED, error)
                return str(error)
    return ""


def restore(
    environ: Mapping[str, str], request_id: str, repository: str, digests: Sequence[str]
) -> dict[str, Any]:
    """Restore archived images; return the digests for which ECR accepted it.

    Of the settings, only the region is read. ECR takes up to 20 minutes to restore an image. Raise
    RunFailedError at the end if one or more images could not be restored.
    """
    log = make_logger("INFO", request_id=request_id, dry_run=False)
    with _failures_logged(log), Workers(THREADS) as workers:
        aws = Aws(open_session(environ.get("AWS_REGION")), workers)
        return _restore(EcrRegistry(aws), log, repository, digests)


def scan_cluster(
    environ: Mapping[str, str], request_id: str, cluster: str, output: str
) -> dict[str, Any]:
    """Write the usage document of the cluster that this runs in; return what was read.

    Of the settings, only ``WAIVED_API_GROUPS`` is read. The log goes to standard error, because the
    document may go to standard output. Raise CleanerError if the cluster was not read in full.
    """
    log = make_logger("INFO", stream=sys.stderr, request_id=request_id, dry_run=True)
    deadline = Deadline()
    with _failures_logged(log), Workers(1) as workers:

        def s3() -> Api:
            return Aws(open_session(environ.get("AWS_REGION")), workers, deadline).api("s3")

        api = in_cluster(environ, cluster, deadline)
        groups = waived_api_groups(environ)
        document = scan_own_cluster(cluster, api, deadline, groups, writer(output, s3))
        seconds = (document.ended - document.started).total_seconds()
        read = {"cluster": cluster, "kinds": len(document.kinds), "duration_seconds": seconds}
        log.info(events.CLUSTER_READ, **read)
        return read


def _bound(
    environ: Mapping[str, str], request_id: str, purpose: Purpose = Purpose.CLEAN
) -> dict[str, Any]:
    """Return the fields that every line of a run's log has."""
    return {
        "request_id": request_id,
        "dry_run": is_dry_run(environ, purpose),
        "mode": mode_of(environ, purpose).value,
    }


@contextmanager
def _failures_logged(log: FilteringBoundLogger) -> Iterator[None]:
    try:
        yield
    except Exception as error:
        try:
            log_error(log, events.RUN_FAILED, error)
        except OSError as unwritten:
            raise LogError(f"the log could not be written: {unwritten}") from unwritten
        raise
    except KeyboardInterrupt:
        log.error(events.RUN_FAILED, error=INTERRUPTED)  # noqa: TRY400 - a traceback would not help
        raise


def _plans(aws: Aws, settings: Settings, run: str) -> Plans | NoPlan:
    place = place_of(aws, settings.plans)
    return Plans(run, place, lambda: not aws.deadline.is_near()) if place else NoPlan()


def _restore(
    registry: EcrRegistry, log: FilteringBoundLogger, repository: str, digests: Sequence[str]
) -> dict[str, Any]:
    restored: list[str] = []
    for digest in digests:
        try:
            registry.restore(repository, digest)
        except ApiError as error:
            log_error(log, events.NOT_RESTORED, error, repository=repository, digest=digest)
        else:
            log.info(events.RESTORING, repository=repository, digest=digest)
            restored.append(digest)
    if len(restored) < len(digests):
        failed = len(digests) - len(restored)
        raise RunFailedError(f"{failed} of {len(digests)} images could not be restored")
    return {"repository": repository, "restored": restored}
