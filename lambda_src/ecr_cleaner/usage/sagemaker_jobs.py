"""SageMaker jobs under way: training, hyperparameter tuning and processing."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain

from ecr_cleaner.aws.api import Answer
from ecr_cleaner.core.model import Usage
from ecr_cleaner.usage.shared.sagemaker import Kind, usages
from ecr_cleaner.usage.shared.target import Target

# A job that is stopping pulls nothing any more; one that is stopped is never started again.
UNDER_WAY = {"StatusEquals": "InProgress"}


def _of_training(job: Answer) -> Iterator[str | None]:
    """The algorithm, and the rules that watch it, each in a container of its own."""
    yield job.get("AlgorithmSpecification", {}).get("TrainingImage")
    rules = ("DebugRuleConfigurations", "ProfilerRuleConfigurations")
    for rule in chain.from_iterable(job.get(group, ()) for group in rules):
        yield rule.get("RuleEvaluatorImage")


def _of_tuning(job: Answer) -> Iterator[str | None]:
    """A tuning job goes on to create training jobs."""
    definitions = (job.get("TrainingJobDefinition", {}), *job.get("TrainingJobDefinitions", ()))
    return (one.get("AlgorithmSpecification", {}).get("TrainingImage") for one in definitions)


def _of_processing(job: Answer) -> list[str | None]:
    return [job["AppSpecification"]["ImageUri"]]


TRAINING = Kind(
    "ListTrainingJobs",
    "TrainingJobSummaries",
    "DescribeTrainingJob",
    parameter="TrainingJobName",
    member="TrainingJobName",
    consumer="TrainingJobArn",
    images=_of_training,
    filters=UNDER_WAY,
)
TUNING = Kind(
    "ListHyperParameterTuningJobs",
    "HyperParameterTuningJobSummaries",
    "DescribeHyperParameterTuningJob",
    parameter="HyperParameterTuningJobName",
    member="HyperParameterTuningJobName",
    consumer="HyperParameterTuningJobArn",
    images=_of_tuning,
    filters=UNDER_WAY,
)
PROCESSING = Kind(
    "ListProcessingJobs",
    "ProcessingJobSummaries",
    "DescribeProcessingJob",
    parameter="ProcessingJobName",
    member="ProcessingJobName",
    consumer="ProcessingJobArn",
    images=_of_processing,
    filters=UNDER_WAY,
)


class SageMakerJobs:
    """Only what is in progress.

    Source: https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_DescribeTrainingJob.html
    """

    name = "sagemaker-jobs"
    service = "sagemaker"

    def usages(self, target: Target) -> Iterable[Usage]:
        """Yield the images of all jobs in progress."""
        return usages(target, self.name, (TRAINING, TUNING, PROCESSING))
