"""Scripted services whose answers say only what a test is about.

What else the service's model requires of an answer is filled in, so that a test of an image need
not invent times, roles and quotas.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from botocore.exceptions import ClientError

from fakes.aws_api import TOKENS, FakeApi, Parameters, error

Line = Any  # an answer, an error, the pages of a listing, or a function from parameters to these

DENIED = error("AccessDeniedException", "not yours")
THROTTLED = error("ThrottlingException", "Rate exceeded")
HOST = "123456789012.dkr.ecr.eu-west-1.amazonaws.com"


def by(parameter: str, lines: Mapping[Any, Line]) -> Callable[[Parameters], Line]:
    """Choose the answer by the value of one parameter."""
    return lambda parameters: lines[parameters[parameter]]


class Scripted(FakeApi):
    """A service that answers by script: one line for each operation that may be asked."""

    def __init__(self, service: str, **lines: Line) -> None:
        super().__init__(service)
        for operation, line in lines.items():
            self.line(operation, line)

    def line(self, operation: str, line: Line) -> Scripted:
        """Set, or change, what an operation answers; a list holds the pages of a listing."""
        self.on(operation, lambda parameters: self._said(operation, line, parameters))
        return self

    def reset(self) -> Scripted:
        """Forget all lines and calls: to make a client takes long."""
        self._answers.clear()
        self.calls.clear()
        return self

    @property
    def actions(self) -> list[str]:
        """The IAM actions that the calls so far need, sorted as in permissions.json."""
        prefix = self.client.meta.service_model.signing_name
        return sorted({f"{prefix}:{operation}" for operation, _ in self.calls})

    def _said(self, operation: str, line: Line, parameters: Parameters) -> dict[str, Any]:
        said = line(parameters) if callable(line) else line
        if isinstance(said, Sequence):
            said = self._page(operation, said, parameters)
        if isinstance(said, ClientError):
            raise said
        output = self._output(operation)
        completed: dict[str, Any] = _completed(output, said)
        # A listing writes an empty list as one.
        lists = [name for name, shape in output.members.items() if shape.type_name == "list"]
        is_listing = not said or any(token in output.members for _, token in TOKENS)
        return {name: [] for name in lists} | completed if is_listing else completed

    def _page(self, operation: str, pages: Sequence[Any], parameters: Parameters) -> Any:
        token_in, token_out = self._tokens(operation)
        number = int(parameters.get(token_in, "0"))
        page = pages[number]
        more = number + 1 < len(pages)
        return page | {token_out: str(number + 1)} if more else page

    def _output(self, operation: str) -> Any:
        return self.client.meta.service_model.operation_model(operation).output_shape


def any_task_definition(parameters: Parameters) -> dict[str, Any]:
    """Describe any task definition: its image has the definition's name and revision as its tag."""
    tag = parameters["taskDefinition"].rpartition("/")[2].replace(":", "-")
    return {"taskDefinition": {"containerDefinitions": [{"image": f"{HOST}/app:{tag}"}]}}


def ecs(line: Line = any_task_definition) -> Scripted:
    """Return ECS as those see it that only describe task definitions."""
    return Scripted("ecs", DescribeTaskDefinition=line)


_FILLERS: Mapping[str, Callable[[Any], Any]] = {
    "boolean": lambda _: False,
    "double": lambda _: 0.0,
    "float": lambda _: 0.0,
    "integer": lambda shape: shape.metadata.get("min", 0),
    "list": lambda shape: [_filler(shape.member)] * shape.metadata.get("min", 0),
    "long": lambda shape: shape.metadata.get("min", 0),
    "map": lambda _: {},
    "string": lambda shape: (shape.enum or ["x" * shape.metadata.get("min", 1)])[0],
    "structure": lambda shape: _completed(shape, {}),
    "timestamp": lambda _: datetime.fromtimestamp(0, UTC),
}


def _filler(shape: Any) -> Any:
    return _FILLERS[shape.type_name](shape)


def _completed(shape: Any, value: Any) -> Any:
    """Return the value with everything that its shape requires and that it lacks."""
    if isinstance(value, Mapping) and shape.type_name == "structure":
        return _completed_structure(shape, value)
    if isinstance(value, Mapping) and shape.type_name == "map":
        return {name: _completed(shape.value, member) for name, member in value.items()}
    if isinstance(value, list) and shape.type_name == "list":
        return [_completed(shape.member, member) for member in value]
    return value


def _completed_structure(shape: Any, value: Mapping[str, Any]) -> dict[str, Any]:
    members = shape.members
    given = {
        name: _completed(members[name], member) if name in members else member
        for name, member in value.items()
    }
    required = shape.required_members
    if getattr(shape, "is_tagged_union", False) and not given:
        required = list(members)[:1]
    lacking = [name for name in required if name not in given]
    return given | {name: _filler(members[name]) for name in lacking}
