"""What pipelines begin with, and which of their executions still need an image."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import date
from typing import Any

import pytest

from ecr_cleaner.core.answer_cache import AnswerCache
from ecr_cleaner.core.model import ImageReference, ReferencePattern, Registry
from ecr_cleaner.usage.codepipeline import NEWEST, CodePipeline
from ecr_cleaner.usage.shared.known_answers import KnownAnswers
from fakes.aws_api import Parameters, error, found
from fakes.scripted import HOST, Scripted, ecs

ARN = "arn:aws:codepipeline:eu-west-1:123456789012:shop"
HOME = Registry("123456789012", "eu-west-1")
ELSEWHERE = Registry("210987654321", "eu-west-1")
ROLE = "arn:aws:iam::210987654321:role/reads-images"
NO_PIPELINE = error("PipelineNotFoundException")
NO_EXECUTION = error("PipelineExecutionNotFoundException")
PIPELINE = CodePipeline()

Content = dict[str, Any]


def digest(number: int) -> str:
    return f"sha256:{number:064x}"


def action(provider: str, **more: Any) -> Content:
    category = "Source" if provider == "ECR" else "Build"
    kind = {"category": category, "owner": "AWS", "provider": provider, "version": "1"}
    return {"name": provider, "actionTypeId": kind, **more}


def image_source(repository: str = "app", artifact: str = "Image", **more: Any) -> Content:
    return action(
        "ECR",
        configuration={"RepositoryName": repository, **more},
        outputArtifacts=[{"name": artifact}],
    )


def stages(*sources: Content, then: Sequence[Content] = ()) -> list[Content]:
    return [
        {"name": "Source", "actions": list(sources)},
        {"name": "Test", "actions": list(then)},
        {"name": "Deploy", "actions": []},
    ]


class Executions:
    """The executions of one pipeline, from the newest to the oldest, as each operation has them."""

    def __init__(self, *executions: Content) -> None:
        self.all = {one["pipelineExecutionId"]: one for one in executions}
        self.held: list[Content] = []
        self.succeeded: dict[str, list[str]] = {}
        self.actions: dict[str, list[Content]] = {}

    def list(self, asked: Parameters) -> list[Content]:
        stage = asked.get("filter", {}).get("succeededInStage", {}).get("stageName")
        ids = self.succeeded.get(stage, []) if stage else list(self.all)
        listed = [self._summary(self.all[one]) for one in ids]
        size = asked["maxResults"]
        pages = [listed[start : start + size] for start in range(0, len(listed), size)] or [[]]
        return [{"pipelineExecutionSummaries": page} for page in pages]

    def get(self, asked: Parameters) -> Any:
        execution = self.all.get(asked["pipelineExecutionId"])
        return {"pipelineExecution": execution} if execution else NO_EXECUTION

    def list_actions(self, asked: Parameters) -> Content:
        return {
            "actionExecutionDetails": self.actions.get(asked["filter"]["pipelineExecutionId"], [])
        }

    def _summary(self, execution: Content) -> Content:
        fields = ("pipelineExecutionId", "status", "executionType", "rollbackMetadata")
        return {name: execution[name] for name in fields if name in execution}


def execution(name: str, status: str, number: int = 0, **more: Any) -> Content:
    """Return an execution that took one image, by the number in its digest."""
    revision = {"name": "Image", "revisionId": digest(number)}
    revisions = {"artifactRevisions": [revision]} if number else {}
    return {"pipelineExecutionId": name, "status": status, **revisions, **more}


def codepipeline(
    executions: Executions | None = None,
    declared: Sequence[Content] | None = None,
    **declaration: Any,
) -> Scripted:
    """Return CodePipeline with one pipeline, of type V2 with an ECR source if nothing is said."""
    there = executions or Executions()
    pipeline = {
        "name": "shop",
        "roleArn": "arn:aws:iam::123456789012:role/pipeline",
        "pipelineType": "V2",
        "stages": list(declared or stages(image_source())),
    }
    return Scripted(
        "codepipeline",
        ListPipelines={"pipelines": [{"name": "shop"}]},
        GetPipeline={"pipeline": pipeline | declaration},
        GetPipelineState=lambda _: {"stageStates": there.held},
        ListPipelineExecutions=there.list,
        GetPipelineExecution=there.get,
        ListActionExecutions=there.list_actions,
    )


def references(api: Scripted) -> set[ImageReference | ReferencePattern]:
    return {usage.reference for usage in found(PIPELINE, api, ecs())}


def used(api: Scripted) -> set[str]:
    """Return the executions that count as consumers."""
    consumers = {usage.consumer for usage in found(PIPELINE, api, ecs())}
    return {one.removeprefix(f"{ARN}:") for one in consumers - {ARN}}


def app(tag: str | None = None, number: int = 0) -> ImageReference:
    return ImageReference(HOME, "app", tag, digest(number) if number else None)


# -- The definition ------------------------------------------------------------------------------


def test_account_without_pipelines_uses_nothing_and_costs_one_call() -> None:
    api = Scripted("codepipeline", ListPipelines={"pipelines": []})

    assert found(PIPELINE, api) == []
    assert api.calls == [("ListPipelines", {"maxResults": 1000})]


def test_pipelines_of_every_page_are_read_and_are_the_consumers() -> None:
    api = codepipeline()
    api.line("ListPipelines", [{"pipelines": [{"name": name}]} for name in ("shop", "jobs")])

    usages = found(PIPELINE, api)

    assert {(usage.consumer, usage.source) for usage in usages} == {
        (ARN, "codepipeline"),
        (ARN.replace("shop", "jobs"), "codepipeline"),
    }


@pytest.mark.parametrize(
    ("configuration", "more", "expected"),
    [
        ({"ImageTag": "prod"}, {}, ImageReference(HOME, "app", "prod")),
        ({}, {}, ImageReference(HOME, "app", "latest")),
        ({"RepositoryName": "team/app"}, {}, ImageReference(HOME, "team/app", "latest")),
        ({"ImageTag": "#{variables.TAG}"}, {}, ImageReference(HOME, "app")),
        (
            {"RepositoryName": "team/#{variables.NAME}", "ImageTag": "prod"},
            {},
            ReferencePattern("team/*", "123456789012", "eu-west-1", "prod"),
        ),
        (
            {},
            {"region": "us-east-1"},
            ImageReference(Registry("123456789012", "us-east-1"), "app", "latest"),
        ),
        ({}, {"roleArn": ROLE}, ImageReference(ELSEWHERE, "app", "latest")),
        (
            {},
            {"roleArn": ROLE.replace("210987654321", "123456789012")},
            ImageReference(HOME, "app", "latest"),
        ),
    ],
    ids=[
        "tag",
        "no tag means latest",
        "a path",
        "a tag that varies means any image",
        "a repository that varies means all that match",
        "in the region of the action",
        "in the account of its role",
        "a role of the same account",
    ],
)
def test_source_action_takes_an_image_of_the_registry_that_it_asks(
    configuration: Content, more: Content, expected: ImageReference | ReferencePattern
) -> None:
    source = image_source(**configuration) | more

    assert references(codepipeline(declared=stages(source))) == {expected}


def test_scanned_image_has_to_exist_but_one_that_is_built_does_not() -> None:
    named = {"ECRRepositoryName": "app"}
    scan = action("InspectorScan", configuration=named | {"ImageTag": "checked"})
    build = action("ECRBuildAndPublish", configuration=named | {"ImageTags": "v1"})
    code = action("S3", configuration={"S3Bucket": "code", "S3ObjectKey": "code.zip"})
    of_code = action("InspectorScan", configuration={"InspectorRunMode": "SourceCodeScan"})

    api = codepipeline(declared=stages(code, then=[scan, build, of_code]))

    assert references(api) == {app("checked")}


IMAGE = f"{HOST}/app:v1"


@pytest.mark.parametrize(
    ("build", "declaration"),
    [
        ({"commands": [f"docker run {IMAGE} --check"]}, {}),
        (
            {
                "configuration": {
                    "EnvironmentVariables": json.dumps(
                        [{"name": "IMAGE", "value": IMAGE, "type": "PLAINTEXT"}]
                    )
                }
            },
            {},
        ),
        ({"configuration": {"ParameterOverrides": json.dumps({"Image": IMAGE})}}, {}),
        ({}, {"variables": [{"name": "IMAGE", "defaultValue": IMAGE}]}),
    ],
    ids=["commands", "variables of a build", "parameters of a stack", "default of a variable"],
)
def test_reference_anywhere_in_the_definition_is_a_use(
    build: Content, declaration: Content
) -> None:
    declared = stages(action("S3"), then=[action("CodeBuild", **build)])

    assert references(codepipeline(declared=declared, **declaration)) == {app("v1")}


def test_tag_that_is_computed_from_a_variable_means_any_image() -> None:
    build = action("Commands", commands=[f"docker pull {HOST}/app:#{{variables.TAG}}"])

    assert references(codepipeline(declared=stages(action("S3"), then=[build]))) == {app()}


def test_task_definition_that_a_command_starts_counts_by_its_images() -> None:
    definition = "arn:aws:ecs:eu-west-1:123456789012:task-definition/migrate:7"
    build = action("Commands", commands=[f"aws ecs run-task --task-definition {definition}"])

    api = codepipeline(declared=stages(action("S3"), then=[build]))

    assert references(api) == {app("migrate-7")}


# -- Executions that count -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "counts"),
    [
        ("InProgress", True),
        ("Stopping", True),
        ("Succeeded", False),
        ("Failed", False),
        ("Stopped", False),
        ("Superseded", False),
        ("Cancelled", False),
        ("AStateOfNextYear", True),
    ],
)
def test_execution_counts_until_it_has_ended(status: str, counts: bool) -> None:
    api = codepipeline(Executions(execution("one", status, 1)))

    assert used(api) == ({"one"} if counts else set())


def test_execution_that_waits_uses_its_digest_after_the_tag_has_moved() -> None:
    api = codepipeline(Executions(execution("waits", "InProgress", 1)))

    by_consumer = {usage.consumer: usage.reference for usage in found(PIPELINE, api)}

    assert by_consumer == {ARN: app("latest"), f"{ARN}:waits": app(number=1)}


@pytest.mark.parametrize(("status", "counts"), [("InProgress", True), ("Failed", False)])
def test_target_of_a_rollback_counts_while_that_is_under_way(status: str, counts: bool) -> None:
    to_target = {"rollbackTargetPipelineExecutionId": "target"}
    rollback = execution("rollback", status, 1, rollbackMetadata=to_target)
    executions = Executions(rollback, execution("target", "Succeeded", 1))

    assert used(codepipeline(executions)) == ({"rollback", "target"} if counts else set())


@pytest.mark.parametrize(
    ("mode", "is_found"), [("SUPERSEDED", False), ("QUEUED", False), ("PARALLEL", True)]
)
def test_waiting_execution_is_listed_behind_all_others_only_in_parallel(
    mode: str, is_found: bool
) -> None:
    """In the other modes, it is one that a stage holds."""
    newer = [execution(f"newer-{number}", "Superseded") for number in range(NEWEST)]
    api = codepipeline(Executions(*newer, execution("waits", "InProgress", 1)), executionMode=mode)

    assert used(api) == ({"waits"} if is_found else set())


HELD = {"pipelineExecutionId": "old", "status": "InProgress"}


@pytest.mark.parametrize(
    "stage",
    [
        {"latestExecution": HELD},
        {"latestExecution": HELD | {"status": "Failed"}},
        {"inboundExecution": HELD},
        {"inboundExecutions": [HELD]},
    ],
    ids=["in it", "failed in it and may be retried", "before it", "in a queue before it"],
)
def test_execution_that_a_stage_holds_counts_however_old_it_is(stage: Content) -> None:
    newer = [execution(f"newer-{number}", "Superseded") for number in range(NEWEST)]
    executions = Executions(*newer, execution("old", "Failed", 1))
    executions.held = [{"stageName": "Test"}, {"stageName": "Deploy", **stage}]

    api = codepipeline(executions)

    assert used(api) == {"old"}
    assert app(number=1) in references(api)


def deployed(*, rollbacks: int = 0) -> Executions:
    """Return executions that went through both stages, after some that went through one."""
    made = [execution(f"rollback-{number}", "Succeeded") for number in range(rollbacks)]
    made += [execution(f"tested-{number}", "Superseded", number) for number in range(1, 5)]
    made += [execution(f"deployed-{number}", "Succeeded", number) for number in range(5, 9)]
    executions = Executions(*(one | _kind(one["pipelineExecutionId"]) for one in made))
    tested = [name for name in executions.all if name.startswith("tested")]
    executions.succeeded = {
        "Source": list(executions.all),
        "Test": tested,
        "Deploy": [name for name in executions.all if name not in tested],
    }
    return executions


def _kind(name: str) -> Content:
    return {"executionType": "ROLLBACK" if name.startswith("rollback") else "STANDARD"}


TARGETS = {"tested-1", "tested-2", "tested-3", "deployed-5", "deployed-6", "deployed-7"}


@pytest.mark.parametrize(
    ("declaration", "expected"),
    [
        ({}, TARGETS),
        ({"executionMode": "QUEUED"}, TARGETS),
        ({"executionMode": "PARALLEL"}, set()),
        ({"pipelineType": "V1"}, set()),
    ],
    ids=["V2", "with a queue", "in parallel", "V1"],
)
def test_newest_three_that_succeeded_in_a_stage_can_be_rolled_back_to(
    declaration: Content, expected: set[str]
) -> None:
    assert used(codepipeline(deployed(), **declaration)) == expected


def test_rollback_is_not_a_target_of_a_rollback() -> None:
    assert used(codepipeline(deployed(rollbacks=150))) == TARGETS


def test_source_stage_is_not_asked_for_targets() -> None:
    api = codepipeline(deployed())

    found(PIPELINE, api)

    filters = [
        asked["filter"] for asked in api.asked("ListPipelineExecutions") if "filter" in asked
    ]
    stages_asked = {one["succeededInStage"]["stageName"] for one in filters}
    assert stages_asked == {"Test", "Deploy"}


# -- What an execution uses ----------------------------------------------------------------------


def of_execution(api: Scripted) -> set[ImageReference | ReferencePattern]:
    return {usage.reference for usage in found(PIPELINE, api, ecs()) if usage.consumer != ARN}


def under_way(*actions: Content, **more: Any) -> Executions:
    executions = Executions(execution("one", "InProgress", **more))
    executions.actions = {"one": list(actions)}
    return executions


TWO_SOURCES = stages(image_source(), image_source("base", "Base"))


@pytest.mark.parametrize(
    ("revisions", "expected"),
    [
        ([], set()),
        ([{"name": "Image", "revisionId": digest(1)}], {app(number=1)}),
        (
            [
                {"name": "Image", "revisionId": digest(1)},
                {"name": "Base", "revisionId": digest(2)},
            ],
            {app(number=1), ImageReference(HOME, "base", digest=digest(2))},
        ),
        (
            [{"name": "Renamed", "revisionId": digest(1)}],
            {app(number=1), ImageReference(HOME, "base", digest=digest(1))},
        ),
        ([{"name": "Image", "revisionId": "sha256:short"}], {app()}),
        ([{"name": "Code", "revisionId": "7636d59f3c461cEXAMPLE8417dbc6371"}], set()),
        ([{"name": "Image"}], set()),
    ],
    ids=[
        "before its source actions",
        "one",
        "each of its own repository",
        "an artifact that the definition lacks: any repository",
        "not a digest: any image",
        "a commit",
        "none yet",
    ],
)
def test_digests_of_source_actions_are_used(
    revisions: list[Content], expected: set[ImageReference]
) -> None:
    api = codepipeline(under_way(artifactRevisions=revisions), declared=TWO_SOURCES)

    assert of_execution(api) == expected


def ran(variables: Content, configuration: Content | None = None, **given: Any) -> Content:
    asked = {"configuration": configuration or {}, **given}
    return {"actionName": "Build", "input": asked, "output": {"outputVariables": variables}}


BUILT = {"ECRRepositoryName": "app", "ECRImageDigestId": digest(3)}


@pytest.mark.parametrize(
    ("done", "expected"),
    [
        (ran({"IMAGE_URI": IMAGE}), {app("v1")}),
        (ran({"ImageURI": f"{HOST}/app@{digest(4)}"}), {app(number=4)}),
        (ran({}, resolvedConfiguration={"EnvironmentVariables": f'["{IMAGE}"]'}), {app("v1")}),
        (ran(BUILT), {app(number=3)}),
        (
            ran(BUILT, region="us-east-1", roleArn=ROLE),
            {ImageReference(Registry("210987654321", "us-east-1"), "app", digest=digest(3))},
        ),
        (ran(BUILT | {"ECRImageDigestId": "unclear"}), {app()}),
        (ran(BUILT, {"RegistryType": "private"}), {app(number=3)}),
        (ran(BUILT, {"RegistryType": "public"}), set()),
        ({"actionName": "Approve", "status": "InProgress"}, set()),
    ],
    ids=[
        "exported by a build",
        "taken by a source action",
        "given to an action",
        "built by CodePipeline",
        "in the registry that it was pushed to",
        "by an unclear digest",
        "in private ECR",
        "in public ECR",
        "an action that returned nothing yet",
    ],
)
def test_what_actions_were_given_and_returned_is_used(
    done: Content, expected: set[ImageReference]
) -> None:
    assert of_execution(codepipeline(under_way(done))) == expected


def test_value_of_a_variable_is_used_before_an_action_was_given_it() -> None:
    variables = [{"name": "IMAGE", "resolvedValue": IMAGE}]

    assert of_execution(codepipeline(under_way(variables=variables))) == {app("v1")}


def test_actions_of_every_page_are_read() -> None:
    api = codepipeline(under_way())
    pages = [{"actionExecutionDetails": [ran({"IMAGE": f"{HOST}/app:{tag}"})]} for tag in "abc"]
    api.line("ListActionExecutions", pages)

    assert of_execution(api) == {app("a"), app("b"), app("c")}


# -- What vanishes, and what is known ------------------------------------------------------------


@pytest.mark.parametrize(
    ("operation", "gone", "expected"),
    [
        ("GetPipeline", NO_PIPELINE, set()),
        ("GetPipelineState", NO_PIPELINE, {app("latest"), app(number=1)}),
        ("ListPipelineExecutions", NO_PIPELINE, {app("latest")}),
        ("GetPipelineExecution", NO_PIPELINE, {app("latest")}),
        ("GetPipelineExecution", NO_EXECUTION, {app("latest")}),
        ("ListActionExecutions", NO_PIPELINE, {app("latest"), app(number=1)}),
        ("ListActionExecutions", NO_EXECUTION, {app("latest"), app(number=1)}),
    ],
)
def test_what_vanished_during_the_scan_is_skipped(
    operation: str, gone: Exception, expected: set[ImageReference]
) -> None:
    api = codepipeline(Executions(execution("one", "InProgress", 1)))
    api.line(operation, gone)

    assert references(api) == expected


@pytest.mark.parametrize(
    ("status", "is_known"),
    [("Succeeded", True), ("Superseded", True), ("Failed", False), ("InProgress", False)],
)
def test_only_an_execution_that_cannot_change_is_not_asked_for_again(
    status: str, is_known: bool
) -> None:
    executions = Executions(execution("one", status, 1))
    executions.held = [{"latestExecution": {"pipelineExecutionId": "one", "status": "Succeeded"}}]
    answers = KnownAnswers(AnswerCache("1.0", date(2026, 3, 1)))
    first = found(PIPELINE, codepipeline(executions), answers=answers)
    again = codepipeline(executions)

    assert found(PIPELINE, again, answers=answers) == first
    assert app(number=1) in {usage.reference for usage in first}
    assert bool(again.asked("GetPipelineExecution")) is not is_known
    assert bool(again.asked("ListActionExecutions")) is not is_known
