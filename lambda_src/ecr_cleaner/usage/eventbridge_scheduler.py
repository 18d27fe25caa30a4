"""EventBridge Scheduler: schedules that run ECS tasks."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from ecr_cleaner.aws.api import Api
from ecr_cleaner.core.model import Usage
from ecr_cleaner.usage.shared.target import Target
from ecr_cleaner.usage.shared.task_definitions import TaskStarter, usages_of_starters

# The universal targets that call ECS as the SDK does: runTask, startTask, updateService, ...
# https://docs.aws.amazon.com/scheduler/latest/UserGuide/managing-targets-universal.html
UNIVERSAL = ":aws-sdk:ecs:"


class Scheduler:
    """Disabled schedules count as well: who enables one expects it to work.

    Source: https://docs.aws.amazon.com/scheduler/latest/APIReference/API_EcsParameters.html
    """

    name = "eventbridge-scheduler"
    service = "scheduler"

    def usages(self, target: Target) -> Iterable[Usage]:
        """Yield the images of each schedule that has to do with ECS, one call a schedule."""
        api = target.api("scheduler")
        listed = api.each("ListSchedules", "Schedules", MaxResults=100)
        of_ecs = [schedule for schedule in listed if ":ecs:" in schedule["Target"]["Arn"]]
        starters = target.workers.map(lambda schedule: _target(api, schedule), of_ecs)
        yield from usages_of_starters(self.name, target, starters)


def _target(api: Api, schedule: Mapping[str, Any]) -> TaskStarter | None:
    answer = api.find(
        "GetSchedule",
        "ResourceNotFoundException",
        Name=schedule["Name"],
        GroupName=schedule["GroupName"],
    )
    definition = _task_definition(answer["Target"]) if answer else None
    return TaskStarter(schedule["Arn"], definition) if definition else None


def _task_definition(target: Mapping[str, Any]) -> str | None:
    if "EcsParameters" in target:
        return str(target["EcsParameters"]["TaskDefinitionArn"])
    if UNIVERSAL in target["Arn"]:
        given = json.loads(target.get("Input") or "{}")
        return next(
            (given[name] for name in ("TaskDefinition", "taskDefinition") if name in given), None
        )
    return None
