"""For each source that is more than rows: a service in which it makes each of its calls."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ecr_cleaner.core.settings import Settings
from fakes.aws_api import Parameters
from fakes.scripted import HOST, Scripted

PREFIX = "arn:aws:ecs:eu-west-1:123456789012"
CLUSTER = f"{PREFIX}:cluster/main"
DEFINITION = f"{PREFIX}:task-definition/web:3"
REVISION = f"{PREFIX}:service-revision/main/web/1"
KINDS = ("DataQuality", "ModelQuality", "ModelBias", "ModelExplainability")

World = Callable[[], tuple[Scripted, Settings]]


def ecs() -> tuple[Scripted, Settings]:
    service = {
        "serviceArn": f"{PREFIX}:service/main/web",
        "clusterArn": CLUSTER,
        "taskDefinition": DEFINITION,
        "currentServiceRevisions": [{"arn": REVISION}],
    }
    task = {"taskArn": f"{PREFIX}:task/main/one", "taskDefinitionArn": DEFINITION}
    # So many that the families are listed as well.
    revisions = [f"{PREFIX}:task-definition/job:{number}" for number in range(1, 5_002)]

    def definitions(asked: Parameters) -> Any:
        return {"taskDefinitionArns": revisions if "familyPrefix" not in asked else [DEFINITION]}

    return Scripted(
        "ecs",
        ListClusters={"clusterArns": [CLUSTER]},
        ListServices={"serviceArns": [service["serviceArn"]]},
        ListTasks={"taskArns": [task["taskArn"]]},
        DescribeServices={"services": [service]},
        DescribeTasks={"tasks": [task]},
        ListServiceDeployments={},
        DescribeServiceRevisions={"serviceRevisions": [{"serviceRevisionArn": REVISION}]},
        ListTaskDefinitions=definitions,
        ListTaskDefinitionFamilies={"families": ["web"]},
        DescribeTaskDefinition={
            "taskDefinition": {"containerDefinitions": [{"image": f"{HOST}/app:1"}]}
        },
    ), Settings()


def ecs_daemons() -> tuple[Scripted, Settings]:
    daemon = {"daemonArn": "arn:daemon", "status": "ACTIVE"}
    running = {"currentRevisions": [{"arn": "arn:revision"}], "deploymentArn": "arn:deployment"}
    revision = {
        "daemonRevisionArn": "arn:revision",
        "daemonArn": "arn:daemon",
        "daemonTaskDefinitionArn": "arn:daemon-task-definition",
    }
    return Scripted(
        "ecs",
        ListClusters={"clusterArns": [CLUSTER]},
        ListDaemons={"daemonSummariesList": [daemon]},
        DescribeDaemon={"daemon": {**daemon, **running}},
        DescribeDaemonDeployments={
            "daemonDeployments": [{"targetDaemonRevision": {"arn": "arn:revision"}}]
        },
        DescribeDaemonRevisions={"daemonRevisions": [revision]},
        DescribeDaemonTaskDefinition={
            "daemonTaskDefinition": {"containerDefinitions": [{"image": f"{HOST}/app:1"}]}
        },
    ), Settings()


def functions() -> tuple[Scripted, Settings]:
    version = {
        "FunctionName": "job",
        "FunctionArn": "arn:aws:lambda:eu-west-1:123456789012:function:job",
        "Version": "$LATEST",
        "PackageType": "Image",
    }
    return Scripted(
        "lambda",
        ListFunctions={"Functions": [version]},
        GetFunction={"Code": {"ImageUri": f"{HOST}/app:1"}},
    ), Settings()


def codepipeline() -> tuple[Scripted, Settings]:
    """A pipeline with one execution, which has not ended."""
    source = {
        "name": "Image",
        "actionTypeId": {"category": "Source", "owner": "AWS", "provider": "ECR", "version": "1"},
        "configuration": {"RepositoryName": "app"},
    }
    stages = [{"name": "Source", "actions": [source]}, {"name": "Deploy", "actions": []}]
    pipeline = {"name": "shop", "roleArn": "arn:role", "pipelineType": "V2", "stages": stages}
    execution = {"pipelineExecutionId": "one", "status": "InProgress"}
    return Scripted(
        "codepipeline",
        ListPipelines={"pipelines": [{"name": "shop"}]},
        GetPipeline={"pipeline": pipeline},
        GetPipelineState={"stageStates": []},
        ListPipelineExecutions={"pipelineExecutionSummaries": [execution]},
        GetPipelineExecution={"pipelineExecution": execution},
        ListActionExecutions={"actionExecutionDetails": []},
    ), Settings()


def monitoring() -> tuple[Scripted, Settings]:
    schedules = [
        {"MonitoringScheduleName": kind, "MonitoringScheduleArn": f"arn:{kind}"} for kind in KINDS
    ]

    def described(asked: Parameters) -> Any:
        kind = asked["MonitoringScheduleName"]
        config = {"MonitoringJobDefinitionName": kind, "MonitoringType": kind}
        return {"MonitoringScheduleConfig": config}

    api = Scripted(
        "sagemaker",
        ListMonitoringSchedules={"MonitoringScheduleSummaries": schedules},
        DescribeMonitoringSchedule=described,
    )
    for kind in KINDS:
        image = {"ImageUri": f"{HOST}/app:{kind}"}
        api.line(f"Describe{kind}JobDefinition", {f"{kind}AppSpecification": image})
    return api, Settings()


def inspector() -> tuple[Scripted, Settings]:
    return Scripted("inspector2", ListCoverage={}), Settings(inspector_coverage=True)


def eks() -> tuple[Scripted, Settings]:
    """A cluster that is being created: its API server cannot be called yet."""
    cluster = {"cluster": {"name": "prod", "status": "CREATING"}}
    return Scripted("eks", ListClusters={"clusters": ["prod"]}, DescribeCluster=cluster), Settings()


WORLDS: dict[str, World] = {
    "eks": eks,
    "ecs": ecs,
    "ecs-daemons": ecs_daemons,
    "lambda": functions,
    "codepipeline": codepipeline,
    "sagemaker-monitoring": monitoring,
    "inspector": inspector,
}
