"""Accounts and regions to scan, from the answers that name them."""

from __future__ import annotations

from typing import Any

import pytest

from ecr_cleaner.core.errors import ApiError, CleanerError, IncompleteAnswerError, TargetError
from ecr_cleaner.core.locations import (
    Location,
    Scanned,
    active_accounts,
    caller_of,
    enabled_regions,
)
from ecr_cleaner.core.model import Registry

OWN = "111122223333"


@pytest.mark.parametrize(
    ("arn", "found"),
    [
        (f"arn:aws:sts::{OWN}:assumed-role/cleaner/session", ("aws", OWN)),
        (f"arn:aws-cn:iam::{OWN}:user/somebody", ("aws-cn", OWN)),
        (f"arn:aws:iam::{OWN}:root", ("aws", OWN)),
    ],
)
def test_partition_and_account_are_those_of_the_caller(arn: str, found: tuple[str, str]) -> None:
    assert caller_of({"Arn": arn}) == found


@pytest.mark.parametrize("identity", [{}, {"Arn": ""}, {"Arn": "somebody"}, {"Arn": None}])
def test_a_caller_without_an_arn_is_an_error(identity: dict[str, Any]) -> None:
    with pytest.raises(IncompleteAnswerError, match="GetCallerIdentity returned no ARN but"):
        caller_of(identity)


def test_an_account_and_region_has_a_registry_and_arns() -> None:
    one = Location(OWN, "cn-north-1", "aws-cn")
    assert str(one) == f"{OWN}/cn-north-1"
    assert one.registry == Registry(OWN, "cn-north-1")
    assert one.arn("eks", "cluster/a") == f"arn:aws-cn:eks:cn-north-1:{OWN}:cluster/a"
    assert Scanned(frozenset({one.registry})).accounts == {OWN}


def regions(*names: str) -> dict[str, Any]:
    return {"Regions": [{"RegionName": name} for name in names]}


def test_enabled_regions_are_sorted() -> None:
    assert enabled_regions(regions("us-east-1", "eu-west-1"), "eu-west-1") == [
        "eu-west-1",
        "us-east-1",
    ]
    assert enabled_regions(regions("us-east-1"), None) == ["us-east-1"]


@pytest.mark.parametrize(
    ("answer", "expected", "problem"),
    [
        ({}, None, "returned none; name the regions in SCAN_REGIONS"),
        (regions(), "eu-west-1", "returned none, but not eu-west-1; name"),
        (regions("us-east-1"), "eu-west-1", "returned us-east-1, but not eu-west-1; name"),
    ],
)
def test_an_answer_without_the_region_of_the_registry_is_not_believed(
    answer: dict[str, Any], expected: str | None, problem: str
) -> None:
    with pytest.raises(IncompleteAnswerError, match=problem):
        enabled_regions(answer, expected)


def test_accounts_that_run_nothing_are_left_out_and_named() -> None:
    listed = [
        {"Id": "5", "State": "CLOSED"},
        {"Id": OWN, "State": "ACTIVE"},
        {"Id": "2", "Status": "SUSPENDED"},
        {"Id": "4", "State": "PENDING_ACTIVATION"},
        {"Id": "3", "State": "PENDING_CLOSURE", "Status": "ACTIVE"},
        {"Id": "6"},
    ]
    assert active_accounts(listed, OWN) == (
        [OWN, "3", "6"],
        {"5": "CLOSED", "2": "SUSPENDED", "4": "PENDING_ACTIVATION"},
    )


@pytest.mark.parametrize("listed", [[], [{"Id": "2", "State": "ACTIVE"}]])
def test_an_organization_without_the_account_of_the_registry_is_not_believed(
    listed: list[dict[str, str]],
) -> None:
    with pytest.raises(IncompleteAnswerError, match=f"but not {OWN}, which has the registry"):
        active_accounts(listed, OWN)


def api_error(operation: str, code: str, message: str = "no") -> ApiError:
    return ApiError("service", operation, code=code, message=message)


@pytest.mark.parametrize(
    ("cause", "advice"),
    [
        (api_error("AssumeRole", "AccessDenied"), "; create the role that SCAN_ROLE_NAME names"),
        (
            api_error("ListX", "AccessDenied", "an explicit deny in a service control policy"),
            "; if the policy closes the region, name the other regions in SCAN_REGIONS",
        ),
        (api_error("ListX", "UnrecognizedClientException"), "name other regions in SCAN_REGIONS"),
        (api_error("ListX", "ThrottlingException"), "ThrottlingException: no"),
        (CleanerError("something else"), "could not be scanned: something else"),
        (KeyError("Regions"), "could not be scanned: KeyError('Regions')"),
    ],
)
def test_an_error_names_the_target_and_the_fix(cause: Exception, advice: str) -> None:
    error = TargetError("222233334444/us-east-1", cause)
    assert advice in str(error)
    assert str(error).startswith("222233334444/us-east-1 could not be scanned: ")
    assert error.fields["target"] == "222233334444/us-east-1"


@pytest.mark.parametrize(
    ("message", "written"),
    [
        ("no", "ended: no"),
        ("<html>\n  <body>\n", "ended: <html> <body>"),
        ("x" * 1000, f"ended: {'x' * 1000}"),
        ("x" * 1001, f"ended: {'x' * 1000}..."),
    ],
)
def test_the_page_that_a_proxy_answers_with_is_one_line(message: str, written: str) -> None:
    error = ApiError("ecs", "ListTasks", code="ended", message=message)
    assert str(error) == f"ecs ListTasks failed with {written}"
