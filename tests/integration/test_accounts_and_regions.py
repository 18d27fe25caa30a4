"""Consumers in other regions and in a member account, on moto with its own roles."""

from __future__ import annotations

import json
from typing import Any

import boto3
import pytest

from integration.program import Answer, Ask, Parameters, Program, fails, says
from world import World

OLD = 90
MEMBER = "222233334444"
THERE = "us-east-1"
HERE_AND_THERE = {"SCAN_REGIONS": f"eu-west-1,{THERE}"}
# moto lists revisions from the oldest on, so an old one would count as the newest.
NAMED_ONLY = HERE_AND_THERE | {"TASK_DEFINITION_REVISIONS": "0"}


@pytest.fixture
def image(world: World) -> str:
    """An old image beside one in use; nothing in this region uses it."""
    name = world.repository("team/app")
    cluster = world.cluster("main")
    used = world.image(name, "live", days_old=OLD)
    world.service(cluster, "web", world.task_definition("web", world.uri(name, digest=used)))
    return world.image(name, "v1", days_old=OLD)


def task_definition(region: str, image: str, **credentials: Any) -> None:
    """Register a task definition, the newest of its family."""
    ecs = boto3.client("ecs", region_name=region, **credentials)
    ecs.register_task_definition(
        family="web", containerDefinitions=[{"name": "web", "image": image, "memory": 1}]
    )


def old_revision(image: str, region: str = "eu-west-1", **credentials: Any) -> str:
    """Register a revision with this image and a newer one without it; return the ARN of the old."""
    ecs = boto3.client("ecs", region_name=region, **credentials)
    answers = [
        ecs.register_task_definition(
            family="job", containerDefinitions=[{"name": "job", "image": one, "memory": 1}]
        )
        for one in (image, "public.ecr.aws/docker/library/busybox:1")
    ]
    return str(answers[0]["taskDefinition"]["taskDefinitionArn"])


def function_that_starts(definition: str, region: str) -> None:
    """Create a function that has a task definition in its environment."""
    world = World(region)
    world.zip_function("start")
    world.client("lambda").update_function_configuration(
        FunctionName="start", Environment={"Variables": {"JOB": definition}}
    )


def credentials_of_member(role: str = "builder") -> dict[str, str]:
    """Return credentials in the member account; moto lets anybody assume a role."""
    answer = boto3.client("sts", region_name="eu-west-1").assume_role(
        RoleArn=f"arn:aws:iam::{MEMBER}:role/{role}", RoleSessionName="test"
    )["Credentials"]
    return {
        "aws_access_key_id": answer["AccessKeyId"],
        "aws_secret_access_key": answer["SecretAccessKey"],
        "aws_session_token": answer["SessionToken"],
    }


def uri(world: World, tag: str = "v1") -> str:
    return world.uri("team/app", tag=tag)


def test_an_image_that_only_another_region_uses_is_kept(
    world: World, program: Program, image: str
) -> None:
    task_definition(THERE, uri(world))
    run = program.delete(**HERE_AND_THERE)
    assert run.summary["targets"] == 2
    assert image in world.digests("team/app")
    (line,) = [one for one in run.events("Found old image in use") if one["digest"] == image]
    assert [consumer.split(":")[3] for consumer in line["because"]] == [THERE]


def test_an_old_revision_that_a_function_in_another_region_names_is_kept(
    world: World, program: Program, image: str
) -> None:
    function_that_starts(old_revision(uri(world)), THERE)
    run = program.delete(**NAMED_ONLY)
    assert image in world.digests("team/app")
    (line,) = [one for one in run.events("Found old image in use") if one["digest"] == image]
    function = f"arn:aws:lambda:{THERE}:{world.account_id}:function:start"
    assert {consumer.removesuffix(":$LATEST") for consumer in line["because"]} == {function}


def test_an_old_revision_of_a_member_account_that_a_function_here_names_is_kept(
    world: World, program: Program, image: str
) -> None:
    job = old_revision(uri(world), THERE, **credentials_of_member())
    assert job.split(":")[4] == MEMBER
    function_that_starts(job, world.region)
    program.delete(SCAN_ACCOUNTS=MEMBER, **NAMED_ONLY)
    assert image in world.digests("team/app")
    # Without the account there is nothing to ask, only to warn of.
    run = program.delete(**NAMED_ONLY)
    (line,) = run.events("Task definition is not in a scanned account or region")
    assert line["task_definition"] == job
    assert image not in world.digests("team/app")


def test_every_enabled_region_is_scanned_by_default(
    world: World, program: Program, image: str
) -> None:
    task_definition("ap-south-1", uri(world))
    names = [{"RegionName": name} for name in ("eu-west-1", "ap-south-1")]
    program.on("ec2:DescribeRegions", says(Regions=names))
    program.delete(SCAN_REGIONS="enabled")
    assert image in world.digests("team/app")


def test_an_image_that_only_a_member_account_uses_is_kept(
    world: World, program: Program, image: str
) -> None:
    task_definition(THERE, uri(world), **credentials_of_member())
    run = program.delete(SCAN_ACCOUNTS=MEMBER, **HERE_AND_THERE)
    assert run.summary["targets"] == 4
    assert image in world.digests("team/app")
    (assumed,) = run.called("sts:AssumeRole")
    assert assumed["RoleArn"] == f"arn:aws:iam::{MEMBER}:role/ecr-cleaner-scan"


def test_without_the_member_account_a_policy_that_lets_it_pull_guards(
    world: World, program: Program, image: str
) -> None:
    statement = {
        "Effect": "Allow",
        "Principal": {"AWS": f"arn:aws:iam::{MEMBER}:root"},
        "Action": ["ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"],
    }
    policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    world.client("ecr").set_repository_policy(repositoryName="team/app", policyText=policy)

    assert program.delete().summary["guarded"] == {"cross-account-pull": 1}
    assert image in world.digests("team/app")
    seen = program.delete(SCAN_ACCOUNTS=MEMBER)
    assert (seen.summary["guarded"], seen.summary["removed"]) == ({}, 1)


def test_a_member_account_whose_role_cannot_be_assumed_ends_the_run(
    world: World, program: Program, image: str
) -> None:
    program.on("sts:AssumeRole", fails("AccessDenied"))
    run = program.delete(SCAN_ACCOUNTS=MEMBER, **HERE_AND_THERE)
    assert "sts AssumeRole failed with AccessDenied" in run.failure
    assert "name the other accounts in SCAN_ACCOUNTS" in run.failure
    assert MEMBER in str(run.events("Run failed")[0]["target"])
    assert image in world.digests("team/app")


def test_a_region_that_a_policy_closes_ends_the_run(
    world: World, program: Program, image: str
) -> None:
    closed = fails("AccessDeniedException", "with an explicit deny in a service control policy")
    program.on("ecr:DescribePullThroughCacheRules", closed)
    run = program.delete(**HERE_AND_THERE)
    assert "name the other regions in SCAN_REGIONS" in run.failure
    assert image in world.digests("team/app")


def test_an_organization_is_scanned_and_its_condition_lifts_the_guard(
    world: World, program: Program, image: str
) -> None:
    organizations = world.client("organizations")
    organization = organizations.create_organization(FeatureSet="ALL")["Organization"]["Id"]
    member = organizations.create_account(AccountName="member", Email="member@example.com")
    account = member["CreateAccountStatus"]["AccountId"]
    statement = {
        "Effect": "Allow",
        "Principal": "*",
        "Action": ["ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"],
        "Condition": {"StringEquals": {"aws:PrincipalOrgID": organization}},
    }
    policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    world.client("ecr").set_repository_policy(repositoryName="team/app", policyText=policy)

    run = program.delete(SCAN_ACCOUNTS="organization")
    assert (run.summary["guarded"], run.summary["targets"]) == ({}, 2)
    assert account in run.events("Accounts and regions to scan")[0]["accounts"]
    assert image not in world.digests("team/app")


# -- The administrator of Amazon Inspector -----------------------------------------------------

ADMINISTRATOR = {"INSPECTOR_COVERAGE": "true", "INSPECTOR_ADMINISTRATOR": MEMBER}


def join(world: World) -> None:
    """Make the account of the registry a member of the other account's Inspector."""
    inspector = world.elsewhere("eu-west-1", MEMBER).client("inspector2")
    inspector.associate_member(accountId=world.account_id)


def covers(world: World, digest: str) -> Answer:
    """Answer that the image is in use, but only to the administrator: it has to ask by account."""
    resource = f"arn:aws:ecr:eu-west-1:{world.account_id}:repository/team/app/{digest}"

    def answer(parameters: Parameters, _: Ask) -> dict[str, Any]:
        seen = [{"resourceId": resource}] if "accountId" in parameters["filterCriteria"] else []
        return {"coveredResources": seen}

    return answer


def test_an_image_that_only_the_administrator_of_inspector_sees_in_use_is_kept(
    world: World, program: Program, image: str
) -> None:
    join(world)
    program.on("inspector2:ListCoverage", covers(world, image))
    run = program.delete(**ADMINISTRATOR)

    assert image in world.digests("team/app")
    assert run.summary["targets"] == 1
    assert run.summary["coverage"]["inspector"] == {
        "state": "scanned",
        "usages": 1,
        "administrator": {"account": MEMBER, "images": 1},
    }
    roles = {one["RoleArn"] for one in run.called("sts:AssumeRole")}
    assert roles == {f"arn:aws:iam::{MEMBER}:role/ecr-cleaner-scan"}
    assert run.called("inspector2:GetMember")[0] == {"accountId": world.account_id}


def test_without_the_administrator_that_image_is_removed(
    world: World, program: Program, image: str
) -> None:
    program.on("inspector2:ListCoverage", covers(world, image))
    program.delete(INSPECTOR_COVERAGE="true")
    assert image not in world.digests("team/app")


@pytest.mark.parametrize(
    "action", ["sts:AssumeRole", "inspector2:GetMember", "inspector2:ListCoverage"]
)
def test_an_administrator_of_inspector_that_denies_a_call_ends_the_run(
    world: World, program: Program, image: str, action: str
) -> None:
    join(world)
    program.on("inspector2:ListCoverage", covers(world, image))
    program.on(action, denied_to_the_administrator)
    run = program.delete(**ADMINISTRATOR)

    assert f"Inspector in {MEMBER}/eu-west-1, which INSPECTOR_ADMINISTRATOR names" in run.failure
    assert f"missing IAM action: {action}" in run.failure
    assert image in world.digests("team/app")


def denied_to_the_administrator(parameters: Parameters, ask: Ask) -> dict[str, Any]:
    """Answer as AWS does if a role lacks the permission; the own coverage is empty."""
    if "filterCriteria" in parameters and "accountId" not in parameters["filterCriteria"]:
        return {"coveredResources": []}
    return fails("AccessDeniedException")(parameters, ask)
