"""ECS: services with all their deployments, revisions and task sets, and tasks.

Source: https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_Service.html
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import chain
from typing import TypeVar

from ecr_cleaner.aws.api import Answer, Api
from ecr_cleaner.core.model import Usage
from ecr_cleaner.core.walk import Found, find
from ecr_cleaner.usage.shared.ecs_answers import described, names_every_image
from ecr_cleaner.usage.shared.ecs_families import newest_revisions, previous_revision
from ecr_cleaner.usage.shared.ecs_service_revisions import (
    described_revisions,
    is_deployed_by_ecs,
    revisions_of,
)
from ecr_cleaner.usage.shared.target import Target
from ecr_cleaner.usage.shared.uses import usages_of
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
# What happened, in words, a hundred times a service.
EVENTS = "events"
NOTHING = Found()


@dataclass(frozen=True, slots=True)
class Service:
    """A service, and the ARNs of the service revisions that it runs or would go back to.

    ``previous`` are the task definitions before its own, if something else than ECS deploys it:
    that would go back to them.
    """

    answer: Answer
    revisions: tuple[str, ...]
    previous: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Runner:
    """A service or a task: what its answers refer to, and the task definitions for the rest.

    ``certain`` are task definitions that it runs, so they can be described. Those in ``possible``
    may be gone.
    """

    arn: str
    found: Found
    certain: tuple[str, ...]
    possible: tuple[str, ...] = ()


class Ecs:
    """What services, deployments and tasks run, or would run to scale out, go back or start."""

    name = "ecs"
    service = "ecs"
    everywhere = True
    what = (
        "every service with all its deployments, task sets and service revisions, the one to roll "
        "back to included; every running and pending task, by the digest that it runs and by the "
        "reference that it was started with; the commands and environments of their task "
        "definitions; the newest revisions of each task-definition family, as many as "
        "`TASK_DEFINITION_REVISIONS` says"
    )

    def usages(self, target: Target) -> Iterable[Usage]:
        """Yield what each service and each task runs, and the newest revision of each family."""
        (services, tasks), newest = target.workers.both(
            lambda: _running(target), lambda: newest_revisions(target)
        )
        arns = chain.from_iterable(service.revisions for service in services)
        revisions = described_revisions(target, arns)
        runners = [*(_service(one, revisions) for one in services), *map(_task, tasks)]
        definitions, told = target.task_definitions, _told(services, revisions)
        certain = (name for one in runners for name in one.certain)
        behind = definitions.found(name for name in certain if name not in told)
        behind |= definitions.found_if_any(name for one in runners for name in one.possible)
        named = chain.from_iterable(_parts(runner, behind) for runner in runners)
        yield from usages_of(target, self.name, named, starts_tasks=True)
        families = definitions.found_if_any(name for name in newest if name not in told)
        yield from usages_of(target, self.name, families.items(), starts_tasks=True)


def _told(services: Iterable[Service], revisions: Mapping[str, Answer]) -> set[str]:
    """Return the task definitions that need not be described: a revision names their images.

    The current one of a service is described: its commands and environment may name images too.
    """
    told = {one.get("taskDefinition", "") for one in revisions.values() if names_every_image(one)}
    return told - {service.answer.get("taskDefinition", "") for service in services}


def _parts(runner: Runner, behind: Mapping[str, Found]) -> Iterator[tuple[str, Found]]:
    """Yield what a runner refers to: by itself, and through its task definitions.

    Its own answers name only task definitions that are described here.
    """
    yield runner.arn, Found(runner.found.references)
    for name in (*runner.certain, *runner.possible):
        yield runner.arn, behind.get(name, NOTHING)


def _running(target: Target) -> tuple[list[Service], list[Answer]]:
    """Return all services and tasks; the deployments of a service are asked for at once."""
    workers, clusters = target.workers, target.ecs_clusters()

    def services(answers: list[Answer]) -> list[Service]:
        return workers.map(lambda one: _with_revisions(target, one), answers)

    return workers.both(
        lambda: _described(target, clusters, SERVICES, services),
        lambda: _described(target, clusters, TASKS, lambda answers: answers),
    )


def _with_revisions(target: Target, service: Answer) -> Service:
    answer = {name: service[name] for name in service if name != EVENTS}
    if is_deployed_by_ecs(service):
        return Service(answer, revisions_of(target, service), ())
    previous = (previous_revision(target, name) for name in _definitions(answer))
    return Service(answer, revisions_of(target, service), tuple(one for one in previous if one))


def _definitions(service: Answer) -> list[str]:
    """Return every task definition that a service names.

    All deployments count, not only the primary one: the others still run, or a rollback uses them.
    """
    parts = [service, *service.get("deployments", ()), *service.get("taskSets", ())]
    return [name for name in dict.fromkeys(part.get("taskDefinition") for part in parts) if name]


def _service(service: Service, known: Mapping[str, Answer]) -> Runner:
    answer = service.answer
    revisions = [known[arn] for arn in service.revisions if arn in known]
    of_revisions = [one["taskDefinition"] for one in revisions if one.get("taskDefinition")]
    named = dict.fromkeys([*_definitions(answer), *of_revisions])
    found = find([answer, revisions])
    return Runner(answer["serviceArn"], found, tuple(named), service.previous)


def _task(task: Answer) -> Runner:
    """What ECS says that it runs, by digest, and the definition that it was started from."""
    definition = task["taskDefinitionArn"]
    # DescribeTaskDefinition does not know those of daemons, which are a usage source of their own.
    definitions = () if ":daemon-task-definition/" in definition else (definition,)
    return Runner(task["taskArn"], find(task), definitions)


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
