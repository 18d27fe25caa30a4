"""ECS task definitions, each described once per scan however many sources name it."""

from __future__ import annotations

import re
from collections.abc import Iterable

from ecr_cleaner.aws.once import Once
from ecr_cleaner.aws.session import Aws
from ecr_cleaner.core.errors import ApiError
from ecr_cleaner.core.walk import Found, find
from ecr_cleaner.usage.shared.known_answers import KnownAnswers

UNKNOWN = "Unable to describe task definition"

# Targets may name the latest revision by an ARN without one. DescribeTaskDefinition is documented
# to take the family for that.
_REVISION = re.compile(r"arn:[^:]+:ecs:[^:]+:[0-9]{12}:task-definition/[^:]+:[0-9]+")
_WITHOUT_REVISION = re.compile(r"arn:[^:]+:ecs:[^:]*:[^:]*:task-definition/(?P<family>[^:]+)")


class DescribedTaskDefinitions:
    """What ECS task definitions refer to: images, and what their environments and commands name.

    A task definition that is INACTIVE is described like any other: services may still run it.

    A revision never changes, and its number is not given to another one after it was deleted, so
    one that an earlier scan described is not described again. A family without a revision always
    is. Source: https://docs.aws.amazon.com/AmazonECS/latest/developerguide/task-definition-state.html
    """

    def __init__(self, aws: Aws, answers: KnownAnswers) -> None:
        self._aws = aws
        self._answers = answers
        self._known: Once[str, Found] = Once()

    def found(self, names: Iterable[str]) -> dict[str, Found]:
        """Return what each of these task definitions refers to, by its name or ARN."""
        asked = list(dict.fromkeys(names))
        return dict(zip(asked, self._aws.workers.map(self._found, asked), strict=True))

    def found_if_any(self, names: Iterable[str]) -> dict[str, Found]:
        """Return the same; nothing for a task definition that does not exist."""
        asked = list(dict.fromkeys(names))
        return dict(zip(asked, self._aws.workers.map(self._found_if_any, asked), strict=True))

    def _found_if_any(self, name: str) -> Found:
        try:
            return self._found(name)
        except ApiError as error:
            # ECS has no code of its own for this, only the sentence.
            if error.code == "ClientException" and UNKNOWN in str(error):
                return Found()
            raise

    def _found(self, name: str) -> Found:
        return self._known.get(name, lambda: self._remembered(name))

    def _remembered(self, name: str) -> Found:
        if not _REVISION.fullmatch(name):
            return self._describe(name)
        known = self._answers.found(name)
        if known is None:
            known = self._describe(name)
            self._answers.remember(name, known)
        return known

    def _describe(self, name: str) -> Found:
        latest = _WITHOUT_REVISION.fullmatch(name)
        asked = latest["family"] if latest else name
        answer = self._aws.api("ecs").call("DescribeTaskDefinition", taskDefinition=asked)
        definition: dict[str, object] = answer["taskDefinition"]
        return find({key: definition[key] for key in definition if key != "taskDefinitionArn"})
