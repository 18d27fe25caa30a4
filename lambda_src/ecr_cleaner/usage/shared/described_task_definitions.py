"""ECS task definitions, each described once per scan however many sources name it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from concurrent.futures import Future
from threading import Lock

from ecr_cleaner.aws.session import Aws
from ecr_cleaner.core.errors import ApiError

UNKNOWN = "Unable to describe task definition"

# Targets may name the latest revision by an ARN without one. DescribeTaskDefinition is documented
# to take the family for that.
_WITHOUT_REVISION = re.compile(r"arn:[^:]+:ecs:[^:]*:[^:]*:task-definition/(?P<family>[^:]+)")


class DescribedTaskDefinitions:
    """The images of ECS task definitions, each described once however many sources name it.

    A task definition that is INACTIVE is described like any other: services may still run it.
    """

    def __init__(self, aws: Aws) -> None:
        self._aws = aws
        self._known: dict[str, Future[tuple[str, ...]]] = {}
        self._lock = Lock()

    def images(self, names: Iterable[str]) -> Mapping[str, tuple[str, ...]]:
        """Return, for each ARN or ``family:revision``, the images of all its containers."""
        asked = list(dict.fromkeys(names))
        return dict(zip(asked, self._aws.workers.map(self._images, asked), strict=True))

    def images_if_any(self, names: Iterable[str]) -> Mapping[str, tuple[str, ...]]:
        """Return as ``images`` does, and none for a task definition that does not exist."""
        asked = list(dict.fromkeys(names))
        return dict(zip(asked, self._aws.workers.map(self._images_if_any, asked), strict=True))

    def _images_if_any(self, name: str) -> tuple[str, ...]:
        try:
            return self._images(name)
        except ApiError as error:
            # ECS has no code of its own for this, only the sentence.
            if error.code == "ClientException" and UNKNOWN in str(error):
                return ()
            raise

    def _images(self, name: str) -> tuple[str, ...]:
        with self._lock:
            mine = name not in self._known
            future = self._known.setdefault(name, Future())
        if mine:
            try:
                future.set_result(self._describe(name))
            except BaseException as error:
                future.set_exception(error)
                raise
        return future.result()

    def _describe(self, name: str) -> tuple[str, ...]:
        latest = _WITHOUT_REVISION.fullmatch(name)
        asked = latest["family"] if latest else name
        answer = self._aws.api("ecs").call("DescribeTaskDefinition", taskDefinition=asked)
        containers = answer["taskDefinition"].get("containerDefinitions", ())
        return tuple(one["image"] for one in containers if one.get("image"))
