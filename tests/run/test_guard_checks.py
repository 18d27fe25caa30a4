"""Guard checks: read once if they apply to all repositories, not at all if waived."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest import mock

import pytest

from core.worlds import REPOSITORY, policy_of, repository, usage
from ecr_cleaner.aws.availability import Availability
from ecr_cleaner.aws.locations import Locations
from ecr_cleaner.aws.registry import EcrRegistry
from ecr_cleaner.aws.session import Aws
from ecr_cleaner.core.errors import ApiError, OutOfTimeError, TargetError
from ecr_cleaner.core.in_use import InUse
from ecr_cleaner.core.locations import Location
from ecr_cleaner.core.model import ClusterReading, Guard, ImageReference, Registry, Usage
from ecr_cleaner.core.policy import policy_for
from ecr_cleaner.core.settings import RepositoryRule, Settings
from ecr_cleaner.run.guard_checks import GuardChecks, Seen
from ecr_cleaner.workers import Workers
from fakes.aws_api import REGION, FakeSession, error
from fakes.scripted import DENIED, THROTTLED, Scripted

FOREIGN = json.dumps(
    {"Statement": [{"Effect": "Allow", "Principal": {"AWS": "999988887777"}, "Action": "ecr:*"}]}
)
REPLICATED = {
    "rules": [
        {
            "destinations": [{"region": "us-east-1", "registryId": "999988887777"}],
            "deleteReplication": {"enabled": True},
        }
    ]
}
ALL = (Guard.EKS_CLUSTERS, Guard.CROSS_ACCOUNT_PULL, Guard.DELETE_REPLICATION)
NAMES = [guard.value for guard in ALL]
IN_USE = (usage(),)


def ecr(**lines: Any) -> Scripted:
    """Return a registry for which every guard applies."""
    guarded: dict[str, Any] = {
        "GetRegistryPolicy": error("RegistryPolicyNotFoundException"),
        "GetRepositoryPolicy": {"policyText": FOREIGN},
    }
    return Scripted("ecr", **(guarded | lines))


def eks(*pages: Any) -> Scripted:
    return Scripted("eks", ListClusters=[{"clusters": list(page)} for page in pages])


def locations(aws: Aws) -> Locations:
    """Return the locations of a run over this account and region only."""
    found = Locations(aws, Settings())
    found.all = (Location("123456789012", aws.region),)
    return found


@contextmanager
def guards(
    *apis: Scripted, settings: Settings | None = None, region: str = REGION
) -> Iterator[GuardChecks]:
    with Workers(2) as workers:
        aws = Aws(FakeSession(apis, region), workers)
        registry = EcrRegistry(aws)
        checks = GuardChecks(locations(aws), workers, registry, settings or Settings())
        checks.read()
        yield checks


def seen(*clusters: ClusterReading, used: Any = IN_USE, replication: Any = REPLICATED) -> Seen:
    return Seen(InUse(used), clusters, replication)


def standing(
    *apis: Scripted,
    settings: Settings | None = None,
    saw: Seen | None = None,
    **more: Any,
) -> list[str]:
    """Return the names of the guards that apply to the repository under these settings."""
    settings = settings or Settings()
    with guards(*apis, settings=settings, **more) as made:
        found = made.check(REPOSITORY, policy_for(REPOSITORY, settings), saw or seen()).guards
    return [guarded.guard.value for guarded in found]


def test_all_guards_are_listed_in_this_order() -> None:
    registry, clusters = ecr(), eks(["prod"])

    assert standing(registry, clusters, saw=seen(used=())) == ["no-usage", *NAMES]
    assert registry.actions == ["ecr:GetRegistryPolicy", "ecr:GetRepositoryPolicy"]
    assert clusters.actions == ["eks:ListClusters"]


def test_no_guard_applies_if_nothing_hides_consumers() -> None:
    registry = ecr(GetRepositoryPolicy=error("RepositoryPolicyNotFoundException"))

    assert standing(registry, eks([]), saw=seen(replication={"rules": []})) == []


@pytest.mark.parametrize("guard", ALL, ids=NAMES)
def test_guard_that_is_waived_for_the_run_makes_no_call(guard: Guard) -> None:
    registry, clusters = ecr(), eks(["prod"])

    found = standing(registry, clusters, settings=Settings(waived_guards=(guard.value,)))

    assert found == [name for name in NAMES if name != guard.value]
    operations: dict[Guard, set[str]] = {
        Guard.EKS_CLUSTERS: {"eks:ListClusters"},
        Guard.CROSS_ACCOUNT_PULL: {"ecr:GetRegistryPolicy", "ecr:GetRepositoryPolicy"},
        Guard.DELETE_REPLICATION: set(),
    }
    called = {*registry.actions, *clusters.actions}
    assert called == {one for other in ALL if other is not guard for one in operations[other]}


@pytest.mark.parametrize("guard", ALL, ids=NAMES)
def test_guard_that_a_rule_waives_applies_to_the_other_repositories(guard: Guard) -> None:
    rule = RepositoryRule(repositories=("team/*",), waived_guards=(guard.value,))
    settings = Settings(rules=(rule,))
    theirs = repository("team/app")

    with guards(ecr(), eks(["prod"]), settings=settings) as made:
        waived = made.check(theirs, policy_for(theirs, settings), seen()).guards
        others = made.check(REPOSITORY, policy_for(REPOSITORY, settings), seen()).guards

    assert [one.guard for one in waived] == [other for other in ALL if other is not guard]
    assert [one.guard for one in others] == list(ALL)


def test_no_call_is_made_if_all_guards_are_waived() -> None:
    registry, clusters = ecr(), eks(["prod"])

    assert standing(registry, clusters, settings=Settings(waived_guards=tuple(NAMES))) == []
    assert registry.calls == clusters.calls == []


def test_registry_settings_are_read_once_and_policies_once_per_repository() -> None:
    registry, clusters = ecr(), eks(["prod"])
    with guards(registry, clusters) as made:
        for number in range(5):
            assert made.check(repository(f"app-{number}"), policy_of(), seen()).guards

    assert len(registry.asked("GetRegistryPolicy")) == 1
    assert len(clusters.asked("ListClusters")) == 1
    asked = [one["repositoryName"] for one in registry.asked("GetRepositoryPolicy")]
    assert asked == [f"app-{number}" for number in range(5)]


def test_setting_waives_the_guard_against_no_usage() -> None:
    settings = Settings(expect_no_usage=True, waived_guards=tuple(NAMES))

    assert standing(ecr(), eks([]), settings=settings, saw=seen(used=())) == []


def test_usage_by_this_function_itself_does_not_count() -> None:
    own = usage(consumer="arn:aws:lambda:eu-west-1:111122223333:function:ecr-cleaner:1")
    waived = tuple(NAMES)

    ours = Settings(function_name="ecr-cleaner", waived_guards=waived)
    assert standing(ecr(), eks([]), settings=ours, saw=seen(used=[own])) == ["no-usage"]
    another = Settings(function_name="another", waived_guards=waived)
    assert standing(ecr(), eks([]), settings=another, saw=seen(used=[own])) == []


def test_usage_in_another_registry_does_not_count() -> None:
    waived = Settings(waived_guards=tuple(NAMES))
    elsewhere = ImageReference(Registry("111122223333", "us-east-1"), "app")
    other = Usage(elsewhere, "arn:task", "stub")

    assert standing(ecr(), eks([]), settings=waived, saw=seen(used=[other])) == ["no-usage"]


def test_clusters_are_read_from_all_pages_also_after_an_empty_one() -> None:
    clusters = eks([], ["prod"], ["test"])
    with guards(ecr(), clusters) as made:
        (guarded, *_) = made.check(REPOSITORY, policy_of(), seen()).guards

    assert "the Kubernetes cluster prod was not read in full" in guarded.why
    assert all(one["include"] == ["all"] for one in clusters.asked("ListClusters"))


def test_cluster_that_the_scan_read_in_full_does_not_guard() -> None:
    with guards(ecr(), eks(["prod", "test"])) as made:
        readings = [ClusterReading("eks", "prod"), ClusterReading("eks", "test", "denied", "allow")]
        found = made.check(REPOSITORY, policy_of(), seen(*readings)).guards

    assert [one.guard for one in found] == list(ALL)
    assert "cluster test was not read in full: denied" in found[0].why


def test_waived_cluster_does_not_guard() -> None:
    settings = Settings(waived_clusters=("prod",))

    assert standing(ecr(), eks(["prod"]), settings=settings) == NAMES[1:]
    assert standing(ecr(), eks(["prod", "test"]), settings=settings) == NAMES


def test_region_without_eks_has_no_clusters(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ecr_cleaner.aws.availability.host_exists", lambda _: False)
    monkeypatch.setattr(Availability, "_published_regions", lambda *_: {"us-east-1"})
    clusters = eks(["prod"])

    assert standing(ecr(), clusters, region="eu-west-9") == NAMES[1:]
    assert clusters.calls == []


@pytest.mark.parametrize(
    ("repository_policy", "registry_policy", "stands"),
    [
        ({"policyText": FOREIGN}, error("RegistryPolicyNotFoundException"), True),
        (error("RepositoryPolicyNotFoundException"), {"policyText": FOREIGN}, True),
        ({"policyText": ""}, error("RegistryPolicyNotFoundException"), True),
        (error("RepositoryPolicyNotFoundException"), {"policyText": "?"}, True),
        # The repository has vanished since it was listed.
        (error("RepositoryNotFoundException"), error("RegistryPolicyNotFoundException"), False),
    ],
)
def test_both_policies_count(repository_policy: Any, registry_policy: Any, *, stands: bool) -> None:
    registry = ecr(GetRepositoryPolicy=repository_policy, GetRegistryPolicy=registry_policy)

    assert ("cross-account-pull" in standing(registry, eks([]))) is stands


@pytest.mark.parametrize("fault", [DENIED, THROTTLED])
def test_registry_that_cannot_be_read_is_an_error_for_the_run(fault: Exception) -> None:
    """An unknown guard is not an absent one."""
    with (
        pytest.raises(ApiError, match="ecr GetRegistryPolicy failed with") as failure,
        guards(ecr(GetRegistryPolicy=fault), eks([])),
    ):
        pass

    assert failure.value.action == ("ecr:GetRegistryPolicy" if fault is DENIED else None)


@pytest.mark.parametrize("fault", [DENIED, THROTTLED])
def test_clusters_that_cannot_be_read_are_an_error_for_the_run(fault: Exception) -> None:
    with (
        pytest.raises(ApiError, match="eks ListClusters failed with") as failure,
        guards(ecr(), Scripted("eks", ListClusters=fault)),
    ):
        pass

    assert failure.value.action == ("eks:ListClusters" if fault is DENIED else None)


def elsewhere(eks: Scripted) -> GuardChecks:
    """Return the checks of a registry with clusters in another region."""
    home, there = Location("123456789012", REGION), Location("123456789012", "us-east-1")
    with Workers(1) as workers:
        aws = Aws(FakeSession([ecr(), eks], REGION), workers)
        found = locations(aws)
        found.all = (home, there)
        with mock.patch.object(Locations, "open", return_value=aws):
            checks = GuardChecks(found, workers, EcrRegistry(aws), Settings())
            checks.read()
    return checks


def test_clusters_elsewhere_that_cannot_be_read_name_the_account_and_region() -> None:
    said = iter([{"clusters": []}, DENIED])
    with pytest.raises(TargetError, match="123456789012/us-east-1 could not be scanned"):
        elsewhere(Scripted("eks", ListClusters=lambda _: next(said)))


def test_no_time_to_list_clusters_is_no_fault_of_the_target() -> None:
    def no_time(_: Any) -> Any:
        raise OutOfTimeError("no time left to call eks")

    with pytest.raises(OutOfTimeError):
        elsewhere(Scripted("eks", ListClusters=no_time))


@pytest.mark.parametrize("fault", [DENIED, THROTTLED])
def test_policy_that_cannot_be_read_is_an_error_for_its_repository(fault: Exception) -> None:
    with guards(ecr(GetRepositoryPolicy=fault), eks([])) as made:
        with pytest.raises(ApiError, match="ecr GetRepositoryPolicy failed with"):
            made.check(REPOSITORY, policy_of(), seen())
        waived = policy_of(waived_guards=("cross-account-pull",))
        assert made.check(REPOSITORY, waived, seen()).guards
