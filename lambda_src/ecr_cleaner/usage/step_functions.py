"""Step Functions state machines that run images, by themselves or through ECS task definitions."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain

from ecr_cleaner.aws.api import Api
from ecr_cleaner.core.model import ImageReference, Usage
from ecr_cleaner.usage.shared.definitions import references, texts
from ecr_cleaner.usage.shared.references import usages_of
from ecr_cleaner.usage.shared.target import Target

GONE = "StateMachineDoesNotExist"

_FAMILY = r"[A-Za-z0-9_-]{1,255}(?::[0-9]+)?"
_ARN = re.compile(rf"arn:[a-z-]+:ecs:([a-z0-9-]+):([0-9]{{12}}):task-definition/{_FAMILY}")


@dataclass(frozen=True, slots=True)
class Definition:
    """What one state machine, or a published version of it, names."""

    arn: str
    images: tuple[ImageReference, ...]
    task_definitions: tuple[str, ...]


class StepFunctions:
    """Each state machine and all its published versions: any of them can be started.

    Seen is what a definition says. What it computes or takes from its input is not, nor is the
    older definition that an execution under way still follows.
    Source: https://docs.aws.amazon.com/step-functions/latest/dg/connect-ecs.html
    """

    name = "step-functions"
    service = "stepfunctions"

    def usages(self, target: Target) -> Iterable[Usage]:
        """Yield the references in each definition, and the images of the tasks that it runs."""
        api, workers = target.api("stepfunctions"), target.workers
        machines = [
            machine["stateMachineArn"]
            for machine in api.each("ListStateMachines", "stateMachines", maxResults=1000)
        ]
        versions = chain.from_iterable(workers.map(lambda arn: _versions(api, arn), machines))
        answers = workers.map(lambda arn: _definition(api, arn), [*machines, *versions])
        definitions = [answer for answer in answers if answer]
        images = target.task_definitions.images_if_any(
            name for one in definitions for name in one.task_definitions
        )
        for one in definitions:
            yield from (Usage(reference, one.arn, self.name) for reference in one.images)
            behind = chain.from_iterable(images[name] for name in one.task_definitions)
            yield from usages_of(self.name, one.arn, behind)


def _versions(api: Api, machine: str) -> list[str]:
    listing = api.each_found(
        "ListStateMachineVersions",
        "stateMachineVersions",
        GONE,
        stateMachineArn=machine,
        maxResults=1000,
    )
    return [version["stateMachineVersionArn"] for version in listing]


def _definition(api: Api, arn: str) -> Definition | None:
    answer = api.find("DescribeStateMachine", GONE, stateMachineArn=arn)
    if answer is None:
        return None
    fields = list(texts(json.loads(answer["definition"])))
    images = references(text for _, text in fields)
    return Definition(arn, tuple(images), tuple(dict.fromkeys(_task_definitions(arn, fields))))


def _task_definitions(machine: str, fields: Iterable[tuple[str, str]]) -> Iterator[str]:
    """Yield ARNs wherever they stand, names where a task is run; others' cannot be described."""
    account_and_region = tuple(machine.split(":")[3:5])
    for field, text in fields:
        if field == "TaskDefinition" and re.fullmatch(_FAMILY, text):
            yield text
        for match in _ARN.finditer(text):
            if match.groups() == account_and_region:
                yield match[0]
