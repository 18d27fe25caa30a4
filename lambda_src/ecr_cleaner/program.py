"""The program behind both entry points: from an environment to the summary of a run."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import boto3
from botocore.exceptions import BotoCoreError
from structlog.typing import FilteringBoundLogger

from ecr_cleaner.aws import Aws
from ecr_cleaner.cleaner import Cleaner
from ecr_cleaner.errors import CleanerError, InvalidSettingError
from ecr_cleaner.logs import make_logger
from ecr_cleaner.report import RUN_FAILED
from ecr_cleaner.settings import Settings
from ecr_cleaner.workers import Workers

THREADS = 16


def run(environ: Mapping[str, str], request_id: str) -> dict[str, Any]:
    """Run once and return the summary; every error is logged before it is raised."""
    log = make_logger("INFO", request_id=request_id, dry_run=environ.get("DRY_RUN") != "false")
    try:
        settings = Settings.from_environ(environ)
        log = make_logger(settings.log_level, request_id=request_id, dry_run=settings.dry_run)
        return _run(environ, settings, log)
    except CleanerError as error:
        log.exception(RUN_FAILED, **error.fields)
        raise
    except Exception as error:
        log.exception(RUN_FAILED, error=repr(error), exc_info=error)
        raise


def _run(
    environ: Mapping[str, str], settings: Settings, log: FilteringBoundLogger
) -> dict[str, Any]:
    with Workers(THREADS) as workers:
        aws = Aws(_session(environ), workers)
        return Cleaner(aws, settings, log, lambda: datetime.now(UTC)).run()


def _session(environ: Mapping[str, str]) -> boto3.Session:
    # The SDK for Python itself reads AWS_DEFAULT_REGION only.
    try:
        session = boto3.Session(region_name=environ.get("AWS_REGION"))
    except BotoCoreError as error:
        raise CleanerError(str(error)) from error
    if not session.region_name:
        raise InvalidSettingError("AWS_REGION", "", "the name of an AWS region")
    return session
