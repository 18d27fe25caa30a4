"""ECS services by their revisions: what runs by digest, and what a rollback would go to."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from ecr_cleaner.core.errors import ApiError, IncompleteAnswerError
from ecr_cleaner.core.model import Usage
from ecr_cleaner.core.settings import Settings
from ecr_cleaner.usage.ecs import Ecs
from fakes.aws_api import FakeApi, Parameters, error, found
from fakes.scripted import HOST, Scripted, any_task_definition, by

PREFIX = "arn:aws:ecs:eu-west-1:123456789012"
CLUSTER = f"{PREFIX}:cluster/main"
EPOCH = datetime(2026, 1, 1, tzinfo=UTC)


def found_in(api: FakeApi) -> list[Usage]:
    """Return what services and tasks run; families have tests of their own."""
    return found(Ecs(), api, settings=Settings(task_definition_revisions=0))


def sha(name: str) -> str:
    return "sha256:" + name.encode().hex().rjust(64, "0")


def definition(name: str) -> str:
    return f"{PREFIX}:task-definition/{name}:1"


def revision_arn(name: str) -> str:
    return f"{PREFIX}:service-revision/main/web/{name}"


def service(name: str, *current: str, **more: Any) -> dict[str, Any]:
    """Return a service whose current revisions are these; its definition has the service's name."""
    revisions = {"currentServiceRevisions": [{"arn": revision_arn(one)} for one in current]}
    return {
        "serviceArn": f"{PREFIX}:service/main/{name}",
        "clusterArn": CLUSTER,
        "taskDefinition": definition(name),
        **(revisions if current else {}),
        **more,
    }


def image(name: str) -> dict[str, str]:
    return {"containerName": name, "image": f"{HOST}/app:{name}", "imageDigest": sha(name)}


def revision(name: str, *containers: dict[str, str], of: str = "web") -> dict[str, Any]:
    return {
        "serviceRevisionArn": revision_arn(name),
        "taskDefinition": definition(of),
        "containerImages": list(containers or (image(name),)),
    }


def deployment(target: str, status: str, hours: float) -> dict[str, Any]:
    return {
        "targetServiceRevisionArn": revision_arn(target),
        "status": status,
        "createdAt": EPOCH + timedelta(hours=hours),
    }


def ecs(
    *services: dict[str, Any],
    deployments: Any = (),
    revisions: Any = None,
    definitions: Any = None,
) -> Scripted:
    """Return ECS with one cluster and no tasks; a revision that is not told has its own image."""

    def described(parameters: Parameters) -> dict[str, Any]:
        names = [arn.rpartition("/")[2] for arn in parameters["serviceRevisionArns"]]
        return {"serviceRevisions": [(revisions or {}).get(name, revision(name)) for name in names]}

    def answer_services(parameters: Parameters) -> dict[str, Any]:
        return {
            "services": [one for one in services if one["serviceArn"] in parameters["services"]]
        }

    def answer_definition(parameters: Parameters) -> dict[str, Any]:
        tag = parameters["taskDefinition"].rpartition("/")[2].partition(":")[0]
        containers = [{"image": f"{HOST}/app:definition-of-{tag}"}]
        return {"taskDefinition": {"containerDefinitions": containers}}

    pages = [
        {"serviceDeployments": page} for page in ([] if callable(deployments) else deployments)
    ]
    return Scripted(
        "ecs",
        ListClusters={"clusterArns": [CLUSTER]},
        ListServices={"serviceArns": [one["serviceArn"] for one in services]},
        ListTasks={},
        DescribeServices=answer_services,
        ListServiceDeployments=deployments if callable(deployments) else pages or {},
        DescribeServiceRevisions=revisions if callable(revisions) else described,
        DescribeTaskDefinition=definitions or answer_definition,
    )


def digests(usages: list[Usage]) -> set[str]:
    return {usage.reference.digest for usage in usages if usage.reference.digest}


def tags(usages: list[Usage]) -> set[str]:
    return {usage.reference.tag for usage in usages if usage.reference.tag}


def asked_revisions(api: Scripted) -> list[str]:
    asked = [
        arn
        for parameters in api.asked("DescribeServiceRevisions")
        for arn in parameters["serviceRevisionArns"]
    ]
    return sorted(arn.rpartition("/")[2] for arn in asked)


def test_service_uses_its_current_revisions_by_digest_and_by_tag() -> None:
    api = ecs(service("web", "blue", "green"))

    usages = found_in(api)

    assert digests(usages) == {sha("blue"), sha("green")}
    assert tags(usages) == {"blue", "green", "definition-of-web"}
    assert {(one.source, one.consumer) for one in usages} == {("ecs", f"{PREFIX}:service/main/web")}
    assert api.actions == [
        "ecs:DescribeServiceRevisions",
        "ecs:DescribeServices",
        "ecs:DescribeTaskDefinition",
        "ecs:ListClusters",
        "ecs:ListServiceDeployments",
        "ecs:ListServices",
        "ecs:ListTasks",
    ]


def test_service_that_names_no_current_revision_is_asked_for_its_deployments() -> None:
    """A service from before 25 October 2024 may have been deployed since."""
    history = [deployment("now", "SUCCESSFUL", 2), deployment("previous", "SUCCESSFUL", 1)]

    assert digests(found_in(ecs(service("old"), deployments=[history]))) == {
        sha("now"),
        sha("previous"),
    }
    assert tags(found_in(ecs(service("old")))) == {"definition-of-old"}


@pytest.mark.parametrize("controller", ["CODE_DEPLOY", "EXTERNAL"])
def test_service_that_ecs_does_not_deploy_is_not_asked_for_deployments(controller: str) -> None:
    api = ecs(service("web", "now", deploymentController={"type": controller}))

    api.line("ListTaskDefinitions", {})

    assert digests(found_in(api)) == {sha("now")}
    assert api.asked("ListServiceDeployments") == []


def family(*numbers: int) -> list[str]:
    return [definition("web").replace(":1", f":{number}") for number in numbers]


@pytest.mark.parametrize("controller", ["CODE_DEPLOY", "EXTERNAL"])
def test_service_that_ecs_does_not_deploy_keeps_the_previous_revision_of_its_definition(
    controller: str,
) -> None:
    """CodeDeploy goes back to it, and the task set that ran it is gone."""
    (now,) = family(7)
    web = service("web", taskDefinition=now, deploymentController={"type": controller})
    api = ecs(
        web,
        definitions=lambda asked: {
            "taskDefinition": {
                "containerDefinitions": [
                    {"image": f"{HOST}/app:{asked['taskDefinition'].rpartition(':')[2]}"}
                ]
            }
        },
    )
    api.line(
        "ListTaskDefinitions",
        [{"taskDefinitionArns": family(8, 7)}, {"taskDefinitionArns": family(5, 2)}],
    )

    assert tags(found_in(api)) == {"7", "5"}
    assert {one["familyPrefix"] for one in api.asked("ListTaskDefinitions")} == {"web"}


@pytest.mark.parametrize("controller", ["CODE_DEPLOY", "EXTERNAL"])
def test_task_set_that_is_gone_since_yesterday_leaves_its_definition_for_a_rollback(
    controller: str,
) -> None:
    """An external controller names no definition in the service, only in its task sets."""
    now, before, older = family(7, 6, 5)
    task_sets = [{"id": "ecs-svc/1", "status": "PRIMARY", "taskDefinition": now}]
    web = service("web", deploymentController={"type": controller}, taskSets=task_sets)
    del web["taskDefinition"]
    api = ecs(web, definitions=any_task_definition)
    api.line("ListTaskDefinitions", {"taskDefinitionArns": [now, before, older]})

    assert tags(found_in(api)) == {"web-7", "web-6"}


def test_first_revision_of_a_family_has_no_previous_one() -> None:
    web = service("web", deploymentController={"type": "CODE_DEPLOY"})
    api = ecs(web)
    api.line("ListTaskDefinitions", {"taskDefinitionArns": family(2, 1)})

    assert tags(found_in(api)) == {"definition-of-web"}


def test_previous_revision_that_is_gone_is_nothing() -> None:
    (now,) = family(7)
    gone = error("ClientException", "Unable to describe task definition.")
    image = {"taskDefinition": {"containerDefinitions": [{"image": f"{HOST}/app:7"}]}}
    api = ecs(
        service("web", taskDefinition=now, deploymentController={"type": "EXTERNAL"}),
        definitions=by("taskDefinition", {now: image, family(5)[0]: gone}),
    )
    api.line("ListTaskDefinitions", {"taskDefinitionArns": family(7, 5)})

    assert tags(found_in(api)) == {"7"}


def test_task_definition_of_a_service_without_a_revision_is_an_error() -> None:
    """ECS names none so; if it did, the one to go back to would be unknown."""
    nameless = f"{PREFIX}:task-definition/web"
    api = ecs(service("web", taskDefinition=nameless, deploymentController={"type": "CODE_DEPLOY"}))
    api.line("ListTaskDefinitions", {"taskDefinitionArns": []})

    with pytest.raises(ValueError, match="invalid literal"):
        found_in(api)


@pytest.mark.parametrize("operation", ["ListServiceDeployments", "DescribeServiceRevisions"])
def test_unsupported_feature_is_not_an_absent_operation(operation: str) -> None:
    api = ecs(service("web", "now")).line(operation, error("UnsupportedFeatureException"))

    with pytest.raises(ApiError, match=f"{operation} failed with UnsupportedFeatureException"):
        found_in(api)


@pytest.mark.parametrize("controller", [{}, {"deploymentController": {"type": "ECS"}}])
def test_service_that_ecs_deploys_is_asked_for_its_deployments(controller: dict[str, Any]) -> None:
    api = ecs(service("web", "now", **controller))

    assert digests(found_in(api)) == {sha("now")}
    assert api.asked("ListServiceDeployments") == [
        {"cluster": CLUSTER, "service": f"{PREFIX}:service/main/web", "maxResults": 100}
    ]


def test_previous_successful_deployment_is_what_a_rollback_goes_to() -> None:
    """The newest successful one is what runs. ECS does not say in which order it lists them."""
    history = [
        deployment("first", "SUCCESSFUL", 1),
        deployment("now", "SUCCESSFUL", 3),
        deployment("previous", "SUCCESSFUL", 2),
    ]

    api = ecs(service("web", "now"), deployments=[history])

    assert digests(found_in(api)) == {sha("now"), sha("previous")}
    assert asked_revisions(api) == ["now", "previous"]


@pytest.mark.parametrize("status", ["STOPPED", "ROLLBACK_SUCCESSFUL", "ROLLBACK_FAILED"])
def test_deployment_that_failed_is_no_rollback_target_and_takes_no_place_of_one(
    status: str,
) -> None:
    history = [
        deployment("failed", status, 3),
        deployment("now", "SUCCESSFUL", 2),
        deployment("previous", "SUCCESSFUL", 1),
    ]

    api = ecs(service("web", "now"), deployments=[history])

    assert digests(found_in(api)) == {sha("now"), sha("previous")}


@pytest.mark.parametrize(
    "status",
    ["PENDING", "IN_PROGRESS", "STOP_REQUESTED", "ROLLBACK_REQUESTED", "ROLLBACK_IN_PROGRESS"],
)
def test_deployment_that_has_not_ended_counts_beside_the_successful_ones(status: str) -> None:
    history = [
        deployment("previous", "SUCCESSFUL", 1),
        deployment("now", "SUCCESSFUL", 2),
        deployment("coming", status, 3),
    ]

    api = ecs(service("web", "now"), deployments=[history])

    assert digests(found_in(api)) == {sha("now"), sha("previous"), sha("coming")}


def test_deployments_are_read_on_all_pages_also_behind_an_empty_one() -> None:
    """The SDK has no paginator for them."""
    history = [[deployment("now", "SUCCESSFUL", 2)], [], [deployment("previous", "SUCCESSFUL", 1)]]

    assert digests(found_in(ecs(service("web", "now"), deployments=history))) == {
        sha("now"),
        sha("previous"),
    }


@pytest.mark.parametrize(
    ("revisions", "sizes"), [(1, [1]), (20, [20]), (21, [1, 20]), (45, [5, 20, 20])]
)
def test_revisions_of_all_services_are_described_twenty_a_call(
    revisions: int, sizes: list[int]
) -> None:
    api = ecs(*(service(f"s{number}", f"r{number}") for number in range(revisions)))

    assert digests(found_in(api)) == {sha(f"r{number}") for number in range(revisions)}
    calls = api.asked("DescribeServiceRevisions")
    assert sorted(len(asked["serviceRevisionArns"]) for asked in calls) == sizes


def test_revision_is_described_once_though_it_is_current_and_the_last_deployed() -> None:
    history = [deployment("now", "SUCCESSFUL", 2), deployment("now", "SUCCESSFUL", 1)]
    api = ecs(service("web", "now"), deployments=[history])

    assert digests(found_in(api)) == {sha("now")}
    assert asked_revisions(api) == ["now"]


def test_each_service_has_its_own_revisions() -> None:
    told = {"a": revision("a", of="one"), "b": revision("b", of="two")}
    services = (service("one", "a"), service("two", "b"), service("old"))

    usages = found_in(ecs(*services, revisions=told))

    assert {(one.consumer.rpartition("/")[2], one.reference.tag) for one in usages} == {
        ("one", "a"),
        ("one", None),
        ("one", "definition-of-one"),
        ("two", "b"),
        ("two", None),
        ("two", "definition-of-two"),
        ("old", "definition-of-old"),
    }


# -- Where a revision tells less than all ------------------------------------------------------


def test_current_definition_is_described_though_a_revision_tells_its_images() -> None:
    """Its commands and its environment may name images as well."""
    api = ecs(service("web", "now"))

    assert tags(found_in(api)) == {"now", "definition-of-web"}
    assert api.asked("DescribeTaskDefinition") == [{"taskDefinition": definition("web")}]


def test_other_definition_that_a_revision_tells_in_full_is_not_described() -> None:
    history = [deployment("now", "SUCCESSFUL", 2), deployment("previous", "SUCCESSFUL", 1)]
    told = {"previous": revision("previous", of="before")}
    api = ecs(service("web", "now"), deployments=[history], revisions=told)

    assert digests(found_in(api)) == {sha("now"), sha("previous")}
    assert api.asked("DescribeTaskDefinition") == [{"taskDefinition": definition("web")}]


@pytest.mark.parametrize(
    "containers",
    [
        [{"containerName": "web"}],
        [image("now"), {"containerName": "sidecar"}],
        [{"containerName": "web", "imageDigest": sha("now")}],
    ],
    ids=["no-image", "one-without", "digest-only"],
)
def test_definition_is_described_where_a_revision_names_not_every_image(
    containers: list[dict[str, str]],
) -> None:
    api = ecs(service("web", "now"), revisions={"now": revision("now", *containers)})

    assert "definition-of-web" in tags(found_in(api))


@pytest.mark.parametrize("lacking", [{"containerImages": []}, {}])
def test_definition_is_described_where_a_revision_names_no_images(lacking: dict[str, Any]) -> None:
    told = {"serviceRevisionArn": revision_arn("now"), "taskDefinition": definition("web")}
    api = ecs(service("web", "now"), revisions={"now": told | lacking})

    assert tags(found_in(api)) == {"definition-of-web"}


def test_definition_is_described_where_the_revision_is_missing() -> None:
    missing = {"failures": [{"arn": revision_arn("now"), "reason": "MISSING"}]}
    api = ecs(service("web", "now"), revisions=lambda _: missing)

    assert tags(found_in(api)) == {"definition-of-web"}


def test_other_definition_of_a_revision_is_described_where_it_names_no_images() -> None:
    previous = revision("previous", of="before") | {"containerImages": []}
    history = [deployment("now", "SUCCESSFUL", 2), deployment("previous", "SUCCESSFUL", 1)]
    api = ecs(service("web", "now"), deployments=[history], revisions={"previous": previous})

    assert tags(found_in(api)) == {"now", "definition-of-web", "definition-of-before"}


def test_image_without_a_digest_counts_by_its_tag() -> None:
    told = revision("now", {"containerName": "web", "image": f"{HOST}/app:v1"})
    api = ecs(service("web", "now"), revisions={"now": told})

    usages = found_in(api)

    assert (tags(usages), digests(usages)) == ({"v1", "definition-of-web"}, set())


def test_definition_that_is_gone_fails_closed() -> None:
    """What a service runs has to be known, unlike what a rule would run some day."""
    gone = error("ClientException", "Unable to describe task definition.")

    with pytest.raises(ApiError, match="ecs DescribeTaskDefinition failed with ClientException"):
        found_in(ecs(service("web"), definitions=gone))


# -- What vanished, what fails -----------------------------------------------------------------


@pytest.mark.parametrize("code", ["ServiceNotFoundException", "ClusterNotFoundException"])
def test_service_that_vanished_before_its_revision_was_read_does_not_hide_the_others(
    code: str,
) -> None:
    """It fails the call for all of them."""

    def described(asked: Parameters) -> Any:
        names = [arn.rpartition("/")[2] for arn in asked["serviceRevisionArns"]]
        if "gone" in names:
            return error(code)
        return {"serviceRevisions": [revision(name) for name in names]}

    usages = found_in(ecs(service("a", "gone"), service("b", "there"), revisions=described))

    assert digests(usages) == {sha("there")}
    assert tags(usages) == {"there", "definition-of-a", "definition-of-b"}


@pytest.mark.parametrize("code", ["ServiceNotFoundException", "ClusterNotFoundException"])
def test_service_that_vanished_has_no_rollback_target_and_the_others_do(code: str) -> None:
    history = [deployment("there", "SUCCESSFUL", 2), deployment("previous", "SUCCESSFUL", 1)]
    answers = {
        f"{PREFIX}:service/main/gone": error(code),
        f"{PREFIX}:service/main/web": {"serviceDeployments": history},
    }
    api = ecs(service("gone", "a"), service("web", "there"), deployments=by("service", answers))

    assert digests(found_in(api)) == {sha("a"), sha("there"), sha("previous")}


def test_missing_revision_is_tolerated_and_the_others_count() -> None:
    answer = {
        "serviceRevisions": [revision("now")],
        "failures": [{"arn": revision_arn("previous"), "reason": "MISSING"}],
    }
    history = [deployment("now", "SUCCESSFUL", 2), deployment("previous", "SUCCESSFUL", 1)]
    api = ecs(service("web", "now"), deployments=[history], revisions=lambda _: answer)

    assert digests(found_in(api)) == {sha("now")}


@pytest.mark.parametrize("failure", [{"arn": "the-arn", "reason": "INTERNAL"}, {"arn": "the-arn"}])
def test_any_other_failure_is_an_error(failure: dict[str, str]) -> None:
    api = ecs(service("web", "now"), revisions=lambda _: {"failures": [failure]})

    with pytest.raises(
        IncompleteAnswerError, match="DescribeServiceRevisions could not describe the-arn"
    ):
        found_in(api)


def test_answer_that_is_silent_about_a_revision_is_an_error() -> None:
    api = ecs(service("web", "now", "next"), revisions=lambda _: {"serviceRevisions": []})

    with pytest.raises(
        IncompleteAnswerError, match="DescribeServiceRevisions described only 0 of 2"
    ):
        found_in(api)
