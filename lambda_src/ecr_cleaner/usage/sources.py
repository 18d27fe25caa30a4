"""Every usage source. A new one is a row, or a file if it takes more than rows can say."""

from __future__ import annotations

from ecr_cleaner.core.settings import Settings
from ecr_cleaner.usage import rows, rows_sagemaker
from ecr_cleaner.usage.cluster_documents import ClusterDocuments
from ecr_cleaner.usage.codepipeline import CodePipeline
from ecr_cleaner.usage.ecs import Ecs
from ecr_cleaner.usage.ecs_daemons import EcsDaemons
from ecr_cleaner.usage.eks import Eks
from ecr_cleaner.usage.inspector import Inspector
from ecr_cleaner.usage.lambda_functions import Lambda
from ecr_cleaner.usage.reference_lists import ReferenceLists
from ecr_cleaner.usage.sagemaker_monitoring import SageMakerMonitoring
from ecr_cleaner.usage.source import UsageSource

SOURCES: tuple[UsageSource, ...] = (
    # What takes the most calls begins first.
    Eks(),
    Ecs(),
    EcsDaemons(),
    Lambda(),
    CodePipeline(),
    rows.EVENTBRIDGE_RULES,
    rows.EVENTBRIDGE_SCHEDULER,
    rows.EVENTBRIDGE_PIPES,
    rows.APP_RUNNER,
    rows.BATCH,
    rows.CODEBUILD,
    rows.STEP_FUNCTIONS,
    rows_sagemaker.SAGEMAKER,
    rows_sagemaker.SAGEMAKER_JOBS,
    rows_sagemaker.SAGEMAKER_STUDIO,
    rows_sagemaker.SAGEMAKER_PACKAGES,
    SageMakerMonitoring(),
    rows_sagemaker.SAGEMAKER_PIPELINES,
    rows.AGENTCORE,
    rows.EMR_SERVERLESS,
    rows.LAMBDA_RUNTIMES,
    rows.LAUNCH_TEMPLATES,
    rows.LAUNCH_CONFIGURATIONS,
    rows.ELASTIC_BEANSTALK,
    rows.LIGHTSAIL,
    rows.EMR,
    rows.EMR_ON_EKS,
    rows.EVENTBRIDGE_SUBSCRIBERS,
    rows.GAMELIFT,
    rows.IMAGE_BUILDER,
    rows.HEALTHOMICS,
    rows.BRAKET,
    rows.GREENGRASS,
    rows.CLEAN_ROOMS_ML,
    rows.IOT_SITEWISE,
)


def sources_for(settings: Settings) -> tuple[UsageSource, ...]:
    """Return every source, with the optional ones that the settings switch on."""
    inspector = (Inspector(),) if settings.inspector_coverage else ()
    lists = (ReferenceLists(),) if settings.reference_lists else ()
    documents = (ClusterDocuments(),) if settings.cluster_documents else ()
    return (*SOURCES, *inspector, *lists, *documents)
