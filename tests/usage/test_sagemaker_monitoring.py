"""What SageMaker's monitoring schedules start."""

from __future__ import annotations

from typing import Any

import pytest

from ecr_cleaner.core.errors import IncompleteAnswerError
from ecr_cleaner.usage.sagemaker_monitoring import DEFINITIONS, SageMakerMonitoring
from fakes.aws_api import error, found
from fakes.scripted import HOST, Scripted, by

GONE = error("ValidationException", "Could not find requested job with name: gone")
ARN = "arn:aws:sagemaker:eu-west-1:123456789012:monitoring-schedule/"


def listed(*names: str) -> dict[str, Any]:
    return {
        "MonitoringScheduleSummaries": [
            {"MonitoringScheduleName": one, "MonitoringScheduleArn": ARN + one} for one in names
        ]
    }


def holds(tag: str) -> dict[str, Any]:
    specification = {"ImageUri": f"{HOST}/monitor:{tag}"}
    definition = {"MonitoringAppSpecification": specification}
    return {"MonitoringScheduleConfig": {"MonitoringJobDefinition": definition}}


def names(monitoring: str) -> dict[str, Any]:
    config = {"MonitoringJobDefinitionName": "named", "MonitoringType": monitoring}
    return {"MonitoringScheduleConfig": config}


def monitoring(**schedules: Any) -> Scripted:
    """Return SageMaker with these schedules, and one job definition of each type."""
    api = Scripted(
        "sagemaker",
        ListMonitoringSchedules=[listed(name) for name in schedules] or {},
        DescribeMonitoringSchedule=by("MonitoringScheduleName", schedules),
    )
    for kind, operation in DEFINITIONS.items():
        specification = f"{kind}AppSpecification"
        api.line(operation, {specification: {"ImageUri": f"{HOST}/monitor:{kind}"}})
    return api


def uses(api: Scripted) -> set[tuple[str, str | None]]:
    usages = found(SageMakerMonitoring(), api)
    assert {one.source for one in usages} <= {"sagemaker-monitoring"}
    return {(one.consumer, one.reference.tag) for one in usages}


def test_no_schedules_use_nothing() -> None:
    api = monitoring()

    assert uses(api) == set()
    assert api.calls == [("ListMonitoringSchedules", {"MaxResults": 100})]


def test_schedule_uses_the_image_of_the_definition_that_it_holds() -> None:
    api = monitoring(a=holds("v1"), b=holds("v2"))

    assert uses(api) == {(f"{ARN}a", "v1"), (f"{ARN}b", "v2")}


@pytest.mark.parametrize("kind", sorted(DEFINITIONS))
def test_schedule_uses_the_image_of_the_definition_that_it_names(kind: str) -> None:
    api = monitoring(one=names(kind))

    assert uses(api) == {(f"{ARN}one", kind)}
    assert api.actions == sorted(
        [
            "sagemaker:DescribeMonitoringSchedule",
            f"sagemaker:Describe{kind}JobDefinition",
            "sagemaker:ListMonitoringSchedules",
        ]
    )


def test_type_of_monitoring_that_is_not_known_is_an_error() -> None:
    unknown = {"MonitoringScheduleConfig": {"MonitoringJobDefinitionName": "named"}}

    with pytest.raises(IncompleteAnswerError, match="'named' has the unknown monitoring type None"):
        uses(monitoring(one=unknown))


def test_schedule_that_vanished_is_skipped() -> None:
    assert uses(monitoring(gone=GONE, stays=holds("v1"))) == {(f"{ARN}stays", "v1")}


def test_definition_that_vanished_is_skipped() -> None:
    api = monitoring(one=names("DataQuality"))
    api.line("DescribeDataQualityJobDefinition", error("ResourceNotFound"))

    assert uses(api) == set()
