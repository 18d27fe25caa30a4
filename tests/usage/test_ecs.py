"""What ECS runs: every deployment, task set, task and container, each definition asked once."""

from __future__ import annotations

from typing import Any

import pytest

from ecr_cleaner.core.errors import ApiError, IncompleteAnswerError
from ecr_cleaner.core.model import ImageReference, Usage
from ecr_cleaner.core.settings import Settings
from ecr_cleaner.usage.ecs import Ecs
from fakes.aws_api import FakeApi, Parameters, error, found, tags

HOST = "123456789012.dkr.ecr.eu-west-1.amazonaws.com"
PREFIX = "arn:aws:ecs:eu-west-1:123456789012"
CLUSTER = f"{PREFIX}:cluster/main"
DIGEST = "sha256:" + "a" * 64

Containers = list[dict[str, Any]]


def found_in(api: FakeApi) -> list[Usage]:
    """Return what services and tasks run; families have tests of their own."""
    return found(Ecs(), api, settings=Settings(task_definition_revisions=0))


def definition(name: str) -> str:
    return f"{PREFIX}:task-definition/{name}:1"


def service(name: str, **content: Any) -> dict[str, Any]:
    arn = f"{PREFIX}:service/main/{name}"
    return {"serviceArn": arn, "clusterArn": CLUSTER, **content}


def task(name: str, task_definition: str, *containers: dict[str, Any]) -> dict[str, Any]:
    return {
        "taskArn": f"{PREFIX}:task/main/{name}",
        "taskDefinitionArn": definition(task_definition),
        "containers": list(containers),
    }


class EcsWorld:
    """ECS with one cluster: what it runs, and the containers of each task definition."""

    def __init__(
        self,
        services: list[dict[str, Any]] | None = None,
        tasks: list[dict[str, Any]] | None = None,
        **definitions: Containers,
    ) -> None:
        self.services = {one["serviceArn"]: one for one in services or []}
        self.tasks = {one["taskArn"]: one for one in tasks or []}
        self.definitions = {definition(name): definitions[name] for name in definitions}
        self.api = FakeApi("ecs")
        self.api.pages("ListClusters", "clusterArns", [CLUSTER])
        self.api.pages("ListServices", "serviceArns", list(self.services))
        self.api.pages("ListTasks", "taskArns", list(self.tasks))
        self.api.pages("ListServiceDeployments", "serviceDeployments", [])
        self.api.on("DescribeServices", self._describe_services)
        self.api.on("DescribeTasks", self._describe_tasks)
        self.api.on("DescribeTaskDefinition", self._describe_task_definition)

    def _describe_services(self, parameters: Parameters) -> dict[str, Any]:
        assert parameters["cluster"] == CLUSTER
        assert len(parameters["services"]) <= 10
        return {"services": [self.services[arn] for arn in parameters["services"]]}

    def _describe_tasks(self, parameters: Parameters) -> dict[str, Any]:
        assert parameters["cluster"] == CLUSTER
        assert len(parameters["tasks"]) <= 100
        return {"tasks": [self.tasks[arn] for arn in parameters["tasks"]]}

    def _describe_task_definition(self, parameters: Parameters) -> dict[str, Any]:
        containers = self.definitions[parameters["taskDefinition"]]
        return {"taskDefinition": {"containerDefinitions": containers, "status": "INACTIVE"}}

    def usages(self) -> list[Usage]:
        return found_in(self.api)


def container(image: str) -> dict[str, Any]:
    return {"name": "one", "image": image}


def digests(usages: list[Usage]) -> set[str]:
    return {usage.reference.digest for usage in usages if usage.reference.digest}


def app(tag: str) -> str:
    return f"{HOST}/app:{tag}"


def test_empty_account_uses_nothing() -> None:
    api = FakeApi("ecs").pages("ListClusters", "clusterArns", [])

    assert found_in(api) == []


def test_empty_cluster_uses_nothing() -> None:
    assert EcsWorld().usages() == []


def test_service_uses_the_image_of_its_task_definition() -> None:
    world = EcsWorld([service("web", taskDefinition=definition("web"))], web=[container(app("1"))])

    (usage,) = world.usages()

    assert isinstance(usage.reference, ImageReference)
    assert usage.reference.repository == "app"
    assert usage.reference.tag == "1"
    assert usage.reference.registry.account == "123456789012"
    assert usage.reference.registry.region == "eu-west-1"
    assert (usage.source, usage.consumer) == ("ecs", f"{PREFIX}:service/main/web")


def test_all_deployments_and_task_sets_count_also_those_that_drain_and_those_of_no_tasks() -> None:
    web = service(
        "web",
        taskDefinition=definition("now"),
        desiredCount=0,
        deployments=[
            {"status": "PRIMARY", "taskDefinition": definition("now"), "desiredCount": 0},
            {"status": "ACTIVE", "taskDefinition": definition("before")},
            {"status": "INACTIVE", "taskDefinition": definition("rollback")},
        ],
        taskSets=[
            {"status": "DRAINING", "taskDefinition": definition("blue")},
            {"status": "PRIMARY", "taskDefinition": definition("green")},
        ],
    )
    names = ("now", "before", "rollback", "blue", "green")
    world = EcsWorld([web], **{name: [container(app(name))] for name in names})

    assert tags(world.usages()) == set(names)


def test_service_with_external_deployments_and_no_task_definition_is_no_error() -> None:
    assert EcsWorld([service("external", deployments=[], taskSets=[])]).usages() == []


def test_service_with_external_deployments_uses_its_task_sets() -> None:
    external = service("external", taskSets=[{"taskDefinition": definition("blue")}])

    assert tags(EcsWorld([external], blue=[container(app("blue"))]).usages()) == {"blue"}


def test_init_and_sidecar_containers_count() -> None:
    containers = [
        container(app("main")),
        {"name": "init", "image": app("init"), "essential": False},
        {"name": "sidecar", "image": app("sidecar")},
    ]
    world = EcsWorld([service("web", taskDefinition=definition("web"))], web=containers)

    assert tags(world.usages()) == {"main", "init", "sidecar"}


@pytest.mark.parametrize(
    "containers",
    [
        [],
        [{"name": "no image"}],
        [{"name": "empty", "image": ""}],
        [container("nginx:1.27"), container("public.ecr.aws/nginx/nginx"), container("scratch")],
    ],
)
def test_definition_without_an_image_of_private_ecr_is_no_usage_and_no_error(
    containers: Containers,
) -> None:
    world = EcsWorld([service("web", taskDefinition=definition("web"))], web=containers)

    assert world.usages() == []


def test_inactive_definition_is_described_like_any_other() -> None:
    """The fake calls every task definition INACTIVE; what counts is that something names it."""
    world = EcsWorld([service("web", taskDefinition=definition("web"))], web=[container(app("1"))])

    assert tags(world.usages()) == {"1"}
    assert world.api.asked("DescribeTaskDefinition") == [{"taskDefinition": definition("web")}]


def test_task_uses_what_it_runs_by_digest_and_what_a_restart_would_take() -> None:
    running = {"image": app("latest"), "imageDigest": DIGEST}
    sidecar = {"image": app("sidecar")}
    world = EcsWorld(tasks=[task("1", "web", running, sidecar)], web=[container(app("written"))])

    usages = world.usages()

    assert tags(usages) == {"latest", "sidecar", "written", None}
    assert digests(usages) == {DIGEST}
    assert {usage.consumer for usage in usages} == {f"{PREFIX}:task/main/1"}


def test_task_of_a_daemon_is_not_looked_up_as_a_task_definition() -> None:
    """What it runs, its containers tell; the rest is another source's."""
    running = {"image": app("agent"), "imageDigest": DIGEST}
    daemon = task("1", "agent", running) | {
        "taskDefinitionArn": f"{PREFIX}:daemon-task-definition/agent:1"
    }
    world = EcsWorld(tasks=[daemon, task("2", "web")], web=[container(app("written"))])

    usages = world.usages()

    assert tags(usages) == {"agent", "written", None}
    assert digests(usages) == {DIGEST}
    assert world.api.asked("DescribeTaskDefinition") == [{"taskDefinition": definition("web")}]


def test_digest_that_ecs_tells_wins_over_the_one_that_was_written() -> None:
    written = "sha256:" + "b" * 64
    running = {"image": f"{HOST}/app@{written}", "imageDigest": DIGEST}
    world = EcsWorld(tasks=[task("1", "web", running)], web=[])

    assert digests(world.usages()) == {DIGEST, written}


@pytest.mark.parametrize("known", [{}, {"image": app("1")}, {"imageDigest": DIGEST}])
def test_container_that_tells_only_part_is_no_error(known: dict[str, str]) -> None:
    world = EcsWorld(tasks=[task("1", "web", {"name": "pending", **known})], web=[])

    assert tags(world.usages()) == ({"1"} if "image" in known else set())


def test_definition_is_described_once_however_many_run_it() -> None:
    services = [service(f"s{n}", taskDefinition=definition("web")) for n in range(30)]
    tasks = [task(f"t{n}", "web") for n in range(30)]
    world = EcsWorld(services, tasks, web=[container(app("1"))])

    assert len({usage.consumer for usage in world.usages()}) == 60
    assert len(world.api.asked("DescribeTaskDefinition")) == 1


@pytest.mark.parametrize("count", [1, 10, 11, 25])
def test_services_are_described_ten_a_call(count: int) -> None:
    services = [service(f"s{n}", taskDefinition=definition("web")) for n in range(count)]
    world = EcsWorld(services, web=[container(app("1"))])

    assert len(world.usages()) == count
    sizes = [len(asked["services"]) for asked in world.api.asked("DescribeServices")]
    assert sorted(sizes, reverse=True) == [10] * (count // 10) + [count % 10] * bool(count % 10)


@pytest.mark.parametrize("count", [100, 101])
def test_tasks_are_described_a_hundred_a_call(count: int) -> None:
    tasks = [task(f"t{n}", "web", {"image": app("1")}) for n in range(count)]
    world = EcsWorld(tasks=tasks, web=[])

    assert len(world.usages()) == count
    sizes = [len(asked["tasks"]) for asked in world.api.asked("DescribeTasks")]
    assert sorted(sizes, reverse=True) == [100, *[1] * (count - 100)]


def test_all_pages_are_read_also_behind_an_empty_one() -> None:
    world = EcsWorld(
        [service(name, taskDefinition=definition(name)) for name in ("first", "last")],
        [task("first", "web", {"image": app("t1")}), task("last", "web", {"image": app("t2")})],
        first=[container(app("s1"))],
        last=[container(app("s2"))],
        web=[],
    )
    world.api.pages("ListClusters", "clusterArns", [], [CLUSTER], [])
    first, last = world.services
    world.api.pages("ListServices", "serviceArns", [first], [], [last])
    first, last = world.tasks
    world.api.pages("ListTasks", "taskArns", [], [first], [], [last])

    assert tags(world.usages()) == {"s1", "s2", "t1", "t2"}


def test_every_cluster_is_asked() -> None:
    api = FakeApi("ecs")
    clusters = [f"{PREFIX}:cluster/{n}" for n in range(12)]
    api.pages("ListClusters", "clusterArns", clusters[:5], clusters[5:])
    api.pages("ListServices", "serviceArns", []).pages("ListTasks", "taskArns", [])

    assert found_in(api) == []
    for operation in ("ListServices", "ListTasks"):
        assert {asked["cluster"] for asked in api.asked(operation)} == set(clusters)


# -- What vanished -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "operation", ["ListServices", "ListTasks", "DescribeServices", "DescribeTasks"]
)
def test_cluster_that_vanished_is_skipped(operation: str) -> None:
    world = EcsWorld(
        [service("web", taskDefinition=definition("web"))],
        [task("1", "other", {"image": app("task")})],
        web=[container(app("service"))],
        other=[],
    )
    world.api.on(operation, error("ClusterNotFoundException"))

    assert tags(world.usages()) == {"task" if "Services" in operation else "service"}


@pytest.mark.parametrize(
    ("operation", "key"), [("DescribeServices", "services"), ("DescribeTasks", "tasks")]
)
def test_missing_one_is_skipped_and_the_others_count(operation: str, key: str) -> None:
    world = EcsWorld(
        [service(name, taskDefinition=definition("web")) for name in ("there", "gone")],
        [task(name, "web", {"image": app("1")}) for name in ("there", "gone")],
        web=[container(app("1"))],
    )
    left = next(iter(getattr(world, key).values()))
    world.api.on(operation, {key: [left], "failures": [{"arn": "arn", "reason": "MISSING"}]})

    consumers = {usage.consumer for usage in world.usages()}
    assert len(consumers) == 3


@pytest.mark.parametrize(
    ("operation", "key"), [("DescribeServices", "services"), ("DescribeTasks", "tasks")]
)
@pytest.mark.parametrize("failure", [{"arn": "the-arn", "reason": "INTERNAL"}, {"arn": "the-arn"}])
def test_any_other_failure_is_an_error(operation: str, key: str, failure: dict[str, str]) -> None:
    world = EcsWorld([service("web")], [task("1", "web")])
    world.api.on(operation, {key: [], "failures": [failure]})

    with pytest.raises(IncompleteAnswerError, match=f"{operation} could not describe the-arn"):
        world.usages()


@pytest.mark.parametrize(
    ("operation", "key"), [("DescribeServices", "services"), ("DescribeTasks", "tasks")]
)
def test_answer_that_is_silent_about_one_is_an_error(operation: str, key: str) -> None:
    world = EcsWorld([service("web")], [task("1", "web")])
    world.api.on(operation, {key: []})

    with pytest.raises(IncompleteAnswerError, match=f"{operation} described only 0 of 1"):
        world.usages()


def test_page_that_fails_behind_others_is_an_error() -> None:
    world = EcsWorld([service("web", taskDefinition=definition("web"))], web=[])

    def second_page_fails(parameters: Parameters) -> Any:
        if "nextToken" in parameters:
            return error("ThrottlingException")
        return {"serviceArns": list(world.services), "nextToken": "second"}

    world.api.on("ListServices", second_page_fails)

    with pytest.raises(ApiError, match="ListServices failed with ThrottlingException"):
        world.usages()


def test_definition_that_cannot_be_described_is_an_error_for_all_that_run_it() -> None:
    services = [service(f"s{n}", taskDefinition=definition("web")) for n in range(5)]
    world = EcsWorld(services, [task("1", "web")])
    world.api.on("DescribeTaskDefinition", error("ClientException", "Unable to describe"))

    with pytest.raises(ApiError, match="DescribeTaskDefinition failed with ClientException"):
        world.usages()
