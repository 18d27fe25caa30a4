"""What the steps of SageMaker's pipelines run."""

from __future__ import annotations

import json
from typing import Any

import pytest

from ecr_cleaner.core.errors import ApiError
from ecr_cleaner.usage.sagemaker_pipelines import SageMakerPipelines
from fakes.aws_api import error, found
from fakes.scripted import DENIED, HOST, THROTTLED, Scripted, by

ARN = "arn:aws:sagemaker:eu-west-1:123456789012:pipeline/"
ACTIONS = ["sagemaker:DescribePipeline", "sagemaker:ListPipelines"]


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
        "sagemaker", ListPipelines=listed or {}, DescribePipeline=by("PipelineName", details)
    )


def uses(api: Scripted) -> set[tuple[str, str | None]]:
    usages = found(SageMakerPipelines(), api)
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


def test_default_of_a_parameter_counts() -> None:
    parameter = {"Name": "Image", "Type": "String", "DefaultValue": f"{HOST}/train:default"}

    assert uses(pipelines(a=definition(Parameters=[parameter]))) == {(f"{ARN}a", "default")}


def test_pipeline_that_vanished_is_skipped() -> None:
    api = pipelines(gone=error("ResourceNotFound"), stays=definition(Steps=[step("v1")]))

    assert uses(api) == {(f"{ARN}stays", "v1")}


def test_definition_that_is_not_json_is_an_error() -> None:
    with pytest.raises(json.JSONDecodeError):
        uses(pipelines(a={"PipelineDefinition": "{"}))


@pytest.mark.parametrize("fault", [DENIED, THROTTLED])
@pytest.mark.parametrize("action", ACTIONS)
def test_operation_that_fails_is_an_error_that_names_it(action: str, fault: Exception) -> None:
    operation = action.partition(":")[2]
    api = pipelines(a=definition()).line(operation, fault)

    with pytest.raises(ApiError, match=f"sagemaker {operation} failed with") as failure:
        uses(api)

    assert failure.value.action == (action if fault is DENIED else None)
