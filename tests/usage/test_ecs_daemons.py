"""What managed daemons run: revisions that run, that are deployed, and that tell no image."""

from __future__ import annotations

from typing import Any

import pytest

from ecr_cleaner.core.errors import ApiError, IncompleteAnswerError
from ecr_cleaner.core.model import Usage
from ecr_cleaner.usage.ecs_daemons import EcsDaemons
from ecr_cleaner.usage.scan import scan
from fakes.aws_api import FakeApi, Parameters, account, error, found, tags

HOST = "123456789012.dkr.ecr.eu-west-1.amazonaws.com"
PREFIX = "arn:aws:ecs:eu-west-1:123456789012"
CLUSTER = f"{PREFIX}:cluster/main"
DIGEST = "sha256:" + "a" * 64


def app(tag: str) -> str:
    return f"{HOST}/app:{tag}"


def daemon_arn(name: str) -> str:
    return f"{PREFIX}:daemon/main/{name}"


def revision_arn(name: str) -> str:
    return f"{PREFIX}:daemon-revision/main/agent/{name}"


def deployment_arn(name: str) -> str:
    return f"{PREFIX}:daemon-deployment/main/agent/{name}"


def definition_arn(name: str) -> str:
    return f"{PREFIX}:daemon-task-definition/{name}:1"


def daemon(name: str, *revisions: str, **content: Any) -> dict[str, Any]:
    return {
        "daemonArn": daemon_arn(name),
        "status": "ACTIVE",
        "currentRevisions": [{"arn": revision_arn(one)} for one in revisions],
        **content,
    }


def revision(
    name: str, *containers: dict[str, str], of: str = "agent", definition: str = "agent"
) -> dict[str, Any]:
    return {
        "daemonRevisionArn": revision_arn(name),
        "daemonArn": daemon_arn(of),
        "daemonTaskDefinitionArn": definition_arn(definition),
        "containerImages": list(containers),
    }


def target(name: str) -> dict[str, Any]:
    return {"targetDaemonRevision": {"arn": revision_arn(name)}}


class DaemonWorld:
    """ECS with one cluster: its daemons, their revisions, deployments and task definitions."""

    def __init__(
        self,
        daemons: list[dict[str, Any]],
        revisions: list[dict[str, Any]] | None = None,
        deployments: dict[str, dict[str, Any]] | None = None,
        **definitions: list[dict[str, Any]],
    ) -> None:
        self.daemons = {one["daemonArn"]: one for one in daemons}
        self.revisions = {one["daemonRevisionArn"]: one for one in revisions or []}
        self.deployments = {deployment_arn(name): one for name, one in (deployments or {}).items()}
        self.definitions = {definition_arn(name): definitions[name] for name in definitions}
        self.api = FakeApi("ecs")
        self.api.pages("ListClusters", "clusterArns", [CLUSTER])
        self.api.pages("ListDaemons", "daemonSummariesList", self.summaries())
        self.api.on("DescribeDaemon", lambda asked: {"daemon": self.daemons[asked["daemonArn"]]})
        self.api.on("DescribeDaemonRevisions", self._describe_revisions)
        self.api.on("DescribeDaemonDeployments", self._describe_deployments)
        self.api.on("DescribeDaemonTaskDefinition", self._describe_definition)

    def summaries(self) -> list[dict[str, Any]]:
        return [{"daemonArn": arn, "status": "ACTIVE"} for arn in self.daemons]

    def _describe_revisions(self, asked: Parameters) -> dict[str, Any]:
        arns = asked["daemonRevisionArns"]
        return {"daemonRevisions": known(self.revisions, arns), **missing(self.revisions, arns)}

    def _describe_deployments(self, asked: Parameters) -> dict[str, Any]:
        arns = asked["daemonDeploymentArns"]
        told = known(self.deployments, arns)
        return {"daemonDeployments": told, **missing(self.deployments, arns)}

    def _describe_definition(self, asked: Parameters) -> dict[str, Any]:
        containers = self.definitions[asked["daemonTaskDefinition"]]
        return {"daemonTaskDefinition": {"containerDefinitions": containers}}

    def usages(self) -> list[Usage]:
        return found(EcsDaemons(), self.api)


def known(all_of_them: dict[str, Any], arns: list[str]) -> list[Any]:
    assert 1 <= len(arns) <= 20
    return [all_of_them[arn] for arn in arns if arn in all_of_them]


def missing(all_of_them: dict[str, Any], arns: list[str]) -> dict[str, Any]:
    gone = [arn for arn in arns if arn not in all_of_them]
    return {"failures": [{"arn": arn, "reason": "MISSING"} for arn in gone]}


def one_of_everything() -> DaemonWorld:
    """A daemon whose scan makes every call."""
    return DaemonWorld(
        [daemon("agent", "now", deploymentArn=deployment_arn("last"))],
        [revision("now", {"image": app("1")}), revision("next")],
        {"last": target("next")},
        agent=[{"image": app("2")}],
    )


def test_account_without_clusters_uses_nothing_and_lists_no_daemons() -> None:
    api = FakeApi("ecs").pages("ListClusters", "clusterArns", [])

    assert found(EcsDaemons(), api) == []


def test_cluster_without_daemons_uses_nothing_and_describes_nothing() -> None:
    world = DaemonWorld([])

    assert world.usages() == []
    assert {operation for operation, _ in world.api.calls} == {"ListClusters", "ListDaemons"}


def test_every_cluster_is_asked_for_its_daemons_a_hundred_a_page() -> None:
    world = DaemonWorld([])
    clusters = [f"{PREFIX}:cluster/{n}" for n in range(12)]
    world.api.pages("ListClusters", "clusterArns", clusters[:5], clusters[5:])

    assert world.usages() == []
    asked = world.api.asked("ListDaemons")
    assert {one["clusterArn"] for one in asked} == set(clusters)
    assert {one["maxResults"] for one in asked} == {100}


def test_daemon_that_two_listings_tell_of_is_described_once() -> None:
    """AWS's documents are not of one mind as to whether the cluster limits the listing."""
    world = DaemonWorld([daemon("agent", "now")], [revision("now", {"image": app("1")})])
    world.api.pages("ListClusters", "clusterArns", [CLUSTER, f"{PREFIX}:cluster/other"])

    assert len(world.usages()) == 1
    assert len(world.api.asked("DescribeDaemon")) == 1


def test_all_containers_of_all_current_revisions_count_as_written_and_as_run() -> None:
    world = DaemonWorld(
        [daemon("agent", "old", "new")],
        [
            revision("old", {"image": app("1"), "imageDigest": DIGEST}),
            revision("new", {"image": app("2")}, {"image": app("sidecar")}),
        ],
    )

    usages = world.usages()

    assert tags(usages) == {"1", "2", "sidecar", None}
    assert {usage.reference.digest for usage in usages if usage.reference.digest} == {DIGEST}
    assert {(one.source, one.consumer) for one in usages} == {("ecs-daemons", daemon_arn("agent"))}
    assert world.api.asked("DescribeDaemonTaskDefinition") == []


def test_latest_deployment_counts_where_it_goes_comes_from_and_rolls_back_to() -> None:
    names = ("now", "target", "source", "rollback")
    deployment = {
        **target("target"),
        "sourceDaemonRevisions": [{"arn": revision_arn("source")}],
        "rollback": {"rollbackTargetDaemonRevisionArn": revision_arn("rollback")},
    }
    world = DaemonWorld(
        [daemon("agent", "now", deploymentArn=deployment_arn("last"))],
        [revision(name, {"image": app(name)}) for name in names],
        {"last": deployment},
    )

    assert tags(world.usages()) == set(names)


def test_daemon_that_runs_nowhere_uses_what_was_deployed_last() -> None:
    world = DaemonWorld(
        [daemon("agent", deploymentArn=deployment_arn("last"))],
        [revision("target", {"image": app("1")})],
        {"last": target("target")},
    )

    assert tags(world.usages()) == {"1"}


@pytest.mark.parametrize("deployment", [{}, {"sourceDaemonRevisions": [], "rollback": {}}])
def test_deployment_that_tells_no_revision_is_no_error(deployment: dict[str, Any]) -> None:
    world = DaemonWorld(
        [daemon("agent", "now", deploymentArn=deployment_arn("last"))],
        [revision("now", {"image": app("1")})],
        {"last": deployment},
    )

    assert tags(world.usages()) == {"1"}


@pytest.mark.parametrize(
    ("containers", "expected"),
    [
        ([], {"written", "sidecar"}),
        ([{"containerName": "agent", "imageDigest": DIGEST}], {"written", "sidecar"}),
        ([{"image": app("1")}, {"containerName": "sidecar"}], {"1", "written", "sidecar"}),
    ],
)
def test_task_definition_tells_what_a_revision_does_not(
    containers: list[dict[str, str]], expected: set[str]
) -> None:
    world = DaemonWorld(
        [daemon("agent", "now")],
        [revision("now", *containers)],
        agent=[{"image": app("written")}, {"image": app("sidecar")}],
    )

    assert tags(world.usages()) == expected


def test_task_definition_is_described_once_however_many_revisions_need_it() -> None:
    names = [f"r{n}" for n in range(30)]
    world = DaemonWorld(
        [daemon("agent", *names)], [revision(one) for one in names], agent=[{"image": app("1")}]
    )

    assert tags(world.usages()) == {"1"}
    assert len(world.api.asked("DescribeDaemonTaskDefinition")) == 1


@pytest.mark.parametrize("image", ["nginx:1.27", "public.ecr.aws/cloudwatch-agent/agent:1"])
def test_image_that_is_not_in_private_ecr_is_no_usage(image: str) -> None:
    world = DaemonWorld([daemon("agent", "now")], [revision("now", {"image": image})])

    assert world.usages() == []


@pytest.mark.parametrize("count", [20, 21, 45])
def test_revisions_and_deployments_are_described_twenty_a_call(count: int) -> None:
    names = [f"d{n}" for n in range(count)]
    world = DaemonWorld(
        [daemon(name, name, deploymentArn=deployment_arn(name)) for name in names],
        [revision(name, {"image": app(name)}, of=name) for name in names],
        {name: target(name) for name in names},
    )

    assert {usage.consumer for usage in world.usages()} == set(world.daemons)
    expected = [20] * (count // 20) + [count % 20] * bool(count % 20)
    for operation, key in (
        ("DescribeDaemonRevisions", "daemonRevisionArns"),
        ("DescribeDaemonDeployments", "daemonDeploymentArns"),
    ):
        sizes = [len(asked[key]) for asked in world.api.asked(operation)]
        assert sorted(sizes, reverse=True) == expected


def test_all_pages_are_read_also_behind_an_empty_one() -> None:
    world = DaemonWorld(
        [daemon("first", "first"), daemon("last", "last")],
        [revision(name, {"image": app(name)}, of=name) for name in ("first", "last")],
    )
    first, last = world.summaries()
    world.api.pages("ListClusters", "clusterArns", [], [CLUSTER])
    world.api.pages("ListDaemons", "daemonSummariesList", [], [first], [], [last])

    assert tags(world.usages()) == {"first", "last"}


# -- What vanished -----------------------------------------------------------------------------


def test_cluster_that_vanished_is_skipped() -> None:
    world = one_of_everything()
    world.api.on("ListDaemons", error("ClusterNotFoundException"))

    assert world.usages() == []


def test_region_that_does_not_have_the_feature_has_no_daemons() -> None:
    world = one_of_everything()
    world.api.on("ListDaemons", error("UnsupportedFeatureException"))

    with account(world.api) as one:
        (reading,) = scan(one, [EcsDaemons()]).readings

    assert reading.usages == ()
    assert reading.fields()["absent_operations"] == ["ListDaemons"]


@pytest.mark.parametrize("code", ["DaemonNotFoundException", "ClusterNotFoundException"])
def test_daemon_that_vanished_is_skipped_and_the_others_count(code: str) -> None:
    world = DaemonWorld(
        [daemon("gone", "gone"), daemon("there", "there")],
        [revision(name, {"image": app(name)}, of=name) for name in ("gone", "there")],
    )

    def describe(asked: Parameters) -> Any:
        gone = asked["daemonArn"] == daemon_arn("gone")
        return error(code) if gone else {"daemon": world.daemons[asked["daemonArn"]]}

    world.api.on("DescribeDaemon", describe)

    assert tags(world.usages()) == {"there"}


def test_revision_and_deployment_that_vanished_are_skipped_and_the_others_count() -> None:
    world = DaemonWorld(
        [daemon("agent", "now", "gone", deploymentArn=deployment_arn("gone"))],
        [revision("now", {"image": app("1")})],
    )

    assert tags(world.usages()) == {"1"}


def test_daemon_in_deletion_counts_as_long_as_it_runs() -> None:
    world = DaemonWorld(
        [
            daemon("agent", "now", status="DELETE_IN_PROGRESS"),
            daemon("b", status="DELETE_IN_PROGRESS"),
        ],
        [revision("now", {"image": app("1")})],
    )

    assert tags(world.usages()) == {"1"}


# -- What fails --------------------------------------------------------------------------------


def test_daemon_of_which_nothing_is_told_is_an_error() -> None:
    with pytest.raises(IncompleteAnswerError, match=f"nor a deployment of {daemon_arn('agent')}"):
        DaemonWorld([daemon("agent")]).usages()


DESCRIBING = {
    "DescribeDaemonRevisions": "daemonRevisions",
    "DescribeDaemonDeployments": "daemonDeployments",
}


@pytest.mark.parametrize("operation", DESCRIBING)
@pytest.mark.parametrize("failure", [{"arn": "the-arn", "reason": "INTERNAL"}, {"arn": "the-arn"}])
def test_any_other_failure_is_an_error(operation: str, failure: dict[str, str]) -> None:
    world = one_of_everything()
    world.api.on(operation, {DESCRIBING[operation]: [], "failures": [failure]})

    with pytest.raises(IncompleteAnswerError, match=f"{operation} could not describe the-arn"):
        world.usages()


@pytest.mark.parametrize("operation", DESCRIBING)
def test_answer_that_is_silent_about_one_is_an_error(operation: str) -> None:
    world = one_of_everything()
    world.api.on(operation, {DESCRIBING[operation]: []})

    with pytest.raises(IncompleteAnswerError, match=f"{operation} described only 0 of"):
        world.usages()


OPERATIONS = (
    "ListClusters",
    "ListDaemons",
    "DescribeDaemon",
    "DescribeDaemonDeployments",
    "DescribeDaemonRevisions",
    "DescribeDaemonTaskDefinition",
)


@pytest.mark.parametrize("operation", [one for one in OPERATIONS if one != "ListDaemons"])
def test_feature_that_only_another_operation_calls_unsupported_is_an_error(operation: str) -> None:
    world = one_of_everything()
    world.api.on(operation, error("UnsupportedFeatureException"))

    with pytest.raises(ApiError, match=f"{operation} failed with UnsupportedFeatureException"):
        world.usages()


def test_page_that_fails_behind_others_is_an_error() -> None:
    world = one_of_everything()

    def second_page_fails(asked: Parameters) -> Any:
        if "nextToken" in asked:
            return error("ThrottlingException")
        return {"daemonSummariesList": world.summaries(), "nextToken": "second"}

    world.api.on("ListDaemons", second_page_fails)

    with pytest.raises(ApiError, match="ListDaemons failed with ThrottlingException"):
        world.usages()
