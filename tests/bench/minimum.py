"""Numbers of calls for an account: the fewest that the APIs allow, and those of the original."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from bench.services import EMPTY
from bench.world import INDEX, Consumers, World

# Operations that need one call per run, besides those of scans.
_ONCE = (
    "ecr:GetRegistryPolicy",
    "ecr:ListPullTimeUpdateExclusions",
    "sts:GetCallerIdentity",
)


def calls_for(items: int, batch: int) -> int:
    """Return the calls for this many items in full batches; an empty listing takes one call."""
    return max(1, -(-items // batch))


def least_calls(world: World, *, deleting: bool) -> Counter[str]:
    """Return the fewest calls, by operation, that return everything that the program needs."""
    # Before anything is removed, a second scan confirms the first.
    scans = 2 if deleting and any(world.removable.values()) else 1
    calls = Counter({name: scans * number for name, number in _least_scan(world.home).items()})
    calls.update(dict.fromkeys(_ONCE, 1))
    calls["ecr:DescribeRegistry"] = scans
    calls["ecr:DescribeRepositories"] = calls_for(len(world.repositories), 1000)
    calls["ecr:ListTagsForResource"] = len(world.repositories)
    for name, repository in world.repositories.items():
        if not repository.opted_in:
            continue
        calls["ecr:DescribeImages"] += calls_for(len(repository.images), 1000)
        indexes = sum(image.media_type == INDEX for image in repository.images.values())
        steps = world.removable.get(name, [])
        calls["ecr:GetRepositoryPolicy"] += bool(steps)
        if steps and indexes:
            calls["ecr:BatchGetImage"] += calls_for(indexes, 100)
        if steps and deleting:
            # One call per step at least; a call may contain images of several families.
            count = sum(map(len, steps))
            calls["ecr:BatchDeleteImage"] += max(len(steps), calls_for(count, 100))
    return calls


def _least_scan(consumers: Consumers) -> Counter[str]:
    calls = Counter(dict.fromkeys(EMPTY, 1))
    calls["ecs:ListClusters"] = calls_for(len(consumers.clusters), 100)
    for services in _by_cluster(consumers, (one.cluster for one in consumers.services)):
        calls["ecs:ListServices"] += calls_for(services, 100)
        calls["ecs:DescribeServices"] += calls_for(services, 10) if services else 0
    for tasks in _by_cluster(consumers, (one.cluster for one in consumers.tasks)):
        calls["ecs:ListTasks"] += calls_for(tasks, 100)
        calls["ecs:DescribeTasks"] += calls_for(tasks, 100) if tasks else 0
    calls["ecs:ListDaemons"] = len(consumers.clusters)
    revisions = sum(len(one.definitions) for one in consumers.services)
    calls["ecs:DescribeServiceRevisions"] = calls_for(revisions, 20) if revisions else 0
    calls["ecs:ListServiceDeployments"] = len(consumers.services)
    # A service revision contains the images of its task definition, so only current ones need to be
    # described: their commands may name images. The newest revision of each family is found by
    # listing all revisions, or by listing each family.
    known = {arn for one in consumers.services for arn in one.definitions}
    known -= {one.definitions[0] for one in consumers.services}
    calls["ecs:DescribeTaskDefinition"] = len(consumers.definitions.keys() - known)
    listing = calls_for(sum(map(len, consumers.families.values())), 100)
    by_family = calls_for(len(consumers.families), 100) + len(consumers.families)
    calls["ecs:ListTaskDefinitions"] = min(listing, by_family)
    calls["lambda:ListFunctions"] = calls_for(len(consumers.functions), 50)
    calls["lambda:GetFunction"] = sum(1 for one in consumers.functions if one.container)
    calls["apprunner:ListServices"] = calls_for(len(consumers.app_runner), 20)
    calls["apprunner:DescribeService"] = len(consumers.app_runner)
    calls["scheduler:ListSchedules"] = calls_for(len(consumers.schedules), 100)
    calls["scheduler:GetSchedule"] = len(consumers.schedules)
    return calls


def _by_cluster(consumers: Consumers, clusters: Iterable[str]) -> list[int]:
    counted = Counter(clusters)
    return [counted[cluster] for cluster in consumers.clusters]


def sequential_calls(world: World, *, deleting: bool) -> Counter[str]:
    """Return the calls of the original, by operation: default pages, one deletion per tag."""
    consumers = world.home
    calls: Counter[str] = Counter()
    calls["ecs:ListClusters"] = calls_for(len(consumers.clusters), 100)
    for services in _by_cluster(consumers, (one.cluster for one in consumers.services)):
        calls["ecs:ListServices"] += calls_for(services, 10)
        calls["ecs:DescribeServices"] += calls_for(services, 10) if services else 0
    calls["ecs:DescribeTaskDefinition"] = len(consumers.services)
    latest = [one for one in consumers.functions if one.version == "$LATEST"]
    calls["lambda:ListFunctions"] = calls_for(len(latest), 50)
    calls["lambda:GetFunction"] = sum(1 for one in latest if one.container)
    calls["apprunner:ListServices"] = calls_for(len(consumers.app_runner), 20)
    calls["apprunner:DescribeService"] = len(consumers.app_runner)
    calls["ecr:DescribeRepositories"] = calls_for(len(world.repositories), 100)
    calls["ecr:ListTagsForResource"] = len(world.repositories)
    for name, repository in world.repositories.items():
        if repository.opted_in:
            calls["ecr:DescribeImages"] += calls_for(len(repository.images), 100)
        removable = (d for step in world.removable.get(name, []) for d in step)
        if deleting:
            tags = sum(max(1, len(repository.images[digest].tags)) for digest in removable)
            calls["ecr:BatchDeleteImage"] += tags
    return calls
