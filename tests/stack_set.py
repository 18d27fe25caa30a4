"""Writes the CloudFormation template of the scan role, for StackSets, from the module's own lists.

Run it after a change of permissions; a test fails if that was forgotten:

    python tests/stack_set.py
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import yaml  # type: ignore[import-untyped]  # moto brings it, without types

ROOT = Path(__file__).resolve().parent.parent
PERMISSIONS = ROOT / "lambda_src" / "ecr_cleaner" / "permissions.json"
WITH_RESOURCE = ROOT / "terraform" / "actions_with_resource.json"
TEMPLATE = ROOT / "terraform" / "modules" / "scan-role" / "stack-set.yaml"

HEADER = """\
# The role of the module in this directory as a CloudFormation template, for StackSets.
# Written by `make format`. Do not edit it.
"""

NOTHING = {"Ref": "AWS::NoValue"}
ARN_OF_A_ROLE = "^arn:[a-z-]+:iam::[0-9]{12}:role/[0-9A-Za-z_+=,.@/-]+$"


def actions() -> list[str]:
    """Return the actions of all sources, and those for regions, copies and Inspector."""
    permissions = json.loads(PERMISSIONS.read_text())
    lists = [
        *permissions["usage"].values(),
        permissions["guards"]["eks-clusters"],
        permissions["targets"]["copies"],
        permissions["targets"]["inspector-administrator"],
        permissions["targets"]["regions"],
    ]
    return sorted({action for listed in lists for action in listed})


def chosen(condition: str, value: Any) -> dict[str, Any]:
    """Return a value that is there only under a condition."""
    return {"Fn::If": [condition, value, NOTHING]}


def given(parameter: str) -> dict[str, Any]:
    """Return the condition that a parameter is not empty."""
    return {"Fn::Not": [{"Fn::Equals": [{"Ref": parameter}, ""]}]}


def statements() -> Iterable[dict[str, Any]]:
    """Yield what the role may do."""
    with_resource = set(json.loads(WITH_RESOURCE.read_text()))
    regions = {"StringEquals": {"aws:RequestedRegion": {"Ref": "ScanRegions"}}}
    condition = chosen("HasScanRegions", regions)
    described = [one for one in actions() if one in with_resource]
    services = sorted({one.partition(":")[0] for one in described})
    yield {
        "Sid": "FindUsage",
        "Effect": "Allow",
        "Action": [one for one in actions() if one not in with_resource],
        "Resource": "*",
        "Condition": condition,
    }
    yield {
        "Sid": "DescribeConsumers",
        "Effect": "Allow",
        "Action": described,
        "Resource": [
            {"Fn::Sub": f"arn:${{AWS::Partition}}:{service}:*:${{AWS::AccountId}}:*"}
            for service in services
        ],
        "Condition": condition,
    }


def parameters() -> dict[str, Any]:
    """Return the parameters: the variables of the module, except for waived sources and tags."""
    return {
        "CleanerRoleArns": {
            "Type": "CommaDelimitedList",
            "Description": "ARNs of the roles of the cleaners that may assume the role.",
            "AllowedPattern": ARN_OF_A_ROLE,
        },
        "ExternalId": {
            "Type": "String",
            "Default": "",
            "Description": "External id that the cleaner must pass. Empty requires none.",
            "AllowedPattern": "^$|^[0-9A-Za-z_+=,.@:/-]{2,1224}$",
        },
        "OrganizationId": {
            "Type": "String",
            "Default": "",
            "Description": (
                "Id of the organization that the cleaner's account must be in. Empty does not "
                "check it."
            ),
            "AllowedPattern": "^$|^o-[a-z0-9]{10,32}$",
        },
        "ScanRegions": {
            "Type": "CommaDelimitedList",
            "Default": "",
            "Description": "Regions in which the role may read. Empty means every region.",
        },
        "RoleName": {
            "Type": "String",
            "Default": "ecr-cleaner-scan",
            "Description": "Name of the role.",
            "AllowedPattern": "^[0-9A-Za-z_+=,.@-]{1,64}$",
        },
        "RolePath": {
            "Type": "String",
            "Default": "/",
            "Description": "Path of the role.",
            "AllowedPattern": "^/([0-9A-Za-z_+=,.@-]+/)*$",
        },
        "PermissionsBoundary": {
            "Type": "String",
            "Default": "",
            "Description": "ARN of the permissions boundary of the role. Empty sets none.",
        },
    }


def template() -> dict[str, Any]:
    """Return the template."""
    trust = {
        "Sid": "TrustCleaner",
        "Effect": "Allow",
        "Action": "sts:AssumeRole",
        "Principal": {"AWS": {"Ref": "CleanerRoleArns"}},
        "Condition": chosen(
            "HasTrustCondition",
            {
                "StringEquals": {
                    "sts:ExternalId": chosen("HasExternalId", {"Ref": "ExternalId"}),
                    "aws:PrincipalOrgID": chosen("HasOrganizationId", {"Ref": "OrganizationId"}),
                }
            },
        ),
    }
    return {
        "AWSTemplateFormatVersion": "2010-09-09",
        "Description": "The role with which the ECR cleaner reads which images an account uses.",
        "Parameters": parameters(),
        "Conditions": {
            "HasExternalId": given("ExternalId"),
            "HasOrganizationId": given("OrganizationId"),
            "HasTrustCondition": {
                "Fn::Or": [{"Condition": "HasExternalId"}, {"Condition": "HasOrganizationId"}]
            },
            "HasScanRegions": {
                "Fn::Not": [{"Fn::Equals": [{"Fn::Join": ["", {"Ref": "ScanRegions"}]}, ""]}]
            },
            "HasPermissionsBoundary": given("PermissionsBoundary"),
        },
        "Resources": {
            "ScanRole": {
                "Type": "AWS::IAM::Role",
                "Properties": {
                    "RoleName": {"Ref": "RoleName"},
                    "Path": {"Ref": "RolePath"},
                    "Description": "Lets the ECR cleaner read which images this account uses.",
                    "PermissionsBoundary": chosen(
                        "HasPermissionsBoundary", {"Ref": "PermissionsBoundary"}
                    ),
                    "AssumeRolePolicyDocument": {"Version": "2012-10-17", "Statement": [trust]},
                    "Policies": [
                        {
                            "PolicyName": "scan",
                            "PolicyDocument": {
                                "Version": "2012-10-17",
                                "Statement": list(statements()),
                            },
                        }
                    ],
                },
            }
        },
        "Outputs": {"RoleArn": {"Value": {"Fn::GetAtt": ["ScanRole", "Arn"]}}},
    }


class _Plain(yaml.SafeDumper):  # type: ignore[misc]
    """Writes the same object twice instead of an anchor, which CloudFormation refuses."""

    def ignore_aliases(self, _: Any) -> bool:
        return True


def written() -> str:
    """Return the text of the template."""
    text: str = yaml.dump(template(), Dumper=_Plain, sort_keys=False, width=100)
    return HEADER + text


if __name__ == "__main__":
    TEMPLATE.write_text(written())
