"""What could be deployed or trained from SageMaker's registry."""

from __future__ import annotations

from typing import Any

from ecr_cleaner.usage.rows_sagemaker import SAGEMAKER_PACKAGES
from fakes.aws_api import error, found
from fakes.scripted import HOST, Scripted, by

DIGEST = "sha256:" + "a" * 64
ACTIONS = [
    "sagemaker:DescribeAlgorithm",
    "sagemaker:DescribeModelPackage",
    "sagemaker:ListAlgorithms",
    "sagemaker:ListModelPackages",
]


def arn(name: str) -> str:
    return f"arn:aws:sagemaker:eu-west-1:123456789012:model-package/{name}"


def packages(*names: str) -> dict[str, Any]:
    return {"ModelPackageSummaryList": [{"ModelPackageArn": arn(one)} for one in names]}


ALGORITHMS = {"AlgorithmSummaryList": [{"AlgorithmName": "one", "AlgorithmArn": arn("algorithm")}]}


def registry(**lines: Any) -> Scripted:
    nothing: dict[str, Any] = {"ListModelPackages": {}, "ListAlgorithms": {}}
    return Scripted("sagemaker", **(nothing | lines))


def inference(tag: str, digest: str = "") -> dict[str, Any]:
    container = {"Image": f"{HOST}/model:{tag}"} | ({"ImageDigest": digest} if digest else {})
    return {"Containers": [container]}


def uses(api: Scripted) -> set[tuple[str, str]]:
    usages = found(SAGEMAKER_PACKAGES, api)
    assert {one.source for one in usages} <= {"sagemaker-packages"}
    return {(one.consumer, one.reference.digest or str(one.reference.tag)) for one in usages}


def test_empty_registry_uses_nothing() -> None:
    api = registry()

    assert uses(api) == set()
    assert api.asked("ListModelPackages") == [{"ModelPackageType": "Both", "MaxResults": 100}]


def test_package_uses_all_its_containers_by_tag_and_digest() -> None:
    package = {
        "InferenceSpecification": inference("v1", DIGEST.upper()),
        "AdditionalInferenceSpecifications": [inference("other")],
    }
    api = registry(ListModelPackages=packages("a/1"), DescribeModelPackage=package)

    assert uses(api) == {(arn("a/1"), one) for one in ("v1", DIGEST, "other")}
    assert api.asked("DescribeModelPackage") == [{"ModelPackageName": arn("a/1")}]


def test_package_without_an_image_uses_none() -> None:
    assert uses(registry(ListModelPackages=packages("a/1"), DescribeModelPackage={})) == set()


def test_algorithm_uses_what_it_trains_and_infers_with() -> None:
    algorithm = {
        "TrainingSpecification": {
            "TrainingImage": f"{HOST}/train:v1",
            "TrainingImageDigest": DIGEST,
        },
        "InferenceSpecification": inference("serve"),
    }
    api = registry(ListAlgorithms=ALGORITHMS, DescribeAlgorithm=algorithm)

    assert uses(api) == {(arn("algorithm"), one) for one in ("v1", DIGEST, "serve")}


def test_packages_of_all_pages_are_read_and_those_that_vanished_skipped() -> None:
    details = {
        arn("a"): {"InferenceSpecification": inference("a")},
        arn("b"): error("ValidationException", f"ModelPackage {arn('b')} does not exist."),
        arn("c"): error("ValidationException", "Cannot find Model Package: c"),
        arn("d"): {"InferenceSpecification": inference("d")},
    }
    api = registry(
        ListModelPackages=[packages("a", "b"), packages("c", "d")],
        DescribeModelPackage=by("ModelPackageName", details),
    )

    assert uses(api) == {(arn("a"), "a"), (arn("d"), "d")}
