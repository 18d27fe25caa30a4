"""Nothing is deleted if anything cannot be read in full: a failed answer is not an empty one."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from botocore.exceptions import EndpointConnectionError

from integration import full_world
from integration.full_world import FullWorld
from integration.program import PACKAGE, Answer, Ask, Parameters, Program, changed, fails, says
from world import World

PERMISSIONS = json.loads((PACKAGE / "ecr_cleaner" / "permissions.json").read_text())


def actions_of(part: str) -> set[str]:
    """Return the IAM actions of all usage sources, or of all guards."""
    return {action for actions in PERMISSIONS[part].values() for action in actions}


SCANNING = sorted(actions_of("usage"))
GUARDING = sorted(actions_of("guards"))
READING = sorted({*SCANNING, *GUARDING, *PERMISSIONS["read"]})
ONE_OF_EACH_SERVICE = list({action.partition(":")[0]: action for action in READING}.values())


def source_of(action: str) -> str:
    """Return a usage source that needs the action, or any source if none does."""
    owners = (name for name, actions in PERMISSIONS["usage"].items() if action in actions)
    return next(owners, "app-runner")


DENIED = "AccessDeniedException"
MESSAGE = "User: arn:aws:sts::123456789012:assumed-role/cleaner is not authorized to perform: "


def disconnected(_: Parameters, __: Ask) -> dict[str, Any]:
    raise EndpointConnectionError(endpoint_url="https://service.example.com")


def surprising(_: Parameters, __: Ask) -> dict[str, Any]:
    raise KeyError("surprise")


@pytest.fixture
def untouched(world: World, full: FullWorld) -> Iterator[None]:
    """Check that no image was deleted by the end of the test."""
    before = full_world.everything(world)
    assert before == full.all
    yield
    assert full_world.everything(world) == before


def test_without_a_fault_exactly_the_unused_images_are_deleted(
    world: World, program: Program, full: FullWorld
) -> None:
    """In the tests below, it is the fault that stops the deletions."""
    run = program.delete()

    assert full_world.everything(world) == set(full.used)
    assert run.summary["complete"] is True
    assert run.summary["removed"] == len(full.unused)


# -- Any one operation -------------------------------------------------------------------------


@pytest.mark.usefixtures("many_revisions")
@pytest.mark.parametrize("action", READING)
def test_throttled_read_stops_every_deletion_and_names_source_and_operation(
    world: World, program: Program, action: str
) -> None:
    source = source_of(action)
    full = full_world.fill(world, [source])
    program.on(action, fails("ThrottlingException", "Rate exceeded"))
    run = program.delete(**full_world.only(source))

    assert run.called(action)
    assert run.mutations == []
    assert full_world.everything(world) == full.all
    errors = [line for line in run.lines if line.get("code") == "ThrottlingException"]
    assert {line["operation"] for line in errors} == {action.partition(":")[2]}
    assert {line["level"] for line in errors} == {"error"}
    assert not any("missing_action" in line for line in errors)
    # Guards are read beside the scan. The first error ends both.
    if action in SCANNING and action not in GUARDING:
        assert {line["source"] for line in errors} == {source}
        assert f"usage source {source} could not be read in full" in run.failure


@pytest.mark.parametrize("action", ONE_OF_EACH_SERVICE)
def test_denied_read_names_the_action_even_if_aws_does_not(
    world: World, program: Program, action: str
) -> None:
    """Denials by IAM, which names the action, are tested in test_permissions.py."""
    source = source_of(action)
    full_world.fill(world, [source])
    program.on(action, fails(DENIED, "User is not allowed to do this"))
    run = program.delete(**full_world.only(source))

    assert run.mutations == []
    assert f"missing IAM action: {action}" in run.failure
    assert action in {line.get("missing_action") for line in run.lines}


@pytest.mark.usefixtures("untouched")
@pytest.mark.parametrize(
    ("answer", "problem"), [(disconnected, "EndpointConnectionError"), (surprising, "surprise")]
)
@pytest.mark.parametrize(
    "action", ["ecs:DescribeTasks", "lambda:ListFunctions", "ecr:ListTagsForResource"]
)
def test_read_that_fails_in_another_way_stops_every_deletion(
    program: Program, action: str, answer: Answer, problem: str
) -> None:
    program.on(action, answer)
    run = program.delete()

    assert run.mutations == []
    (line,) = run.events("Run failed")
    assert problem in line["error"]


def test_dry_run_fails_with_the_same_error(program: Program, full: FullWorld) -> None:
    program.on("ecs:DescribeTasks", fails(DENIED, MESSAGE + "ecs:DescribeTasks"))

    assert full.unused
    assert "missing IAM action: ecs:DescribeTasks" in program.run().failure


@pytest.mark.usefixtures("untouched")
@pytest.mark.parametrize("code", [DENIED, "ThrottlingException"])
def test_failed_delete_is_reported_and_not_counted(program: Program, code: str) -> None:
    program.on("ecr:BatchDeleteImage", fails(code, MESSAGE + "ecr:BatchDeleteImage"))
    run = program.delete()

    assert "ecr BatchDeleteImage failed with" in run.failure
    (done,) = run.events("Run finished")
    assert done["removed"] == 0
    assert done["failed"] + done["left"] == done["removable"]
    assert done["failed"] > 0
    assert done["complete"] is False


@pytest.mark.usefixtures("untouched")
def test_failed_archiving_is_reported_and_not_counted(program: Program) -> None:
    action = "ecr:UpdateImageStorageClass"
    program.on(action, fails(DENIED, MESSAGE + action))
    run = program.delete(ACTION="archive")

    assert f"missing IAM action: {action}" in run.failure
    assert run.events("Run finished")[0]["removed"] == 0


# -- Answers that lack something ---------------------------------------------------------------


def without_image(content: dict[str, Any]) -> None:
    content["Code"] = {"RepositoryType": "ECR"}


def without_service(content: dict[str, Any]) -> None:
    content["services"] = []


def without_tasks(content: dict[str, Any]) -> None:
    content["tasks"] = []


@pytest.mark.usefixtures("untouched")
@pytest.mark.parametrize(
    ("action", "change"),
    [
        ("lambda:GetFunction", without_image),
        ("ecs:DescribeServices", without_service),
        ("ecs:DescribeTasks", without_tasks),
    ],
)
def test_incomplete_answer_stops_every_deletion(program: Program, action: str, change: Any) -> None:
    program.on(action, changed(change))
    run = program.delete()

    assert run.mutations == []
    assert action.partition(":")[2] in run.failure


@pytest.mark.usefixtures("untouched")
@pytest.mark.parametrize(
    ("action", "key"), [("ecs:DescribeServices", "services"), ("ecs:DescribeTasks", "tasks")]
)
def test_failure_for_another_reason_than_missing_stops_every_deletion(
    program: Program, action: str, key: str
) -> None:
    failure = {"arn": "arn:aws:ecs:eu-west-1:123456789012:thing", "reason": "INTERNAL"}
    program.on(action, says(**{key: [], "failures": [failure]}))
    run = program.delete()

    assert run.mutations == []
    assert "INTERNAL" in run.failure
    assert failure["arn"] in run.failure


# -- Resources that vanish between list and get ------------------------------------------------


MISSING = [{"arn": "arn", "reason": "MISSING"}]


@pytest.mark.parametrize(
    ("source", "answers"),
    [
        ("ecs", {"ecs:ListClusters": says(clusterArns=[])}),
        (
            "ecs",
            {
                "ecs:ListServices": fails("ClusterNotFoundException"),
                "ecs:ListTasks": fails("ClusterNotFoundException"),
            },
        ),
        (
            "ecs",
            {
                "ecs:DescribeServices": says(services=[], failures=MISSING),
                "ecs:DescribeTasks": says(tasks=[], failures=MISSING),
            },
        ),
        ("lambda", {"lambda:GetFunction": fails("ResourceNotFoundException")}),
        ("app-runner", {"apprunner:DescribeService": fails("ResourceNotFoundException")}),
    ],
)
def test_consumer_that_vanished_is_skipped_and_its_image_is_unused(
    world: World, program: Program, full: FullWorld, source: str, answers: dict[str, Answer]
) -> None:
    program.answers |= answers
    run = program.delete(TASK_DEFINITION_REVISIONS="0")

    assert full_world.everything(world) == full.used.keys() - {full.of(source)}
    assert run.summary["errors"] == []


@pytest.mark.parametrize("action", ["ecr:ListTagsForResource", "ecr:DescribeImages"])
def test_repository_that_vanished_is_skipped(
    program: Program, full: FullWorld, action: str
) -> None:
    program.on(action, fails("RepositoryNotFoundException"))
    run = program.delete()

    assert full.unused
    assert (run.summary["images"], run.mutations) == (0, [])


# -- One repository ----------------------------------------------------------------------------


@pytest.mark.parametrize("action", ["ecr:DescribeImages", "ecr:BatchGetImage"])
def test_failing_repository_is_skipped_and_the_others_are_cleaned(
    world: World, program: Program, full: FullWorld, action: str
) -> None:
    web, jobs = full_world.REPOSITORIES
    before = world.digests(web)

    def only_in_one(parameters: Parameters, ask: Ask) -> dict[str, Any]:
        if parameters["repositoryName"] == web:
            return fails(DENIED, MESSAGE + action)(parameters, ask)
        return ask(parameters)

    program.on(action, only_in_one)
    run = program.delete()

    assert world.digests(web) == before
    assert world.digests(jobs) == full.used.keys() - before
    assert action in run.failure
    (failed,) = run.events("Repository failed")
    assert (failed["repository"], failed["missing_action"]) == (web, action)
    assert run.events("Run finished")[0]["removed"] == 4


@pytest.mark.parametrize(
    "manifest", ["not json", "[]", "{}", '{"manifests": {}}', '{"manifests": [{"size": 1}]}', None]
)
def test_unreadable_manifest_keeps_every_image_of_its_repository(
    world: World, program: Program, full: FullWorld, manifest: str | None
) -> None:
    web, jobs = full_world.REPOSITORIES
    before = world.digests(web)

    def spoilt(parameters: Parameters, ask: Ask) -> dict[str, Any]:
        content = ask(parameters)
        if parameters["repositoryName"] != web:
            return content
        images = [{**one, "imageManifest": manifest} for one in content["images"]]
        return {"images": [] if manifest is None else images, "failures": []}

    program.on("ecr:BatchGetImage", spoilt)
    run = program.delete()

    assert world.digests(web) == before
    assert world.digests(jobs) == full.used.keys() - before
    assert "manifest of sha256:" in run.failure
