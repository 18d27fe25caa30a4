"""Sessions and the clients of an account and region."""

from __future__ import annotations

import re
from threading import RLock
from typing import Any

import boto3
from botocore.config import Config
from botocore.credentials import DeferredRefreshableCredentials
from botocore.exceptions import BotoCoreError

from ecr_cleaner.aws.answers import refuse_garbled_answers
from ecr_cleaner.aws.api import CALLS_AT_ONCE, Api
from ecr_cleaner.aws.availability import Availability
from ecr_cleaner.aws.kubernetes import Endpoint, KubernetesApi
from ecr_cleaner.aws.kubernetes_access import authority_of, eks_token
from ecr_cleaner.aws.sdk import core_session
from ecr_cleaner.aws.timely import keep_deadline
from ecr_cleaner.core.errors import CleanerError, IncompleteAnswerError, InvalidSettingError
from ecr_cleaner.deadline import CONNECT_TIMEOUT, READ_TIMEOUT, Deadline
from ecr_cleaner.workers import Workers

# The SDK's adaptive mode is the standard mode with a rate limiter; keep_deadline adds that one.
_CONFIG = Config(
    retries={"mode": "standard", "total_max_attempts": 10},
    max_pool_connections=CALLS_AT_ONCE,
    connect_timeout=CONNECT_TIMEOUT.seconds,
    read_timeout=READ_TIMEOUT.seconds,
    user_agent_extra="ecr-cleaner",
)


# Listings of up to a million items, by the key that holds them; see take_raw.
_TAKEN_RAW = {"ecr": {"DescribeImages": "imageDetails"}}

# boto3 makes clients safely in one thread at a time.
_MAKING = RLock()


class Aws:
    """One account and region, with one client for each service that is asked.

    The account is that of the session. The region is the session's, unless another is named.
    """

    def __init__(
        self,
        session: boto3.Session,
        workers: Workers,
        deadline: Deadline | None = None,
        region: str | None = None,
        availability: Availability | None = None,
    ) -> None:
        self._session = session
        self._apis: dict[tuple[str, str], Api] = {}
        self._availability = availability or Availability(session, self.api)
        self.region = region or str(session.region_name)
        self.workers = workers
        self.deadline = deadline or Deadline()

    def elsewhere(self, region: str, session: boto3.Session | None = None) -> Aws:
        """Return another region, of this account or of that of another session."""
        return Aws(
            session or self._session, self.workers, self.deadline, region, self._availability
        )

    def api(self, service: str, region: str | None = None) -> Api:
        """Return the one Api of a service, in this region unless another is named.

        Raise CleanerError if the client cannot be made, such as with half of the credentials.
        """
        key = (service, region or self.region)
        made = self._apis.get(key)
        if made:  # without waiting for a client that another thread is making
            return made
        with _MAKING:
            if key not in self._apis:
                api = Api(self._client(*key), deadline=self.deadline)
                for operation, items in _TAKEN_RAW.get(service, {}).items():
                    api.take_raw(operation, items)
                self._apis[key] = api
            return self._apis[key]

    @property
    def clients(self) -> int:
        """The number of clients that were made."""
        return len(self._apis)

    def close(self) -> None:
        """Close the connections of all clients."""
        with _MAKING:
            for api in self._apis.values():
                api.close()

    def offers(self, service: str) -> bool:
        """Return whether the region has this service; raise CleanerError if that is unknown."""
        return self._availability.offers(service, self.region, lambda name: self.api(name).host)

    def kubernetes(self, cluster: str, url: str, authority: str) -> KubernetesApi:
        """Return the API of an EKS cluster; ``authority`` is its CA as DescribeCluster has it."""

        def token() -> str:
            return eks_token(self._session, self.api("sts").meta, cluster)

        endpoint = Endpoint(url, authority_of(authority))
        return KubernetesApi(cluster, endpoint, token, self.deadline)

    def _client(self, service: str, region: str) -> Any:
        make: Any = self._session.client  # typed for literal names of services only
        try:
            client = make(service, region_name=region, config=_CONFIG)
        except (BotoCoreError, ValueError) as error:  # ValueError: of an address that is not one
            raise CleanerError(f"the client of {service} cannot be made: {error}") from error
        refuse_garbled_answers(client)
        keep_deadline(client, self.deadline)
        return client


def open_session(region: str | None) -> boto3.Session:
    """Return a session with what boto3 itself finds in its environment.

    The SDK for Python reads AWS_DEFAULT_REGION only, so AWS_REGION is handed in. Raise CleanerError
    if neither names a region, or if the configuration is broken.
    """
    try:
        session = boto3.Session(botocore_session=core_session(), region_name=region)
    except BotoCoreError as error:
        raise CleanerError(str(error)) from error
    name, allowed = "AWS_REGION", "the name of an AWS region"
    if not session.region_name:
        raise CleanerError(f"{name} is not set, but must be {allowed}", setting=name)
    if not re.fullmatch(r"[a-z]+(-[a-z]+)+-[0-9]+", session.region_name):
        raise InvalidSettingError(name, session.region_name, allowed)
    return session


def assumed_session(account: Aws, role: str, external_id: str | None) -> boto3.Session:
    """Return a session with the credentials of a role, which renew themselves.

    ``account`` is whose credentials assume it. The first call of a client raises CleanerError if
    the role cannot be assumed.
    """
    parameters = {"RoleArn": role, "RoleSessionName": "ecr-cleaner"}
    if external_id:
        parameters["ExternalId"] = external_id

    def fetch() -> dict[str, str]:
        answer = account.api("sts").call("AssumeRole", **parameters)
        try:
            found = answer["Credentials"]
            return {
                "access_key": found["AccessKeyId"],
                "secret_key": found["SecretAccessKey"],
                "token": found["SessionToken"],
                "expiry_time": found["Expiration"].isoformat(),
            }
        except KeyError as error:
            raise IncompleteAnswerError(f"AssumeRole of {role} returned no {error}") from error

    core = core_session()
    credentials = DeferredRefreshableCredentials(fetch, "assume-role")
    core.register_component("credential_provider", _Holder(credentials))
    return boto3.Session(botocore_session=core, region_name=account.region)


class _Holder:
    """Hands the SDK the credentials that it asks its chain of providers for."""

    def __init__(self, credentials: DeferredRefreshableCredentials) -> None:
        self._credentials = credentials

    def load_credentials(self) -> DeferredRefreshableCredentials:
        return self._credentials
