"""EventBridge Pipes with an ECS task as their target."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ecr_cleaner.aws.api import Api
from ecr_cleaner.core.model import Usage
from ecr_cleaner.usage.shared.target import Target
from ecr_cleaner.usage.shared.task_definitions import TaskStarter, usages_of_starters


class Pipes:
    """Stopped pipes count as well. A target taken from the event (a JSON path) cannot be known.

    Source: https://docs.aws.amazon.com/eventbridge/latest/pipes-reference/API_PipeTargetEcsTaskParameters.html
    """

    name = "eventbridge-pipes"
    service = "pipes"

    def usages(self, target: Target) -> Iterable[Usage]:
        """Yield the images of each pipe that leads to ECS, one call a pipe."""
        api = target.api("pipes")
        listed = api.each("ListPipes", "Pipes", Limit=100)
        of_ecs = [pipe for pipe in listed if ":ecs:" in pipe["Target"]]
        starters = target.workers.map(lambda pipe: _target(api, pipe), of_ecs)
        yield from usages_of_starters(self.name, target, starters)


def _target(api: Api, pipe: Mapping[str, Any]) -> TaskStarter | None:
    answer = api.find("DescribePipe", "NotFoundException", Name=pipe["Name"])
    parameters = (answer or {}).get("TargetParameters", {}).get("EcsTaskParameters", {})
    definition = parameters.get("TaskDefinitionArn", "$")
    return None if definition.startswith("$") else TaskStarter(pipe["Arn"], definition)
