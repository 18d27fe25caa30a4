"""Who uses which image. One file for each usage source; here they come together."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from itertools import chain
from typing import Protocol

from ecr_cleaner.aws import Aws
from ecr_cleaner.errors import InvalidSettingError, ScanError
from ecr_cleaner.model import Usage
from ecr_cleaner.settings import Settings
from ecr_cleaner.usage.account import Account
from ecr_cleaner.usage.agentcore import AgentCore
from ecr_cleaner.usage.app_runner import AppRunner
from ecr_cleaner.usage.aws_lambda import Lambda
from ecr_cleaner.usage.batch import Batch
from ecr_cleaner.usage.codebuild import CodeBuild
from ecr_cleaner.usage.ecs import Ecs
from ecr_cleaner.usage.ecs_daemons import EcsDaemons
from ecr_cleaner.usage.emr_serverless import EmrServerless
from ecr_cleaner.usage.event_rules import EventRules
from ecr_cleaner.usage.inspector import Inspector
from ecr_cleaner.usage.pipes import Pipes
from ecr_cleaner.usage.reference_lists import ReferenceLists
from ecr_cleaner.usage.sagemaker import SageMaker
from ecr_cleaner.usage.sagemaker_jobs import SageMakerJobs
from ecr_cleaner.usage.sagemaker_monitoring import SageMakerMonitoring
from ecr_cleaner.usage.sagemaker_packages import SageMakerPackages
from ecr_cleaner.usage.sagemaker_pipelines import SageMakerPipelines
from ecr_cleaner.usage.sagemaker_studio import SageMakerStudio
from ecr_cleaner.usage.scheduler import Scheduler
from ecr_cleaner.usage.step_functions import StepFunctions


class UsageSource(Protocol):
    """One kind of thing that runs images.

    ``name`` is what logs, settings and ``permissions.json`` call it, ``service`` what boto3 calls
    the AWS service; where the region does not offer that, there is nothing to scan.
    """

    name: str
    service: str

    def usages(self, account: Account) -> Iterable[Usage]:
        """Yield every usage; raise CleanerError where not all of them could be read."""


SOURCES: tuple[UsageSource, ...] = (
    # What takes the most calls begins first.
    Ecs(),
    EcsDaemons(),
    Lambda(),
    EventRules(),
    Scheduler(),
    Pipes(),
    AppRunner(),
    Batch(),
    CodeBuild(),
    StepFunctions(),
    SageMaker(),
    SageMakerJobs(),
    SageMakerStudio(),
    SageMakerPackages(),
    SageMakerMonitoring(),
    SageMakerPipelines(),
    AgentCore(),
    EmrServerless(),
)


def sources_for(settings: Settings) -> tuple[UsageSource, ...]:
    """Return every source, and those that only the settings bring into being."""
    inspector = (Inspector(),) if settings.inspector_coverage else ()
    lists = (ReferenceLists(),) if settings.reference_lists else ()
    return (*SOURCES, *inspector, *lists)


class State(StrEnum):
    """What became of a source in a scan. There is no fourth: one that failed ends the run."""

    SCANNED = "scanned"
    NOT_IN_REGION = "not in this region"
    WAIVED = "waived"


@dataclass(frozen=True, slots=True)
class Reading:
    """What one source told."""

    source: str
    state: State
    usages: tuple[Usage, ...] = ()

    def fields(self) -> dict[str, str | int]:
        """Return what a log line and the summary tell of it."""
        counted = {"usages": len(self.usages)} if self.state is State.SCANNED else {}
        return {"state": self.state.value, **counted}


@dataclass(frozen=True, slots=True)
class Scan:
    """What every source told, in the order of the sources."""

    readings: tuple[Reading, ...]

    @property
    def usages(self) -> Iterable[Usage]:
        return chain.from_iterable(reading.usages for reading in self.readings)

    def coverage(self) -> dict[str, dict[str, str | int]]:
        """Return the state of each source, with what was found where it was scanned."""
        return {reading.source: reading.fields() for reading in self.readings}


def check_waived(settings: Settings, sources: Iterable[UsageSource]) -> None:
    """Raise InvalidSettingError where a waived source is none of these."""
    names = [source.name for source in sources]
    unknown = [name for name in settings.waived_sources if name not in names]
    if unknown:
        value = ",".join(settings.waived_sources)
        allowed = f"a list, with commas between, of {', '.join(names)}; not {', '.join(unknown)}"
        raise InvalidSettingError("WAIVED_SOURCES", value, allowed)


def scan(aws: Aws, settings: Settings, sources: Iterable[UsageSource]) -> Scan:
    """Ask every source; raise ScanError if any one of them could not be read in full."""
    account = Account(aws, settings)
    return Scan(tuple(aws.workers.map(lambda source: _read(source, account), sources)))


def _read(source: UsageSource, account: Account) -> Reading:
    if source.name in account.settings.waived_sources:
        return Reading(source.name, State.WAIVED)
    if not account.aws.offers(source.service):
        return Reading(source.name, State.NOT_IN_REGION)
    try:
        return Reading(source.name, State.SCANNED, tuple(source.usages(account)))
    except Exception as error:
        # Whatever went wrong, an answer that was not expected included: it was not read in full.
        raise ScanError(source.name, error) from error
