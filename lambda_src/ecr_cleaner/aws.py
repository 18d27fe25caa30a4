"""The edge to AWS: clients, whole answers, and errors that say what is missing.

Every call of this program goes through ``Api``, so an answer is either complete or an ApiError.
"""

from __future__ import annotations

import json
import re
import socket
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from http import HTTPStatus
from threading import BoundedSemaphore, Lock
from typing import Any, TypeVar
from urllib.parse import urlsplit

import boto3
from botocore import xform_name
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from botocore.model import OperationModel
from botocore.session import get_session
from botocore.utils import parse_timestamp

from ecr_cleaner.errors import ApiError, CleanerError, InvalidSettingError
from ecr_cleaner.workers import Workers

Answer = TypeVar("Answer")

# Calls of one service that are under way at once: fewer than the burst of 50 that ECS allows. How
# many go in a second is not guessed here: the SDK's adaptive mode slows a client down as soon as
# the service throttles it.
CALLS_AT_ONCE = 32

_CONFIG = Config(
    retries={"mode": "adaptive", "total_max_attempts": 10},
    max_pool_connections=CALLS_AT_ONCE,
    connect_timeout=5,
    read_timeout=30,
    user_agent_extra="ecr-cleaner",
)

# Closed to new customers (https://docs.aws.amazon.com/apprunner/latest/dg/what-is-apprunner.html):
# its list of regions is final.
_NO_MORE_REGIONS = frozenset({"apprunner"})

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

    def _ask(self, operation: str, question: Callable[[], Answer]) -> Answer:
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
        action = self._action(operation, message) if code in _DENIED else None
        return ApiError(self.service, operation, code=code, message=message, action=action)

    def _action(self, operation: str, message: str) -> str:
        named = _ACTION_IN_MESSAGE.search(message)
        return named[1] if named else f"{self._client.meta.service_model.signing_name}:{operation}"


def _next_token(page: dict[str, Any]) -> dict[str, str]:
    return {name: page[name] for name in ("nextToken", "NextToken") if page.get(name)}


class Aws:
    """The account and region of the session, with one client for each service that is asked."""

    def __init__(self, session: boto3.Session, workers: Workers) -> None:
        self._session = session
        self._apis: dict[str, Api] = {}
        self._making = Lock()
        self._looking = Lock()
        self.workers = workers

    def api(self, service: str) -> Api:
        """Return the one Api of a service; boto3 makes clients safely in one thread at a time.

        Raise CleanerError where there can be none, such as with half of the credentials.
        """
        with self._making:
            if service not in self._apis:
                self._apis[service] = Api(self._client(service))
            return self._apis[service]

    def _client(self, service: str) -> Any:
        make: Any = self._session.client  # typed for literal names of services only
        try:
            return make(service, config=_CONFIG)
        except BotoCoreError as error:
            raise CleanerError(str(error)) from error

    def offers(self, service: str) -> bool:
        """Tell whether the region has this service.

        The SDK's list of regions lags behind (https://github.com/boto/botocore/issues/3101), and a
        service that is taken for absent is not scanned. So what the list lacks is absent only
        where DNS knows no such host either; a call would have nowhere to go.
        """
        if self._is_listed(service):
            return True
        if service in _NO_MORE_REGIONS:
            # A region that the SDK has never heard of is asked all the same.
            return not self._is_listed("ecr")
        return host_exists(self.api(service).host)

    def _is_listed(self, service: str) -> bool:
        region = self._session.region_name
        # One thread at a time: reading the SDK's files is work for the processor, and side by side
        # the source that has to begin first would have its list last. Not the lock of the clients,
        # or that source would queue for its client behind all the others' lists.
        with self._looking:
            partition = self._session.get_partition_for_region(region)
            return region in self._session.get_available_regions(service, partition)


def open_session(region: str | None) -> boto3.Session:
    """Return a session with what boto3 itself finds in its environment.

    The SDK for Python reads AWS_DEFAULT_REGION only, so AWS_REGION is handed in. Raise CleanerError
    where that leaves no region, or where the configuration is broken.
    """
    try:
        core = get_session()
        factory = core.get_component("response_parser_factory")
        factory.set_parser_defaults(timestamp_parser=_time)
        session = boto3.Session(botocore_session=core, region_name=region)
    except BotoCoreError as error:
        raise CleanerError(str(error)) from error
    name, allowed = "AWS_REGION", "the name of an AWS region"
    if not session.region_name:
        raise CleanerError(f"{name} is not set, but must be {allowed}", setting=name)
    if not re.fullmatch(r"[a-z]+(-[a-z]+)+-[0-9]+", session.region_name):
        raise InvalidSettingError(name, session.region_name, allowed)
    return session


def _time(value: Any) -> datetime:
    """Read a time of an answer. The SDK looks up the local zone for each of them."""
    if isinstance(value, int | float):
        return datetime.fromtimestamp(value, UTC)
    return parse_timestamp(value)


def host_exists(host: str) -> bool:
    """Tell whether DNS knows the host. Only its plain no is a no; a failure says nothing."""
    try:
        socket.getaddrinfo(host, 443)
    except socket.gaierror as error:
        return error.errno != socket.EAI_NONAME
    return True
