"""What App Runner runs, and where there is no App Runner."""

from __future__ import annotations

from typing import Any

import pytest

from ecr_cleaner.core.errors import ApiError, ScanError
from ecr_cleaner.usage.rows import APP_RUNNER
from ecr_cleaner.usage.scan import State, scan
from fakes.aws_api import FakeApi, Parameters, account, error, found, tags

HOST = "123456789012.dkr.ecr.eu-west-1.amazonaws.com"

Source = dict[str, Any]


def of_image(image: str, kind: str = "ECR") -> Source:
    return {"ImageRepository": {"ImageIdentifier": image, "ImageRepositoryType": kind}}


def of_code() -> Source:
    branch = {"Type": "BRANCH", "Value": "main"}
    return {"CodeRepository": {"RepositoryUrl": "https://example.com", "SourceCodeVersion": branch}}


def arn(name: str) -> str:
    return f"arn:aws:apprunner:eu-west-1:123456789012:service/{name}/0123"


def described(name: str, source: Source) -> dict[str, Any]:
    service: dict[str, Any] = {
        "ServiceArn": arn(name),
        "ServiceName": f"service-{name}",
        "ServiceId": "0123456789abcdef0123456789abcdef",
        "CreatedAt": 0,
        "UpdatedAt": 0,
        "Status": "PAUSED",
        "SourceConfiguration": source,
        "InstanceConfiguration": {},
        "NetworkConfiguration": {},
        "AutoScalingConfigurationSummary": {},
    }
    return {"Service": service}


def api_with(*pages: dict[str, Source]) -> FakeApi:
    """Return App Runner with these pages of services by name."""
    sources = {arn(name): (name, page[name]) for page in pages for name in page}
    listed = [[{"ServiceArn": arn(name)} for name in page] for page in pages]

    def describe(parameters: Parameters) -> Any:
        return described(*sources[parameters["ServiceArn"]])

    api = FakeApi("apprunner").pages("ListServices", "ServiceSummaryList", *listed)
    return api.on("DescribeService", describe)


def test_no_services_use_nothing() -> None:
    assert found(APP_RUNNER, api_with({})) == []


def test_service_uses_its_image_also_while_it_is_paused() -> None:
    (usage,) = found(APP_RUNNER, api_with({"site": of_image(f"{HOST}/team/site:v1")}))

    assert (usage.reference.repository, usage.reference.tag) == ("team/site", "v1")
    assert (usage.source, usage.consumer) == ("app-runner", arn("site"))


@pytest.mark.parametrize(
    "source", [of_code(), {}, of_image("public.ecr.aws/nginx/nginx:1", "ECR_PUBLIC")]
)
def test_service_without_an_image_of_private_ecr_is_no_usage_and_no_error(source: Source) -> None:
    assert found(APP_RUNNER, api_with({"site": source})) == []


def test_all_pages_are_read_also_behind_an_empty_one() -> None:
    first, last = {"a": of_image(f"{HOST}/app:a")}, {"b": of_image(f"{HOST}/app:b")}
    api = api_with(first, {}, last, {})

    assert tags(found(APP_RUNNER, api)) == {"a", "b"}
    assert [asked.get("NextToken") for asked in api.asked("ListServices")] == [None, "1", "2", "3"]


def test_token_that_comes_again_is_an_error_and_no_endless_loop() -> None:
    api = api_with({}).on("ListServices", {"ServiceSummaryList": [], "NextToken": "same"})

    with pytest.raises(ApiError, match="repeats a page token"):
        found(APP_RUNNER, api)


def test_service_that_vanished_is_skipped() -> None:
    api = api_with({"site": of_image(f"{HOST}/app:a")})

    assert found(APP_RUNNER, api.on("DescribeService", error("ResourceNotFoundException"))) == []


# -- Where there is no App Runner --------------------------------------------------------------


@pytest.mark.parametrize("region", ["eu-south-1", "ca-central-1", "cn-north-1", "us-gov-west-1"])
def test_region_without_app_runner_is_not_asked(region: str) -> None:
    api = FakeApi("apprunner", region)
    with account(api, region=region) as one:
        scanned = scan(one, [APP_RUNNER])

    (reading,) = scanned.readings
    assert (reading.source, reading.state) == ("app-runner", State.NOT_IN_REGION)
    assert api.calls == []


@pytest.mark.parametrize("region", ["eu-west-1", "us-east-1", "eu-west-9"])
def test_any_other_region_is_asked_and_must_answer(region: str) -> None:
    """A region that the SDK has not heard of may have App Runner: only AWS can tell."""
    api = FakeApi("apprunner", region).on("ListServices", error("EndpointConnectionError"))
    with account(api, region=region) as one, pytest.raises(ScanError, match="app-runner"):
        scan(one, [APP_RUNNER])


def test_region_with_app_runner_and_without_services_found_none() -> None:
    with account(api_with({})) as one:
        scanned = scan(one, [APP_RUNNER])

    assert scanned.coverage() == {"app-runner": {"state": "scanned", "usages": 0}}
