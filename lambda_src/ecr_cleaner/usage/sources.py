"""Every usage source. A new one is a file and a line here."""

from __future__ import annotations

from ecr_cleaner.core.settings import Settings
from ecr_cleaner.usage.agentcore import AgentCore
from ecr_cleaner.usage.app_runner import AppRunner
from ecr_cleaner.usage.batch import Batch
from ecr_cleaner.usage.cluster_documents import ClusterDocuments
from ecr_cleaner.usage.codebuild import CodeBuild
from ecr_cleaner.usage.ecs import Ecs
from ecr_cleaner.usage.ecs_daemons import EcsDaemons
from ecr_cleaner.usage.eks import Eks
from ecr_cleaner.usage.emr_serverless import EmrServerless
from ecr_cleaner.usage.eventbridge_pipes import Pipes
from ecr_cleaner.usage.eventbridge_rules import EventRules
from ecr_cleaner.usage.eventbridge_scheduler import Scheduler
from ecr_cleaner.usage.inspector import Inspector
from ecr_cleaner.usage.lambda_functions import Lambda
from ecr_cleaner.usage.reference_lists import ReferenceLists
from ecr_cleaner.usage.sagemaker import SageMaker
from ecr_cleaner.usage.sagemaker_jobs import SageMakerJobs
from ecr_cleaner.usage.sagemaker_monitoring import SageMakerMonitoring
from ecr_cleaner.usage.sagemaker_packages import SageMakerPackages
from ecr_cleaner.usage.sagemaker_pipelines import SageMakerPipelines
from ecr_cleaner.usage.sagemaker_studio import SageMakerStudio
from ecr_cleaner.usage.source import UsageSource
from ecr_cleaner.usage.step_functions import StepFunctions

SOURCES: tuple[UsageSource, ...] = (
    # What takes the most calls begins first.
    Eks(),
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
    """Return every source, with the optional ones that the settings switch on."""
    inspector = (Inspector(),) if settings.inspector_coverage else ()
    lists = (ReferenceLists(),) if settings.reference_lists else ()
    documents = (ClusterDocuments(),) if settings.cluster_documents else ()
    return (*SOURCES, *inspector, *lists, *documents)
