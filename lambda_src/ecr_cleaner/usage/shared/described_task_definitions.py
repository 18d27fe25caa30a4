"""ECS task definitions, each described once per scan however many sources name it."""

from __future__ import annotations

import re
from collections.abc import Iterable

from ecr_cleaner.aws.once import Once
from ecr_cleaner.aws.session import Aws
from ecr_cleaner.core.errors import ApiError
from ecr_cleaner.core.walk import Found, find

UNKNOWN = "Unable to describe task definition"

# Targets may name the latest revision by an ARN without one. DescribeTaskDefinition is documented
# to take the family for that.
_WITHOUT_REVISION = re.compile(r"arn:[^:]+:ecs:[^:]*:[^:]*:task-definition/(?P<family>[^:]+)")


class DescribedTaskDefinitions:
    """What ECS task definitions refer to: images, and what their environments and commands name.

    A task definition that is INACTIVE is described like any other: services may still run it.
    """

    def __init__(self, aws: Aws) -> None:
        self._aws = aws
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
        return self._known.get(name, lambda: self._describe(name))

    def _describe(self, name: str) -> Found:
        latest = _WITHOUT_REVISION.fullmatch(name)
        asked = latest["family"] if latest else name
        answer = self._aws.api("ecs").call("DescribeTaskDefinition", taskDefinition=asked)
        definition: dict[str, object] = answer["taskDefinition"]
        return find({key: definition[key] for key in definition if key != "taskDefinitionArn"})
