"""SageMaker's monitoring schedules, which start processing jobs again and again."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ecr_cleaner.aws.api import Answer
from ecr_cleaner.core.errors import ApiError, IncompleteAnswerError, OperationAbsentError
from ecr_cleaner.core.model import Usage
from ecr_cleaner.core.walk import find
from ecr_cleaner.usage.shared.sagemaker import GONE
from ecr_cleaner.usage.shared.target import Target
from ecr_cleaner.usage.shared.uses import usages_of

# For each type of monitoring, the operation that describes a job definition.
DEFINITIONS = {
    "DataQuality": "DescribeDataQualityJobDefinition",
    "ModelQuality": "DescribeModelQualityJobDefinition",
    "ModelBias": "DescribeModelBiasJobDefinition",
    "ModelExplainability": "DescribeModelExplainabilityJobDefinition",
}


class SageMakerMonitoring:
    """Every schedule, stopped ones too: they can be started again.

    A schedule holds the definition of its job, or names it.
    Source: https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_MonitoringScheduleConfig.html
    """

    name = "sagemaker-monitoring"
    service = "sagemaker"
    everywhere = True
    what = "every monitoring schedule"

    def usages(self, target: Target) -> Iterable[Usage]:
        """Yield the image that each schedule runs."""
        try:
            schedules = target.listed(
                self.service,
                "ListMonitoringSchedules",
                "MonitoringScheduleSummaries",
                {"MaxResults": 100},
            )
        except OperationAbsentError as error:
            target.note_absent(error)
            return []
        answers = target.workers.map(lambda schedule: _described(target, schedule), schedules)
        named = [
            (schedule["MonitoringScheduleArn"], find(answer))
            for schedule, answer in zip(schedules, answers, strict=True)
        ]
        return usages_of(target, self.name, named)


def _described(target: Target, schedule: Answer) -> list[Answer]:
    """Return the schedule and the definition that it names."""
    name = schedule["MonitoringScheduleName"]
    answers = _find(target, "DescribeMonitoringSchedule", MonitoringScheduleName=name)
    for answer in list(answers):
        config = answer["MonitoringScheduleConfig"]
        if "MonitoringJobDefinition" not in config:
            operation = _operation(config)
            definition = config["MonitoringJobDefinitionName"]
            answers += _find(target, operation, JobDefinitionName=definition)
    return answers


def _operation(config: Answer) -> str:
    name, monitoring = config["MonitoringJobDefinitionName"], config.get("MonitoringType")
    if monitoring not in DEFINITIONS:
        problem = f"job definition {name!r} has the unknown monitoring type {monitoring!r}"
        raise IncompleteAnswerError(f"DescribeMonitoringSchedule: {problem}")
    return DEFINITIONS[monitoring]


def _find(target: Target, operation: str, **parameters: Any) -> list[Answer]:
    """Return the answer, or nothing if the thing has vanished."""
    try:
        return [target.api("sagemaker").call(operation, **parameters)]
    except OperationAbsentError as error:
        target.note_absent(error)
    except ApiError as error:
        if not GONE.search(str(error)):
            raise
    return []
