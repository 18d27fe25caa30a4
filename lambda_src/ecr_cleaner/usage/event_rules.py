"""EventBridge rules, on every event bus, with ECS tasks as targets."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain

from ecr_cleaner.aws import Api
from ecr_cleaner.model import Usage
from ecr_cleaner.usage._task_definitions import Target, usages_of_targets
from ecr_cleaner.usage.account import Account

GONE = "ResourceNotFoundException"


class EventRules:
    """Disabled rules count as well: who enables one expects it to work.

    Source: https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_EcsParameters.html
    """

    name = "eventbridge-rules"
    service = "events"

    def usages(self, account: Account) -> Iterable[Usage]:
        """Yield the images of each rule's ECS targets, one call a rule."""
        events, workers = account.aws.api("events"), account.aws.workers
        buses = [bus["Name"] for bus in events.each("ListEventBuses", "EventBuses", Limit=100)]
        rules = chain.from_iterable(workers.map(lambda bus: _rules(events, bus), buses))
        targets = workers.map(lambda rule: list(_targets(events, *rule)), list(rules))
        yield from usages_of_targets(self.name, account, chain.from_iterable(targets))


def _rules(events: Api, bus: str) -> list[tuple[str, str, str]]:
    listing = events.each_found("ListRules", "Rules", GONE, EventBusName=bus, Limit=100)
    return [(bus, rule["Name"], rule["Arn"]) for rule in listing]


def _targets(events: Api, bus: str, rule: str, arn: str) -> Iterator[Target]:
    for target in events.each_found(
        "ListTargetsByRule", "Targets", GONE, EventBusName=bus, Rule=rule, Limit=100
    ):
        if "EcsParameters" in target:
            yield Target(arn, target["EcsParameters"]["TaskDefinitionArn"])
