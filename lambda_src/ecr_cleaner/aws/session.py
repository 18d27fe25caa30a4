"""The session: clients of the account and region, and which services the region has."""

from __future__ import annotations

import re
import socket
from datetime import UTC, datetime
from threading import Lock
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError
from botocore.session import get_session
from botocore.utils import parse_timestamp

from ecr_cleaner.aws.api import CALLS_AT_ONCE, Api
from ecr_cleaner.core.errors import CleanerError, InvalidSettingError
from ecr_cleaner.deadline import Deadline
from ecr_cleaner.workers import Workers

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


class Aws:
    """The account and region of the session, with one client for each service that is asked."""

    def __init__(
        self, session: boto3.Session, workers: Workers, deadline: Deadline | None = None
    ) -> None:
        self._session = session
        self._apis: dict[str, Api] = {}
        self._making = Lock()
        self._looking = Lock()
        self.workers = workers
        self.deadline = deadline or Deadline()

    @property
    def region(self) -> str:
        """The name of the region."""
        return str(self._session.region_name)

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
