"""The usage sources that consist of rows: what to list and describe, and what names the consumer.

Every answer of a row's last step is walked whole, so no row says in which fields the images are.
A parameter ``@Member`` is a member of the item before, ``@0.Member`` of the item of the first step.
"""

from __future__ import annotations

from dataclasses import replace

from ecr_cleaner.usage.shared.reading import Rows, each, gone, many, one, row

_GONE = gone("ResourceNotFoundException")

# -- What starts ECS tasks, or runs images by its input ------------------------------------------

# Disabled rules, schedules and pipes count too: if someone enables one, it has to work.
EVENTBRIDGE_RULES = Rows(
    "eventbridge-rules",
    "events",
    "every rule, on every event bus and disabled ones too: the ECS tasks that it runs, and the "
    "input of any target",
    (
        row(
            "{1[Arn]}",
            each("ListEventBuses", "EventBuses", Limit=100),
            each("ListRules", "Rules", EventBusName="@Name", Limit=100),
            each("ListTargetsByRule", "Targets", EventBusName="@0.Name", Rule="@Name", Limit=100),
            gone=_GONE,
        ),
    ),
    starts_tasks=True,
)
EVENTBRIDGE_SCHEDULER = Rows(
    "eventbridge-scheduler",
    "scheduler",
    "every schedule: the ECS task that it runs, and the input of any target, such as a SageMaker "
    "job",
    (
        row(
            "{0[Arn]}",
            each("ListSchedules", "Schedules", MaxResults=100),
            one("GetSchedule", Name="@Name", GroupName="@GroupName"),
            gone=_GONE,
        ),
    ),
    starts_tasks=True,
)
EVENTBRIDGE_PIPES = Rows(
    "eventbridge-pipes",
    "pipes",
    "every pipe: the ECS task that it leads to, and its input template",
    (
        row(
            "{0[Arn]}",
            each("ListPipes", "Pipes", Limit=100),
            one("DescribePipe", Name="@Name"),
            gone=gone("NotFoundException"),
        ),
    ),
    starts_tasks=True,
)
EVENTBRIDGE_SUBSCRIBERS = Rows(
    "eventbridge-subscribers",
    "eventbridgev2",
    "every subscriber of the newer event buses: the request that it makes, and its transformer",
    (
        row(
            "{0[SubscriberArn]}",
            each("ListSubscribers", "Subscribers", MaxResults=100),
            one("DescribeSubscriber", SubscriberArn="@SubscriberArn"),
            gone=_GONE,
        ),
    ),
    starts_tasks=True,
)
_MACHINES = each("ListStateMachines", "stateMachines", maxResults=1000)
_NO_MACHINE = gone("StateMachineDoesNotExist")
# Each state machine and all its published versions: any of them can be started. The older
# definition that an execution under way follows is not seen.
STEP_FUNCTIONS = Rows(
    "step-functions",
    "stepfunctions",
    "references, templates of references and task definitions in every state machine and its "
    "versions",
    (
        row(
            "{0[stateMachineArn]}",
            _MACHINES,
            one("DescribeStateMachine", stateMachineArn="@stateMachineArn"),
            gone=_NO_MACHINE,
        ),
        row(
            "{1[stateMachineVersionArn]}",
            _MACHINES,
            each(
                "ListStateMachineVersions",
                "stateMachineVersions",
                stateMachineArn="@stateMachineArn",
                maxResults=1000,
            ),
            one("DescribeStateMachine", stateMachineArn="@stateMachineVersionArn"),
            gone=_NO_MACHINE,
        ),
    ),
    starts_tasks=True,
)

# -- Containers as a service ---------------------------------------------------------------------

APP_RUNNER = Rows(
    "app-runner",
    "apprunner",
    "every service built from an image",
    (
        row(
            "{0[ServiceArn]}",
            each("ListServices", "ServiceSummaryList", MaxResults=20),
            one("DescribeService", ServiceArn="@ServiceArn"),
            gone=_GONE,
        ),
    ),
)
# All versions of a customer's own runtime: functions are updated to them one after the other.
LAMBDA_RUNTIMES = Rows(
    "lambda-runtimes",
    "lambda-core",
    "every version of every customer-managed runtime",
    (
        row(
            "{1[Arn]}",
            each("ListRuntimes", "Items", MaxResults=100),
            each("ListRuntimeVersions", "Items", RuntimeName="@Name", MaxResults=100),
            one("GetRuntimeVersion", RuntimeName="@0.Name", Name="@Name"),
            gone=_GONE,
        ),
    ),
)
_CONTAINER_SERVICES = each("GetContainerServices", "containerServices")
# Deployments that may be returned to are listed as well, not only the current one.
LIGHTSAIL = Rows(
    "lightsail",
    "lightsail",
    "every container service with all its deployments",
    (
        row("{0[arn]}", _CONTAINER_SERVICES),
        row(
            "{0[arn]}",
            _CONTAINER_SERVICES,
            each(
                "GetContainerServiceDeployments", "deployments", serviceName="@containerServiceName"
            ),
            gone=gone("NotFoundException"),
        ),
    ),
)
ELASTIC_BEANSTALK = Rows(
    "elastic-beanstalk",
    "elasticbeanstalk",
    "every application version that was built as an image",
    (
        row(
            "{0[ApplicationVersionArn]}",
            each("DescribeApplicationVersions", "ApplicationVersions", MaxRecords=1000),
        ),
    ),
)
GAMELIFT = Rows(
    "gamelift",
    "gamelift",
    "every version of every container group definition, by digest too",
    (
        row(
            "{1[ContainerGroupDefinitionArn]}",
            each("ListContainerGroupDefinitions", "ContainerGroupDefinitions", Limit=100),
            each(
                "ListContainerGroupDefinitionVersions",
                "ContainerGroupDefinitions",
                Name="@Name",
                Limit=100,
            ),
            gone=gone("NotFoundException"),
        ),
    ),
)
# All versions: an endpoint may point at any of them.
AGENTCORE = Rows(
    "agentcore",
    "bedrock-agentcore-control",
    "every version of every Bedrock AgentCore runtime and harness",
    (
        row(
            "{2[agentRuntimeArn]}:{2[agentRuntimeVersion]}",
            each("ListAgentRuntimes", "agentRuntimes", maxResults=100),
            each(
                "ListAgentRuntimeVersions",
                "agentRuntimes",
                agentRuntimeId="@agentRuntimeId",
                maxResults=100,
            ),
            one(
                "GetAgentRuntime",
                agentRuntimeId="@agentRuntimeId",
                agentRuntimeVersion="@agentRuntimeVersion",
            ),
            gone=_GONE,
        ),
        row(
            "{1[arn]}:{1[harnessVersion]}",
            each("ListHarnesses", "harnesses", maxResults=100),
            each("ListHarnessVersions", "harnessVersions", harnessId="@harnessId", maxResults=100),
            one("GetHarness", harnessId="@harnessId", harnessVersion="@harnessVersion"),
            gone=_GONE,
        ),
    ),
)

# -- Instances that run containers by their user data --------------------------------------------

# Every version: a group of instances may be pinned to any of them.
LAUNCH_TEMPLATES = Rows(
    "launch-templates",
    "ec2",
    "the user data of every version of every EC2 launch template",
    (
        row(
            "{1[LaunchTemplateId]}:{1[VersionNumber]}",
            each("DescribeLaunchTemplates", "LaunchTemplates", MaxResults=200),
            each(
                "DescribeLaunchTemplateVersions",
                "LaunchTemplateVersions",
                LaunchTemplateId="@LaunchTemplateId",
                MaxResults=200,
            ),
            gone=gone("InvalidLaunchTemplateId.NotFound"),
        ),
    ),
)
LAUNCH_CONFIGURATIONS = Rows(
    "launch-configurations",
    "autoscaling",
    "the user data of every launch configuration",
    (
        row(
            "{0[LaunchConfigurationARN]}",
            each("DescribeLaunchConfigurations", "LaunchConfigurations", MaxRecords=100),
        ),
    ),
)
GREENGRASS = Rows(
    "greengrass",
    "greengrassv2",
    "every version of every component of your own",
    (
        row(
            "{1[arn]}",
            each("ListComponents", "components", scope="PRIVATE", maxResults=100),
            each("ListComponentVersions", "componentVersions", arn="@arn", maxResults=100),
            one("GetComponent", arn="@arn", recipeOutputFormat="JSON"),
            gone=_GONE,
        ),
    ),
)
IOT_SITEWISE = Rows(
    "iot-sitewise",
    "iotsitewise",
    "the container of every task of every workspace",
    (
        row(
            "{1[taskArn]}",
            each("ListWorkspaces", "workspaceSummaries", maxResults=250),
            each("ListTasks", "taskSummaries", workspaceName="@name", maxResults=250),
            one("DescribeTask", workspaceName="@0.name", taskName="@taskName"),
            gone=_GONE,
        ),
    ),
)

# -- Builds --------------------------------------------------------------------------------------

CODEBUILD = Rows(
    "codebuild",
    "codebuild",
    "the build environment of every project, its variables and its inline buildspec",
    (
        row(
            "{0[arn]}",
            # A page of ListProjects has 100 names; it takes no size.
            each("ListProjects", "projects"),
            many("BatchGetProjects", "projects", 100, missing="projectsNotFound", names="@"),
        ),
    ),
    starts_tasks=True,
)
IMAGE_BUILDER = Rows(
    "image-builder",
    "imagebuilder",
    "the parent image and the Dockerfile of every container recipe",
    (
        row(
            "{0[arn]}",
            each(
                "ListContainerRecipes", "containerRecipeSummaryList", owner="Self", maxResults=100
            ),
            one("GetContainerRecipe", containerRecipeArn="@arn"),
            gone=_GONE,
        ),
    ),
)

# -- Data and jobs -------------------------------------------------------------------------------

_ALIVE = ["CREATING", "CREATED", "STARTING", "STARTED", "STOPPING", "STOPPED"]
_AT_WORK = frozenset({"STARTING", "STARTED", "STOPPING"})
_APPLICATIONS = each("ListApplications", "applications", states=_ALIVE, maxResults=50)
_UNFINISHED = ["SUBMITTED", "PENDING", "SCHEDULED", "RUNNING", "CANCELLING", "QUEUED"]
# What an application runs next, and what each unfinished job run in it runs: it keeps the image
# that it began with while the application gets another one.
EMR_SERVERLESS = Rows(
    "emr-serverless",
    "emr-serverless",
    "every application with an image of its own, by digest where one is resolved; job runs under "
    "way",
    (
        row(
            "{1[application][arn]}",
            _APPLICATIONS,
            one("GetApplication", applicationId="@id"),
            gone=_GONE,
        ),
        row(
            "{2[jobRun][arn]}",
            replace(_APPLICATIONS, keep=lambda application: application["state"] in _AT_WORK),
            each("ListJobRuns", "jobRuns", applicationId="@id", states=_UNFINISHED, maxResults=50),
            one("GetJobRun", applicationId="@applicationId", jobRunId="@id"),
            gone=_GONE,
        ),
    ),
)
_ACTIVE_CLUSTERS = each(
    "ListClusters", "Clusters", ClusterStates=["STARTING", "BOOTSTRAPPING", "RUNNING", "WAITING"]
)
# EMR describes terminated clusters for two months, so a missing one is an error. Its only code for
# that, InvalidRequestException, is the one for any bad request.
# Source: https://docs.aws.amazon.com/emr/latest/ManagementGuide/emr-gs.html
EMR = Rows(
    "emr",
    "emr",
    "the configurations and the waiting steps of every active cluster",
    (
        row("{0[ClusterArn]}", _ACTIVE_CLUSTERS, one("DescribeCluster", ClusterId="@Id")),
        row(
            "{0[ClusterArn]}",
            _ACTIVE_CLUSTERS,
            each("ListSteps", "Steps", ClusterId="@Id", StepStates=["PENDING", "RUNNING"]),
        ),
    ),
)
_VIRTUAL_CLUSTERS = each(
    "ListVirtualClusters",
    "virtualClusters",
    lambda cluster: cluster["state"] != "TERMINATED",
    maxResults=100,
)
EMR_ON_EKS = Rows(
    "emr-on-eks",
    "emr-containers",
    "every job template; job runs under way and managed endpoints of every virtual cluster",
    (
        row("{0[arn]}", each("ListJobTemplates", "templates", maxResults=100)),
        row(
            "{1[arn]}",
            _VIRTUAL_CLUSTERS,
            each(
                "ListJobRuns",
                "jobRuns",
                virtualClusterId="@id",
                states=["PENDING", "SUBMITTED", "RUNNING"],
                maxResults=100,
            ),
            gone=_GONE,
        ),
        row(
            "{1[arn]}",
            _VIRTUAL_CLUSTERS,
            each(
                "ListManagedEndpoints",
                "endpoints",
                virtualClusterId="@id",
                states=["CREATING", "ACTIVE"],
                maxResults=100,
            ),
            gone=_GONE,
        ),
    ),
)
_WAITING = ("SUBMITTED", "PENDING", "RUNNABLE")
_STARTED = ("STARTING", "RUNNING")
_QUEUES = each("DescribeJobQueues", "jobQueues", maxResults=100)
# Only one status can be asked for at a time, in the order of a job's life: what moves on meanwhile
# is met again further down. An array or multi-node job has the images of its children, so these
# are not listed. A training job that waits in a queue is not known to SageMaker yet.
BATCH = Rows(
    "batch",
    "batch",
    "every job definition that can be submitted and every job that is not finished, with commands "
    "and environments",
    (
        row(
            "{0[jobDefinitionArn]}",
            each("DescribeJobDefinitions", "jobDefinitions", status="ACTIVE", maxResults=100),
        ),
        row(
            "{0[jobArn]}",
            replace(
                _QUEUES, keep=lambda queue: _takes_jobs(queue) and not _is_for_sagemaker(queue)
            ),
            each(
                "ListJobs",
                "jobSummaryList",
                jobQueue="@jobQueueArn",
                jobStatus=(*_WAITING, *_STARTED),
                maxResults=1000,
            ),
            # Finished jobs can be described for days, so one that is missing is an error.
            many("DescribeJobs", "jobs", 100, jobs="@jobId"),
        ),
        row(
            "{2[jobArn]}",
            replace(_QUEUES, keep=lambda queue: _takes_jobs(queue) and _is_for_sagemaker(queue)),
            each(
                "ListServiceJobs",
                "jobSummaryList",
                jobQueue="@jobQueueArn",
                jobStatus=(*_WAITING, "SCHEDULED", *_STARTED),
                maxResults=100,
            ),
            one("DescribeServiceJob", jobId="@jobId"),
        ),
    ),
)


def _takes_jobs(queue: dict[str, str]) -> bool:
    return queue.get("status") != "DELETED"


def _is_for_sagemaker(queue: dict[str, str]) -> bool:
    return queue.get("jobQueueType") == "SAGEMAKER_TRAINING"


_WORKFLOWS = each("ListWorkflows", "items", type="PRIVATE", maxResults=100)
HEALTHOMICS = Rows(
    "healthomics",
    "omics",
    "the container registry map of every private workflow and its versions",
    (
        row("{0[arn]}", _WORKFLOWS, one("GetWorkflow", id="@id"), gone=_GONE),
        row(
            "{1[arn]}",
            _WORKFLOWS,
            each("ListWorkflowVersions", "items", workflowId="@id", maxResults=100),
            one("GetWorkflowVersion", workflowId="@0.id", versionName="@versionName"),
            gone=_GONE,
        ),
    ),
)
BRAKET = Rows(
    "braket",
    "braket",
    "hybrid jobs that wait or run",
    (
        row(
            "{0[jobArn]}",
            each(
                "SearchJobs",
                "jobs",
                lambda job: job["status"] in {"QUEUED", "RUNNING"},
                filters=[],
                maxResults=100,
            ),
            one("GetJob", jobArn="@jobArn"),
            gone=_GONE,
        ),
    ),
)
CLEAN_ROOMS_ML = Rows(
    "clean-rooms-ml",
    "cleanroomsml",
    "every configured model algorithm",
    (
        row(
            "{0[configuredModelAlgorithmArn]}",
            each("ListConfiguredModelAlgorithms", "configuredModelAlgorithms", maxResults=100),
            one(
                "GetConfiguredModelAlgorithm",
                configuredModelAlgorithmArn="@configuredModelAlgorithmArn",
            ),
            gone=_GONE,
        ),
    ),
)
