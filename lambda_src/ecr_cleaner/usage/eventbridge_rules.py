"""EventBridge rules, on every event bus, with ECS tasks as targets."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain

from ecr_cleaner.aws.api import Api
from ecr_cleaner.core.model import Usage
from ecr_cleaner.usage.shared.target import Target
from ecr_cleaner.usage.shared.task_definitions import TaskStarter, usages_of_starters

GONE = "ResourceNotFoundException"


class EventRules:
    """Disabled rules count as well: who enables one expects it to work.

    Source: https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_EcsParameters.html
    """

    name = "eventbridge-rules"
    service = "events"

    def usages(self, target: Target) -> Iterable[Usage]:
        """Yield the images of each rule's ECS targets, one call a rule."""
        events, workers = target.api("events"), target.workers
        buses = [bus["Name"] for bus in events.each("ListEventBuses", "EventBuses", Limit=100)]
        rules = chain.from_iterable(workers.map(lambda bus: _rules(events, bus), buses))
        starters = workers.map(lambda rule: list(_targets(events, *rule)), list(rules))
        yield from usages_of_starters(self.name, target, chain.from_iterable(starters))


def _rules(events: Api, bus: str) -> list[tuple[str, str, str]]:
    listing = events.each_found("ListRules", "Rules", GONE, EventBusName=bus, Limit=100)
    return [(bus, rule["Name"], rule["Arn"]) for rule in listing]


def _targets(events: Api, bus: str, rule: str, arn: str) -> Iterator[TaskStarter]:
    for target in events.each_found(
        "ListTargetsByRule", "Targets", GONE, EventBusName=bus, Rule=rule, Limit=100
    ):
        if "EcsParameters" in target:
            yield TaskStarter(arn, target["EcsParameters"]["TaskDefinitionArn"])
