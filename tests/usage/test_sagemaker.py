"""What SageMaker's models, endpoints and inference components run; and how its kinds are read."""

from __future__ import annotations

from typing import Any

import pytest

from ecr_cleaner.core.errors import ApiError
from ecr_cleaner.usage.rows_sagemaker import SAGEMAKER
from fakes.aws_api import error, found
from fakes.scripted import HOST, Scripted, by

DIGEST = "sha256:" + "a" * 64
ACTIONS = [
    "sagemaker:DescribeEndpoint",
    "sagemaker:DescribeInferenceComponent",
    "sagemaker:DescribeModel",
    "sagemaker:ListEndpoints",
    "sagemaker:ListInferenceComponents",
    "sagemaker:ListModels",
]


def arn(kind: str, name: str = "one") -> str:
    return f"arn:aws:sagemaker:eu-west-1:123456789012:{kind}/{name}-of-the-team"


def models(*names: str) -> dict[str, Any]:
    return {"Models": [{"ModelName": one, "ModelArn": arn("model", one)} for one in names]}


ENDPOINTS = {"Endpoints": [{"EndpointName": "one", "EndpointArn": arn("endpoint")}]}
COMPONENTS = {
    "InferenceComponents": [
        {"InferenceComponentName": "one", "InferenceComponentArn": arn("inference-component")}
    ]
}


def sagemaker(**lines: Any) -> Scripted:
    """Return SageMaker with nothing in it but what these lines say."""
    nothing: dict[str, Any] = {"ListModels": {}, "ListEndpoints": {}, "ListInferenceComponents": {}}
    return Scripted("sagemaker", **(nothing | lines))


def image(tag: str) -> dict[str, str]:
    return {"Image": f"{HOST}/model:{tag}"}


def variant(tag: str, digest: str = "") -> dict[str, Any]:
    resolved = {"ResolvedImage": f"{HOST}/model@{digest}"} if digest else {}
    return {"DeployedImages": [{"SpecifiedImage": f"{HOST}/model:{tag}", **resolved}]}


def uses(api: Scripted) -> set[tuple[str, str]]:
    usages = found(SAGEMAKER, api)
    assert {one.source for one in usages} <= {"sagemaker"}
    return {(one.consumer, one.reference.digest or str(one.reference.tag)) for one in usages}


def test_account_without_sagemaker_uses_nothing() -> None:
    api = sagemaker()

    assert uses(api) == set()
    assert api.actions == [action for action in ACTIONS if ":List" in action]


@pytest.mark.parametrize(
    ("model", "tags"),
    [
        ({"PrimaryContainer": image("single")}, {"single"}),
        ({"Containers": [image("first"), image("second")]}, {"first", "second"}),
        ({"PrimaryContainer": {"ModelPackageName": "of-a-vendor"}}, set()),
        ({"PrimaryContainer": {"Image": "docker.io/library/python:3.13"}}, set()),
        ({}, set()),
    ],
    ids=["primary", "pipeline", "package", "elsewhere", "none"],
)
def test_every_shape_of_a_model_is_read(model: dict[str, Any], tags: set[str]) -> None:
    api = sagemaker(ListModels=models("one"), DescribeModel=model)

    assert uses(api) == {(arn("model"), tag) for tag in tags}


def test_endpoint_uses_the_images_of_all_its_variants_by_digest() -> None:
    endpoint = {
        "ProductionVariants": [variant("now", DIGEST), {}],
        "ShadowProductionVariants": [variant("shadow")],
        "PendingDeploymentSummary": {
            "ProductionVariants": [variant("next")],
            "ShadowProductionVariants": [variant("next-shadow")],
        },
    }
    api = sagemaker(ListEndpoints=ENDPOINTS, DescribeEndpoint=endpoint)

    expected = {"now", DIGEST, "shadow", "next", "next-shadow"}
    assert uses(api) == {(arn("endpoint"), one) for one in expected}


def test_endpoint_that_deploys_nothing_yet_uses_nothing() -> None:
    assert uses(sagemaker(ListEndpoints=ENDPOINTS, DescribeEndpoint={})) == set()


def container(tag: str) -> dict[str, Any]:
    image = {"SpecifiedImage": f"{HOST}/model:{tag}", "ResolvedImage": f"{HOST}/model@{DIGEST}"}
    return {"Container": {"DeployedImage": image}}


@pytest.mark.parametrize(
    ("component", "images"),
    [
        ({"Specification": container("one")}, {"one", DIGEST}),
        ({"Specifications": [container("a"), container("b")]}, {"a", "b", DIGEST}),
        ({"Specification": {"ModelName": "one"}}, set()),
        ({}, set()),
    ],
    ids=["one", "several", "by-model", "none"],
)
def test_every_shape_of_an_inference_component_is_read(
    component: dict[str, Any], images: set[str]
) -> None:
    api = sagemaker(ListInferenceComponents=COMPONENTS, DescribeInferenceComponent=component)

    assert uses(api) == {(arn("inference-component"), one) for one in images}


def test_models_of_all_pages_are_read() -> None:
    details = {name: {"PrimaryContainer": image(name)} for name in ("a", "b", "c")}
    api = sagemaker(
        ListModels=[models("a", "b"), models(), models("c")],
        DescribeModel=by("ModelName", details),
    )

    assert uses(api) == {(arn("model", name), name) for name in details}
    assert api.asked("ListModels")[0] == {"MaxResults": 100}


@pytest.mark.parametrize(
    "gone",
    [
        error("ValidationException", f'Could not find model "{arn("model", "gone")}".'),
        error("ValidationException", "Requested resource not found."),
        error("ResourceNotFound", "not here"),
    ],
)
def test_model_that_vanished_is_skipped(gone: Exception) -> None:
    details = {"gone": gone, "stays": {"PrimaryContainer": image("v1")}}
    api = sagemaker(ListModels=models("gone", "stays"), DescribeModel=by("ModelName", details))

    assert uses(api) == {(arn("model", "stays"), "v1")}


def test_other_validation_error_is_an_error() -> None:
    invalid = error("ValidationException", "1 validation error detected")
    api = sagemaker(ListModels=models("one"), DescribeModel=invalid)

    with pytest.raises(ApiError, match="sagemaker DescribeModel failed with ValidationException"):
        uses(api)
