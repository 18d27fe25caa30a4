"""SageMaker's registry: model packages and algorithms, from which models and jobs are made."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain

from ecr_cleaner.aws.api import Answer
from ecr_cleaner.core.model import Usage
from ecr_cleaner.usage.shared.references import as_written_and_run
from ecr_cleaner.usage.shared.sagemaker import Kind, usages
from ecr_cleaner.usage.shared.target import Target


def _of_package(package: Answer) -> Iterator[str | None]:
    additional = package.get("AdditionalInferenceSpecifications", ())
    return _of_inference((package.get("InferenceSpecification", {}), *additional))


def _of_algorithm(algorithm: Answer) -> Iterator[str | None]:
    training = algorithm["TrainingSpecification"]
    return chain(
        _pinned(training.get("TrainingImage"), training.get("TrainingImageDigest")),
        _of_inference((algorithm.get("InferenceSpecification", {}),)),
    )


def _of_inference(specifications: Iterable[Answer]) -> Iterator[str | None]:
    containers = chain.from_iterable(one.get("Containers", ()) for one in specifications)
    return chain.from_iterable(
        _pinned(one.get("Image"), one.get("ImageDigest")) for one in containers
    )


def _pinned(image: str | None, digest: str | None) -> Iterable[str | None]:
    """SageMaker may write the digest in capitals, ECR never does."""
    return as_written_and_run(image, digest.lower() if digest else None)


PACKAGES = Kind(
    "ListModelPackages",
    "ModelPackageSummaryList",
    "DescribeModelPackage",
    parameter="ModelPackageName",
    member="ModelPackageArn",
    consumer="ModelPackageArn",
    images=_of_package,
    filters={"ModelPackageType": "Both"},
)
ALGORITHMS = Kind(
    "ListAlgorithms",
    "AlgorithmSummaryList",
    "DescribeAlgorithm",
    parameter="AlgorithmName",
    member="AlgorithmName",
    consumer="AlgorithmArn",
    images=_of_algorithm,
)


class SageMakerPackages:
    """Every version in every model package group, rejected ones too: approval can change.

    Source: https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_ModelPackageContainerDefinition.html
    """

    name = "sagemaker-packages"
    service = "sagemaker"

    def usages(self, target: Target) -> Iterable[Usage]:
        """Yield the images of all model packages and algorithms."""
        return usages(target, self.name, (PACKAGES, ALGORITHMS))
