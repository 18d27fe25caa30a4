"""The role in other accounts: of the module, of the template of a StackSet, and of the example."""

from __future__ import annotations

import json
from typing import Any

import pytest
from botocore.exceptions import ClientError
from moto.core.authorization import enable_iam_authentication

import stack_set
from fakes.cloudformation import PSEUDO_PARAMETERS, Stack
from terraform_docs import SCAN_ROLE
from terraform_support import (
    PROJECT,
    FakeAws,
    Terraform,
    copy_project,
    example_in,
)

REGION = "eu-central-1"
CLEANER = "arn:aws:iam::123456789012:role/ecr-cleaner-eu-central-1"
SECOND = "arn:aws:iam::123456789012:role/ecr-cleaner-us-east-1"
BOUNDARY = "arn:aws:iam::123456789012:policy/boundary"
MEMBER = "111122223333"


@pytest.fixture(scope="module")
def module(
    terraform_environ: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Terraform:
    """Return the module without anything around it."""
    project = copy_project(tmp_path_factory.mktemp("module"))
    directory = project / SCAN_ROLE.relative_to(PROJECT)
    return Terraform(directory, environ=terraform_environ).init()


# -- The template of a StackSet ----------------------------------------------------------------


def made(parameters: dict[str, str]) -> dict[str, Any]:
    """Return the role of the template, with the names that `described` uses."""
    # A test holds the file against `stack_set.template`.
    role = Stack(stack_set.template(), parameters).properties("ScanRole")
    account = PSEUDO_PARAMETERS["AWS::AccountId"]
    return {
        "arn": f"arn:aws:iam::{account}:role{role['Path']}{role['RoleName']}",
        "description": role["Description"],
        "boundary": role.get("PermissionsBoundary"),
        "trust": normal(role["AssumeRolePolicyDocument"]),
        "policies": {one["PolicyName"]: normal(one["PolicyDocument"]) for one in role["Policies"]},
    }


def normal(policy: Any) -> Any:
    """Return a policy with lists sorted, and single strings in place of lists of one."""
    if isinstance(policy, dict):
        return {key: normal(value) for key, value in policy.items()}
    if isinstance(policy, list):
        if len(policy) == 1:
            return normal(policy[0])
        return sorted(map(normal, policy), key=json.dumps)
    return policy


def described(aws: FakeAws, name: str, **credentials: str) -> dict[str, Any]:
    """Return everything about a role that decides who may do what with it."""
    iam = aws.client("iam", REGION, **credentials)
    role = iam.get_role(RoleName=name)["Role"]
    names = iam.list_role_policies(RoleName=name)["PolicyNames"]
    policies = [
        iam.get_role_policy(RoleName=name, PolicyName=one)["PolicyDocument"] for one in names
    ]
    return {
        "arn": role["Arn"],
        "description": role["Description"],
        "boundary": role.get("PermissionsBoundary", {}).get("PermissionsBoundaryArn"),
        "trust": normal(role["AssumeRolePolicyDocument"]),
        "policies": dict(zip(names, map(normal, policies), strict=True)),
    }


@pytest.mark.parametrize(
    ("variables", "parameters"),
    [
        ({"cleaner_role_arns": [CLEANER]}, {"CleanerRoleArns": CLEANER}),
        (
            {"cleaner_role_arns": [CLEANER], "external_id": "images:1"},
            {"CleanerRoleArns": CLEANER, "ExternalId": "images:1"},
        ),
        (
            {
                "cleaner_role_arns": [SECOND, CLEANER],
                "external_id": "images:1",
                "organization_id": "o-a1b2c3d4e5",
                "scan_regions": ["us-east-1", "eu-central-1"],
                "name": "images",
                "path": "/platform/",
                "permissions_boundary": BOUNDARY,
            },
            {
                "CleanerRoleArns": f"{SECOND},{CLEANER}",
                "ExternalId": "images:1",
                "OrganizationId": "o-a1b2c3d4e5",
                "ScanRegions": "us-east-1,eu-central-1",
                "RoleName": "images",
                "RolePath": "/platform/",
                "PermissionsBoundary": BOUNDARY,
            },
        ),
    ],
    ids=["default", "external id", "everything"],
)
def test_template_makes_the_role_of_the_module(
    aws: FakeAws, module: Terraform, variables: dict[str, Any], parameters: dict[str, str]
) -> None:
    name = variables.get("name", "ecr-cleaner-scan")
    module.apply(**variables)
    try:
        of_module = described(aws, name)
        assert module.plan(**variables) == {}
    finally:
        module.destroy(**variables)

    assert made(parameters) == of_module
    assert of_module["arn"].endswith(f":role{variables.get('path', '/')}{name}")


# -- The example -------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def organization(
    terraform_environ: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Terraform:
    """Return the example, applied."""
    directory = tmp_path_factory.mktemp("example")
    terraform = example_in(directory, "examples/organization", terraform_environ)
    terraform.variables = {"organization_id": "o-a1b2c3d4e5", "member_account_id": MEMBER}
    terraform.apply()
    return terraform


def test_example_plans_nothing_the_second_time(organization: Terraform) -> None:
    assert organization.plan() == {}


def test_scan_role_is_in_the_member_account_and_trusts_only_the_cleaner(
    organization: Terraform, aws: FakeAws
) -> None:
    outputs = organization.outputs()
    member = aws.credentials_of(f"arn:aws:iam::{MEMBER}:role/OrganizationAccountAccessRole")
    role = described(aws, "ecr-cleaner-scan", **member)

    assert role["arn"] == outputs["scan_role_arn"]
    assert role["arn"] == f"arn:aws:iam::{MEMBER}:role/ecr-cleaner-scan"
    assert role["trust"]["Statement"] == {
        "Sid": "TrustCleaner",
        "Effect": "Allow",
        "Action": "sts:AssumeRole",
        "Principal": {"AWS": outputs["cleaner_role_arn"]},
        "Condition": {
            "StringEquals": {
                "sts:ExternalId": "ecr-cleaner",
                "aws:PrincipalOrgID": "o-a1b2c3d4e5",
            }
        },
    }


def test_cleaner_reads_the_member_account_and_changes_nothing_there(
    organization: Terraform, aws: FakeAws
) -> None:
    outputs = organization.outputs()
    cleaner = aws.credentials_of(outputs["cleaner_role_arn"])
    with enable_iam_authentication():
        assumed = aws.client("sts", REGION, **cleaner).assume_role(
            RoleArn=outputs["scan_role_arn"],
            RoleSessionName="ecr-cleaner",
            ExternalId="ecr-cleaner",
        )["Credentials"]
        member = {
            "aws_access_key_id": assumed["AccessKeyId"],
            "aws_secret_access_key": assumed["SecretAccessKey"],
            "aws_session_token": assumed["SessionToken"],
        }
        clusters = aws.client("ecs", "us-east-1", **member).list_clusters()
        ecr = aws.client("ecr", REGION, **member)
        with pytest.raises(ClientError, match="is not authorized to perform"):
            ecr.batch_delete_image(repositoryName="app", imageIds=[{"imageTag": "1"}])

    assert clusters["clusterArns"] == []
    assert aws.client("sts", REGION, **member).get_caller_identity()["Account"] == MEMBER
