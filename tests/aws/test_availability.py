"""Which services a region has, by the SDK, by DNS and by what AWS publishes."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from moto import mock_aws

from ecr_cleaner.aws.availability import host_exists
from ecr_cleaner.aws.session import Aws
from ecr_cleaner.core.errors import ServiceUnknownError
from ecr_cleaner.workers import Workers
from fakes.aws_api import FakeApi, FakeSession, error

# Bound before the fixture that stands in for it in every test.
LOOK_UP = host_exists


@pytest.fixture
def workers() -> Iterator[Workers]:
    with Workers(1) as made:
        yield made


def offers(
    service: str,
    region: str,
    workers: Workers,
    monkeypatch: pytest.MonkeyPatch,
    *,
    dns_knows: bool | None,
) -> bool:
    """Ask for a service; ``dns_knows`` None means that nobody may ask DNS."""

    def look_up(host: str) -> bool:
        assert dns_knows is not None, f"DNS was asked for {host}"
        return dns_knows

    monkeypatch.setattr("ecr_cleaner.aws.availability.host_exists", look_up)
    return Aws(boto3.Session(region_name=region), workers).offers(service)


@pytest.mark.parametrize(
    ("service", "region"),
    [
        ("ecs", "eu-west-1"),
        ("apprunner", "us-east-1"),
        ("ecs", "cn-north-1"),
        ("ecs", "us-gov-west-1"),
    ],
)
def test_service_on_the_list_is_offered_and_dns_is_not_asked(
    service: str, region: str, workers: Workers, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert offers(service, region, workers, monkeypatch, dns_knows=None) is True


@pytest.mark.parametrize(
    ("service", "region"), [("ecs", "eu-west-9"), ("bedrock-agentcore-control", "sa-west-9")]
)
def test_service_that_the_list_lacks_is_offered_if_dns_knows_its_host(
    service: str, region: str, workers: Workers, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert offers(service, region, workers, monkeypatch, dns_knows=True) is True


# -- Evidence of absence -----------------------------------------------------------------------


def absent_by_dns(published: Any, region: str, workers: Workers) -> bool:
    """Ask for AgentCore, whose host DNS does not know, with what SSM answers."""
    ssm = FakeApi("ssm").on("GetParametersByPath", published)
    agentcore = FakeApi("bedrock-agentcore-control", region)
    return Aws(FakeSession([ssm, agentcore], region), workers).offers("bedrock-agentcore-control")


def values(*regions: str) -> dict[str, Any]:
    return {"Parameters": [{"Name": one, "Value": one} for one in regions]}


@pytest.fixture
def no_host(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ecr_cleaner.aws.availability.host_exists", lambda _: False)


@pytest.mark.usefixtures("no_host")
def test_service_is_absent_if_aws_publishes_it_for_other_regions_only(workers: Workers) -> None:
    assert absent_by_dns(values("us-east-1", "eu-west-1"), "eu-north-1", workers) is False


@pytest.mark.usefixtures("no_host")
def test_service_that_is_published_for_the_region_is_asked_though_dns_does_not_know_it(
    workers: Workers,
) -> None:
    assert absent_by_dns(values("us-east-1", "eu-north-1"), "eu-north-1", workers) is True


@pytest.mark.usefixtures("no_host")
@pytest.mark.parametrize(
    "published",
    [values(), error("AccessDeniedException"), error("ThrottlingException"), {}],
    ids=["unknown", "denied", "throttled", "garbled"],
)
def test_failed_look_up_is_not_evidence_of_absence(workers: Workers, published: Any) -> None:
    with pytest.raises(ServiceUnknownError) as unknown:
        absent_by_dns(published, "eu-north-1", workers)

    message = str(unknown.value)
    assert message.startswith(
        "whether eu-north-1 has the AWS service bedrock-agentcore-control is unknown: "
    )
    assert message.endswith("name the usage source in WAIVED_SOURCES")


@pytest.mark.parametrize(("knows_ecr", "offered"), [(True, False), (False, None)])
def test_service_of_which_nothing_is_published_is_absent_if_dns_knows_the_region(
    workers: Workers, monkeypatch: pytest.MonkeyPatch, knows_ecr: bool, offered: bool | None
) -> None:
    """Without the host of ECR, it may be DNS that is wrong."""
    monkeypatch.setattr(
        "ecr_cleaner.aws.availability.host_exists",
        lambda host: knows_ecr and host.startswith("api.ecr."),
    )
    region, service = "us-west-1", "eventbridgev2"
    ssm = FakeApi("ssm").on("GetParametersByPath", values())
    aws = Aws(FakeSession([ssm, FakeApi(service, region), FakeApi("ecr", region)], region), workers)
    if offered is None:
        with pytest.raises(ServiceUnknownError, match="AWS publishes no regions of it"):
            aws.offers(service)
    else:
        assert aws.offers(service) is offered


@pytest.mark.usefixtures("no_host")
@pytest.mark.parametrize(
    ("region", "asked"),
    [("eu-north-1", "eu-north-1"), ("ap-southeast-5", "us-east-1"), ("cn-north-1", "cn-north-1")],
)
def test_region_that_does_not_publish_asks_another_of_its_partition(
    region: str, asked: str, workers: Workers
) -> None:
    regions: list[str | None] = []

    class Session(FakeSession):
        def client(self, service: str, **more: Any) -> Any:  # type: ignore[override]
            regions.append(more["region_name"])
            return super().client(service)

    ssm = FakeApi("ssm").on("GetParametersByPath", values("us-east-1"))
    agentcore = FakeApi("bedrock-agentcore-control", region)
    aws = Aws(Session([ssm, agentcore], region), workers)

    assert aws.offers("bedrock-agentcore-control") is False
    assert regions[-1] == asked


@pytest.mark.usefixtures("no_host")
@pytest.mark.parametrize(
    ("service", "region", "offered"),
    [
        ("bedrock-agentcore-control", "ca-west-1", False),
        ("bedrock-agentcore-control", "eu-central-1", True),
        ("imagebuilder", "eu-central-1", True),
    ],
)
def test_names_are_those_under_which_aws_publishes_services(
    service: str, region: str, workers: Workers, *, offered: bool
) -> None:
    with mock_aws():
        aws = Aws(boto3.Session(region_name=region), workers)
        assert aws.offers(service) is offered


@pytest.mark.parametrize("region", ["eu-north-1", "cn-north-1", "sa-east-1"])
def test_list_of_a_service_that_comes_to_no_more_regions_is_final(
    region: str, workers: Workers, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert offers("apprunner", region, workers, monkeypatch, dns_knows=None) is False


def test_region_that_the_sdk_has_never_heard_of_is_asked_for_it_all_the_same(
    workers: Workers, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert offers("apprunner", "eu-west-9", workers, monkeypatch, dns_knows=None) is True


@pytest.mark.parametrize(
    ("failure", "exists"),
    [
        (None, True),
        (socket.gaierror(socket.EAI_NONAME, "Name or service not known"), False),
        (socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution"), True),
        (socket.gaierror(socket.EAI_FAIL, "Non-recoverable failure"), True),
    ],
)
def test_only_the_plain_no_of_dns_is_a_no(
    failure: OSError | None, monkeypatch: pytest.MonkeyPatch, *, exists: bool
) -> None:
    asked: list[tuple[str, int]] = []

    def look_up(host: str, port: int) -> list[Any]:
        asked.append((host, port))
        if failure:
            raise failure
        return []

    monkeypatch.setattr(socket, "getaddrinfo", look_up)

    assert LOOK_UP("ecs.eu-west-9.amazonaws.com") is exists
    assert asked == [("ecs.eu-west-9.amazonaws.com", 443)]


# -- Once a run ----------------------------------------------------------------------------------


def asking(
    monkeypatch: pytest.MonkeyPatch, ssm: FakeApi, workers: Workers
) -> tuple[Aws, list[str]]:
    """Return an account without AgentCore, and the hosts that DNS is asked for."""
    hosts: list[str] = []

    def look_up(host: str) -> bool:
        hosts.append(host)
        return False

    monkeypatch.setattr("ecr_cleaner.aws.availability.host_exists", look_up)
    agentcore = FakeApi("bedrock-agentcore-control", "eu-north-1")
    return Aws(FakeSession([ssm, agentcore], "eu-north-1"), workers), hosts


def test_service_is_looked_up_once_however_many_ask(monkeypatch: pytest.MonkeyPatch) -> None:
    ssm = FakeApi("ssm").on("GetParametersByPath", values("us-east-1"))
    with Workers(4) as workers:
        aws, hosts = asking(monkeypatch, ssm, workers)
        found = workers.map(aws.offers, ["bedrock-agentcore-control"] * 8)

    assert found == [False] * 8
    assert len(hosts) == len(ssm.calls) == 1


def test_failed_look_up_is_made_again(monkeypatch: pytest.MonkeyPatch, workers: Workers) -> None:
    ssm = FakeApi("ssm").on("GetParametersByPath", error("ThrottlingException"))
    aws, hosts = asking(monkeypatch, ssm, workers)
    with pytest.raises(ServiceUnknownError):
        aws.offers("bedrock-agentcore-control")

    ssm.on("GetParametersByPath", values("us-east-1"))
    assert aws.offers("bedrock-agentcore-control") is False
    assert len(hosts) == 2
