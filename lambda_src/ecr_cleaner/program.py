"""The program behind both entry points: from an environment to the summary of a run."""

from __future__ import annotations

import gc
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from structlog.typing import FilteringBoundLogger

from ecr_cleaner.aws import Aws, open_session
from ecr_cleaner.cleaner import Cleaner
from ecr_cleaner.errors import ApiError, LogError, RunFailedError
from ecr_cleaner.logs import log_error, make_logger
from ecr_cleaner.registry import EcrRegistry
from ecr_cleaner.report import NOT_RESTORED, RESTORING, RUN_FAILED
from ecr_cleaner.settings import Settings
from ecr_cleaner.workers import Workers

THREADS = 48

# Images and verdicts come in tens of thousands and in no cycles. Looking for cycles among them as
# often as Python does by default takes up to a tenth of the time of a run.
_COLLECTION_THRESHOLDS = (20_000, 50, 50)


def run(
    environ: Mapping[str, str],
    request_id: str,
    seconds_left: Callable[[], float] = lambda: math.inf,
) -> dict[str, Any]:
    """Run once and return the summary; every error is logged before it is raised.

    When little time is left, no new work is begun: what is under way is finished, and the summary
    says that the run is not complete.
    """
    gc.set_threshold(*_COLLECTION_THRESHOLDS)
    dry_run = environ.get("DRY_RUN") != "false"
    with _failures_logged(make_logger("INFO", request_id=request_id, dry_run=dry_run)):
        settings = Settings.from_environ(environ)
        log = make_logger(settings.log_level, request_id=request_id, dry_run=settings.dry_run)
        with Workers(THREADS) as workers:
            aws = Aws(open_session(environ.get("AWS_REGION")), workers)
            clean = Cleaner(
                aws, settings, log, lambda: datetime.now(UTC), seconds_left=seconds_left
            )
            return clean.run()


def restore(
    environ: Mapping[str, str], request_id: str, repository: str, digests: Sequence[str]
) -> dict[str, Any]:
    """Bring archived images back; return the digests that are on their way (up to 20 minutes).

    Of the settings only the region is read. Raise RunFailedError at the end where one or more of
    the images could not be restored.
    """
    log = make_logger("INFO", request_id=request_id, dry_run=False)
    with _failures_logged(log), Workers(THREADS) as workers:
        aws = Aws(open_session(environ.get("AWS_REGION")), workers)
        return _restore(EcrRegistry(aws.api("ecr"), workers), log, repository, digests)


@contextmanager
def _failures_logged(log: FilteringBoundLogger) -> Iterator[None]:
    try:
        yield
    except Exception as error:
        try:
            log_error(log, RUN_FAILED, error)
        except OSError as unwritten:
            raise LogError(f"the log could not be written: {unwritten}") from unwritten
        raise
    except KeyboardInterrupt:
        why = "interrupted: what was under way is done, and nothing more"
        log.error(RUN_FAILED, error=why)  # noqa: TRY400 - a traceback would tell nothing
        raise


def _restore(
    registry: EcrRegistry, log: FilteringBoundLogger, repository: str, digests: Sequence[str]
) -> dict[str, Any]:
    restored: list[str] = []
    for digest in digests:
        try:
            registry.restore(repository, digest)
        except ApiError as error:
            log_error(log, NOT_RESTORED, error, repository=repository, digest=digest)
        else:
            log.info(RESTORING, repository=repository, digest=digest)
            restored.append(digest)
    if len(restored) < len(digests):
        failed = len(digests) - len(restored)
        raise RunFailedError(f"{failed} of {len(digests)} images could not be restored")
    return {"repository": repository, "restored": restored}
