"""An account in which the program has to make every call that it can make."""

from __future__ import annotations

import atexit
import base64
import json
from base64 import b64encode
from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cache
from typing import Any

from moto.eks.models import eks_backends

from fakes.kubernetes import FakeCluster, running
from integration.told_services import tell
from world import World

REPOSITORIES = ("shop/web", "jobs")
# Those that most tests are about: asking all sources takes longer than all else in a test.
FIRST = ("ecs", "lambda", "app-runner")
CLUSTER = "main"
CLUSTER_ARN = "arn:aws:ecs:eu-west-1:123456789012:cluster/main"
ROLE = "arn:aws:iam::123456789012:role/runs-tasks"
# Those of the services that are answered without a request, which moto's server cannot do.
WITHOUT_SERVER = (
    "elastic-beanstalk",
    "eventbridge-subscribers",
    "healthomics",
    "iot-sitewise",
    "lambda-runtimes",
    "launch-configurations",
    "launch-templates",
)
OLD = 90
# As long as any service wants it.
ARN = "arn:aws:service:eu-west-1:123456789012:some-resource-with-a-long-name/0123456789"


@dataclass(frozen=True)
class FullWorld:
    """What the account holds, by digest; ``used`` leads to the usage source that tells of it."""

    used: Mapping[str, str]
    unused: frozenset[str]

    @property
    def all(self) -> set[str]:
        """Everything."""
        return {*self.used, *self.unused}

    def of(self, source: str) -> str:
        """Return the image that one source tells of."""
        return next(digest for digest, name in self.used.items() if name == source)


def fill(world: World, sources: Iterable[str] | None = None) -> FullWorld:
    """Fill the account: a consumer in each usage source, and in each repository an unused index."""
    unused: set[str] = set()
    for name in REPOSITORIES:
        world.repository(name)
        child = world.image(name, days_old=OLD)
        unused |= {child, world.index(name, [child], "multi", days_old=OLD)}
        unused |= {world.image(name, "old", days_old=OLD), world.image(name, days_old=OLD)}
    return FullWorld(
        put_to_use(world, CONSUMERS if sources is None else sources), frozenset(unused)
    )


def put_to_use(world: World, sources: Iterable[str]) -> dict[str, str]:
    """Put an image of its own to use in each source; return the sources by digest."""
    world.cluster(CLUSTER)
    used = {}
    for number, source in enumerate(sources):
        repository = REPOSITORIES[number % len(REPOSITORIES)]
        used[world.image(repository, source, days_old=OLD)] = source
        CONSUMERS[source](world, world.uri(repository, source))
    return used


def everything(world: World) -> set[str]:
    """Return the digests of all that the two repositories hold."""
    return {digest for name in REPOSITORIES for digest in world.digests(name)}


def only(*sources: str) -> dict[str, str]:
    """Return the settings under which no other source is asked."""
    return {"WAIVED_SOURCES": ",".join(name for name in CONSUMERS if name not in sources)}


# -- A consumer for each source ----------------------------------------------------------------


def ecs(world: World, image: str) -> None:
    repository, _, tag = image.removeprefix(f"{world.host}/").partition(":")
    digest = world.tags(repository)[tag]
    world.service(CLUSTER, "web", world.task_definition("web", image))
    world.revision(CLUSTER, "web", image, digest)
    world.task(CLUSTER, world.task_definition("once", image), digest)


def ecs_daemons(_: World, image: str) -> None:
    """Run a daemon on a revision that tells its images, and deploy one that does not."""
    told, untold = ("arn:daemon-revision/told", "arn:daemon-revision/untold")
    daemon = {"daemonArn": "arn:daemon", "status": "ACTIVE"}
    revision = {"daemonArn": "arn:daemon", "daemonTaskDefinitionArn": "arn:daemon-task-definition"}
    tell(
        "ecs",
        ListDaemons={"daemonSummariesList": [daemon]},
        DescribeDaemon={
            "daemon": {
                **daemon,
                "currentRevisions": [{"arn": told}],
                "deploymentArn": "arn:daemon-deployment",
            }
        },
        DescribeDaemonDeployments={
            "daemonDeployments": [{"targetDaemonRevision": {"arn": untold}}],
        },
        DescribeDaemonRevisions={
            "daemonRevisions": [
                {**revision, "daemonRevisionArn": told, "containerImages": [{"image": image}]},
                {**revision, "daemonRevisionArn": untold},
            ]
        },
        DescribeDaemonTaskDefinition={
            "daemonTaskDefinition": {"containerDefinitions": [{"image": image}]},
        },
    )


def rule(world: World, image: str) -> None:
    events = world.client("events")
    events.put_rule(Name="nightly", ScheduleExpression="rate(1 day)")
    target = {"Id": "1", "RoleArn": ROLE, **ecs_target(world.task_definition("rule", image))}
    events.put_targets(Rule="nightly", Targets=[target])


def schedule(world: World, image: str) -> None:
    world.client("scheduler").create_schedule(
        Name="weekly",
        ScheduleExpression="rate(7 days)",
        FlexibleTimeWindow={"Mode": "OFF"},
        Target={"RoleArn": ROLE, **ecs_target(world.task_definition("schedule", image))},
    )


def pipe(world: World, image: str) -> None:
    definition = world.task_definition("pipe", image)
    world.client("pipes").create_pipe(
        Name="queue",
        RoleArn=ROLE,
        Source="arn:aws:sqs:eu-west-1:123456789012:queue",
        Target=CLUSTER_ARN,
        TargetParameters={"EcsTaskParameters": {"TaskDefinitionArn": definition}},
    )


def ecs_target(task_definition: str) -> dict[str, Any]:
    """Return what rules and schedules say about a task to run."""
    return {"Arn": CLUSTER_ARN, "EcsParameters": {"TaskDefinitionArn": task_definition}}


def cluster_of_eks(world: World, image: str) -> None:
    """Run a deployment without pods in a cluster whose API server is in this process."""
    kubernetes = api_server()
    kubernetes.objects.clear()
    kubernetes.create("deployments.apps", "web", "shop", spec={"replicas": 0, "image": image})
    network = {"subnetIds": ["subnet-1", "subnet-2"]}
    world.client("eks").create_cluster(
        name="prod", roleArn="arn:aws:iam::123456789012:role/eks", resourcesVpcConfig=network
    )
    # moto invents both.
    stored = eks_backends[world.account_id][world.region].clusters["prod"]
    stored.endpoint = kubernetes.url
    encoded = base64.b64encode(kubernetes.authority.pem.encode()).decode()
    stored.certificate_authority = {"data": encoded}


@cache
def api_server() -> FakeCluster:
    """Return the API server of the only cluster; it runs until the process ends."""
    stack = ExitStack()
    kubernetes = stack.enter_context(running())
    kubernetes.user_of = lambda token: "cleaner" if token.startswith("k8s-aws-v1.") else None
    atexit.register(stack.close)
    return kubernetes


def function(world: World, image: str) -> None:
    world.function("job", image)
    # A function that starts a task names its definition in the environment.
    definition = world.task_definition("started", image)
    world.client("lambda").update_function_configuration(
        FunctionName="job", Environment={"Variables": {"TASK_DEFINITION": definition}}
    )


def app_runner(world: World, image: str) -> None:
    world.app_runner("site", image)


def batch(_: World, image: str) -> None:
    payload = {"AlgorithmSpecification": {"TrainingImage": image}}
    job = {"jobId": "job", "jobArn": "arn:job"}
    tell(
        "batch",
        DescribeJobDefinitions={
            "jobDefinitions": [{"containerProperties": {"image": image}}],
        },
        DescribeJobQueues={
            "jobQueues": [
                {"jobQueueArn": "arn:ecs", "jobQueueType": "ECS"},
                {"jobQueueArn": "arn:sagemaker", "jobQueueType": "SAGEMAKER_TRAINING"},
            ]
        },
        ListJobs={"jobSummaryList": [{"jobId": "job"}]},
        DescribeJobs={"jobs": [{**job, "container": {"image": image}}]},
        ListServiceJobs={"jobSummaryList": [{"jobId": "job"}]},
        DescribeServiceJob={**job, "serviceRequestPayload": json.dumps(payload)},
    )


def codebuild(world: World, image: str) -> None:
    definition = {"name": "TASK", "value": world.task_definition("built", image)}
    environment = {"image": image, "environmentVariables": [definition]}
    tell(
        "codebuild",
        ListProjects={"projects": ["build"]},
        BatchGetProjects={"projects": [{"arn": "arn:build", "environment": environment}]},
    )


def pipeline(repository: str, tag: str) -> dict[str, Any]:
    """Return a pipeline that begins with an image and then deploys it."""
    kind = {"category": "Source", "owner": "AWS", "provider": "ECR", "version": "1"}
    source = {
        "name": "Image",
        "actionTypeId": kind,
        "configuration": {"RepositoryName": repository, "ImageTag": tag},
        "outputArtifacts": [{"name": "Image"}],
    }
    stages = [{"name": "Source", "actions": [source]}, {"name": "Deploy", "actions": []}]
    return {"name": "shop", "pipelineType": "V2", "stages": stages}


def codepipeline(world: World, image: str) -> None:
    """Have an execution wait with a digest, while the tag of its pipeline is another one."""
    repository, _, tag = image.removeprefix(f"{world.host}/").partition(":")
    waiting = {"pipelineExecutionId": "waiting", "status": "InProgress"}
    revision = {"name": "Image", "revisionId": world.tags(repository)[tag]}
    migration = {"MIGRATION": world.task_definition("migration", image)}
    tell(
        "codepipeline",
        ListPipelines={"pipelines": [{"name": "shop"}]},
        GetPipeline={"pipeline": pipeline(repository, "next")},
        GetPipelineState={"stageStates": [{"stageName": "Deploy", "inboundExecution": waiting}]},
        ListPipelineExecutions={"pipelineExecutionSummaries": []},
        GetPipelineExecution={"pipelineExecution": {**waiting, "artifactRevisions": [revision]}},
        ListActionExecutions={
            "actionExecutionDetails": [{"output": {"outputVariables": migration}}]
        },
    )


def step_functions(world: World, image: str) -> None:
    arn = "arn:aws:states:eu-west-1:123456789012:stateMachine:machine"
    task = {"Type": "Task", "Parameters": {"TaskDefinition": world.task_definition("state", image)}}
    tell(
        "stepfunctions",
        ListStateMachines={"stateMachines": [{"stateMachineArn": arn}]},
        ListStateMachineVersions={
            "stateMachineVersions": [{"stateMachineVersionArn": f"{arn}:1"}],
        },
        DescribeStateMachine={"definition": json.dumps({"States": {"Run": task}})},
    )


def agentcore(_: World, image: str) -> None:
    artifact = {"containerConfiguration": {"containerUri": image}}
    listed = {"agentRuntimes": [{"agentRuntimeId": "runtime-0123456789"}]}
    tell(
        "bedrock-agentcore-control",
        ListAgentRuntimes=listed,
        ListAgentRuntimeVersions=listed,
        GetAgentRuntime={"agentRuntimeArtifact": artifact},
        ListHarnesses={"harnesses": [{"harnessId": "harness-0123456789"}]},
        ListHarnessVersions={"harnessVersions": [{"harnessId": "harness-0123456789"}]},
        GetHarness={"harness": {"environmentArtifact": artifact}},
    )


def emr_serverless(_: World, image: str) -> None:
    configured = {"imageConfiguration": {"imageUri": image}}
    tell(
        "emr-serverless",
        ListApplications={"applications": [{"state": "STARTED"}]},
        GetApplication={"application": configured},
        ListJobRuns={"jobRuns": [{"state": "RUNNING"}]},
        GetJobRun={"jobRun": configured},
    )


def sagemaker(_: World, image: str) -> None:
    deployed = {"SpecifiedImage": image}
    tell(
        "sagemaker",
        ListModels={"Models": [{}]},
        DescribeModel={"PrimaryContainer": {"Image": image}},
        ListEndpoints={"Endpoints": [{}]},
        DescribeEndpoint={"ProductionVariants": [{"DeployedImages": [deployed]}]},
        ListInferenceComponents={"InferenceComponents": [{}]},
        DescribeInferenceComponent={"Specification": {"Container": {"DeployedImage": deployed}}},
    )


def sagemaker_jobs(_: World, image: str) -> None:
    algorithm = {"AlgorithmSpecification": {"TrainingImage": image}}
    tell(
        "sagemaker",
        ListTrainingJobs={"TrainingJobSummaries": [{}]},
        DescribeTrainingJob=algorithm,
        ListHyperParameterTuningJobs={"HyperParameterTuningJobSummaries": [{}]},
        DescribeHyperParameterTuningJob={"TrainingJobDefinition": algorithm},
        ListProcessingJobs={"ProcessingJobSummaries": [{}]},
        DescribeProcessingJob={"AppSpecification": {"ImageUri": image}},
        ListOptimizationJobs={"OptimizationJobSummaries": [{"OptimizationJobStatus": "STARTING"}]},
        DescribeOptimizationJob={
            "OptimizationConfigs": [{"ModelQuantizationConfig": {"Image": image}}]
        },
    )


def sagemaker_studio(_: World, image: str) -> None:
    tell(
        "sagemaker",
        ListImages={"Images": [{}]},
        ListImageVersions={"ImageVersions": [{}]},
        DescribeImageVersion={"BaseImage": image},
    )


def sagemaker_packages(_: World, image: str) -> None:
    tell(
        "sagemaker",
        ListModelPackages={"ModelPackageSummaryList": [{}]},
        DescribeModelPackage={"InferenceSpecification": {"Containers": [{"Image": image}]}},
        ListAlgorithms={"AlgorithmSummaryList": [{}]},
        DescribeAlgorithm={"TrainingSpecification": {"TrainingImage": image}},
    )


MONITORING = ("DataQuality", "ModelQuality", "ModelBias", "ModelExplainability")


def sagemaker_monitoring(_: World, image: str) -> None:
    """Start one schedule of each type; each is called by its type."""

    def schedule(request: dict[str, Any]) -> dict[str, Any]:
        kind = request["MonitoringScheduleName"]
        named = {"MonitoringJobDefinitionName": kind, "MonitoringType": kind}
        return {"MonitoringScheduleConfig": named}

    schedules = [{"MonitoringScheduleName": kind} for kind in MONITORING]
    tell(
        "sagemaker",
        ListMonitoringSchedules={"MonitoringScheduleSummaries": schedules},
        DescribeMonitoringSchedule=schedule,
    )
    for kind in MONITORING:
        answer = {f"{kind}AppSpecification": {"ImageUri": image}}
        tell("sagemaker", **{f"Describe{kind}JobDefinition": answer})


def sagemaker_pipelines(_: World, image: str) -> None:
    definition = json.dumps({"Steps": [{"Arguments": {"ImageUri": image}}]})
    named = {"PipelineName": "pipeline", "PipelineArn": "arn:pipeline"}
    tell(
        "sagemaker",
        ListPipelines={"PipelineSummaries": [named]},
        ListPipelineVersions={"PipelineVersionSummaries": [{"PipelineVersionId": 1}]},
        DescribePipeline={"PipelineDefinition": definition},
    )


def lambda_runtimes(_: World, image: str) -> None:
    tell(
        "lambda-core",
        ListRuntimes={"Items": [{"Name": "own"}]},
        ListRuntimeVersions={"Items": [{"Name": "1", "Arn": ARN}]},
        GetRuntimeVersion={"ResolvedUri": image},
    )


def user_data(image: str) -> str:
    """Return the user data of an instance that runs a container."""
    return b64encode(f"#!/bin/sh\ndocker run --detach {image}\n".encode()).decode()


def launch_template(_: World, image: str) -> None:
    version = {"LaunchTemplateId": "lt-0", "VersionNumber": 3}
    tell(
        "ec2",
        DescribeLaunchTemplates={"LaunchTemplates": [{"LaunchTemplateId": "lt-0"}]},
        DescribeLaunchTemplateVersions={
            "LaunchTemplateVersions": [
                {**version, "LaunchTemplateData": {"UserData": user_data(image)}}
            ]
        },
    )


def launch_configuration(_: World, image: str) -> None:
    configuration = {"LaunchConfigurationARN": "arn:configuration", "UserData": user_data(image)}
    tell("autoscaling", DescribeLaunchConfigurations={"LaunchConfigurations": [configuration]})


def elastic_beanstalk(_: World, image: str) -> None:
    version = {"ApplicationVersionArn": "arn:version", "ImageSource": {"Uri": image}}
    tell("elasticbeanstalk", DescribeApplicationVersions={"ApplicationVersions": [version]})


def lightsail(_: World, image: str) -> None:
    deployment = {"containers": {"web": {"image": image}}}
    tell(
        "lightsail",
        GetContainerServices={
            "containerServices": [{"arn": "arn:service", "containerServiceName": "web"}]
        },
        GetContainerServiceDeployments={"deployments": [deployment]},
    )


def emr(_: World, image: str) -> None:
    configuration = {"Properties": {"YARN_CONTAINER_RUNTIME_DOCKER_IMAGE": image}}
    tell(
        "emr",
        ListClusters={"Clusters": [{"Id": "j-1", "ClusterArn": ARN}]},
        DescribeCluster={"Cluster": {"Configurations": [configuration]}},
        ListSteps={"Steps": [{"Config": {"Args": ["spark-submit", f"--conf=image={image}"]}}]},
    )


def emr_on_eks(_: World, image: str) -> None:
    properties = {"spark.kubernetes.container.image": image}
    configuration = {"classification": "spark-defaults", "properties": properties}
    overrides = {"configurationOverrides": {"applicationConfiguration": [configuration]}}
    driver = {"sparkSubmitJobDriver": {"sparkSubmitParameters": f"--conf image={image}"}}
    template = {"executionRoleArn": ROLE, "releaseLabel": "emr-7", "jobDriver": driver}
    tell(
        "emr-containers",
        ListJobTemplates={"templates": [{"arn": ARN, "jobTemplateData": template}]},
        ListVirtualClusters={"virtualClusters": [{"id": "cluster", "state": "RUNNING"}]},
        ListJobRuns={"jobRuns": [{"arn": ARN, **overrides}]},
        ListManagedEndpoints={"endpoints": [{"arn": ARN, **overrides}]},
    )


def subscriber(world: World, image: str) -> None:
    request = json.dumps({"TaskDefinition": world.task_definition("subscriber", image)})
    tell(
        "eventbridgev2",
        ListSubscribers={"Subscribers": [{"SubscriberArn": "arn:subscriber"}]},
        DescribeSubscriber={
            "InvokeConfiguration": {"UniversalTargetParameters": {"Input": request}}
        },
    )


def gamelift(_: World, image: str) -> None:
    group = {
        "ContainerGroupDefinitionArn": "arn:group",
        "GameServerContainerDefinition": {"ImageUri": image},
    }
    tell(
        "gamelift",
        ListContainerGroupDefinitions={"ContainerGroupDefinitions": [{"Name": "game"}]},
        ListContainerGroupDefinitionVersions={"ContainerGroupDefinitions": [group]},
    )


def image_builder(_: World, image: str) -> None:
    tell(
        "imagebuilder",
        ListContainerRecipes={"containerRecipeSummaryList": [{"arn": "arn:recipe"}]},
        GetContainerRecipe={"containerRecipe": {"parentImage": image}},
    )


def healthomics(_: World, image: str) -> None:
    mapping = {"containerRegistryMap": {"imageMappings": [{"destinationImage": image}]}}
    tell(
        "omics",
        ListWorkflows={"items": [{"id": "1", "arn": "arn:workflow"}]},
        GetWorkflow=mapping,
        ListWorkflowVersions={"items": [{"versionName": "1", "arn": "arn:version"}]},
        GetWorkflowVersion=mapping,
    )


def braket(_: World, image: str) -> None:
    tell(
        "braket",
        SearchJobs={"jobs": [{"status": "QUEUED"}]},
        GetJob={"algorithmSpecification": {"containerImage": {"uri": image}}},
    )


def greengrass(_: World, image: str) -> None:
    recipe = json.dumps({"Manifests": [{"Artifacts": [{"Uri": f"docker:{image}"}]}]})
    tell(
        "greengrassv2",
        ListComponents={"components": [{"arn": "arn:component"}]},
        ListComponentVersions={"componentVersions": [{"arn": "arn:component:1"}]},
        GetComponent={"recipe": recipe.encode()},
    )


def clean_rooms_ml(_: World, image: str) -> None:
    tell(
        "cleanroomsml",
        ListConfiguredModelAlgorithms={"configuredModelAlgorithms": [{}]},
        GetConfiguredModelAlgorithm={"trainingContainerConfig": {"imageUri": image}},
    )


def iot_sitewise(_: World, image: str) -> None:
    tell(
        "iotsitewise",
        ListWorkspaces={"workspaceSummaries": [{}]},
        ListTasks={"taskSummaries": [{}]},
        DescribeTask={
            "taskConfiguration": {"containerTaskConfiguration": {"ecrUri": image}},
        },
    )


CONSUMERS: dict[str, Callable[[World, str], None]] = {
    "ecs": ecs,
    "ecs-daemons": ecs_daemons,
    "eks": cluster_of_eks,
    "eventbridge-rules": rule,
    "eventbridge-scheduler": schedule,
    "eventbridge-pipes": pipe,
    "lambda": function,
    "codepipeline": codepipeline,
    "app-runner": app_runner,
    "batch": batch,
    "codebuild": codebuild,
    "step-functions": step_functions,
    "agentcore": agentcore,
    "emr-serverless": emr_serverless,
    "sagemaker": sagemaker,
    "sagemaker-jobs": sagemaker_jobs,
    "sagemaker-studio": sagemaker_studio,
    "sagemaker-packages": sagemaker_packages,
    "sagemaker-monitoring": sagemaker_monitoring,
    "sagemaker-pipelines": sagemaker_pipelines,
    "lambda-runtimes": lambda_runtimes,
    "launch-templates": launch_template,
    "launch-configurations": launch_configuration,
    "elastic-beanstalk": elastic_beanstalk,
    "lightsail": lightsail,
    "emr": emr,
    "emr-on-eks": emr_on_eks,
    "eventbridge-subscribers": subscriber,
    "gamelift": gamelift,
    "image-builder": image_builder,
    "healthomics": healthomics,
    "braket": braket,
    "greengrass": greengrass,
    "clean-rooms-ml": clean_rooms_ml,
    "iot-sitewise": iot_sitewise,
}
