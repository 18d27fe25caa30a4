"""Kinds, their order, and the fix that is named for each obstacle."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ecr_cleaner.core.kubernetes import (
    EVERY,
    REQUIRED,
    Access,
    ClusterError,
    Kind,
    Obstacle,
    denied,
    fix_for,
    in_order,
    missing_kinds,
)

WORKFLOWS = Kind("argoproj.io", "v1", "workflows", "Workflow")
DEPLOYMENTS = Kind("apps", "v1", "deployments", "Deployment")
ARN = "arn:aws:eks:eu-west-1:111122223333:cluster/prod"
PRIVATE = Access(
    name="prod",
    arn=ARN,
    vpc="vpc-1",
    subnets=("subnet-1", "subnet-2"),
    security_group="sg-1",
)
PUBLIC = Access(
    name="prod",
    arn=ARN,
    is_public=True,
    public_cidrs=("192.0.2.0/24", "198.51.100.7/32"),
    vpc="vpc-1",
    subnets=("subnet-1",),
    security_group="sg-1",
)


@pytest.mark.parametrize(
    ("kind", "path", "name"),
    [
        (Kind("", "v1", "pods"), "/api/v1/pods", "pods"),
        (DEPLOYMENTS, "/apis/apps/v1/deployments", "deployments.apps"),
        (WORKFLOWS, "/apis/argoproj.io/v1/workflows", "workflows.argoproj.io"),
    ],
)
def test_path_and_name_of_a_kind(kind: Kind, path: str, name: str) -> None:
    assert (kind.path, kind.name) == (path, name)


def test_custom_resources_come_first_and_pods_last() -> None:
    assert in_order([*reversed(REQUIRED), WORKFLOWS]) == [WORKFLOWS, *REQUIRED]
    assert REQUIRED[-1].name == "pods"


def test_secrets_are_never_listed() -> None:
    assert in_order([Kind("", "v1", "secrets"), DEPLOYMENTS]) == [DEPLOYMENTS]


def test_secret_of_a_custom_group_is_an_ordinary_resource() -> None:
    custom = Kind("example.com", "v1", "secrets")
    assert in_order([custom]) == [custom]


def test_first_version_of_a_kind_is_listed() -> None:
    beta = Kind("batch", "v1beta1", "cronjobs")
    stable = Kind("batch", "v1", "cronjobs")
    assert in_order([stable, beta]) == [stable]
    assert in_order([beta]) == [beta]


def test_missing_kinds_are_the_required_ones() -> None:
    names = [kind.name for kind in REQUIRED]
    assert missing_kinds(names) == []
    assert missing_kinds([*names[1:], "workflows.argoproj.io"]) == ["replicationcontrollers"]


def test_error_names_cluster_kind_and_reason() -> None:
    error = ClusterError("prod", Obstacle.FORBIDDEN, "HTTP 403, no", DEPLOYMENTS)

    assert (
        str(error) == "Kubernetes cluster prod: it denies a list (deployments.apps): HTTP 403, no"
    )
    assert error.fields["cluster"] == "prod"
    assert error.fields["kind"] == "deployments.apps"
    assert error.fields["reason"] == "it denies a list (deployments.apps): HTTP 403, no"
    assert "kind" not in ClusterError("prod", Obstacle.FAILED, "HTTP 500").fields


@pytest.mark.parametrize("obstacle", Obstacle)
@pytest.mark.parametrize("kind", [None, DEPLOYMENTS, WORKFLOWS])
@pytest.mark.parametrize("access", [Access(), PRIVATE, PUBLIC])
def test_every_obstacle_has_a_fix(obstacle: Obstacle, kind: Kind | None, access: Access) -> None:
    fix = fix_for(ClusterError("prod", obstacle, "x", kind), access)

    assert fix[0].islower()
    assert not fix.endswith((".", " "))
    can_be_waived = kind is WORKFLOWS and obstacle in {
        Obstacle.FORBIDDEN,
        Obstacle.VANISHED,
        Obstacle.EXPIRED,
        Obstacle.GARBLED,
        Obstacle.FAILED,
    }
    assert ("WAIVED_API_GROUPS" in fix) is can_be_waived


def fix(obstacle: Obstacle, access: Access, kind: Kind | None = None) -> str:
    return fix_for(ClusterError("prod", obstacle, "x", kind), access)


def test_private_endpoint_needs_a_subnet_and_the_security_group() -> None:
    said = fix(Obstacle.NOT_REACHED, PRIVATE)

    assert "vpc-1" in said
    assert "subnet-1" in said
    assert "sg-1" in said
    assert "publicAccessCidrs" not in said
    assert "scan-cluster" in said


def test_public_endpoint_may_need_an_address_range() -> None:
    said = fix(Obstacle.NOT_REACHED, PUBLIC)

    assert "publicAccessCidrs (now 192.0.2.0/24, 198.51.100.7/32)" in said
    assert "subnet-1" in said


def test_public_endpoint_that_is_open_needs_a_way_to_it() -> None:
    said = fix(Obstacle.NOT_REACHED, replace(PUBLIC, public_cidrs=("0.0.0.0/0",)))

    assert said.startswith("give the function's subnets a way to the internet")
    assert "publicAccessCidrs" not in said


@pytest.mark.parametrize("obstacle", Obstacle)
def test_document_is_named_with_the_arn_by_which_it_counts(obstacle: Obstacle) -> None:
    said = fix(obstacle, PRIVATE)

    assert ("scan-cluster" in said) is (f"--cluster={ARN}," in said)


@pytest.mark.parametrize("obstacle", sorted(set(Obstacle) - {Obstacle.CONNECTED}))
def test_pod_that_runs_scan_cluster_is_not_told_to(obstacle: Obstacle) -> None:
    assert "scan-cluster" not in fix(obstacle, Access(), WORKFLOWS)


def test_connected_cluster_is_read_from_within() -> None:
    assert fix(Obstacle.CONNECTED, PRIVATE).startswith("run scan-cluster in the cluster")


def test_without_a_known_network_the_variable_is_named() -> None:
    assert "(vpc_subnet_ids)" in fix(Obstacle.NOT_REACHED, Access(name="prod"))


def test_proxy_has_to_connect_or_to_be_left_out() -> None:
    said = fix(Obstacle.NOT_FORWARDED, PRIVATE)

    assert "HTTPS_PROXY" in said
    assert "NO_PROXY" in said
    assert "scan-cluster" in said


def test_unknown_caller_needs_an_access_entry() -> None:
    said = fix(Obstacle.NOT_AUTHENTICATED, PRIVATE)

    assert "aws eks create-access-entry --cluster-name prod" in said
    assert "--kubernetes-groups ecr-cleaner" in said
    assert "update-cluster-config" not in said


def test_cluster_without_access_entries_has_to_allow_them_first() -> None:
    access = Access(name="prod", authentication_mode="CONFIG_MAP")

    assert fix(Obstacle.NOT_AUTHENTICATED, access).startswith(
        "allow access entries (aws eks update-cluster-config --name prod --access-config "
        "authenticationMode=API_AND_CONFIG_MAP), then create an access entry"
    )


def test_token_needs_credentials_of_aws() -> None:
    assert "AWS credentials" in fix(Obstacle.NOT_IDENTIFIED, PRIVATE, WORKFLOWS)


def test_denied_list_needs_a_rule_in_the_role() -> None:
    said = fix(Obstacle.FORBIDDEN, PRIVATE, WORKFLOWS)

    assert '{apiGroups: ["argoproj.io"], resources: ["workflows"], verbs: ["list"]}' in said
    assert "access entry of prod" in said
    assert "access entry" not in fix(Obstacle.FORBIDDEN, Access(), WORKFLOWS)


def test_all_denied_lists_are_in_one_rule_for_each_group() -> None:
    others = [Kind("argoproj.io", "v1", "rollouts"), Kind("apps", "v1", "daemonsets")]
    errors = [
        ClusterError("prod", Obstacle.FORBIDDEN, f"{kind.name} is forbidden", kind)
        for kind in (WORKFLOWS, DEPLOYMENTS, *others)
    ]

    error = denied(errors)

    assert error.reason == (
        "it denies a list (workflows.argoproj.io, deployments.apps, rollouts.argoproj.io, "
        "daemonsets.apps): workflows.argoproj.io is forbidden"
    )
    said = fix_for(error, PRIVATE)
    assert said.startswith(
        'add {apiGroups: ["argoproj.io"], resources: ["workflows", "rollouts"], verbs: ["list"]}, '
        '{apiGroups: ["apps"], resources: ["deployments", "daemonsets"], verbs: ["list"]} to the '
    )
    assert "API group argoproj.io runs" in said


def test_denied_discovery_needs_no_right_to_list_everything() -> None:
    """A rule for all resources of the core group would let the function list secrets."""
    said = fix(Obstacle.FORBIDDEN, PRIVATE, Kind("", "v1", EVERY))

    assert "system:discovery" in said
    assert "resources" not in said.replace("list of resources", "")


def test_within_a_cluster_there_are_no_access_entries() -> None:
    assert "service account" in fix(Obstacle.NOT_AUTHENTICATED, Access())
    assert "automountServiceAccountToken" in fix(Obstacle.NOT_IDENTIFIED, Access())
    assert "network policies" in fix(Obstacle.NOT_REACHED, Access())
