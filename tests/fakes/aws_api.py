"""Clients of the SDK that answer by script: real paginators and models, no network.

Parameters and answers are held against the service's model, so a field that is misspelt in the
program or in a test fails the test.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from copy import copy
from functools import cache
from threading import Lock
from typing import Any

import boto3
import botocore.session
from botocore.exceptions import ClientError
from botocore.validate import ParamValidator

from ecr_cleaner.aws.session import Aws
from ecr_cleaner.core.locations import Location
from ecr_cleaner.core.model import Usage
from ecr_cleaner.core.settings import Settings
from ecr_cleaner.deadline import Deadline
from ecr_cleaner.usage.shared.known_answers import KnownAnswers
from ecr_cleaner.usage.shared.target import Shared, Target
from ecr_cleaner.usage.source import UsageSource
from ecr_cleaner.workers import Workers

REGION = "eu-west-1"
DEFAULTS = Settings()

Parameters = dict[str, Any]
Answer = dict[str, Any] | Exception | Callable[[Parameters], Any]

# The names that listings give to the token of the next page: in the question, in the answer.
TOKENS = (
    ("nextToken", "nextToken"),
    ("NextToken", "NextToken"),
    ("Marker", "NextMarker"),
    ("Marker", "Marker"),
    ("startingToken", "nextToken"),
)


class ScriptError(AssertionError):
    """A call that the script does not know, or one that AWS's model does not allow."""


class FakeApi:
    """One AWS service that answers by script."""

    def __init__(self, service: str, region: str = REGION) -> None:
        self.client: Any = copied(client_of(service, region))
        self.client._make_api_call = self._answer  # noqa: SLF001  # what every method ends in
        self.calls: list[tuple[str, Parameters]] = []
        self._model = self.client.meta.service_model
        self._answers: dict[str, Answer] = {}
        self._lock = Lock()

    def on(self, operation: str, answer: Answer) -> FakeApi:
        """Answer an operation: always the same, with an error, or by its parameters."""
        self._answers[operation] = answer
        return self

    def pages(self, operation: str, key: str, *pages: Sequence[Any]) -> FakeApi:
        """Answer a listing page by page."""
        token_in, token_out = self._tokens(operation)

        def answer(parameters: Parameters) -> dict[str, Any]:
            number = int(parameters.get(token_in, "0"))
            more = {token_out: str(number + 1)} if number + 1 < len(pages) else {}
            return {key: list(pages[number]), **more}

        return self.on(operation, answer)

    def asked(self, operation: str) -> list[Parameters]:
        """Return the parameters of each call of one operation."""
        return [parameters for name, parameters in self.calls if name == operation]

    def has_pages(self, operation: str) -> bool:
        """Return whether the operation is a listing that may have more than one page."""
        model = self._model.operation_model(operation)
        asked, told = model.input_shape.members, model.output_shape.members
        return any(one in asked and other in told for one, other in TOKENS)

    def _tokens(self, operation: str) -> tuple[str, str]:
        model = self._model.operation_model(operation)
        asked, told = model.input_shape.members, model.output_shape.members
        return next(names for names in TOKENS if names[0] in asked and names[1] in told)

    def _answer(self, operation: str, parameters: Parameters) -> dict[str, Any]:
        model = self._model.operation_model(operation)
        if model.input_shape:
            validate(f"parameters of {operation}", parameters, model.input_shape)
        with self._lock:
            self.calls.append((operation, parameters))
        if operation not in self._answers:
            raise ScriptError(f"nobody said what {operation} answers to {parameters}")
        answer = self._answers[operation]
        content = answer(parameters) if callable(answer) else answer
        if isinstance(content, Exception):
            raise content
        # Some models ask for one item at least, though the service answers with an empty list.
        at_least_one = [n for n, m in model.output_shape.members.items() if m.metadata.get("min")]
        filled = {n: value for n, value in content.items() if value != [] or n not in at_least_one}
        validate(f"answer of {operation}", filled, model.output_shape)
        return dict(content)


@cache
def client_of(service: str, region: str) -> Any:
    """Return a client that tests copy: making one takes longer than most tests."""
    make: Any = boto3.client
    return make(service, region_name=region)


def copied(client: Any) -> Any:
    """Return a client of its own: neither its methods nor its handlers of events are shared."""
    # `copy` asks a client for attributes before it has any.
    made = object.__new__(type(client))
    vars(made).update(vars(client))
    made.meta = copy(client.meta)
    made.meta.events = copy(client.meta.events)
    return made


def validate(what: str, content: Any, shape: Any) -> None:
    """Raise ScriptError where the content is not of the shape that the service's model tells."""
    report = ParamValidator().validate(content, shape)
    if report.has_errors():
        raise ScriptError(f"{what}: {report.generate_report()}")


def error(code: str, message: str = "as the test has it") -> ClientError:
    """Return an error of a service, as the SDK raises it once its retries ran out."""
    return ClientError({"Error": {"Code": code, "Message": message}}, "Operation")


@cache
def _core(region: str) -> botocore.session.Session:
    """Return one session for each region: each reads the SDK's list of regions for itself."""
    del region
    return botocore.session.get_session()


class FakeSession(boto3.Session):
    """A session of scripted clients; what regions there are is the SDK's own knowledge."""

    def __init__(self, apis: Sequence[FakeApi], region: str) -> None:
        super().__init__(region_name=region, botocore_session=_core(region))
        self._apis = {api.client.meta.service_model.service_name: api for api in apis}

    def client(self, service: str, **_: Any) -> Any:  # type: ignore[override]  # one of 400 overloads
        return self._apis[service].client


def home_target(
    aws: Aws, settings: Settings = DEFAULTS, answers: KnownAnswers | None = None
) -> Target:
    """Return the target of the registry."""
    place = Location("123456789012", aws.region)
    return Target(aws, settings, place, place, Shared(aws, answers))


@contextmanager
def account(
    *apis: FakeApi,
    region: str = REGION,
    settings: Settings = DEFAULTS,
    deadline: Deadline | None = None,
    answers: KnownAnswers | None = None,
) -> Iterator[Target]:
    """Hand out an account of which these services are all there is."""
    with Workers(4) as workers:
        aws = Aws(FakeSession(apis, region), workers, deadline)
        yield home_target(aws, settings, answers)


def found(
    source: UsageSource,
    *apis: FakeApi,
    settings: Settings = DEFAULTS,
    answers: KnownAnswers | None = None,
) -> list[Usage]:
    """Return the usages that a source finds, all read."""
    with account(*apis, settings=settings, answers=answers) as one:
        return list(source.usages(one))


def tags(usages: list[Usage]) -> set[str | None]:
    """Return the tags that the references of some usages have."""
    return {usage.reference.tag for usage in usages}
