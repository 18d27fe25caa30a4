"""Which AWS services a region has. Absence needs evidence, not a failed look-up."""

from __future__ import annotations

import socket
from collections.abc import Callable
from threading import Lock

import boto3

from ecr_cleaner.aws.api import Api
from ecr_cleaner.aws.once import Once
from ecr_cleaner.core.errors import CleanerError, ServiceUnknownError

# Closed to new customers (https://docs.aws.amazon.com/apprunner/latest/dg/what-is-apprunner.html):
# the SDK's list of its regions is final.
_NO_MORE_REGIONS = frozenset({"apprunner"})

# https://docs.aws.amazon.com/systems-manager/latest/userguide/parameter-store-public-parameters-global-infrastructure.html
# names the regions that can be asked; any of them answers for all.
_PUBLISHED = "/aws/service/global-infrastructure/services"
_PUBLISHING = frozenset(
    {
        *("us-east-1", "us-east-2", "us-west-1", "us-west-2", "ca-central-1", "sa-east-1"),
        *("ap-east-1", "ap-south-1", "ap-northeast-1", "ap-northeast-2"),
        *("ap-southeast-1", "ap-southeast-2"),
        *("eu-central-1", "eu-west-1", "eu-west-2", "eu-west-3", "eu-north-1"),
    }
)
# Services that are published by another name than boto3's.
_PUBLISHED_NAMES = {"bedrock-agentcore-control": "bedrock-agentcore", "greengrassv2": "greengrass"}


class Availability:
    """Knows which services regions have; each is looked up once, if that succeeds.

    ``api`` returns the Api of a service in a region.
    """

    def __init__(self, session: boto3.Session, api: Callable[[str, str], Api]) -> None:
        self._session = session
        self._api = api
        self._looking = Lock()
        self._listed: dict[tuple[str, str], set[str]] = {}
        self._partitions: dict[str, str] = {}
        self._known: Once[tuple[str, str], bool] = Once(keeps_errors=False)
        self._published: Once[str, frozenset[str]] = Once(keeps_errors=False)

    def offers(self, service: str, region: str, host_of: Callable[[str], str]) -> bool:
        """Return whether the region has this service.

        ``host_of`` returns the host that the calls of a service go to in this region.

        The SDK's list of regions lags behind (https://github.com/boto/botocore/issues/3101). So a
        service that it does not list is absent only if DNS does not know its host and AWS publishes
        that other regions have it and this one does not. DNS alone is not evidence: a firewall or a
        private resolver may not know the host either. Of a few new services AWS publishes nothing.
        One of these is absent if the SDK lists it elsewhere, and the same DNS that does not know
        its host knows that of ECR in the region.

        Raise ServiceUnknownError if there is no evidence.
        """
        return self._known.get((service, region), lambda: self._offers(service, region, host_of))

    def _offers(self, service: str, region: str, host_of: Callable[[str], str]) -> bool:
        if self._is_listed(service, region):
            return True
        if service in _NO_MORE_REGIONS:
            # A region that the SDK does not know at all is asked.
            return not self._is_listed("ecr", region)
        if host_exists(host_of(service)):
            return True
        try:
            published = self._published.get(service, lambda: self._published_regions(service))
        except CleanerError as error:
            raise ServiceUnknownError(service, region, str(error)) from error
        if published:
            return region in published
        if self._is_listed_elsewhere(service, region) and host_exists(host_of("ecr")):
            return False
        raise ServiceUnknownError(service, region, "AWS publishes no regions of it")

    def _is_listed(self, service: str, region: str) -> bool:
        # Serialised: loading SDK data is CPU-bound, and the first source must not wait. This is
        # not the lock of the clients, or that source would wait for the others' lists.
        with self._looking:
            partition = self._partition(region)
            key = (service, partition)
            if key not in self._listed:
                self._listed[key] = set(self._session.get_available_regions(service, partition))
            return region in self._listed[key]

    def _is_listed_elsewhere(self, service: str, region: str) -> bool:
        with self._looking:
            return bool(self._listed[service, self._partition(region)])

    def _partition(self, region: str) -> str:
        if region not in self._partitions:
            self._partitions[region] = self._session.get_partition_for_region(region)
        return self._partitions[region]

    def _published_regions(self, service: str) -> frozenset[str]:
        """Return the regions that AWS publishes; none if it publishes nothing of the service."""
        path = f"{_PUBLISHED}/{_PUBLISHED_NAMES.get(service, service)}/regions"
        ssm = self._api("ssm", self._publishing_region())
        found = ssm.each("GetParametersByPath", "Parameters", Path=path)
        return frozenset(parameter["Value"] for parameter in found)

    def _publishing_region(self) -> str:
        own = str(self._session.region_name)
        with self._looking:
            is_standard = self._partition(own) == "aws"
        return own if own in _PUBLISHING or not is_standard else "us-east-1"


def host_exists(host: str) -> bool:
    """Return whether DNS knows the host. A failure other than "no such host" counts as yes."""
    try:
        socket.getaddrinfo(host, 443)
    except socket.gaierror as error:
        return error.errno != socket.EAI_NONAME
    return True
