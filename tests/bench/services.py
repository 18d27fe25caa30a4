"""The operations of the fake AWS, with the page sizes, limits and errors of AWS.

An operation is a function with ``@answers``, or a line in ``EMPTY`` if its listing is always empty.
The name of an operation is ``service:Operation``, with the boto3 name of the service.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from bench.world import (
    ACCOUNT,
    HOME,
    Cache,
    Consumers,
    Container,
    Place,
    Replica,
    Repository,
    Service,
    StoredImage,
    World,
)

ORGANIZATION = "o-bench00000"

Parameters = Mapping[str, Any]
Answer = dict[str, Any]


class Refusal(Exception):  # noqa: N818 -- an answer of AWS, not an error of ours
    """An error that AWS answers with."""

    def __init__(self, code: str, message: str = "", status: int = 400) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.status = status


@dataclass(slots=True)
class Registry:
    """The current state of the images, and what the program removed and broke."""

    world: World
    now: Callable[[], float]
    session_seconds: int = 3600
    broken: Counter[str] = field(default_factory=Counter)
    removed: set[tuple[str, str]] = field(default_factory=set)
    objects: dict[str, bytes] = field(default_factory=dict)

    def remove(self, repository: Repository, digest: str) -> None:
        """Remove an image, and count the consumers that this breaks."""
        repository.remove(digest)
        self.removed.add((repository.name, digest))
        consumers = self.world.needed[repository.name, digest]
        if consumers:
            self.broken[f"{repository.name}@{digest}"] += consumers


@dataclass(frozen=True, slots=True)
class Account:
    """An account and region. Only that of the registry has repositories."""

    place: Place
    registry: Registry
    consumers: Consumers

    @property
    def world(self) -> World:
        return self.registry.world

    @property
    def now(self) -> Callable[[], float]:
        return self.registry.now

    @property
    def repositories(self) -> Mapping[str, Repository]:
        return self.world.repositories if self.place == HOME else {}

    def repository(self, parameters: Parameters) -> Repository:
        name = parameters["repositoryName"]
        if name not in self.repositories:
            raise Refusal("RepositoryNotFoundException", f"there is no repository {name}")
        return self.repositories[name]


Operation = Callable[[Account, Parameters], Answer]
OPERATIONS: dict[str, Operation] = {}

# Listings that are always empty: operation, and key of the list.
EMPTY: Mapping[str, str] = {
    "autoscaling:DescribeLaunchConfigurations": "LaunchConfigurations",
    "batch:DescribeJobDefinitions": "jobDefinitions",
    "batch:DescribeJobQueues": "jobQueues",
    "batch:ListJobs": "jobSummaryList",
    "bedrock-agentcore-control:ListAgentRuntimes": "agentRuntimes",
    "bedrock-agentcore-control:ListHarnesses": "harnesses",
    "braket:SearchJobs": "jobs",
    "cleanroomsml:ListConfiguredModelAlgorithms": "configuredModelAlgorithms",
    "codebuild:ListProjects": "projects",
    "codepipeline:ListPipelines": "pipelines",
    "ec2:DescribeLaunchTemplates": "LaunchTemplates",
    "ecs:DescribeServiceDeployments": "serviceDeployments",
    "ecs:ListDaemons": "daemonSummariesList",
    "ecs:ListServiceDeployments": "serviceDeployments",
    "eks:ListClusters": "clusters",
    "elasticbeanstalk:DescribeApplicationVersions": "ApplicationVersions",
    "emr-containers:ListJobTemplates": "templates",
    "emr-containers:ListVirtualClusters": "virtualClusters",
    "emr-serverless:ListApplications": "applications",
    "emr:ListClusters": "Clusters",
    "events:ListEventBuses": "EventBuses",
    "events:ListRules": "Rules",
    "events:ListSubscribers": "Subscribers",
    "events:ListTargetsByRule": "Targets",
    "gamelift:ListContainerGroupDefinitions": "ContainerGroupDefinitions",
    "greengrassv2:ListComponents": "components",
    "imagebuilder:ListContainerRecipes": "containerRecipeSummaryList",
    "inspector2:ListCoverage": "coveredResources",
    "iotsitewise:ListWorkspaces": "workspaceSummaries",
    "lambda-core:ListRuntimes": "Items",
    "lightsail:GetContainerServices": "containerServices",
    "omics:ListWorkflows": "items",
    "pipes:ListPipes": "Pipes",
    "sagemaker:ListAlgorithms": "AlgorithmSummaryList",
    "sagemaker:ListApps": "Apps",
    "sagemaker:ListEndpoints": "Endpoints",
    "sagemaker:ListHyperParameterTuningJobs": "HyperParameterTuningJobSummaries",
    "sagemaker:ListImages": "Images",
    "sagemaker:ListInferenceComponents": "InferenceComponents",
    "sagemaker:ListModelPackageGroups": "ModelPackageGroupSummaryList",
    "sagemaker:ListModelPackages": "ModelPackageSummaryList",
    "sagemaker:ListModels": "Models",
    "sagemaker:ListMonitoringSchedules": "MonitoringScheduleSummaries",
    "sagemaker:ListOptimizationJobs": "OptimizationJobSummaries",
    "sagemaker:ListPipelines": "PipelineSummaries",
    "sagemaker:ListProcessingJobs": "ProcessingJobSummaries",
    "sagemaker:ListTrainingJobs": "TrainingJobSummaries",
    "sagemaker:ListTransformJobs": "TransformJobSummaries",
    "stepfunctions:ListStateMachines": "stateMachines",
}


def answers(operation: str) -> Callable[[Operation], Operation]:
    """Register the function that answers an operation."""

    def register(function: Operation) -> Operation:
        OPERATIONS[operation] = function
        return function

    return register


def find(operation: str) -> Operation | None:
    """Return the function that answers an operation, or None if it is not implemented."""
    if operation in EMPTY:
        key = EMPTY[operation]
        return lambda _account, _parameters: {key: []}
    return OPERATIONS.get(operation)


def page(
    items: Sequence[Any], token: str | None, size: int | None, most: int
) -> tuple[Sequence[Any], str | None]:
    """Return one page of a listing, and the token of the next page."""
    if size is not None and not 1 <= size <= most:
        raise Refusal("InvalidParameterException", f"a page holds 1 to {most}, not {size}")
    start = int(token or 0)
    end = start + (size or most)
    return items[start:end], str(end) if end < len(items) else None


def at_most(most: int, ids: Sequence[Any]) -> None:
    """Refuse a batch that is empty or too large."""
    if not 1 <= len(ids) <= most:
        raise Refusal("InvalidParameterException", f"1 to {most} ids are allowed, not {len(ids)}")


def with_token(answer: Answer, token: str | None, name: str = "nextToken") -> Answer:
    """Add the token of the next page, if there is one."""
    return answer | {name: token} if token else answer


# -- ECR ---------------------------------------------------------------------------------------


@answers("ecr:DescribeRepositories")
def describe_repositories(account: Account, parameters: Parameters) -> Answer:
    size = parameters.get("maxResults", 100)
    names, token = page(list(account.repositories), parameters.get("nextToken"), size, most=1000)
    found = [_repository(account.repositories[name]) for name in names]
    return with_token({"repositories": found}, token)


def _repository(repository: Repository) -> Answer:
    return {
        "repositoryArn": repository.arn,
        "registryId": ACCOUNT,
        "repositoryName": repository.name,
        "repositoryUri": repository.uri,
        "createdAt": 1.6e9,
        "imageTagMutability": "MUTABLE",
        "imageScanningConfiguration": {"scanOnPush": False},
        "encryptionConfiguration": {"encryptionType": "AES256"},
    }


@answers("ecr:ListTagsForResource")
def list_tags_for_resource(account: Account, parameters: Parameters) -> Answer:
    name = parameters["resourceArn"].partition("repository/")[2]
    enabled = "true" if account.repository({"repositoryName": name}).opted_in else "false"
    return {"tags": [{"Key": "BoxCleanerEnabled", "Value": enabled}]}


@answers("ecr:DescribeImages")
def describe_images(account: Account, parameters: Parameters) -> Answer:
    repository = account.repository(parameters)
    if "imageIds" in parameters:
        return {"imageDetails": _described(repository, parameters["imageIds"])}
    size = parameters.get("maxResults", 100)
    digests, token = page(repository.order, parameters.get("nextToken"), size, most=1000)
    there = (repository.images[one] for one in digests if one in repository.images)
    return with_token({"imageDetails": [_detail(repository, one) for one in there]}, token)


def _described(repository: Repository, ids: Sequence[Parameters]) -> list[Answer]:
    at_most(100, ids)
    digests = [_resolve(repository, one) for one in ids]
    if None in digests:
        raise Refusal("ImageNotFoundException", "one of the images does not exist")
    return [_detail(repository, repository.images[one]) for one in digests if one]


def _resolve(repository: Repository, image_id: Parameters) -> str | None:
    digest = image_id.get("imageDigest") or repository.tags.get(image_id.get("imageTag", ""))
    return digest if digest in repository.images else None


def _detail(repository: Repository, image: StoredImage) -> Answer:
    detail: Answer = {
        "registryId": ACCOUNT,
        "repositoryName": repository.name,
        "imageDigest": image.digest,
        "imageSizeInBytes": image.size,
        "imagePushedAt": image.pushed,
        "imageManifestMediaType": image.media_type,
        "imageStatus": "ACTIVE",
    }
    if image.tags:
        detail["imageTags"] = image.tags
    if image.pulled is not None:
        detail["lastRecordedPullTime"] = image.pulled
    if image.subject:
        detail["subjectManifestDigest"] = image.subject
        detail["artifactMediaType"] = "application/vnd.dev.cosign.simplesigning.v1+json"
    else:
        detail["artifactMediaType"] = "application/vnd.oci.image.config.v1+json"
    return detail


@answers("ecr:BatchGetImage")
def batch_get_image(account: Account, parameters: Parameters) -> Answer:
    """Return manifests; ECR does not record the pulls of the caller."""
    repository = account.repository(parameters)
    at_most(100, parameters["imageIds"])
    images, failures = [], []
    for image_id in parameters["imageIds"]:
        digest = _resolve(repository, image_id)
        if digest is None:
            failures.append({"imageId": image_id, "failureCode": "ImageNotFound"})
            continue
        images.append(_manifest(repository, repository.images[digest]))
    return {"images": images, "failures": failures}


def _manifest(repository: Repository, image: StoredImage) -> Answer:
    document: Answer = {"schemaVersion": 2, "mediaType": image.media_type}
    if image.children:
        platform = {"architecture": "arm64", "os": "linux"}
        document["manifests"] = [
            {
                "mediaType": repository.images[child].media_type,
                "digest": child,
                "size": 1234,
                "platform": platform,
            }
            for child in image.children
            if child in repository.images
        ]
    else:
        document |= {"config": {"digest": image.digest, "size": 1}, "layers": []}
    return {
        "registryId": ACCOUNT,
        "repositoryName": repository.name,
        "imageId": {"imageDigest": image.digest},
        "imageManifest": json.dumps(document),
        "imageManifestMediaType": image.media_type,
    }


@answers("ecr:BatchDeleteImage")
def batch_delete_image(account: Account, parameters: Parameters) -> Answer:
    """Delete by digest or by tag; refuse children of an index, even in the same call."""
    repository = account.repository(parameters)
    ids = parameters["imageIds"]
    at_most(100, ids)
    asked = [_resolve(repository, image_id) for image_id in ids]
    refused = {digest for digest in asked if digest and repository.parents.get(digest)}
    deleted: list[Answer] = []
    failures: list[Answer] = []
    for image_id in ids:
        digest = _resolve(repository, image_id)
        code = "ImageNotFound" if digest is None else None
        if digest in refused and _removes_the_image(repository, image_id, digest):
            code = "ImageReferencedByManifestList"
        if digest is None or code:
            failures.append({"imageId": image_id, "failureCode": code, "failureReason": str(code)})
        else:
            deleted += _delete(account, repository, image_id, digest)
    return {"imageIds": deleted, "failures": failures}


def _removes_the_image(repository: Repository, image_id: Parameters, digest: str) -> bool:
    return "imageDigest" in image_id or len(repository.images[digest].tags) == 1


def _delete(
    account: Account, repository: Repository, image_id: Parameters, digest: str
) -> list[Answer]:
    tags = repository.images[digest].tags
    if _removes_the_image(repository, image_id, digest):
        account.registry.remove(repository, digest)
        return [{"imageDigest": digest, "imageTag": tag} for tag in tags] or [
            {"imageDigest": digest}
        ]
    tags.remove(image_id["imageTag"])
    del repository.tags[image_id["imageTag"]]
    return [{"imageDigest": digest, "imageTag": image_id["imageTag"]}]


@answers("ecr:GetRepositoryPolicy")
def get_repository_policy(account: Account, parameters: Parameters) -> Answer:
    repository, spec = account.repository(parameters), account.world.spec
    if not spec.members:
        raise Refusal("RepositoryPolicyNotFoundException", "the repository has no policy")
    roots = [f"arn:aws:iam::{one}:root" for one in spec.members]
    condition = {"StringEquals": {"aws:PrincipalOrgID": ORGANIZATION}}
    statement: Answer = {
        "Effect": "Allow",
        "Principal": "*" if spec.by_organization else {"AWS": roots},
        "Action": ["ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"],
        **({"Condition": condition} if spec.by_organization else {}),
    }
    policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    return {"registryId": ACCOUNT, "repositoryName": repository.name, "policyText": policy}


@answers("ecr:GetRegistryPolicy")
def get_registry_policy(_account: Account, _parameters: Parameters) -> Answer:
    raise Refusal("RegistryPolicyNotFoundException", "the registry has no policy")


@answers("ecr:ListPullTimeUpdateExclusions")
def list_pull_time_update_exclusions(_account: Account, _parameters: Parameters) -> Answer:
    return {"pullTimeUpdateExclusions": [f"arn:aws:iam::{ACCOUNT}:role/bench"]}


@answers("ecr:DescribeRegistry")
def describe_registry(account: Account, _parameters: Parameters) -> Answer:
    rules = [_replication(one) for one in account.world.spec.replicas]
    return {"registryId": ACCOUNT, "replicationConfiguration": {"rules": rules}}


def _replication(replica: Replica) -> Answer:
    filters = [{"filter": replica.prefix, "filterType": "PREFIX_MATCH"}]
    return {
        "destinations": [{"region": replica.region, "registryId": replica.account}],
        **({"repositoryFilters": filters} if replica.prefix else {}),
        **({"deleteReplication": {"enabled": True}} if replica.deletions else {}),
    }


@answers("ecr:DescribePullThroughCacheRules")
def describe_pull_through_cache_rules(account: Account, _parameters: Parameters) -> Answer:
    caches = [one for one in account.world.spec.caches if one.place == account.place]
    return {"pullThroughCacheRules": [_cache(one) for one in caches]}


def _cache(cache: Cache) -> Answer:
    return {
        "ecrRepositoryPrefix": cache.prefix,
        "upstreamRegistryUrl": cache.upstream,
        "upstreamRegistry": "ecr",
        "upstreamRepositoryPrefix": cache.upstream_prefix,
        "registryId": cache.account,
    }


# -- ECS ---------------------------------------------------------------------------------------


@answers("ecs:ListClusters")
def list_clusters(account: Account, parameters: Parameters) -> Answer:
    return _ecs_page(account.consumers.clusters, parameters, "clusterArns", default=100)


@answers("ecs:ListServices")
def list_services(account: Account, parameters: Parameters) -> Answer:
    arns = [one.arn for one in _of_cluster(account, parameters, account.consumers.services)]
    return _ecs_page(arns, parameters, "serviceArns", default=10)


@answers("ecs:ListTasks")
def list_tasks(account: Account, parameters: Parameters) -> Answer:
    arns = [one.arn for one in _of_cluster(account, parameters, account.consumers.tasks)]
    return _ecs_page(arns, parameters, "taskArns", default=100)


def _ecs_page(arns: Sequence[str], parameters: Parameters, key: str, default: int) -> Answer:
    size = parameters.get("maxResults", default)
    found, token = page(arns, parameters.get("nextToken"), size, most=100)
    return with_token({key: found}, token)


def _of_cluster(account: Account, parameters: Parameters, items: Iterable[Any]) -> list[Any]:
    cluster = parameters.get("cluster", "default")
    if cluster not in account.consumers.clusters:
        raise Refusal("ClusterNotFoundException", "Cluster not found.")
    return [one for one in items if one.cluster == cluster]


@answers("ecs:DescribeServices")
def describe_services(account: Account, parameters: Parameters) -> Answer:
    at_most(10, parameters["services"])
    known, wanted = account.consumers.services_by_arn, parameters["services"]
    events = account.consumers.spec.service_events
    found = [_service(known[arn], events) for arn in wanted if arn in known]
    return {"services": found, "failures": _missing(wanted, known)}


def _missing(wanted: Sequence[str], known: Mapping[str, Any]) -> list[Answer]:
    return [{"arn": arn, "reason": "MISSING"} for arn in wanted if arn not in known]


def _service(service: Service, events: int) -> Answer:
    deployments = [
        {
            "id": f"ecs-svc/{number}",
            "status": "ACTIVE" if number else "PRIMARY",
            "taskDefinition": definition,
            "desiredCount": 2,
            "runningCount": 2,
            "createdAt": 1.7e9,
            "launchType": "FARGATE",
            "rolloutState": "IN_PROGRESS" if len(service.definitions) > 1 else "COMPLETED",
        }
        for number, definition in enumerate(service.definitions)
    ]
    name = service.arn.rpartition("/")[2]
    return {
        "serviceArn": service.arn,
        "serviceName": name,
        "clusterArn": service.cluster,
        "status": "ACTIVE",
        "desiredCount": 2,
        "taskDefinition": service.definitions[0],
        "deployments": deployments,
        "currentServiceRevisions": [
            {"arn": arn, "runningTaskCount": 2} for arn in service.revisions()
        ],
        "events": [
            {
                "id": f"{number:032x}",
                "createdAt": 1.7e9,
                "message": f"(service {name}) has reached a steady state.",
            }
            for number in range(events)
        ],
    }


@answers("ecs:DescribeServiceRevisions")
def describe_service_revisions(account: Account, parameters: Parameters) -> Answer:
    known, wanted = account.consumers.revisions, parameters["serviceRevisionArns"]
    at_most(20, wanted)
    found = [
        _revision(arn, *known[arn], account.consumers.definitions[known[arn][1]])
        for arn in wanted
        if arn in known
    ]
    return {"serviceRevisions": found, "failures": _missing(wanted, known)}


def _revision(arn: str, service: Service, definition: str, container: Container) -> Answer:
    return {
        "serviceRevisionArn": arn,
        "serviceArn": service.arn,
        "clusterArn": service.cluster,
        "taskDefinition": definition,
        "containerImages": [
            {"containerName": "main", "image": container.image, "imageDigest": container.digest}
        ],
        "createdAt": 1.7e9,
    }


@answers("ecs:DescribeTasks")
def describe_tasks(account: Account, parameters: Parameters) -> Answer:
    known, wanted = account.consumers.tasks_by_arn, parameters["tasks"]
    at_most(100, wanted)
    found = [_task(known[arn]) for arn in wanted if arn in known]
    return {"tasks": found, "failures": _missing(wanted, known)}


def _task(task: Any) -> Answer:
    return {
        "taskArn": task.arn,
        "clusterArn": task.cluster,
        "taskDefinitionArn": task.definition,
        "lastStatus": "RUNNING",
        "desiredStatus": "RUNNING",
        "containers": [
            {
                "containerArn": task.arn.replace(":task/", ":container/"),
                "name": "main",
                "image": task.container.image,
                "imageDigest": task.container.digest,
                "lastStatus": "RUNNING",
            }
        ],
        "createdAt": 1.7e9,
    }


@answers("ecs:DescribeTaskDefinition")
def describe_task_definition(account: Account, parameters: Parameters) -> Answer:
    arn = parameters["taskDefinition"]
    arn = account.consumers.families.get(arn, [arn])[0]
    container = account.consumers.definitions.get(arn)
    if container is None:
        raise Refusal("ClientException", "Unable to describe task definition.")
    main = {"name": "main", "image": container.image, "essential": True, "environment": []}
    return {"taskDefinition": {"taskDefinitionArn": arn, "containerDefinitions": [main]}}


@answers("ecs:ListTaskDefinitionFamilies")
def list_task_definition_families(account: Account, parameters: Parameters) -> Answer:
    return _ecs_page(list(account.consumers.families), parameters, "families", default=100)


@answers("ecs:ListTaskDefinitions")
def list_task_definitions(account: Account, parameters: Parameters) -> Answer:
    """List by family, and within one by revision; DESC turns all of that round."""
    families = account.consumers.families
    wanted = parameters.get("familyPrefix")
    chosen = sorted(families, reverse=True) if wanted is None else [wanted]
    arns = [arn for family in chosen for arn in families.get(family, ())]
    if parameters.get("sort") != "DESC":
        arns.reverse()
    return _ecs_page(arns, parameters, "taskDefinitionArns", default=100)


# -- Lambda and App Runner ---------------------------------------------------------------------


@answers("lambda:ListFunctions")
def list_functions(account: Account, parameters: Parameters) -> Answer:
    versions = account.consumers.functions
    if parameters.get("FunctionVersion") != "ALL":
        versions = [one for one in versions if one.version == "$LATEST"]
    size = min(int(parameters.get("MaxItems", 50)), 50)
    found, token = page(versions, parameters.get("Marker"), size, most=50)
    functions = [_function(account, one) for one in found]
    return with_token({"Functions": functions}, token, "NextMarker")


def _function(account: Account, version: Any) -> Answer:
    arn = account.place.arn("lambda", f"function:{version.name}")
    return {
        "FunctionName": version.name,
        "FunctionArn": f"{arn}:{version.version}",
        "Version": version.version,
        "PackageType": "Image" if version.container else "Zip",
        "RevisionId": f"revision of {version.name}:{version.version}",
        "CodeSha256": "0" * 64,
        "LastModified": "2026-01-01T00:00:00.000+0000",
        "MemorySize": 128,
        "Timeout": 3,
    }


@answers("lambda:GetFunction")
def get_function(account: Account, parameters: Parameters) -> Answer:
    wanted = (parameters["FunctionName"], parameters.get("Qualifier", "$LATEST"))
    version = account.consumers.function_versions.get(wanted)
    if version is None:
        raise Refusal("ResourceNotFoundException", "Function not found", status=404)
    container = version.container
    code: Answer = {"RepositoryType": "S3", "Location": "https://example.com/code.zip"}
    if container:
        # No host here has a port, so a colon starts a tag or is part of a digest.
        uri = re.split("[:@]", container.image)[0]
        code = {
            "RepositoryType": "ECR",
            "ImageUri": container.image,
            "ResolvedImageUri": f"{uri}@{container.digest}",
        }
    return {"Configuration": _function(account, version), "Code": code, "Tags": {}}


@answers("apprunner:ListServices")
def list_app_runner_services(account: Account, parameters: Parameters) -> Answer:
    arns, token = page(
        list(account.consumers.app_runner),
        parameters.get("NextToken"),
        parameters.get("MaxResults"),
        most=20,
    )
    found = [{"ServiceArn": arn, "Status": "RUNNING"} for arn in arns]
    return with_token({"ServiceSummaryList": found}, token, "NextToken")


@answers("apprunner:DescribeService")
def describe_app_runner_service(account: Account, parameters: Parameters) -> Answer:
    arn = parameters["ServiceArn"]
    if arn not in account.consumers.app_runner:
        raise Refusal("ResourceNotFoundException", "no such service")
    image = {"ImageIdentifier": account.consumers.app_runner[arn], "ImageRepositoryType": "ECR"}
    return {"Service": {"ServiceArn": arn, "SourceConfiguration": {"ImageRepository": image}}}


# -- EventBridge Scheduler ----------------------------------------------------------------------


@answers("scheduler:ListSchedules")
def list_schedules(account: Account, parameters: Parameters) -> Answer:
    size = int(parameters.get("MaxResults", 100))
    names, token = page(
        list(account.consumers.schedules), parameters.get("NextToken"), size, most=100
    )
    found = [_schedule(account, name) for name in names]
    return with_token({"Schedules": found}, token, "NextToken")


def _schedule(account: Account, name: str) -> Answer:
    arn = account.place.arn("scheduler", f"schedule/default/{name}")
    return {"Arn": arn, "Name": name, "GroupName": "default", "State": "ENABLED"}


@answers("scheduler:GetSchedule")
def get_schedule(account: Account, parameters: Parameters) -> Answer:
    name = parameters["Name"]
    if name not in account.consumers.schedules:
        raise Refusal("ResourceNotFoundException", "no such schedule", status=404)
    task: Answer = {"TaskDefinitionArn": account.consumers.schedules[name]}
    target = {"Arn": account.place.arn("ecs", "cluster/c0"), "EcsParameters": task}
    return {**_schedule(account, name), "ScheduleExpression": "rate(1 day)", "Target": target}


# -- S3 ------------------------------------------------------------------------------------------


@answers("s3:GetObject")
def get_object(account: Account, parameters: Parameters) -> Answer:
    found = account.registry.objects.get(parameters["Key"])
    if found is None:
        raise Refusal("NoSuchKey", f"there is no {parameters['Key']}", 404)
    return {"Body": found}


@answers("s3:PutObject")
def put_object(account: Account, parameters: Parameters) -> Answer:
    objects, key = account.registry.objects, parameters["Key"]
    if parameters["IfNoneMatch"] and key in objects:
        raise Refusal("PreconditionFailed", f"there is {key}", 412)
    objects[key] = parameters["Body"]
    return {"Body": b""}


# -- Accounts and regions ------------------------------------------------------------------------


@answers("sts:GetCallerIdentity")
def get_caller_identity(account: Account, _parameters: Parameters) -> Answer:
    number = account.place.account
    return {"Account": number, "Arn": f"arn:aws:iam::{number}:role/bench", "UserId": "bench"}


@answers("sts:AssumeRole")
def assume_role(account: Account, parameters: Parameters) -> Answer:
    """Return credentials whose id names the account."""
    arn = parameters["RoleArn"]
    number = arn.split(":")[4]
    if account.place.account != ACCOUNT or number not in account.world.spec.members:
        raise Refusal("AccessDenied", f"not authorized to perform: sts:AssumeRole on {arn}", 403)
    expiration = datetime.fromtimestamp(account.now() + account.registry.session_seconds, UTC)
    credentials = {
        "AccessKeyId": f"ASIA{number}",
        "SecretAccessKey": "secret",
        "SessionToken": "token",
        "Expiration": f"{expiration:%Y-%m-%dT%H:%M:%SZ}",
    }
    return {"Credentials": credentials}


@answers("ec2:DescribeRegions")
def describe_regions(account: Account, _parameters: Parameters) -> Answer:
    return {"regionInfo": [{"regionName": one} for one in account.world.spec.regions]}


@answers("organizations:DescribeOrganization")
def describe_organization(_account: Account, _parameters: Parameters) -> Answer:
    return {"Organization": {"Id": ORGANIZATION, "MasterAccountId": ACCOUNT}}


@answers("organizations:ListAccounts")
def list_accounts(account: Account, parameters: Parameters) -> Answer:
    """List one account a page; the first page has none."""
    spec = account.world.spec
    states = dict.fromkeys((ACCOUNT, *spec.members), "ACTIVE")
    states |= dict.fromkeys(spec.suspended, "SUSPENDED")
    accounts = [{"Id": number, "State": state} for number, state in states.items()]
    number = int(parameters.get("NextToken", 0))
    token = str(number + 1) if number < len(accounts) else None
    return with_token(
        {"Accounts": accounts[number - 1 : number] if number else []}, token, "NextToken"
    )
