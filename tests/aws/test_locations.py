"""Every account and region to scan, from scripted answers, and whose credentials are used there."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any
from unittest import mock

import boto3
import pytest
from moto import mock_aws

from ecr_cleaner.aws.locations import Locations
from ecr_cleaner.aws.session import Aws, assumed_session, open_session
from ecr_cleaner.core.errors import ApiError, IncompleteAnswerError, OutOfTimeError, TargetError
from ecr_cleaner.core.locations import Location
from ecr_cleaner.core.settings import Settings
from ecr_cleaner.deadline import Deadline
from ecr_cleaner.workers import Workers
from fakes.aws_api import REGION, FakeSession, error
from fakes.ecr import CALLER
from fakes.scripted import Scripted

OWN = "111122223333"
MEMBER = "222233334444"
HERE = Location(OWN, REGION)
ROLE = f"arn:aws:iam::{MEMBER}:role/ecr-cleaner-scan"


def regions(*names: str) -> dict[str, Any]:
    return {"Regions": [{"RegionName": name} for name in names]}


@pytest.fixture
def workers() -> Iterator[Workers]:
    with Workers(2) as made:
        yield made


def found(workers: Workers, settings: Settings, **lines: Any) -> Locations:
    """Read the locations; every account answers alike."""
    answers = {
        "sts": {"GetCallerIdentity": {"Arn": CALLER}},
        "ec2": {"DescribeRegions": regions("eu-west-1", "us-east-1")},
        "organizations": {
            "DescribeOrganization": {"Organization": {"Id": "o-a1b2c3d4e5"}},
            "ListAccounts": [{"Accounts": []}, {"Accounts": accounts()}],
        },
    }
    apis = [Scripted(name, **(said | lines.get(name, {}))) for name, said in answers.items()]
    made = Locations(Aws(FakeSession(apis, REGION), workers), settings)
    made.read()
    return made


def accounts() -> list[dict[str, str]]:
    return [
        {"Id": MEMBER, "State": "ACTIVE"},
        {"Id": "333344445555", "State": "SUSPENDED"},
        {"Id": OWN, "State": "ACTIVE"},
    ]


def test_every_enabled_region_is_scanned_that_of_the_registry_first(workers: Workers) -> None:
    ec2 = {"DescribeRegions": regions("ap-south-1", "eu-west-1", "us-east-1")}
    one = found(workers, Settings(), ec2=ec2)
    assert one.all == (HERE, Location(OWN, "ap-south-1"), Location(OWN, "us-east-1"))
    assert one.scanned.registries == {each.registry for each in one.all}
    assert one.scanned.organization is None


def test_regions_that_are_named_are_not_asked_for(workers: Workers) -> None:
    settings = Settings(scan_regions=("us-east-1",))
    one = found(workers, settings, ec2={"DescribeRegions": error("UnauthorizedOperation")})
    assert one.all == (HERE, Location(OWN, "us-east-1"))


def test_clients_of_a_region_are_made_for_it(workers: Workers) -> None:
    one = found(workers, Settings())
    there = Location(OWN, "us-east-1")
    assert one.open(HERE).region == REGION
    assert one.open(there).region == "us-east-1"
    assert one.open(there) is not one.open(there)


def test_an_answer_without_the_own_region_ends_the_run(workers: Workers) -> None:
    with pytest.raises(TargetError, match="returned us-east-1, but not eu-west-1") as failure:
        found(workers, Settings(), ec2={"DescribeRegions": regions("us-east-1")})
    assert failure.value.fields["target"] == OWN


def test_regions_that_cannot_be_listed_end_the_run_and_name_the_action(workers: Workers) -> None:
    denied = {"DescribeRegions": error("UnauthorizedOperation")}
    with pytest.raises(TargetError) as failure:
        found(workers, Settings(), ec2=denied)
    assert failure.value.fields["missing_action"] == "ec2:DescribeRegions"


# -- Other accounts ----------------------------------------------------------------------------


@pytest.fixture
def member(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str | None]]:
    """Let another account have one region; return the roles that are assumed."""
    assumed: list[tuple[str, str | None]] = []

    def session(account: Aws, role: str, external_id: str | None) -> FakeSession:
        del account
        assumed.append((role, external_id))
        answer = regions("us-east-1", "sa-east-1")
        return FakeSession([Scripted("ec2", DescribeRegions=answer)], REGION)

    monkeypatch.setattr("ecr_cleaner.aws.locations.assumed_session", session)
    return assumed


def test_accounts_that_are_named_are_scanned_by_their_role(
    workers: Workers, member: list[tuple[str, str | None]]
) -> None:
    settings = Settings(
        scan_accounts=(MEMBER, OWN), scan_role_name="reader", scan_external_id="secret"
    )
    one = found(workers, settings)
    assert [str(each) for each in one.all] == [
        f"{OWN}/eu-west-1",
        f"{OWN}/us-east-1",
        f"{MEMBER}/sa-east-1",
        f"{MEMBER}/us-east-1",
    ]
    assert member == [(f"arn:aws:iam::{MEMBER}:role/reader", "secret")]
    assert one.scanned.accounts == {OWN, MEMBER}


def test_the_region_of_the_registry_is_scanned_in_every_account(
    workers: Workers, member: list[tuple[str, str | None]]
) -> None:
    """Lambda pulls from another account in the registry's own region only."""
    settings = Settings(scan_accounts=(MEMBER,), scan_regions=("us-east-1",))
    assert [str(each) for each in found(workers, settings).all] == [
        f"{OWN}/eu-west-1",
        f"{OWN}/us-east-1",
        f"{MEMBER}/eu-west-1",
        f"{MEMBER}/us-east-1",
    ]
    assert len(member) == 1


def test_an_organization_is_its_accounts_on_all_pages(
    workers: Workers, member: list[tuple[str, str | None]]
) -> None:
    one = found(workers, Settings(scan_organization=True))
    assert one.scanned.accounts == {OWN, MEMBER}
    assert one.scanned.organization == "o-a1b2c3d4e5"
    assert one.left_out == {"333344445555": "SUSPENDED"}
    assert member == [(ROLE, None)]


def test_an_organization_that_cannot_be_listed_ends_the_run(workers: Workers) -> None:
    denied = {"ListAccounts": error("AccessDeniedException")}
    with pytest.raises(ApiError, match="organizations ListAccounts failed"):
        found(workers, Settings(scan_organization=True), organizations=denied)


def test_an_organization_without_the_own_account_ends_the_run(workers: Workers) -> None:
    others = {"ListAccounts": {"Accounts": accounts()[:2]}}
    with pytest.raises(IncompleteAnswerError, match=f"but not {OWN}"):
        found(workers, Settings(scan_organization=True), organizations=others)


def test_a_role_that_cannot_be_assumed_names_the_account_and_the_fix(workers: Workers) -> None:
    denied = {"AssumeRole": error("AccessDenied", "not authorized to perform: sts:AssumeRole")}
    with pytest.raises(TargetError) as failure:
        found(workers, Settings(scan_accounts=(MEMBER,)), sts=denied)
    assert str(failure.value).startswith(f"{MEMBER} could not be scanned: sts AssumeRole failed")
    assert "name the other accounts in SCAN_ACCOUNTS" in str(failure.value)


def test_no_time_to_ask_an_account_is_no_fault_of_the_account(workers: Workers) -> None:
    ec2 = Scripted("ec2", DescribeRegions=regions(REGION))
    sts = Scripted("sts", GetCallerIdentity={"Arn": CALLER})
    one = Locations(Aws(FakeSession([ec2, sts], REGION), workers), Settings())

    def no_time(_: Any) -> Any:
        raise OutOfTimeError("no time left to call ec2")

    ec2.on("DescribeRegions", no_time)
    with pytest.raises(OutOfTimeError):
        one.read()


# -- Credentials -------------------------------------------------------------------------------


def test_credentials_of_a_role_are_those_of_its_account(workers: Workers) -> None:
    with mock_aws():
        account = Aws(open_session(REGION), workers, Deadline())
        session = assumed_session(account, ROLE, "external")
        there = account.elsewhere("us-east-1", session)
        identity = there.api("sts").call("GetCallerIdentity")
    assert identity["Arn"] == f"arn:aws:sts::{MEMBER}:assumed-role/ecr-cleaner-scan/ecr-cleaner"
    assert there.region == "us-east-1"


def test_credentials_of_a_role_renew_themselves(workers: Workers) -> None:
    """The SDK asks again in the last ten minutes of an hour."""
    asked: list[dict[str, Any]] = []

    def credentials(parameters: dict[str, Any]) -> dict[str, Any]:
        asked.append(parameters)
        seconds = 60 if len(asked) == 1 else 3600
        return {
            "Credentials": {
                "AccessKeyId": f"AKIAIOSFODNN7EXAMP{len(asked):02}",
                "SecretAccessKey": "secret",
                "SessionToken": "token",
                "Expiration": Deadline().now() + timedelta(seconds=seconds),
            }
        }

    sts = Scripted("sts").on("AssumeRole", credentials)
    account = Aws(FakeSession([sts], REGION), workers)
    held = assumed_session(account, ROLE, "external").get_credentials()
    assert held is not None
    keys = [held.get_frozen_credentials().access_key for _ in range(3)]
    assert keys == [f"AKIAIOSFODNN7EXAMP{number:02}" for number in (1, 2, 2)]
    expected = {"RoleArn": ROLE, "RoleSessionName": "ecr-cleaner", "ExternalId": "external"}
    assert asked == [expected] * 2


def test_an_answer_without_credentials_is_not_whole(workers: Workers) -> None:
    sts = Scripted("sts", AssumeRole={"AssumedRoleUser": {"AssumedRoleId": "A:B", "Arn": ROLE}})
    session = assumed_session(Aws(FakeSession([sts], REGION), workers), ROLE, None)
    account = Aws(session, workers)
    with pytest.raises(IncompleteAnswerError, match=f"AssumeRole of {ROLE} returned no 'Cred"):
        account.api("ecs").call("ListClusters")


def test_sessions_share_what_they_read_of_the_models(workers: Workers) -> None:
    account = Aws(open_session(REGION), workers)
    other = assumed_session(account, ROLE, None)
    assert isinstance(other, boto3.Session)
    ours: Any = account.api("ecs").meta.service_model
    theirs: Any = account.elsewhere(REGION, other).api("ecs").meta.service_model
    assert ours._service_description is theirs._service_description  # noqa: SLF001


def test_clients_are_closed_together(workers: Workers) -> None:
    apis = [Scripted("ecs"), Scripted("sts")]
    account = Aws(FakeSession(apis, REGION), workers)
    for api in apis:
        account.api(api.client.meta.service_model.service_name)
    with (
        mock.patch.object(apis[0].client, "close") as first,
        mock.patch.object(apis[1].client, "close") as second,
    ):
        account.close()

    assert (first.call_count, second.call_count) == (1, 1)
