"""An AWS inside this process, and the few things that ECR and ECS do and moto does not.

moto answers the SDK's calls from memory. What it leaves out is added here as AWS documents it:
pull times, subjects and sizes of images, and the digests that tasks run. A listing that moto does
not know finds nothing: nothing of its kind exists in the demo.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any
from unittest.mock import patch

import boto3
from botocore.client import BaseClient
from moto import mock_aws
from moto.awslambda.models import lambda_backends
from moto.core.common_types import TYPE_RESPONSE
from moto.core.models import DEFAULT_ACCOUNT_ID
from moto.core.responses import BaseResponse
from moto.ecr.models import Image, ecr_backends
from moto.ecs.models import ecs_backends
from typing_extensions import override

ACCOUNT = DEFAULT_ACCOUNT_ID
REGION = "eu-north-1"
REGISTRY = f"{ACCOUNT}.dkr.ecr.{REGION}.amazonaws.com"

# Nothing of the user's AWS set-up, and no setting of the program, may leak in.
_TAKEN_OVER = ("HOME", "NO_COLOR", "PATH", "TMPDIR")
_ENVIRONMENT = {
    "AWS_ACCESS_KEY_ID": "demo",
    "AWS_SECRET_ACCESS_KEY": "demo",
    "AWS_CONFIG_FILE": os.devnull,
    "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
    "AWS_EC2_METADATA_DISABLED": "true",
    "AWS_REGION": REGION,
    "AWS_DEFAULT_REGION": REGION,
    # Functions resolve their image in moto's ECR.
    "MOTO_LAMBDA_STUB_ECR": "false",
}


@contextmanager
def embedded_aws() -> Iterator[None]:
    """Answer every AWS call of this process from memory, until the end of the block."""
    taken_over = {name: os.environ[name] for name in _TAKEN_OVER if name in os.environ}
    with (
        patch.dict(os.environ, taken_over | _ENVIRONMENT, clear=True),
        patch.object(BaseResponse, "call_action", _call_action),
        patch.object(BaseClient, "_make_api_call", _make_api_call),
        mock_aws(),
    ):
        yield


# moto does not know these services, or not their listings: nothing of theirs exists in the demo.
_EMPTY = frozenset(
    {
        "braket",
        "cleanroomsml",
        "elasticbeanstalk",
        "emr-containers",
        "eventbridgev2",
        "gamelift",
        "greengrassv2",
        "imagebuilder",
        "iotsitewise",
        "lambda-core",
        "lightsail",
        "omics",
    }
)
_sdk_make_api_call: Any = BaseClient._make_api_call  # type: ignore[attr-defined]  # noqa: SLF001 - what every call ends in


def _make_api_call(client: Any, operation: str, parameters: dict[str, Any]) -> Any:
    if client.meta.service_model.service_name in _EMPTY:
        return {}
    return _sdk_make_api_call(client, operation, parameters)


_moto_call_action = BaseResponse.call_action


def _call_action(response: BaseResponse) -> TYPE_RESPONSE:
    try:
        return _moto_call_action(response)
    except NotImplementedError:
        if not response._get_action().startswith("List"):  # noqa: SLF001 - moto has no public way
            raise
        return 200, {}, "{}"


class EcrImage(Image):
    """One image of a repository, with what DescribeImages tells of it and moto does not.

    Source: https://docs.aws.amazon.com/AmazonECR/latest/APIReference/API_ImageDetail.html
    """

    __module__ = Image.__module__  # moto wants to find a service's name in it

    def __init__(self, repository: str, manifest: dict[str, Any], tag: str | None) -> None:
        text = json.dumps(manifest)
        digest = "sha256:" + hashlib.sha256(text.encode()).hexdigest()
        super().__init__(ACCOUNT, "", text, repository, manifest["mediaType"], digest)
        self.image_tags = [tag] if tag else []
        self.image_tag = tag or ""
        self.size = 0
        self.last_recorded_pull_time: datetime | None = None
        self.subject_manifest_digest: str | None = manifest.get("subject", {}).get("digest")

    @property
    @override
    def image_size_in_bytes(self) -> int:
        """The compressed size; moto takes that of the configuration alone."""
        return self.size


def create_repository(name: str, **tags: str) -> None:
    """Create a repository with resource tags."""
    boto3.client("ecr").create_repository(
        repositoryName=name, tags=[{"Key": key, "Value": value} for key, value in tags.items()]
    )


def push(
    repository: str, manifest: dict[str, Any], tag: str | None, pushed_at: datetime, size: int
) -> EcrImage:
    """Push an image. The image that had the tag stays, untagged: moto's put_image deletes it."""
    image = EcrImage(repository, manifest, tag)
    image.image_pushed_at = int(pushed_at.timestamp())
    image.size = size
    images = ecr_backends[ACCOUNT][REGION].repositories[repository].images
    if tag:
        for other in images:
            other.remove_tag(tag)
    images.append(image)
    return image


def create_cluster(name: str) -> None:
    """Create an ECS cluster."""
    boto3.client("ecs").create_cluster(clusterName=name)


def create_service(cluster: str, name: str, image: str) -> None:
    """Create an ECS service with one container."""
    definition = _task_definition(name, image)
    boto3.client("ecs").create_service(
        cluster=cluster, serviceName=name, taskDefinition=definition, desiredCount=2
    )


def run_task(cluster: str, name: str, image: str, digest: str) -> None:
    """Run one ECS task, for which ECS resolved the image to this digest.

    Source: https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_Container.html
    """
    definition = _task_definition(name, image)
    answer = boto3.client("ecs").run_task(
        cluster=cluster, taskDefinition=definition, launchType="FARGATE"
    )
    task = ecs_backends[ACCOUNT][REGION].tasks[cluster][answer["tasks"][0]["taskArn"]]
    # moto's containers lack this attribute; its answers tell every one that they have.
    vars(task.containers[0])["image_digest"] = digest


def create_function(name: str, image: str) -> None:
    """Create a Lambda function from an image, with this code published as version 1."""
    document = {"Version": "2012-10-17", "Statement": []}
    role = boto3.client("iam").create_role(
        RoleName=name, AssumeRolePolicyDocument=json.dumps(document)
    )
    boto3.client("lambda").create_function(
        FunctionName=name,
        PackageType="Image",
        Code={"ImageUri": image},
        Role=role["Role"]["Arn"],
        Publish=True,
    )


def update_function(name: str, image: str) -> None:
    """Give a function's $LATEST another image; its version 1 keeps its own."""
    version = lambda_backends[ACCOUNT][REGION].get_function(name, "1")
    version.code = dict(version.code)  # in moto it shares that of $LATEST
    boto3.client("lambda").update_function_code(FunctionName=name, ImageUri=image)


def _task_definition(family: str, image: str) -> str:
    answer = boto3.client("ecs").register_task_definition(
        family=family, containerDefinitions=[{"name": family, "image": image, "memory": 512}]
    )
    return str(answer["taskDefinition"]["taskDefinitionArn"])
