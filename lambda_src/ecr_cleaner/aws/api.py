"""One AWS service: whole answers, or an error that says what is missing.

Every AWS call of this program is made here.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from http import HTTPStatus
from threading import BoundedSemaphore
from typing import Any, TypeVar
from urllib.parse import urlsplit

from botocore import xform_name
from botocore.exceptions import BotoCoreError, ClientError
from botocore.model import OperationModel

from ecr_cleaner.core.errors import ApiError, OperationAbsentError

# What AWS answered to one call, or one part of it.
Answer = Mapping[str, Any]

T = TypeVar("T")

# Calls of one service that are under way at once: fewer than the burst of 50 that ECS allows. How
# many go in a second is not guessed here: the SDK's adaptive mode slows a client down as soon as
# the service throttles it.
CALLS_AT_ONCE = 32

_DENIED = frozenset(
    {
        "AccessDenied",
        "AccessDeniedException",
        "AuthorizationError",
        "AuthorizationErrorException",
        "KmsAccessDeniedException",
        "NotAuthorized",
        "UnauthorizedOperation",
    }
)
# The region does not offer the operation. A missing permission never counts as that.
_ABSENT = frozenset(
    {"UnsupportedOperation", "UnsupportedOperationException", "UnknownOperationException"}
)
_ACTION_IN_MESSAGE = re.compile(r"not authorized to perform:? ([a-z0-9-]+:[A-Za-z0-9]+)")


class Api:
    """One AWS service: single calls and whole listings, within the bound of calls at once."""

    def __init__(self, client: Any, at_once: int = CALLS_AT_ONCE) -> None:
        self._client = client
        self._gate = BoundedSemaphore(at_once)
        self.service: str = client.meta.service_model.service_name

    @property
    def host(self) -> str:
        """The host that the calls go to."""
        return str(urlsplit(self._client.meta.endpoint_url).hostname)

    def call(self, operation: str, **parameters: Any) -> dict[str, Any]:
        """Return the answer of one call; raise ApiError where there is none."""
        answer: dict[str, Any] = self._ask(
            operation, lambda: getattr(self._client, xform_name(operation))(**parameters)
        )
        return answer

    def take_raw(self, operation: str, key: str) -> None:
        """Take the JSON answers of an operation as they are sent, times as seconds of the epoch.

        The SDK goes through every field of every item by its model, which takes five times as long
        as reading the JSON; for listings with a million items that counts. An answer without a
        list under ``key`` is an ApiError. Should the SDK come to speak another protocol with the
        service, answers come as it reads them.
        """

        def take(
            operation_model: OperationModel,
            response_dict: dict[str, Any],
            customized_response_dict: dict[str, Any],
            **_: Any,
        ) -> None:
            is_json = operation_model.service_model.resolved_protocol == "json"
            if is_json and response_dict["status_code"] == HTTPStatus.OK:
                customized_response_dict.update(self._read(operation, key, response_dict["body"]))
                response_dict["body"] = b"{}"

        service = self._client.meta.service_model.service_id.hyphenize()
        self._client.meta.events.register(f"before-parse.{service}.{operation}", take)

    def find(self, operation: str, *gone: str, **parameters: Any) -> dict[str, Any] | None:
        """Return the answer, or None where the error code says that the resource has vanished."""
        try:
            return self.call(operation, **parameters)
        except ApiError as error:
            if error.code in gone:
                return None
            raise

    def each(self, operation: str, key: str, **parameters: Any) -> Iterator[Any]:
        """Yield every item that all pages of a listing hold under ``key``."""
        for page in self._pages(operation, parameters):
            yield from page.get(key) or ()

    def each_found(self, operation: str, key: str, *gone: str, **parameters: Any) -> Iterator[Any]:
        """Yield as ``each`` does; end where the error code says that the resource has vanished."""
        try:
            yield from self.each(operation, key, **parameters)
        except ApiError as error:
            if error.code not in gone:
                raise

    def _pages(self, operation: str, parameters: dict[str, Any]) -> Iterator[dict[str, Any]]:
        name = xform_name(operation)
        if not self._client.can_paginate(name):
            yield from self._pages_by_token(operation, parameters)
            return
        pages = iter(self._client.get_paginator(name).paginate(**parameters))
        while (page := self._ask(operation, lambda: next(pages, None))) is not None:
            yield page

    def _pages_by_token(
        self, operation: str, parameters: dict[str, Any]
    ) -> Iterator[dict[str, Any]]:
        """Some listings, App Runner's among them, have no paginator in the SDK."""
        token: dict[str, str] = {}
        while True:
            page = self.call(operation, **parameters, **token)
            yield page
            following = _next_token(page)
            if not following:
                return
            if following == token:
                problem = "the same page token came twice"
                raise ApiError(self.service, operation, code="RepeatedToken", message=problem)
            token = following

    def _read(self, operation: str, key: str, body: bytes) -> dict[str, Any]:
        try:
            answer = json.loads(body)
        except ValueError:
            answer = None
        if isinstance(answer, dict) and isinstance(answer.get(key), list):
            return answer
        message = f"the answer is no JSON object with a list of {key}"
        raise ApiError(self.service, operation, code="IncompleteAnswer", message=message)

    def _ask(self, operation: str, question: Callable[[], T]) -> T:
        try:
            with self._gate:
                return question()
        except (ClientError, BotoCoreError) as error:
            raise self._translated(operation, error) from error

    def _translated(self, operation: str, error: ClientError | BotoCoreError) -> ApiError:
        if not isinstance(error, ClientError):
            return ApiError(self.service, operation, code=type(error).__name__, message=str(error))
        code = str(error.response.get("Error", {}).get("Code", "Unknown"))
        message = str(error.response.get("Error", {}).get("Message", ""))
        if code in _ABSENT:
            return OperationAbsentError(self.service, operation, code=code, message=message)
        action = self._action(operation, message) if code in _DENIED else None
        return ApiError(self.service, operation, code=code, message=message, action=action)

    def _action(self, operation: str, message: str) -> str:
        named = _ACTION_IN_MESSAGE.search(message)
        return named[1] if named else f"{self._client.meta.service_model.signing_name}:{operation}"


def _next_token(page: dict[str, Any]) -> dict[str, str]:
    return {name: page[name] for name in ("nextToken", "NextToken") if page.get(name)}
