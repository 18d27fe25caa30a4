"""What the delegated administrator of Amazon Inspector sees in use: kept as well, or an error."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from ecr_cleaner.aws.session import Aws
from ecr_cleaner.core.errors import OutOfTimeError, ScanError
from ecr_cleaner.core.settings import Settings
from ecr_cleaner.deadline import Deadline
from ecr_cleaner.usage.inspector import Inspector
from ecr_cleaner.usage.scan import SourceReading, scan
from fakes.aws_api import REGION, FakeApi, FakeSession, account
from fakes.scripted import DENIED, THROTTLED, Scripted
from usage.test_inspector import IMAGES_ONLY, A, B, C, arn, covered, digests, inspector

OWN = "123456789012"
ADMINISTRATOR = "222233334444"
NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
ROLE = f"arn:aws:iam::{ADMINISTRATOR}:role/ecr-cleaner-scan"
SETTINGS = Settings(inspector_coverage=True, inspector_administrator=ADMINISTRATOR)
MEMBER = {"member": {"accountId": OWN, "relationshipStatus": "ENABLED"}}

# The role that is assumed, and the external id that is passed.
Assumed = list[tuple[str, str | None]]


class Administrator:
    """The account of the administrator: its Inspector, and how its role was assumed."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.inspector = inspector(covered(), covered()).line("GetMember", MEMBER)
        self.assumed: Assumed = []
        monkeypatch.setattr("ecr_cleaner.aws.locations.assumed_session", self._session)

    def sees(self, counted: Any = (), lately: Any = ()) -> None:
        """Let it see these images running now, and these running lately."""
        other = inspector(counted or covered(), lately or covered())
        self.inspector = other.line("GetMember", MEMBER)

    def _session(self, home: Aws, role: str, external_id: str | None) -> FakeSession:
        del home
        self.assumed.append((role, external_id))
        return FakeSession([self.inspector], REGION)


@pytest.fixture
def administrator(monkeypatch: pytest.MonkeyPatch) -> Administrator:
    return Administrator(monkeypatch)


def read(*apis: FakeApi, settings: Settings = SETTINGS) -> SourceReading:
    """Scan the source alone, in the account of the registry with these services."""
    with account(*apis, settings=settings, deadline=Deadline(lambda: NOW)) as target:
        (reading,) = scan(target, [Inspector()]).readings
    return reading


def failure_of(*apis: FakeApi) -> ScanError:
    """Return the error of a scan that must fail."""
    with pytest.raises(ScanError) as failure:
        read(*apis)
    return failure.value


def test_images_that_only_the_administrator_sees_running_are_in_use(
    administrator: Administrator,
) -> None:
    administrator.sees(covered(B), covered(C))
    reading = read(inspector(covered(A), covered()))

    assert digests(list(reading.usages)) == {A, B, C}
    assert {usage.consumer for usage in reading.usages} == {
        f"inspector coverage of {arn(A)}",
        f"inspector coverage in {ADMINISTRATOR} of {arn(B)}",
        f"inspector coverage in {ADMINISTRATOR} of {arn(C)}",
    }


def test_image_that_both_accounts_see_is_one_usage(administrator: Administrator) -> None:
    administrator.sees(covered(A), covered(A))

    (usage,) = read(inspector(covered(A), covered())).usages
    assert usage.consumer == f"inspector coverage of {arn(A)}"


def test_images_of_the_registry_only_are_asked_for(administrator: Administrator) -> None:
    read(inspector(covered(), covered()))

    registry = [{"comparison": "EQUALS", "value": OWN}]
    lately = {"ecrImageLastInUseAt": [{"startInclusive": NOW - timedelta(days=30)}]}
    asked = [one["filterCriteria"] for one in administrator.inspector.asked("ListCoverage")]
    assert sorted(asked, key=str) == [
        {
            "resourceType": IMAGES_ONLY,
            "ecrImageInUseCount": [{"lowerInclusive": 1}],
            "accountId": registry,
        },
        {"resourceType": IMAGES_ONLY, **lately, "accountId": registry},
    ]
    assert administrator.inspector.asked("GetMember") == [{"accountId": OWN}]


def test_all_its_pages_are_read(administrator: Administrator) -> None:
    administrator.sees([covered(A), covered(), covered(B)], [covered(), covered(C)])
    assert digests(list(read(inspector(covered(), covered())).usages)) == {A, B, C}


@pytest.mark.parametrize(
    ("settings", "assumed"),
    [
        ({}, (ROLE, None)),
        (
            {"scan_role_name": "platform/reader", "scan_external_id": "images:1"},
            (f"arn:aws:iam::{ADMINISTRATOR}:role/platform/reader", "images:1"),
        ),
        # Whether it is scanned as well makes no difference.
        ({"scan_accounts": (ADMINISTRATOR,)}, (ROLE, None)),
    ],
)
def test_the_scan_role_of_the_administrator_is_assumed(
    administrator: Administrator, settings: dict[str, Any], assumed: tuple[str, str | None]
) -> None:
    chosen = Settings(inspector_coverage=True, inspector_administrator=ADMINISTRATOR, **settings)
    read(inspector(covered(), covered()), settings=chosen)
    assert administrator.assumed == [assumed]


def test_coverage_names_the_administrator_and_how_many_images_it_sees(
    administrator: Administrator,
) -> None:
    administrator.sees(covered(A, B))
    assert read(inspector(covered(A), covered())).fields() == {
        "state": "scanned",
        "usages": 2,
        "administrator": {"account": ADMINISTRATOR, "images": 2},
    }


def test_without_the_setting_no_other_account_is_asked(administrator: Administrator) -> None:
    reading = read(inspector(covered(A), covered()), settings=Settings(inspector_coverage=True))

    assert reading.fields() == {"state": "scanned", "usages": 1}
    assert (administrator.assumed, administrator.inspector.calls) == ([], [])


def test_registry_whose_own_account_is_the_administrator_assumes_no_role(
    administrator: Administrator,
) -> None:
    settings = Settings(inspector_coverage=True, inspector_administrator=OWN)
    own = inspector(covered(A), covered(B))
    reading = read(own, settings=settings)

    assert digests(list(reading.usages)) == {A, B}
    assert reading.fields()["administrator"] == {"account": OWN, "images": 2}
    assert own.actions == ["inspector2:ListCoverage"]
    assert administrator.assumed == []


# -- Fail closed -------------------------------------------------------------------------------


NEEDS = (
    "; the account must be the delegated administrator of Amazon Inspector in this region, with "
    "the account of the registry as a member, and must have the role that SCAN_ROLE_NAME names "
    "(terraform/modules/scan-role)"
)
BEGIN = (
    "usage source inspector could not be read in full: the coverage of Amazon Inspector in "
    f"{ADMINISTRATOR}/{REGION}, which INSPECTOR_ADMINISTRATOR names, could not be read: "
)


@pytest.mark.parametrize("fault", [DENIED, THROTTLED], ids=["denied", "throttled"])
@pytest.mark.parametrize("operation", ["GetMember", "ListCoverage"])
def test_call_that_fails_is_an_error_that_names_setting_account_and_permission(
    administrator: Administrator, operation: str, fault: Exception
) -> None:
    administrator.inspector.line(operation, fault)
    failure = failure_of(inspector(covered(A), covered()))

    missing = f"inspector2:{operation}" if fault is DENIED else None
    assert str(failure).startswith(f"{BEGIN}inspector2 {operation} failed with ")
    assert str(failure).endswith(NEEDS)
    assert (f"(missing IAM action: {missing})" in str(failure)) is (fault is DENIED)
    told = failure.fields
    assert (told["setting"], told["target"]) == (
        "INSPECTOR_ADMINISTRATOR",
        f"{ADMINISTRATOR}/{REGION}",
    )
    assert (told["operation"], told.get("missing_action")) == (operation, missing)


def test_role_that_cannot_be_assumed_is_an_error_that_names_setting_account_and_permission() -> (
    None
):
    sts = Scripted("sts", AssumeRole=DENIED)
    failure = failure_of(inspector(covered(A), covered()), sts)

    assert str(failure).startswith(f"{BEGIN}sts AssumeRole failed with AccessDeniedException")
    assert "missing IAM action: sts:AssumeRole" in str(failure)
    assert str(failure).endswith(NEEDS)
    assert failure.fields["target"] == f"{ADMINISTRATOR}/{REGION}"
    assert [one["RoleArn"] for one in sts.asked("AssumeRole")] == [ROLE]


@pytest.mark.parametrize(
    ("answer", "status"),
    [
        ({}, None),
        ({"member": {}}, None),
        *(
            ({"member": {"accountId": OWN, "relationshipStatus": status}}, status)
            for status in ("CREATED", "DISABLED", "REMOVED", "ACCOUNT_SUSPENDED")
        ),
    ],
)
def test_registry_that_is_not_a_member_of_the_administrator_is_an_error(
    administrator: Administrator, answer: dict[str, Any], status: str | None
) -> None:
    """The administrator would answer that it sees none of its images in use."""
    administrator.inspector.line("GetMember", answer)
    failure = failure_of(inspector(covered(A), covered()))

    assert str(failure) == (
        f"{BEGIN}GetMember returned the status {status} of {OWN}, which has the registry, but only "
        f"a member with the status ENABLED is seen{NEEDS}"
    )
    assert administrator.inspector.asked("ListCoverage") == []


def test_image_that_is_not_understood_is_an_error(administrator: Administrator) -> None:
    administrator.sees({"coveredResources": [{"resourceId": "i-0123456789abcdef0"}]})
    failure = failure_of(inspector(covered(A), covered()))

    problem = "ListCoverage named an image that is not understood: i-0123456789abcdef0"
    assert str(failure) == f"{BEGIN}{problem}{NEEDS}"


@pytest.mark.parametrize("before", [[], [{"coveredResources": [], "nextToken": "1"}]])
def test_page_without_its_list_is_an_error(
    administrator: Administrator, before: list[dict[str, Any]]
) -> None:
    pages = [*before, {}]
    administrator.inspector.on("ListCoverage", lambda asked: pages[int(asked.get("nextToken", 0))])
    failure = failure_of(inspector(covered(A), covered()))

    assert str(failure).startswith(f"{BEGIN}inspector2 ListCoverage failed with IncompleteAnswer: ")
    assert "a page holds no list under coveredResources" in str(failure)


def test_own_coverage_that_fails_does_not_blame_the_administrator(
    administrator: Administrator,
) -> None:
    failure = failure_of(inspector(DENIED, covered()))

    assert "INSPECTOR_ADMINISTRATOR" not in str(failure)
    assert failure.fields["missing_action"] == "inspector2:ListCoverage"
    assert administrator.assumed == []


def test_no_time_left_is_no_fault_of_the_administrator(administrator: Administrator) -> None:
    administrator.inspector.on("GetMember", OutOfTimeError("no time left"))
    with pytest.raises(OutOfTimeError, match="not finished: inspector"):
        read(inspector(covered(), covered()))
