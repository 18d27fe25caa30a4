"""A small AWS account on moto: images with real manifests, and what runs them.

What AWS's API does not let anyone set (when an image was pushed, which digest a task runs) is set
on moto's own objects, so moto has to run in this process: as ``mock_aws`` or as its server in a
thread.
"""

from __future__ import annotations

import hashlib
import io
import itertools
import json
import re
import sys
import zipfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from types import ModuleType
from typing import Any

import boto3
from moto import backend_index
from moto.awslambda.models import LambdaFunction, lambda_backends
from moto.core.base_backend import BackendDict, BaseBackend
from moto.core.exceptions import JsonRESTError
from moto.core.models import DEFAULT_ACCOUNT_ID
from moto.core.responses import ActionResult, BaseResponse
from moto.ecr.models import ecr_backends
from moto.ecs.models import ecs_backends
from typing_extensions import override

REGION = "eu-west-1"
OPTED_IN: Mapping[str, str] = {"BoxCleanerEnabled": "true"}

OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_INDEX = "application/vnd.oci.image.index.v1+json"
DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_INDEX = "application/vnd.docker.distribution.manifest.list.v2+json"

LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"
CONFIG = "application/vnd.oci.image.config.v1+json"
SIZE = 50_000_000


def digest_of(content: str) -> str:
    """Return the digest that a registry stores this content under."""
    return "sha256:" + hashlib.sha256(content.encode()).hexdigest()


def descriptor(content: str, media_type: str, size_bytes: int) -> dict[str, Any]:
    """Return what a manifest says about a thing that it lists."""
    return {"mediaType": media_type, "digest": digest_of(content), "size": size_bytes}


def image_manifest(content: str, size_bytes: int = SIZE, media_type: str = OCI_MANIFEST) -> str:
    """Return the manifest of an image whose one layer holds the content."""
    return json.dumps(
        {
            "schemaVersion": 2,
            "mediaType": media_type,
            # moto takes the size of the configuration for that of the image.
            "config": descriptor(f"config of {content}", CONFIG, size_bytes),
            "layers": [descriptor(content, LAYER, size_bytes)],
        }
    )


def index_manifest(children: Iterable[str], media_type: str = OCI_INDEX) -> str:
    """Return the manifest of a multi-platform image."""
    platforms = itertools.cycle(("amd64", "arm64", "s390x"))
    return json.dumps(
        {
            "schemaVersion": 2,
            "mediaType": media_type,
            "manifests": [
                {
                    "mediaType": OCI_MANIFEST,
                    "digest": child,
                    "size": 1_000,
                    "platform": {"os": "linux", "architecture": next(platforms)},
                }
                for child in children
            ],
        }
    )


def zip_archive() -> bytes:
    """Return the smallest code that Lambda takes."""
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("main.py", "def handler(event, context): pass\n")
    return archive.getvalue()


@dataclass
class World:
    """One account and region to fill."""

    region: str = REGION
    account_id: str = DEFAULT_ACCOUNT_ID
    endpoint_url: str | None = None
    credentials: Mapping[str, str] = field(default_factory=dict)
    _clients: dict[str, Any] = field(default_factory=dict)
    _numbers: itertools.count[int] = field(default_factory=itertools.count)

    def from_the_start(self) -> World:
        """Return the same account, in which the next image is the first: digests do not vary."""
        return replace(self, _numbers=itertools.count())

    def client(self, service: str) -> Any:
        """Return the client of one service."""
        if service not in self._clients:
            make: Any = boto3.client
            self._clients[service] = make(
                service,
                region_name=self.region,
                endpoint_url=self.endpoint_url,
                **self.credentials,
            )
        return self._clients[service]

    def elsewhere(self, region: str, account_id: str = DEFAULT_ACCOUNT_ID) -> World:
        """Return another region, or another account; moto lets anybody assume a role there."""
        role = f"arn:aws:iam::{account_id}:role/builder"
        assumed = self.client("sts").assume_role(RoleArn=role, RoleSessionName="test")
        credentials = {
            "aws_access_key_id": assumed["Credentials"]["AccessKeyId"],
            "aws_secret_access_key": assumed["Credentials"]["SecretAccessKey"],
            "aws_session_token": assumed["Credentials"]["SessionToken"],
        }
        return World(region, account_id, self.endpoint_url, credentials)

    # -- ECR -----------------------------------------------------------------------------------

    @property
    def host(self) -> str:
        """The host of the account's private registry."""
        return f"{self.account_id}.dkr.ecr.{self.region}.amazonaws.com"

    def uri(self, repository: str, tag: str | None = None, digest: str | None = None) -> str:
        """Return a reference as a consumer writes it."""
        named = f":{tag}" if tag else ""
        pinned = f"@{digest}" if digest else ""
        return f"{self.host}/{repository}{named}{pinned}"

    def repository(self, name: str, tags: Mapping[str, str] = OPTED_IN) -> str:
        """Create a repository, opted in unless told otherwise; return its name."""
        self.client("ecr").create_repository(
            repositoryName=name, tags=[{"Key": key, "Value": tags[key]} for key in tags]
        )
        return name

    def image(
        self, repository: str, *tags: str, days_old: float = 0, size_bytes: int = SIZE
    ) -> str:
        """Push an image unlike all others, taking its tags from those; return its digest."""
        manifest = image_manifest(f"{repository} {next(self._numbers)}", size_bytes)
        return self.push(repository, manifest, *tags, days_old=days_old)

    def index(
        self, repository: str, children: Iterable[str], *tags: str, days_old: float = 0
    ) -> str:
        """Push a multi-platform image of images that are there already; return its digest."""
        return self.push(repository, index_manifest(children), *tags, days_old=days_old)

    def push(self, repository: str, manifest: str, *tags: str, days_old: float = 0) -> str:
        """Push a manifest as it is, under any number of tags; return its digest."""
        digest = digest_of(manifest)
        for tag in tags or ("",):
            self._free(repository, tag)
            # Not by a request: worlds have many images, and each request takes milliseconds.
            self._ecr.put_image(repository, manifest, tag or None, digest=digest)
        self.set_pushed(repository, digest, datetime.now(UTC) - timedelta(days=days_old))
        return digest

    def tag(self, repository: str, digest: str, *tags: str) -> None:
        """Give an image more tags; a tag that another one carries moves."""
        stored = self.stored(repository, digest)
        for tag in tags:
            self._free(repository, tag)
            stored.update_tag(tag)

    def set_pushed(self, repository: str, digest: str, pushed_at: datetime) -> None:
        """Set when an image was pushed."""
        self.stored(repository, digest).image_pushed_at = pushed_at.timestamp()

    def stored(self, repository: str, digest: str) -> Any:
        """Return moto's own object; what is set on it, DescribeImages tells."""
        return self._repository(repository)._get_image(None, digest)  # noqa: SLF001  # no other way

    def digests(self, repository: str) -> set[str]:
        """Return the digests of the images that the repository holds."""
        return {image.image_digest for image in self._repository(repository).images}

    def tags(self, repository: str) -> dict[str, str]:
        """Return which digest each tag of the repository points to."""
        images = self._repository(repository).images
        return {tag: image.image_digest for image in images for tag in image.image_tags}

    @property
    def _ecr(self) -> Any:
        return ecr_backends[self.account_id][self.region]

    def _repository(self, name: str) -> Any:
        return self._ecr.repositories[name]

    def _free(self, repository: str, tag: str) -> None:
        """Take a tag from the image that carries it: moto would delete the image with its last."""
        for image in self._repository(repository).images:
            image.remove_tag(tag)

    # -- ECS -----------------------------------------------------------------------------------

    def cluster(self, name: str) -> str:
        """Create a cluster; return its name."""
        self.client("ecs").create_cluster(clusterName=name)
        return name

    def task_definition(
        self, family: str, *images: str, environment: Mapping[str, str] | None = None
    ) -> str:
        """Register a revision with one container for each image; return its ARN."""
        variables = [{"name": name, "value": value} for name, value in (environment or {}).items()]
        containers = [
            {
                "name": f"container-{number}",
                "image": image,
                "memory": 128,
                "environment": variables,
            }
            for number, image in enumerate(images)
        ]
        answer = self.client("ecs").register_task_definition(
            family=family, containerDefinitions=containers
        )
        return str(answer["taskDefinition"]["taskDefinitionArn"])

    def retire(self, task_definition: str) -> None:
        """Deregister a revision, which leaves it INACTIVE and whatever runs it running."""
        self.client("ecs").deregister_task_definition(taskDefinition=task_definition)

    def service(self, cluster: str, name: str, task_definition: str | None, tasks: int = 1) -> str:
        """Create a service, one with external deployments if it has no task definition."""
        kind = {"taskDefinition": task_definition} if task_definition else {}
        controller = "ECS" if task_definition else "EXTERNAL"
        answer = self.client("ecs").create_service(
            cluster=cluster,
            serviceName=name,
            desiredCount=tasks,
            deploymentController={"type": controller},
            **kind,
        )
        return str(answer["service"]["serviceArn"])

    def draining_deployment(self, cluster: str, service: str, task_definition: str) -> None:
        """Add a deployment that the primary one is about to replace."""
        stored = self._ecs.services[f"{cluster}:{service}"]
        draining = stored.deployments[0] | {
            "id": "ecs-svc/draining",
            "status": "ACTIVE",
            "taskDefinition": task_definition,
        }
        stored.deployments.append(draining)

    def revision(self, cluster: str, service: str, image: str, digest: str) -> None:
        """Record that ECS deployed the service, and which digest it found the image to have."""
        stored = self._ecs.services[f"{cluster}:{service}"]
        known = getattr(stored, "revisions", [])
        arn = stored.arn.replace(":service/", ":service-revision/") + f"/{len(known) + 1}"
        container = {"containerName": "container-0", "image": image, "imageDigest": digest}
        stored.revisions = [
            *known,
            {
                "serviceRevisionArn": arn,
                "serviceArn": stored.arn,
                "clusterArn": stored.cluster_arn,
                "taskDefinition": stored.task_definition,
                "containerImages": [container],
            },
        ]
        stored.current_service_revisions = [{"arn": arn, "runningTaskCount": 1}]

    def task_set(self, cluster: str, service: str, task_definition: str) -> None:
        """Add a task set to a service with external deployments."""
        self.client("ecs").create_task_set(
            cluster=cluster, service=service, taskDefinition=task_definition
        )

    def task(self, cluster: str, task_definition: str, runs: str | None = None) -> str:
        """Start a task; ``runs`` is the digest that ECS tells for its first container."""
        (answer,) = self.client("ecs").run_task(
            cluster=cluster, taskDefinition=task_definition, launchType="FARGATE"
        )["tasks"]
        (stored,) = self._ecs.describe_tasks(cluster, [answer["taskArn"]])
        stored.containers[0].image_digest = runs
        return str(answer["taskArn"])

    @property
    def _ecs(self) -> Any:
        return ecs_backends[self.account_id][self.region]

    # -- Lambda --------------------------------------------------------------------------------

    def function(self, name: str, image: str) -> str:
        """Create a function from an image; return its ARN."""
        answer = self.client("lambda").create_function(
            FunctionName=name, Role=self._role(), PackageType="Image", Code={"ImageUri": image}
        )
        self._resolve(name, image)
        return str(answer["FunctionArn"])

    def update_function(self, name: str, image: str) -> None:
        """Deploy another image to a function; versions that are published keep theirs."""
        self.client("lambda").update_function_code(FunctionName=name, ImageUri=image)
        self._resolve(name, image)

    def publish(self, name: str) -> str:
        """Publish what the function runs now; return the version's number."""
        version = str(self.client("lambda").publish_version(FunctionName=name)["Version"])
        # moto would deploy to the version, too, what is deployed to the function from now on.
        function = self._function(name)
        function.code = dict(function.code)
        return version

    def zip_function(self, name: str) -> None:
        """Create a function that runs no image."""
        self.client("lambda").create_function(
            FunctionName=name,
            Role=self._role(),
            Runtime="python3.13",
            Handler="main.handler",
            Code={"ZipFile": zip_archive()},
        )

    def _function(self, name: str) -> Any:
        return lambda_backends[self.account_id][self.region].get_function(name)

    def _resolve(self, name: str, image: str) -> None:
        function = self._function(name)
        function.__class__ = ImageFunction
        function.resolved = self._resolved(image)

    def _resolved(self, image: str) -> str:
        """Return the reference by digest that Lambda would make of this one now."""
        base, _, digest = image.partition("@")
        host, _, path = base.partition("/")
        repository, _, tag = path.partition(":")
        if not digest and host == self.host:
            digest = self.tags(repository)[tag or "latest"]
        return f"{host}/{repository}@{digest or digest_of(image)}"

    def _role(self) -> str:
        return role_for(self.client("iam"), "function", "lambda.amazonaws.com")

    # -- App Runner ----------------------------------------------------------------------------

    def app_runner(self, name: str, image: str | None) -> str:
        """Create an App Runner service, one built from source code if it has no image."""
        arn = f"arn:aws:apprunner:{self.region}:{self.account_id}:service/{name}/0123456789abcdef"
        backend = app_runner_backends[self.account_id][self.region]
        backend.services[arn] = source_of(image)
        return arn


class ImageFunction(LambdaFunction):
    """A function that tells which digest it was deployed with; moto makes one up."""

    __module__ = LambdaFunction.__module__  # moto tells services apart by it
    resolved: str

    @override
    def get_code(self) -> dict[str, Any]:
        answer = super().get_code()
        answer["Code"]["ResolvedImageUri"] = self.resolved
        return answer


def role_for(iam: Any, name: str, service: str) -> str:
    """Return the ARN of a role that a service may take on; make it if need be."""
    try:
        return str(iam.get_role(RoleName=name)["Role"]["Arn"])
    except iam.exceptions.NoSuchEntityException:
        trust = {
            "Version": "2012-10-17",
            "Statement": [
                {
                    "Effect": "Allow",
                    "Principal": {"Service": service},
                    "Action": "sts:AssumeRole",
                }
            ],
        }
        role = iam.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps(trust))["Role"]
        return str(role["Arn"])


# -- App Runner, which moto lacks --------------------------------------------------------------


class AppRunnerBackend(BaseBackend):
    """The services of one account and region: their sources by ARN."""

    __module__ = "moto.apprunner.models"  # moto looks for the URLs beside it

    def __init__(self, region_name: str, account_id: str) -> None:
        super().__init__(region_name, account_id)
        self.services: dict[str, dict[str, Any]] = {}


class AppRunnerResponse(BaseResponse):
    """The two operations that tell about services."""

    def __init__(self) -> None:
        super().__init__(service_name="apprunner")

    @property
    def _services(self) -> dict[str, dict[str, Any]]:
        return app_runner_backends[self.current_account][self.region].services

    def list_services(self) -> ActionResult:
        """Answer with one page."""
        return ActionResult({"ServiceSummaryList": [{"ServiceArn": arn} for arn in self._services]})

    def describe_service(self) -> ActionResult:
        """Answer with what the image's source is told from."""
        arn = self._get_param("ServiceArn")
        if arn not in self._services:
            raise JsonRESTError("ResourceNotFoundException", f"no service {arn}")
        service = {"ServiceArn": arn, "SourceConfiguration": self._services[arn]}
        return ActionResult({"Service": service})


def source_of(image: str | None) -> dict[str, Any]:
    """Return the source of a service: an image in ECR, or else code."""
    if image is None:
        return {"CodeRepository": {"RepositoryUrl": "https://example.com/code"}}
    kind = "ECR_PUBLIC" if image.startswith("public.ecr.aws/") else "ECR"
    return {"ImageRepository": {"ImageIdentifier": image, "ImageRepositoryType": kind}}


def add_to_moto(service: str, backends: Any, response: type[BaseResponse]) -> None:
    """Let moto find a service as it finds its own: as a package with a list of its URLs."""
    url = rf"https?://{service}\.(.+)\.amazonaws\.com"
    package, urls = ModuleType(f"moto.{service}"), ModuleType(f"moto.{service}.urls")
    vars(package).update({f"{service}_backends": backends, "urls": urls})
    vars(urls).update(url_bases=[url], url_paths={"{0}/$": response.dispatch})
    sys.modules |= {package.__name__: package, urls.__name__: urls}
    backend_index.backend_url_patterns.append((service, re.compile(url)))


app_runner_backends = BackendDict(AppRunnerBackend, "apprunner")
add_to_moto("apprunner", app_runner_backends, AppRunnerResponse)
