"""What AWS does not change is asked for once, and only what it does not change."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from ecr_cleaner.core.answer_cache import AnswerCache
from ecr_cleaner.core.model import ImageReference, Registry
from ecr_cleaner.core.settings import Settings
from ecr_cleaner.core.walk import Found
from ecr_cleaner.usage.ecs import Ecs
from ecr_cleaner.usage.lambda_functions import Lambda
from ecr_cleaner.usage.rows import EVENTBRIDGE_SCHEDULER
from ecr_cleaner.usage.shared.known_answers import KnownAnswers
from fakes.aws_api import FakeApi, Parameters, error, found, tags
from fakes.scripted import DENIED, HOST, Scripted, by

TODAY = date(2026, 3, 1)
PREFIX = "arn:aws:ecs:eu-west-1:123456789012"
CLUSTER = f"{PREFIX}:cluster/main"
DEFINITION = f"{PREFIX}:task-definition/web:1"
SECOND = f"{PREFIX}:task-definition/web:2"
GONE = error("ClientException", "Unable to describe task definition.")
LONG_AGO = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture
def answers() -> KnownAnswers:
    return KnownAnswers(AnswerCache("1.0", TODAY))


def next_run(answers: KnownAnswers, days: int = 1) -> KnownAnswers:
    """Return what the next run knows: what this one stored."""
    content = answers.changed()
    assert content is not None
    return KnownAnswers(AnswerCache.read(content, "1.0", TODAY + timedelta(days=days)))


# -- ECS task definitions ------------------------------------------------------------------------


def described(tag: str, **more: Any) -> dict[str, Any]:
    containers = [{"image": f"{HOST}/app:{tag}", **more}]
    return {"taskDefinition": {"taskDefinitionArn": DEFINITION, "containerDefinitions": containers}}


def schedule(*definitions: str) -> Scripted:
    names = [f"schedule{number}" for number in range(len(definitions))]
    targets = {
        name: {
            "Target": {
                "Arn": CLUSTER,
                "RoleArn": "arn",
                "EcsParameters": {"TaskDefinitionArn": one},
            }
        }
        for name, one in zip(names, definitions, strict=True)
    }
    arn = "arn:aws:scheduler:eu-west-1:123456789012:schedule/default"
    listed = [{"Name": one, "GroupName": "default", "Arn": f"{arn}/{one}"} for one in names]
    return Scripted(
        "scheduler", ListSchedules={"Schedules": listed}, GetSchedule=by("Name", targets)
    )


def asked(definition: Any, answers: KnownAnswers, *names: str) -> tuple[list[str], set[str | None]]:
    """Scan schedules of these task definitions; return which were described, and what is in use."""
    ecs = Scripted("ecs", DescribeTaskDefinition=definition)
    usages = found(EVENTBRIDGE_SCHEDULER, schedule(*names), ecs, answers=answers)
    return [one["taskDefinition"] for one in ecs.asked("DescribeTaskDefinition")], tags(usages)


def test_a_revision_is_described_in_one_run_and_known_in_the_next(answers: KnownAnswers) -> None:
    assert asked(described("v1"), answers, DEFINITION) == ([DEFINITION], {"v1"})
    assert asked(DENIED, next_run(answers), DEFINITION) == ([], {"v1"})


def test_what_is_new_is_asked_for(answers: KnownAnswers) -> None:
    asked(described("v1"), answers, DEFINITION)
    known = next_run(answers)
    assert asked(described("v2"), known, DEFINITION, SECOND) == ([SECOND], {"v1", "v2"})


@pytest.mark.parametrize(
    "name",
    [
        f"{PREFIX}:task-definition/web",
        "web",
        "web:1",
    ],
)
def test_what_is_not_the_full_arn_of_a_revision_is_always_asked_for(
    answers: KnownAnswers, name: str
) -> None:
    asked(described("v1"), answers, name)
    again, used = asked(described("v2"), answers, name)
    assert (len(again), used) == (1, {"v2"})


def test_what_could_not_be_described_is_not_known(answers: KnownAnswers) -> None:
    assert asked(GONE, answers, DEFINITION) == ([DEFINITION], set())
    assert asked(described("v1"), answers, DEFINITION) == ([DEFINITION], {"v1"})


def test_a_revision_that_was_deleted_protects_until_it_is_due_to_be_asked_for(
    answers: KnownAnswers,
) -> None:
    """A revision number is never given to another one, so what is known of it stays right."""
    asked(described("v1"), answers, DEFINITION)
    assert asked(GONE, next_run(answers), DEFINITION) == ([], {"v1"})
    asked(described("v1"), answers, SECOND)
    assert asked(GONE, next_run(answers, days=60), DEFINITION) == ([DEFINITION], set())


def test_environment_variables_are_not_kept(answers: KnownAnswers) -> None:
    secret = [{"name": "PASSWORD", "value": "secret"}]
    asked(described("v1", environment=secret), answers, DEFINITION)
    content = answers.changed()
    assert content is not None
    kept = AnswerCache.read(content, "1.0", TODAY).get(DEFINITION)
    assert kept == [[["123456789012", "eu-west-1", "app", "v1", None]], []]


def test_what_is_known_but_not_understood_is_asked_for(answers: KnownAnswers) -> None:
    answers.remember_names(DEFINITION, ["v0"])
    assert asked(described("v1"), answers, DEFINITION) == ([DEFINITION], {"v1"})


def test_without_a_cache_everything_is_asked_for() -> None:
    nothing = KnownAnswers()
    for _ in range(2):
        assert asked(described("v1"), nothing, DEFINITION) == ([DEFINITION], {"v1"})
    assert nothing.changed() is None


def test_nothing_is_to_be_stored_twice(answers: KnownAnswers) -> None:
    assert answers.changed() is None
    answers.remember(DEFINITION, Found())
    assert answers.changed() is not None
    assert answers.changed() is None


def test_many_threads_may_ask_and_remember(answers: KnownAnswers) -> None:
    def use(number: int) -> Found | None:
        reference = ImageReference(Registry("1", "2"), "app", f"v{number % 50}")
        answers.remember(f"key{number % 50}", Found({reference: None}))
        answers.changed()
        return answers.found(f"key{number % 50}")

    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(use, range(1000)))
    for number, result in enumerate(results):
        assert result is not None
        assert [one.tag for one in result.references] == [f"v{number % 50}"]


# -- Versions of Lambda functions ----------------------------------------------------------------

FUNCTION = "arn:aws:lambda:eu-west-1:123456789012:function:f"


def version(number: str = "1", **more: Any) -> dict[str, Any]:
    return {
        "FunctionName": "f",
        "FunctionArn": f"{FUNCTION}:{number}",
        "Version": number,
        "PackageType": "Image",
        "RevisionId": "revision-1",
        "CodeSha256": "a" * 64,
        "LastModified": "2026-01-01T00:00:00.000+0000",
    } | more


def image(tag: str, listed: dict[str, Any], **more: Any) -> dict[str, Any]:
    digest = "sha256:" + tag.encode().hex().rjust(64, "0")
    uris = {"ImageUri": f"{HOST}/app:{tag}", "ResolvedImageUri": f"{HOST}/app@{digest}"}
    return {"Configuration": listed, "Code": uris} | more


def used(listed: dict[str, Any], answer: Any, answers: KnownAnswers) -> tuple[int, set[str | None]]:
    """Scan this one version; return how often it was asked for, and which tags are in use."""
    api = FakeApi("lambda").pages("ListFunctions", "Functions", [listed]).on("GetFunction", answer)
    usages = found(Lambda(), api, answers=answers)
    return len(api.asked("GetFunction")), tags(usages) - {None}


def test_a_published_version_is_asked_for_in_one_run_and_known_in_the_next(
    answers: KnownAnswers,
) -> None:
    listed = version()
    api = FakeApi("lambda").pages("ListFunctions", "Functions", [listed])
    first = found(Lambda(), api.on("GetFunction", image("v1", listed)), answers=answers)
    second = found(Lambda(), api.on("GetFunction", DENIED), answers=next_run(answers))
    assert second == first
    assert {usage.reference.digest is None for usage in first} == {True, False}


@pytest.mark.parametrize(
    "listed",
    [
        version("$LATEST"),
        version("$LATEST.PUBLISHED"),
        version(RevisionId=""),
        version(CodeSha256=""),
        version(LastModified=""),
    ],
)
def test_what_may_change_is_always_asked_for(answers: KnownAnswers, listed: dict[str, Any]) -> None:
    assert used(listed, image("v1", listed), answers) == (1, {"v1"})
    assert used(listed, image("v2", listed), answers) == (1, {"v2"})


@pytest.mark.parametrize(
    "change",
    [
        {"RevisionId": "revision-2"},
        {"CodeSha256": "b" * 64},
        {"LastModified": "2026-02-01T00:00:00.000+0000"},
        {"FunctionArn": FUNCTION.replace("eu-west-1", "eu-west-2") + ":1"},
        {"FunctionArn": FUNCTION.replace("123456789012", "999999999999") + ":1"},
    ],
)
def test_version_1_of_another_function_of_that_name_is_asked_for(
    answers: KnownAnswers, change: dict[str, str]
) -> None:
    assert used(version(), image("v1", version()), answers) == (1, {"v1"})
    other = version(**change)
    assert used(other, image("v2", other), answers) == (1, {"v2"})


@pytest.mark.parametrize(
    "answer",
    [
        image("v1", version(RevisionId="revision-2")),
        image("v1", version(State="Pending")),
        image("v1", version(), Tags={"runs": f"{HOST}/app:v1"}),
        image("v1", {}),
        {"Configuration": version(), "Code": {"ImageUri": f"{HOST}/app:v1"}},
    ],
)
def test_an_answer_that_may_still_change_is_not_kept(
    answers: KnownAnswers, answer: dict[str, Any]
) -> None:
    assert used(version(), answer, answers) == (1, {"v1"})
    assert used(version(), image("v2", version()), answers) == (1, {"v2"})


def test_environment_that_the_listing_has_now_counts(answers: KnownAnswers) -> None:
    used(version(), image("v1", version()), answers)
    now = version(Environment={"Variables": {"IMAGE": f"{HOST}/app:job"}})
    assert used(now, DENIED, answers) == (0, {"v1", "job"})


# -- Deployments of ECS services -----------------------------------------------------------------


def latest(number: int = 1, **more: Any) -> dict[str, Any]:
    return {
        "id": f"ecs-svc/{number}",
        "status": "PRIMARY",
        "rolloutState": "COMPLETED",
        "createdAt": LONG_AGO,
    } | more


def revision(name: str) -> str:
    return f"{PREFIX}:service-revision/main/web/{name}"


def deployments(*names: str, status: str = "SUCCESSFUL") -> dict[str, Any]:
    return {
        "serviceDeployments": [
            {
                "targetServiceRevisionArn": revision(name),
                "status": status,
                "createdAt": LONG_AGO - timedelta(days=days),
            }
            for days, name in enumerate(names)
        ]
    }


def services(
    listed: Any, answers: KnownAnswers, *latest: dict[str, Any], current: str = "now"
) -> tuple[int, set[str | None]]:
    """Scan one service; return how often its deployments were listed, and which tags are in use."""

    def revisions(parameters: Parameters) -> dict[str, Any]:
        names = [arn.rpartition("/")[2] for arn in parameters["serviceRevisionArns"]]
        images = [[{"containerName": "app", "image": f"{HOST}/app:{name}"}] for name in names]
        return {
            "serviceRevisions": [
                {"serviceRevisionArn": revision(name), "containerImages": image}
                for name, image in zip(names, images, strict=True)
            ]
        }

    service = {
        "serviceArn": f"{PREFIX}:service/main/web",
        "clusterArn": CLUSTER,
        "deployments": list(latest),
        "currentServiceRevisions": [{"arn": revision(current)}],
    }
    ecs = Scripted(
        "ecs",
        ListClusters={"clusterArns": [CLUSTER]},
        ListServices={"serviceArns": [service["serviceArn"]]},
        ListTasks={},
        DescribeServices={"services": [service]},
        ListServiceDeployments=listed,
        DescribeServiceRevisions=revisions,
    )
    usages = found(Ecs(), ecs, settings=Settings(task_definition_revisions=0), answers=answers)
    return len(ecs.asked("ListServiceDeployments")), tags(usages) - {None}


def test_deployments_are_listed_again_only_after_another_deployment(answers: KnownAnswers) -> None:
    listed = deployments("now", "before", "older")
    assert services(listed, answers, latest()) == (1, {"now", "before"})
    known = next_run(answers)
    assert services(DENIED, known, latest()) == (0, {"now", "before"})
    later = deployments("next", "now", "before")
    assert services(later, known, latest(2), current="next") == (1, {"next", "now"})


@pytest.mark.parametrize(
    "state",
    [
        [],
        [latest(), latest(2, status="ACTIVE")],
        [latest(status="ACTIVE")],
        [latest(rolloutState="IN_PROGRESS")],
        [latest(rolloutState="FAILED")],
        [{name: value for name, value in latest().items() if name != "rolloutState"}],
        [{name: value for name, value in latest().items() if name != "createdAt"}],
        [{name: value for name, value in latest().items() if name != "id"}],
        [latest(createdAt=datetime.now(UTC) - timedelta(hours=23))],
    ],
)
def test_while_a_deployment_may_be_under_way_deployments_are_listed(
    answers: KnownAnswers, state: Sequence[dict[str, Any]]
) -> None:
    services(deployments("now", "before"), answers, *state)
    again = services(deployments("now", "older"), answers, *state)
    assert again == (1, {"now", "older"})


@pytest.mark.parametrize(
    "change",
    [
        {"latest": latest(2)},
        {"latest": latest(createdAt=LONG_AGO + timedelta(days=1))},
        {"current": "other"},
    ],
)
def test_a_service_with_another_deployment_is_another_service(
    answers: KnownAnswers, change: dict[str, Any]
) -> None:
    services(deployments("now", "before"), answers, latest())
    now, current = change.get("latest", latest()), change.get("current", "now")
    count, used = services(deployments(current, "older"), answers, now, current=current)
    assert (count, used) == (1, {current, "older"})


@pytest.mark.parametrize(
    "listed",
    [
        deployments("now", "coming", status="IN_PROGRESS"),
        error("ServiceNotFoundException"),
        error("UnsupportedOperationException"),
    ],
)
def test_a_list_that_may_change_is_not_kept(answers: KnownAnswers, listed: Any) -> None:
    services(listed, answers, latest())
    assert services(deployments("now", "before"), answers, latest()) == (1, {"now", "before"})


def test_a_service_without_deployments_of_late_is_known_too(answers: KnownAnswers) -> None:
    assert services({}, answers, latest()) == (1, {"now"})
    assert services(DENIED, next_run(answers), latest()) == (0, {"now"})
