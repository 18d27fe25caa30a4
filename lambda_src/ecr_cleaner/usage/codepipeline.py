"""CodePipeline: what pipelines begin with, and what their executions deploy now or again.

Source: https://docs.aws.amazon.com/codepipeline/latest/userguide/concepts-how-it-works.html
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import chain, islice
from typing import Any

from ecr_cleaner.aws.api import Answer
from ecr_cleaner.core.model import ImageReference, ReferencePattern, Registry, Usage
from ecr_cleaner.core.reference import is_digest, is_tag
from ecr_cleaner.core.walk import Found, find
from ecr_cleaner.usage.shared.target import Target
from ecr_cleaner.usage.shared.uses import usages_of

Image = ImageReference | ReferencePattern

# Of each stage: the newest is what an automatic rollback takes.
ROLLBACK_TARGETS = 3
# Of each pipeline that does not run its executions in parallel.
NEWEST = 100

_NO_PIPELINE = "PipelineNotFoundException"
_NO_EXECUTION = "PipelineExecutionNotFoundException"
# A state that is not known here may be one of an execution that goes on.
_ENDED = frozenset({"Cancelled", "Failed", "Stopped", "Succeeded", "Superseded"})
# A failed or stopped execution can be retried; these never change again.
_FINAL = frozenset({"Succeeded", "Superseded"})

# By provider, the field in which an action names the repository of an image that it takes.
_REPOSITORY_FIELDS = {"ECR": "RepositoryName", "InspectorScan": "ECRRepositoryName"}
_VARIABLE = re.compile(r"#\{[^}]*\}")
_ROLE = re.compile(r"arn:[^:]*:iam::(?P<account>[0-9]{12}):")


@dataclass(frozen=True, slots=True)
class _Pipeline:
    """A pipeline; ``images`` holds those that its actions take, by the artifact they make of it."""

    arn: str
    declaration: Answer
    images: Mapping[str, Image]

    @property
    def name(self) -> str:
        return str(self.declaration["name"])

    @property
    def is_parallel(self) -> bool:
        return bool(self.declaration.get("executionMode") == "PARALLEL")


class CodePipeline:
    """What each pipeline would start with, and the executions that may still deploy something.

    - The tag of an ECR source action: the next execution takes the image that it points to.
    - Executions under way: they wait for an approval for up to 60 days, and use the same image if
      the tag moves meanwhile.
    - Executions that a stage holds. They may be older than many others, and a stage that failed
      can be retried.
    - Executions that a stage can be rolled back to: those that succeeded in this stage, whatever
      became of them later. An automatic rollback takes the newest one. A person may choose any of a
      year; to keep the images of them all would be too many, so the newest three count.

    An execution uses the digests of its source actions, and what its actions were given and
    returned, such as a reference that a build exported. Its artifacts in S3 are not read.
    Source: https://docs.aws.amazon.com/codepipeline/latest/userguide/stage-rollback.html
    """

    name = "codepipeline"
    service = "codepipeline"
    everywhere = True
    what = (
        "every pipeline: the image that each ECR source action would take now, and references "
        "anywhere in the definition; every execution that is under way or that a stage holds, and "
        f"the newest {ROLLBACK_TARGETS} that each stage of a V2 pipeline can be rolled back to: "
        "the digests of its source actions, and references in what its actions were given and "
        "returned"
    )

    def usages(self, target: Target) -> Iterable[Usage]:
        """Yield what each pipeline and each of its executions refers to."""
        listed = target.listed(self.service, "ListPipelines", "pipelines", {"maxResults": 1000})
        read = target.workers.map(lambda one: _read(target, one["name"]), listed)
        return usages_of(target, self.name, chain.from_iterable(read), starts_tasks=True)


def _read(target: Target, name: str) -> list[tuple[str, Found]]:
    """Return what a pipeline and its executions refer to, by consumer; nothing if it vanished."""
    answer = target.api("codepipeline").find("GetPipeline", _NO_PIPELINE, name=name)
    if answer is None:
        return []
    declaration = answer["pipeline"]
    taken = [(action, _image_of(target, action)) for action in _actions(declaration)]
    found = find(answer)
    found.references.update((image, None) for _, image in taken if image)
    images = {
        artifact["name"]: image
        for action, image in taken
        if image
        for artifact in action.get("outputArtifacts", ())
    }
    pipeline = _Pipeline(target.location.arn("codepipeline", name), declaration, images)
    executions = target.workers.map(
        lambda one: (f"{pipeline.arn}:{one}", _execution(target, pipeline, one)),
        _executions(target, pipeline),
    )
    return [(pipeline.arn, found), *executions]


def _actions(declaration: Answer) -> Iterator[Answer]:
    for stage in declaration["stages"]:
        yield from stage["actions"]


# -- Which executions count ----------------------------------------------------------------------


def _executions(target: Target, pipeline: _Pipeline) -> list[str]:
    """Return the ids of the executions that may still deploy something, each once."""
    parts = target.workers.map(
        lambda part: list(part(target, pipeline)), (_under_way, _held, _rollback_targets)
    )
    return list(dict.fromkeys(chain.from_iterable(parts)))


def _under_way(target: Target, pipeline: _Pipeline) -> Iterator[str]:
    """Yield executions that have not ended, of the newest ones or, in mode PARALLEL, of all.

    In the other modes, those that are older are held by a stage. A rollback uses the variables of
    its target, so that counts too.
    """
    listed = _listed(target, pipeline)
    for execution in listed if pipeline.is_parallel else islice(listed, NEWEST):
        if execution["status"] not in _ENDED:
            yield execution["pipelineExecutionId"]
            rollback = execution.get("rollbackMetadata")
            if rollback:
                yield rollback["rollbackTargetPipelineExecutionId"]


def _held(target: Target, pipeline: _Pipeline) -> Iterator[str]:
    """Yield the latest execution of each stage, and those that wait to enter it."""
    state = target.api("codepipeline").find("GetPipelineState", _NO_PIPELINE, name=pipeline.name)
    for stage in state["stageStates"] if state else ():
        single = (stage.get("latestExecution"), stage.get("inboundExecution"))
        for execution in (*single, *stage.get("inboundExecutions", ())):
            if execution:
                yield execution["pipelineExecutionId"]


def _rollback_targets(target: Target, pipeline: _Pipeline) -> Iterator[str]:
    """Yield the newest executions that each stage can be rolled back to.

    Neither the first stage nor a pipeline in mode PARALLEL can be rolled back, and none to an
    execution that was a rollback itself.
    """
    if pipeline.declaration.get("pipelineType") != "V2" or pipeline.is_parallel:
        return
    for stage in pipeline.declaration["stages"][1:]:
        succeeded = {"succeededInStage": {"stageName": stage["name"]}}
        listed = _listed(target, pipeline, filter=succeeded)
        standard = (one for one in listed if one.get("executionType") != "ROLLBACK")
        for execution in islice(standard, ROLLBACK_TARGETS):
            yield execution["pipelineExecutionId"]


def _listed(target: Target, pipeline: _Pipeline, **chosen: Any) -> Iterator[Answer]:
    """Yield executions from the newest to the oldest; AWS forgets them after a year."""
    return target.api("codepipeline").each_found(
        "ListPipelineExecutions",
        "pipelineExecutionSummaries",
        _NO_PIPELINE,
        pipelineName=pipeline.name,
        maxResults=100,
        **chosen,
    )


# -- What an execution refers to -----------------------------------------------------------------


def _execution(target: Target, pipeline: _Pipeline, execution_id: str) -> Found:
    """Return what an execution refers to: nothing if it vanished."""
    key = f"{pipeline.arn} {execution_id}"
    known = target.answers.found(key)
    if known is not None:
        return known
    api, gone = target.api("codepipeline"), (_NO_PIPELINE, _NO_EXECUTION)
    answer = api.find(
        "GetPipelineExecution",
        *gone,
        pipelineName=pipeline.name,
        pipelineExecutionId=execution_id,
    )
    if answer is None:
        return Found()
    actions = list(
        api.each_found(
            "ListActionExecutions",
            "actionExecutionDetails",
            *gone,
            pipelineName=pipeline.name,
            filter={"pipelineExecutionId": execution_id},
            maxResults=100,
        )
    )
    execution = answer["pipelineExecution"]
    found = find([answer, actions])
    found.references.update(dict.fromkeys(_source_images(pipeline, execution)))
    found.references.update(dict.fromkeys(_built_images(target, actions)))
    if execution.get("status") in _FINAL:
        target.answers.remember(key, found)
    return found


def _source_images(pipeline: _Pipeline, execution: Answer) -> Iterator[Image]:
    """Yield the images of the source revisions: that of an ECR source action is a digest.

    If the definition has no such artifact any more, the digest may be in any of its repositories.
    """
    for revision in execution.get("artifactRevisions", ()):
        digest = revision.get("revisionId", "")
        if not digest.startswith("sha256:"):
            continue
        image = pipeline.images.get(revision.get("name", ""))
        for one in [image] if image else pipeline.images.values():
            yield _pinned(one, digest)


def _built_images(target: Target, actions: Iterable[Answer]) -> Iterator[Image]:
    """Yield the images that actions of the type ECRBuildAndPublish pushed."""
    for action in actions:
        variables = action.get("output", {}).get("outputVariables", {})
        repository, digest = variables.get("ECRRepositoryName"), variables.get("ECRImageDigestId")
        asked = action.get("input", {})
        if repository and digest and asked.get("configuration", {}).get("RegistryType") != "public":
            yield _pinned(_image(target, asked, repository), digest)


def _pinned(image: Image, digest: str) -> Image:
    """Return the image by its digest; any image of the repository if that is not a digest."""
    return replace(image, tag=None, digest=digest if is_digest(digest) else None)


# -- Images without a registry's host --------------------------------------------------------------


def _image_of(target: Target, action: Answer) -> Image | None:
    """Return the image that an action of a definition takes by the name of its repository."""
    configuration = action.get("configuration", {})
    field = _REPOSITORY_FIELDS.get(action["actionTypeId"]["provider"], "")
    repository = configuration.get(field)
    tag = configuration.get("ImageTag", "latest")
    return _image(target, action, repository, tag) if repository else None


def _image(target: Target, action: Answer, repository: str, tag: str | None = None) -> Image:
    """Return an image in the registry that an action asks.

    That is the one of the account of its role, in its region; both are those of the pipeline if the
    action does not name them. A variable in a name may be anything.
    Source: https://docs.aws.amazon.com/codepipeline/latest/userguide/pipelines-create-cross-account.html
    """
    role = _ROLE.match(action.get("roleArn", ""))
    account = role["account"] if role else target.location.account
    region = action.get("region") or target.location.region
    certain_tag = tag if tag and is_tag(tag) else None
    pattern = _VARIABLE.sub("*", repository)
    if pattern != repository:
        return ReferencePattern(pattern, account, region, certain_tag)
    return ImageReference(Registry(account, region), repository, certain_tag)
