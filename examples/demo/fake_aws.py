"""A simulated AWS in this process: moto, and features of ECR and ECS that moto lacks.

moto answers the calls of the SDK from memory. This module adds what moto lacks, as AWS documents
it: pull times, subjects and sizes of images, and the digests of running tasks. List operations
that moto does not implement return nothing, because the demo has no such resources.
"""

from __future__ import annotations

import hashlib
import json
import os
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any
from unittest.mock import patch

import boto3
from botocore.client import BaseClient
from botocore.loaders import Loader, create_loader
from botocore.model import OperationModel, Shape, StructureShape
from botocore.session import get_session
from moto import mock_aws
from moto.awslambda.models import lambda_backends
from moto.core.common_types import TYPE_RESPONSE
from moto.core.models import DEFAULT_ACCOUNT_ID
from moto.core.responses import BaseResponse
from moto.ecr.models import Image, ecr_backends
from moto.ecs.models import ecs_backends
from moto.eks.models import eks_backends
from typing_extensions import override

ACCOUNT = DEFAULT_ACCOUNT_ID
REGION = "eu-north-1"
LEDGER = "s3://memory/ledger"
REGISTRY = f"{ACCOUNT}.dkr.ecr.{REGION}.amazonaws.com"

# Keep the AWS configuration of the user and settings of the program out of the demo.
_TAKEN_OVER = ("HOME", "NO_COLOR", "PATH", "TMPDIR")
_ENVIRONMENT = {
    "AWS_ACCESS_KEY_ID": "demo",
    "AWS_SECRET_ACCESS_KEY": "demo",
    "AWS_CONFIG_FILE": os.devnull,
    "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
    "AWS_EC2_METADATA_DISABLED": "true",
    "AWS_REGION": REGION,
    # The simulation has 30 regions, which take long.
    "SCAN_REGIONS": REGION,
    "AWS_DEFAULT_REGION": REGION,
    # Let moto resolve the images of functions in its own ECR.
    "MOTO_LAMBDA_STUB_ECR": "false",
    # Thousands of machine images that nothing here uses.
    "MOTO_EC2_LOAD_DEFAULT_AMIS": "false",
}


@contextmanager
def embedded_aws() -> Iterator[None]:
    """Answer all AWS calls of this process from memory, until the end of the block."""
    taken_over = {name: os.environ[name] for name in _TAKEN_OVER if name in os.environ}
    with (
        patch.dict(os.environ, taken_over | _ENVIRONMENT, clear=True),
        # DNS is not asked: the simulation has every service.
        patch("ecr_cleaner.aws.availability.host_exists", return_value=True),
        # The program and moto parse the files of the SDK once, not for each session and service.
        patch("botocore.session.create_loader", _loader_with_shared_files),
        patch("moto.core.utils.create_loader", _loader_with_shared_files),
        patch.object(BaseResponse, "call_action", _call_action),
        patch.object(BaseClient, "_make_api_call", _make_api_call),
        mock_aws(),
    ):
        yield


_files: dict[Any, Any] = {}


def _loader_with_shared_files(search_path: str | None = None) -> Loader:
    """Return a loader of its own, because boto3 adds a search path to it."""
    loader = create_loader(search_path)
    loader._cache = _files  # type: ignore[attr-defined]  # noqa: SLF001 - no other way
    return loader


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
    model = client.meta.service_model
    if model.service_name in _EMPTY:
        return {name: [] for name, _ in _lists(model.operation_model(operation))}
    return _sdk_make_api_call(client, operation, parameters)


_moto_call_action = BaseResponse.call_action


def _call_action(response: BaseResponse) -> TYPE_RESPONSE:
    try:
        return _moto_call_action(response)
    except NotImplementedError:
        action = response._get_action()  # noqa: SLF001 - moto has no public API for this
        if not action.startswith("List"):
            raise
        return 200, {}, json.dumps(_empty_listing(response.boto3_service_name, action))


def _empty_listing(service: str, action: str) -> dict[str, list[Any]]:
    """Return the answer of a list operation that finds nothing, as it is sent."""
    model = get_session().get_service_model(service).operation_model(action)
    return {shape.serialization.get("name", name): [] for name, shape in _lists(model)}


def _lists(model: OperationModel) -> list[tuple[str, Shape]]:
    """Return the lists in the answer of an operation: an empty list is written as one."""
    output = model.output_shape
    members = output.members.items() if isinstance(output, StructureShape) else ()
    return [(name, shape) for name, shape in members if shape.type_name == "list"]


class EcrImage(Image):
    """One image of a repository, with fields of DescribeImages that moto lacks.

    Source: https://docs.aws.amazon.com/AmazonECR/latest/APIReference/API_ImageDetail.html
    """

    __module__ = Image.__module__  # moto reads the name of the service from it

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
        """The compressed size; moto returns only the size of the configuration."""
        return self.size


def create_repository(name: str, **tags: str) -> None:
    """Create a repository with resource tags."""
    boto3.client("ecr").create_repository(
        repositoryName=name, tags=[{"Key": key, "Value": value} for key, value in tags.items()]
    )


def push(
    repository: str, manifest: dict[str, Any], tag: str | None, pushed_at: datetime, size: int
) -> EcrImage:
    """Push an image. The image that had the tag stays, untagged; put_image of moto deletes it."""
    image = EcrImage(repository, manifest, tag)
    image.image_pushed_at = int(pushed_at.timestamp())
    image.size = size
    images = ecr_backends[ACCOUNT][REGION].repositories[repository].images
    if tag:
        for other in images:
            other.remove_tag(tag)
    images.append(image)
    return image


def store(where: str, content: bytes) -> None:
    """Store an object in a bucket that this creates."""
    bucket, _, key = where.removeprefix("s3://").partition("/")
    s3 = boto3.client("s3")
    s3.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": REGION})
    s3.put_object(Bucket=bucket, Key=key, Body=content)


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
    """Run one ECS task whose image ECS resolved to this digest.

    Source: https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_Container.html
    """
    definition = _task_definition(name, image)
    answer = boto3.client("ecs").run_task(
        cluster=cluster, taskDefinition=definition, launchType="FARGATE"
    )
    task = ecs_backends[ACCOUNT][REGION].tasks[cluster][answer["tasks"][0]["taskArn"]]
    # Containers of moto lack this attribute; answers contain every attribute that is set.
    vars(task.containers[0])["image_digest"] = digest


def create_eks_cluster(name: str, url: str, authority: str) -> None:
    """Create an EKS cluster whose API server is at this address, with this CA."""
    boto3.client("eks").create_cluster(
        name=name,
        roleArn=f"arn:aws:iam::{ACCOUNT}:role/{name}",
        resourcesVpcConfig={"subnetIds": ["subnet-1", "subnet-2"]},
    )
    # moto invents both.
    cluster = eks_backends[ACCOUNT][REGION].clusters[name]
    cluster.endpoint = url
    cluster.certificate_authority = {"data": b64encode(authority.encode()).decode()}


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
    """Change the image of $LATEST of a function; version 1 keeps its image."""
    version = lambda_backends[ACCOUNT][REGION].get_function(name, "1")
    version.code = dict(version.code)  # in moto it is the same object as that of $LATEST
    boto3.client("lambda").update_function_code(FunctionName=name, ImageUri=image)


def _task_definition(family: str, image: str) -> str:
    answer = boto3.client("ecs").register_task_definition(
        family=family, containerDefinitions=[{"name": family, "image": image, "memory": 512}]
    )
    return str(answer["taskDefinition"]["taskDefinitionArn"])
