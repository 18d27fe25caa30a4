"""ECS: services with all their deployments and task sets, tasks, and the task definitions behind.

Source: https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_Service.html
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import chain
from typing import Any

from ecr_cleaner.aws import Api
from ecr_cleaner.errors import IncompleteAnswerError
from ecr_cleaner.model import Usage
from ecr_cleaner.usage._references import usages_of, with_digest
from ecr_cleaner.usage.account import Account
from ecr_cleaner.workers import batches

Answer = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of thing in a cluster: how it is listed, and described in batches."""

    list_operation: str
    list_key: str
    describe_operation: str
    describe_key: str
    batch: int


SERVICES = Kind("ListServices", "serviceArns", "DescribeServices", "services", 10)
# ListTasks lists, by default, what should be running: tasks still pending are among them.
TASKS = Kind("ListTasks", "taskArns", "DescribeTasks", "tasks", 100)


@dataclass(frozen=True, slots=True)
class Runner:
    """A service or a task: the images it names itself, and the task definitions behind it."""

    arn: str
    images: tuple[str | None, ...]
    task_definitions: tuple[str, ...]


class Ecs:
    """What services, deployments under way and tasks run, or would run to scale out."""

    name = "ecs"
    service = "ecs"

    def usages(self, account: Account) -> Iterable[Usage]:
        """Yield what each service and each task runs."""
        ecs = account.aws.api("ecs")
        clusters = list(ecs.each("ListClusters", "clusterArns", maxResults=100))
        runners = [
            *map(_service, _described(account, clusters, SERVICES)),
            *map(_task, _described(account, clusters, TASKS)),
        ]
        definitions = account.task_definitions.images(
            arn for runner in runners for arn in runner.task_definitions
        )
        for runner in runners:
            behind = chain.from_iterable(definitions[arn] for arn in runner.task_definitions)
            yield from usages_of(self.name, runner.arn, [*runner.images, *behind])


def _service(answer: Answer) -> Runner:
    """Not only the primary deployment counts: the others still run, or a rollback goes there."""
    parts = [answer, *answer.get("deployments", ()), *answer.get("taskSets", ())]
    named = (part.get("taskDefinition") for part in parts)
    return Runner(answer["serviceArn"], (), tuple(dict.fromkeys(arn for arn in named if arn)))


def _task(answer: Answer) -> Runner:
    """What ECS says that it runs, by digest, and the reference that a restart would resolve."""
    containers = answer.get("containers", ())
    images = [container.get("image") for container in containers]
    digests = [with_digest(one.get("image"), one.get("imageDigest")) for one in containers]
    return Runner(answer["taskArn"], (*images, *digests), (answer["taskDefinitionArn"],))


def _described(account: Account, clusters: list[str], kind: Kind) -> Iterator[Answer]:
    ecs, workers = account.aws.api("ecs"), account.aws.workers
    listed = workers.map(lambda cluster: _list(ecs, cluster, kind), clusters)
    asked = [
        (cluster, batch)
        for cluster, arns in zip(clusters, listed, strict=True)
        for batch in batches(arns, kind.batch)
    ]
    return chain.from_iterable(workers.map(lambda one: _describe(ecs, *one, kind), asked))


def _list(ecs: Api, cluster: str, kind: Kind) -> list[str]:
    listing = ecs.each_found(
        kind.list_operation,
        kind.list_key,
        "ClusterNotFoundException",
        cluster=cluster,
        maxResults=100,
    )
    return list(listing)


def _describe(ecs: Api, cluster: str, arns: list[str], kind: Kind) -> list[Answer]:
    """Describe one batch; what vanished since it was listed is MISSING, and that only is fine."""
    answer = ecs.find(
        kind.describe_operation,
        "ClusterNotFoundException",
        cluster=cluster,
        **{kind.describe_key: arns},
    )
    if answer is None:
        return []
    found: list[Answer] = answer.get(kind.describe_key, [])
    failures = answer.get("failures", [])
    for failure in failures:
        if failure.get("reason") != "MISSING":
            problem = f"{failure.get('arn')}: {failure.get('reason')}"
            raise IncompleteAnswerError(f"{kind.describe_operation} could not describe {problem}")
    if len(found) + len(failures) < len(arns):
        problem = f"{len(found)} of {len(arns)} in {cluster}"
        raise IncompleteAnswerError(f"{kind.describe_operation} described only {problem}")
    return found
