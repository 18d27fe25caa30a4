"""What the steps of SageMaker's pipelines run."""

from __future__ import annotations

import json
from typing import Any

from ecr_cleaner.usage.rows_sagemaker import SAGEMAKER_PIPELINES
from fakes.aws_api import error, found
from fakes.scripted import HOST, Scripted, by

ARN = "arn:aws:sagemaker:eu-west-1:123456789012:pipeline/"
ACTIONS = [
    "sagemaker:DescribePipeline",
    "sagemaker:ListPipelineVersions",
    "sagemaker:ListPipelines",
]


def definition(**parts: Any) -> dict[str, str]:
    return {"PipelineDefinition": json.dumps({"Version": "2020-12-01"} | parts)}


def step(tag: str) -> dict[str, Any]:
    arguments = {"AlgorithmSpecification": {"TrainingImage": f"{HOST}/train:{tag}"}}
    return {"Name": "Train", "Type": "Training", "Arguments": arguments}


def pipelines(**details: Any) -> Scripted:
    listed = [
        {"PipelineSummaries": [{"PipelineName": name, "PipelineArn": ARN + name}]}
        for name in details
    ]
    return Scripted(
        "sagemaker",
        ListPipelines=listed or {},
        ListPipelineVersions={},
        DescribePipeline=by("PipelineName", details),
    )


def uses(api: Scripted) -> set[tuple[str, str | None]]:
    usages = found(SAGEMAKER_PIPELINES, api)
    assert {one.source for one in usages} <= {"sagemaker-pipelines"}
    return {(one.consumer, one.reference.tag) for one in usages}


def test_no_pipelines_use_nothing() -> None:
    api = pipelines()

    assert uses(api) == set()
    assert api.calls == [("ListPipelines", {"MaxResults": 100})]


def test_pipelines_of_all_pages_use_the_images_of_their_steps() -> None:
    api = pipelines(a=definition(Steps=[step("v1"), step("v2")]), b=definition(Steps=[step("v3")]))

    assert uses(api) == {(f"{ARN}a", "v1"), (f"{ARN}a", "v2"), (f"{ARN}b", "v3")}
    assert api.actions == ACTIONS


def test_every_version_of_a_pipeline_counts() -> None:
    versions = [{"PipelineVersionSummaries": [{"PipelineVersionId": n}]} for n in (1, 2)]
    api = pipelines(a=definition(Steps=[step("latest")]))
    api.line("ListPipelineVersions", versions)
    answers = {None: "latest", 1: "v1", 2: "v2"}
    api.line(
        "DescribePipeline",
        lambda asked: definition(Steps=[step(answers[asked.get("PipelineVersionId")])]),
    )

    assert uses(api) == {(f"{ARN}a", tag) for tag in answers.values()}


def test_default_of_a_parameter_counts() -> None:
    parameter = {"Name": "Image", "Type": "String", "DefaultValue": f"{HOST}/train:default"}

    assert uses(pipelines(a=definition(Parameters=[parameter]))) == {(f"{ARN}a", "default")}


def test_pipeline_that_vanished_is_skipped() -> None:
    api = pipelines(gone=error("ResourceNotFound"), stays=definition(Steps=[step("v1")]))

    assert uses(api) == {(f"{ARN}stays", "v1")}


def test_definition_that_is_not_json_is_read_as_text() -> None:
    text = f'{{"image": "{HOST}/app:v1"'

    assert {tag for _, tag in uses(pipelines(a={"PipelineDefinition": text}))} == {"v1"}
