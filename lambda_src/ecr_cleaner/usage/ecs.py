"""ECS: services with all their deployments, revisions and task sets, and tasks.

Source: https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_Service.html
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from itertools import chain
from typing import TypeVar

from ecr_cleaner.aws.api import Answer, Api
from ecr_cleaner.core.model import Usage
from ecr_cleaner.usage.shared.ecs_answers import described, images_of, names_every_image
from ecr_cleaner.usage.shared.ecs_families import newest_revisions
from ecr_cleaner.usage.shared.ecs_service_revisions import described_revisions, revisions_of
from ecr_cleaner.usage.shared.references import usages_of
from ecr_cleaner.usage.shared.target import Target
from ecr_cleaner.workers import batches

Read = TypeVar("Read")


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
class Service:
    """A service, and the ARNs of the service revisions that it runs or would go back to."""

    answer: Answer
    revisions: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Runner:
    """A service or a task: the images known of it, and the task definitions that tell the rest."""

    arn: str
    images: tuple[str | None, ...]
    task_definitions: tuple[str, ...]


class Ecs:
    """What services, deployments and tasks run, or would run to scale out, go back or start."""

    name = "ecs"
    service = "ecs"

    def usages(self, target: Target) -> Iterable[Usage]:
        """Yield what each service and each task runs, and the newest revision of each family."""
        (services, tasks), newest = target.workers.both(
            lambda: _running(target), lambda: newest_revisions(target)
        )
        arns = chain.from_iterable(service.revisions for service in services)
        revisions = described_revisions(target, arns)
        runners = [*(_service(one, revisions) for one in services), *map(_task, tasks)]
        # What a revision tells in full needs no call of its own.
        told = {one["taskDefinition"] for one in revisions.values() if names_every_image(one)}
        definitions = target.task_definitions.images(
            arn for runner in runners for arn in runner.task_definitions if arn not in told
        )
        for runner in runners:
            behind = (definitions.get(arn, ()) for arn in runner.task_definitions)
            yield from usages_of(self.name, runner.arn, [*runner.images, *chain(*behind)])
        untold = (arn for arn in newest if arn not in told)
        for arn, images in target.task_definitions.images_if_any(untold).items():
            yield from usages_of(self.name, arn, images)


def _running(target: Target) -> tuple[list[Service], list[Answer]]:
    """Return all services and tasks; the deployments of a service are asked for at once."""
    workers, clusters = target.workers, target.ecs_clusters()

    def services(answers: list[Answer]) -> list[Service]:
        return workers.map(lambda one: Service(one, revisions_of(target, one)), answers)

    return workers.both(
        lambda: _described(target, clusters, SERVICES, services),
        lambda: _described(target, clusters, TASKS, lambda answers: answers),
    )


def _service(service: Service, known: Mapping[str, Answer]) -> Runner:
    """Not only the primary deployment counts: the others still run, or a rollback goes there."""
    revisions = [known[arn] for arn in service.revisions if arn in known]
    answer = service.answer
    parts = [answer, *revisions, *answer.get("deployments", ()), *answer.get("taskSets", ())]
    named = dict.fromkeys(part.get("taskDefinition") for part in parts)
    images = chain.from_iterable(images_of(one.get("containerImages", ())) for one in revisions)
    return Runner(answer["serviceArn"], tuple(images), tuple(arn for arn in named if arn))


def _task(task: Answer) -> Runner:
    """What ECS says that it runs, by digest, and the definition that it was started from."""
    images = images_of(task.get("containers", ()))
    definition = task["taskDefinitionArn"]
    # DescribeTaskDefinition does not know those of daemons, which are a usage source of their own.
    definitions = () if ":daemon-task-definition/" in definition else (definition,)
    return Runner(task["taskArn"], tuple(images), definitions)


def _described(
    target: Target, clusters: list[str], kind: Kind, read: Callable[[list[Answer]], list[Read]]
) -> list[Read]:
    """Return what ``read`` makes of each batch of descriptions."""
    ecs, workers = target.api("ecs"), target.workers
    listed = workers.map(lambda cluster: _list(ecs, cluster, kind), clusters)
    asked = [
        (cluster, batch)
        for cluster, arns in zip(clusters, listed, strict=True)
        for batch in batches(arns, kind.batch)
    ]
    answers = workers.map(lambda one: read(_describe(ecs, *one, kind)), asked)
    return list(chain.from_iterable(answers))


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
    answer = ecs.find(
        kind.describe_operation,
        "ClusterNotFoundException",
        cluster=cluster,
        **{kind.describe_key: arns},
    )
    if answer is None:
        return []
    return described(kind.describe_operation, answer, kind.describe_key, len(arns))
