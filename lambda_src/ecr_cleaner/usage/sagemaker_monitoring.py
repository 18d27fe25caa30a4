"""SageMaker's monitoring schedules, which start processing jobs again and again."""

from __future__ import annotations

from collections.abc import Iterable

from ecr_cleaner.aws.api import Answer, Api
from ecr_cleaner.core.errors import IncompleteAnswerError
from ecr_cleaner.core.model import Usage
from ecr_cleaner.usage.shared.references import usages_of
from ecr_cleaner.usage.shared.sagemaker import find
from ecr_cleaner.usage.shared.target import Target

# For each type of monitoring: the operation that describes a job definition, and where in the
# answer its image stands.
DEFINITIONS = {
    "DataQuality": ("DescribeDataQualityJobDefinition", "DataQualityAppSpecification"),
    "ModelQuality": ("DescribeModelQualityJobDefinition", "ModelQualityAppSpecification"),
    "ModelBias": ("DescribeModelBiasJobDefinition", "ModelBiasAppSpecification"),
    "ModelExplainability": (
        "DescribeModelExplainabilityJobDefinition",
        "ModelExplainabilityAppSpecification",
    ),
}


class SageMakerMonitoring:
    """Every schedule, stopped ones too: they can be started again.

    Source: https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_MonitoringScheduleConfig.html
    """

    name = "sagemaker-monitoring"
    service = "sagemaker"

    def usages(self, target: Target) -> Iterable[Usage]:
        """Yield the image that each schedule runs."""
        api, workers = target.api("sagemaker"), target.workers
        schedules = list(
            api.each("ListMonitoringSchedules", "MonitoringScheduleSummaries", MaxResults=100)
        )
        images = workers.map(lambda schedule: _image(api, schedule), schedules)
        for schedule, image in zip(schedules, images, strict=True):
            yield from usages_of(self.name, schedule["MonitoringScheduleArn"], [image])


def _image(api: Api, schedule: Answer) -> str | None:
    """A schedule holds the definition of its job, or names it."""
    answer = find(
        api, "DescribeMonitoringSchedule", MonitoringScheduleName=schedule["MonitoringScheduleName"]
    )
    if answer is None:
        return None
    config = answer["MonitoringScheduleConfig"]
    if "MonitoringJobDefinition" not in config:
        return _of_definition(api, config)
    image: str | None = config["MonitoringJobDefinition"]["MonitoringAppSpecification"]["ImageUri"]
    return image


def _of_definition(api: Api, config: Answer) -> str | None:
    name, monitoring = config["MonitoringJobDefinitionName"], config.get("MonitoringType")
    if monitoring not in DEFINITIONS:
        problem = f"job definition {name!r} has the unknown monitoring type {monitoring!r}"
        raise IncompleteAnswerError(f"DescribeMonitoringSchedule: {problem}")
    operation, specification = DEFINITIONS[monitoring]
    answer = find(api, operation, JobDefinitionName=name)
    image: str | None = answer[specification]["ImageUri"] if answer else None
    return image
