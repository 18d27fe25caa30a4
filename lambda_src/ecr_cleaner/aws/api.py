"""One AWS service: whole answers, or an error that says what is missing.

Every AWS call of this program is made here.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from threading import BoundedSemaphore, Lock
from typing import Any, TypeVar
from urllib.parse import urlsplit

from botocore import xform_name
from botocore.exceptions import BotoCoreError, ClientError
from botocore.model import OperationModel
from urllib3.exceptions import HTTPError

from ecr_cleaner.aws.answers import incomplete, is_success, json_object
from ecr_cleaner.core.errors import (
    ApiError,
    CleanerError,
    OperationAbsentError,
    OutOfTimeError,
)
from ecr_cleaner.deadline import Deadline

# What AWS answered to one call, or one part of it.
Answer = Mapping[str, Any]

T = TypeVar("T")

# Concurrent calls of one service: fewer than the burst of 50 that ECS allows. Rates are not guessed
# here: a client slows down as soon as the service throttles it.
CALLS_AT_ONCE = 32

_CHUNK = 64 * 1024
# The SDK repeats a call that failed, but not one whose body breaks off.
_DOWNLOADS = 3
# Not all errors of a body's connection are those of the SDK.
_FAILURES = (ClientError, BotoCoreError, HTTPError, OSError)

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
# What services answer if the region lacks one operation. A denied call is never one of these.
_ABSENT = frozenset(
    {"UnsupportedOperation", "UnsupportedOperationException", "UnknownOperationException"}
)
_ACTION_IN_MESSAGE = re.compile(r"not authorized to perform:? ([a-z0-9-]+:[A-Za-z0-9]+)")


class CallCount:
    """The number of AWS calls that were answered in a ``counted_calls`` block."""

    def __init__(self) -> None:
        self._lock = Lock()
        self.calls = 0

    def add(self) -> None:
        with self._lock:
            self.calls += 1


_count: ContextVar[CallCount | None] = ContextVar("count", default=None)


@contextmanager
def counted_calls() -> Iterator[CallCount]:
    """Count the calls that are answered in this block, also those that it hands to workers."""
    count = CallCount()
    outer = _count.set(count)
    try:
        yield count
    finally:
        _count.reset(outer)


class TooLargeError(CleanerError):
    """A body has more bytes than its reader takes."""

    def __init__(self, name: str, most_bytes: int) -> None:
        super().__init__(f"{name} has more than {most_bytes} bytes")


class Api:
    """One AWS service: single calls and whole listings, within the bound of calls at once."""

    def __init__(
        self, client: Any, at_once: int = CALLS_AT_ONCE, deadline: Deadline | None = None
    ) -> None:
        self._client = client
        self._deadline = deadline or Deadline()
        self._gate = BoundedSemaphore(at_once)
        self.service: str = client.meta.service_model.service_name

    @property
    def meta(self) -> Any:
        """What the SDK knows of the client: its model, its region and its endpoint."""
        return self._client.meta

    @property
    def host(self) -> str:
        """The host that the calls go to."""
        return str(urlsplit(self._client.meta.endpoint_url).hostname)

    def call(self, operation: str, **parameters: Any) -> dict[str, Any]:
        """Return the answer of one call; raise ApiError if it failed."""
        answer: dict[str, Any] = self._ask(
            operation, lambda: getattr(self._client, xform_name(operation))(**parameters)
        )
        return answer

    def download(
        self, operation: str, name: str, most_bytes: int, **parameters: Any
    ) -> dict[str, Any]:
        """Return the answer of one call with its whole body as bytes under ``Body``.

        A body that breaks off is asked for again. Raise TooLargeError if it is larger than
        ``most_bytes``, and OutOfTimeError if there is no time to read it; both name it ``name``.
        """

        def question() -> dict[str, Any]:
            for _ in range(_DOWNLOADS - 1):
                answer = ask(**parameters)
                try:
                    return {**answer, "Body": self._content(answer, name, most_bytes)}
                except _FAILURES:
                    continue
            answer = ask(**parameters)
            return {**answer, "Body": self._content(answer, name, most_bytes)}

        ask = getattr(self._client, xform_name(operation))
        return self._ask(operation, question)

    def _content(self, answer: Answer, name: str, most_bytes: int) -> bytes:
        body = answer["Body"]
        try:
            return self._taken(body, answer["ContentLength"], name, most_bytes)
        except BaseException:
            # The rest must not be read as the answer of the next call.
            body.close()
            raise

    def _taken(self, body: Any, announced: int, name: str, most_bytes: int) -> bytes:
        if announced > most_bytes:
            raise TooLargeError(name, most_bytes)
        content = bytearray()
        while True:
            if not self._deadline.allows_call():
                raise OutOfTimeError(f"there was no time left to read {name}")
            chunk = body.read(_CHUNK)
            if not chunk:
                return bytes(content)
            content += chunk
            if len(content) > most_bytes:
                raise TooLargeError(name, most_bytes)

    def take_raw(self, operation: str, key: str) -> None:
        """Take the JSON answers of an operation as they are sent, times as seconds of the epoch.

        The SDK parses every field of every item by its model, which takes five times as long as
        parsing the JSON; for listings with a million items that counts. An answer without a list
        under ``key`` is an ApiError. If the SDK speaks another protocol with the service one day,
        it parses the answers.
        """

        def take(
            operation_model: OperationModel,
            response_dict: dict[str, Any],
            customized_response_dict: dict[str, Any],
            **_: Any,
        ) -> None:
            is_json = operation_model.service_model.resolved_protocol == "json"
            if is_json and is_success(response_dict):
                answer = json_object(operation_model, response_dict["body"])
                if not isinstance(answer.get(key), list):
                    raise incomplete(operation_model, f"holds no list under {key}")
                customized_response_dict.update(answer)
                response_dict["body"] = json.dumps({key: []}).encode()

        service = self._client.meta.service_model.service_id.hyphenize()
        self._client.meta.events.register(f"before-parse.{service}.{operation}", take)

    def find(self, operation: str, *gone: str, **parameters: Any) -> dict[str, Any] | None:
        """Return the answer, or None if the error code says that the resource has vanished."""
        try:
            return self.call(operation, **parameters)
        except ApiError as error:
            if error.code in gone:
                return None
            raise

    def each(self, operation: str, key: str, **parameters: Any) -> Iterator[Any]:
        """Yield every item that the pages of a listing hold under ``key``.

        A page without its list is an ApiError: an empty list is written as one.
        """
        for page in self.pages(operation, **parameters):
            if not isinstance(page.get(key), list):
                raise self._incomplete(operation, f"a page holds no list under {key}")
            yield from page[key]

    def each_found(self, operation: str, key: str, *gone: str, **parameters: Any) -> Iterator[Any]:
        """Yield as ``each`` does; stop if the error code says that the resource has vanished."""
        try:
            yield from self.each(operation, key, **parameters)
        except ApiError as error:
            if error.code not in gone:
                raise

    def pages(self, operation: str, **parameters: Any) -> Iterator[dict[str, Any]]:
        """Yield every page of a listing, also those that leave an empty list out, as S3 does."""
        name = xform_name(operation)
        if self._client.can_paginate(name):
            pages = self._pages_of_paginator(operation, parameters)
        else:
            pages = self._pages_by_token(operation, parameters)
        seen: set[str] = set()
        for page in pages:
            yield page
            token = str(_tokens_of(page))
            if token in seen:
                raise self._incomplete(operation, "repeats a page token")
            seen.add(token)

    def _pages_of_paginator(
        self, operation: str, parameters: dict[str, Any]
    ) -> Iterator[dict[str, Any]]:
        pages = iter(self._client.get_paginator(xform_name(operation)).paginate(**parameters))
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
            token = _next_token(page)
            if not token:
                return

    def _incomplete(self, operation: str, problem: str) -> ApiError:
        return incomplete(self._client.meta.service_model.operation_model(operation), problem)

    def _ask(self, operation: str, question: Callable[[], T]) -> T:
        try:
            with self._gate:
                answer = question()
        except _FAILURES as error:
            raise self._translated(operation, error) from error
        count = _count.get()
        if count and answer is not None:  # None: the end of a listing, for which nothing was called
            count.add()
        return answer

    def _translated(self, operation: str, error: Exception) -> ApiError:
        if not isinstance(error, ClientError):
            return ApiError(self.service, operation, code=type(error).__name__, message=str(error))
        code = str(error.response.get("Error", {}).get("Code", "Unknown"))
        message = str(error.response.get("Error", {}).get("Message", ""))
        action = self._action(operation, message) if code in _DENIED else None
        kind = OperationAbsentError if code in _ABSENT else ApiError
        return kind(self.service, operation, code=code, message=message, action=action)

    def _action(self, operation: str, message: str) -> str:
        named = _ACTION_IN_MESSAGE.search(message)
        return named[1] if named else f"{self._client.meta.service_model.signing_name}:{operation}"


def _next_token(page: Mapping[str, Any]) -> dict[str, str]:
    return {name: page[name] for name in ("nextToken", "NextToken") if page.get(name)}


def _tokens_of(page: Mapping[str, Any]) -> dict[str, Any]:
    """Return the tokens of the next page, by whichever names the service has for them."""
    return {
        name: value
        for name, value in page.items()
        if name.lower().endswith(("token", "marker")) and value
    }
