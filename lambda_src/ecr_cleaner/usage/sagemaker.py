"""SageMaker: models, and the endpoints and inference components that serve them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain

from ecr_cleaner.aws.api import Answer
from ecr_cleaner.core.model import Usage
from ecr_cleaner.usage.shared.sagemaker import Kind, usages
from ecr_cleaner.usage.shared.target import Target


def _of_model(model: Answer) -> Iterator[str | None]:
    containers = (model.get("PrimaryContainer", {}), *model.get("Containers", ()))
    return (container.get("Image") for container in containers)


def _of_endpoint(endpoint: Answer) -> Iterator[str | None]:
    """Variants as they run and as they will, shadow variants too."""
    stages = (endpoint, endpoint.get("PendingDeploymentSummary", {}))
    groups = ("ProductionVariants", "ShadowProductionVariants")
    variants = chain.from_iterable(stage.get(group, ()) for stage in stages for group in groups)
    deployed = chain.from_iterable(variant.get("DeployedImages", ()) for variant in variants)
    return chain.from_iterable(map(_deployed, deployed))


def _of_component(component: Answer) -> Iterator[str | None]:
    """One specification, or one for each type of instance."""
    specifications = (component.get("Specification", {}), *component.get("Specifications", ()))
    containers = (specification.get("Container", {}) for specification in specifications)
    return chain.from_iterable(_deployed(one.get("DeployedImage", {})) for one in containers)


def _deployed(image: Answer) -> tuple[str | None, str | None]:
    """The image as somebody wrote it, and the digest that SageMaker resolved it to."""
    return image.get("SpecifiedImage"), image.get("ResolvedImage")


MODELS = Kind(
    "ListModels",
    "Models",
    "DescribeModel",
    parameter="ModelName",
    member="ModelName",
    consumer="ModelArn",
    images=_of_model,
)
ENDPOINTS = Kind(
    "ListEndpoints",
    "Endpoints",
    "DescribeEndpoint",
    parameter="EndpointName",
    member="EndpointName",
    consumer="EndpointArn",
    images=_of_endpoint,
)
INFERENCE_COMPONENTS = Kind(
    "ListInferenceComponents",
    "InferenceComponents",
    "DescribeInferenceComponent",
    parameter="InferenceComponentName",
    member="InferenceComponentName",
    consumer="InferenceComponentArn",
    images=_of_component,
)


class SageMaker:
    """What a model would run, and what an endpoint runs by digest: instances are replaced by that.

    Transform jobs name a model and no image, so the models cover them.
    Source: https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_DeployedImage.html
    """

    name = "sagemaker"
    service = "sagemaker"

    def usages(self, target: Target) -> Iterable[Usage]:
        """Yield the images of all models, endpoints and inference components."""
        return usages(target, self.name, (MODELS, ENDPOINTS, INFERENCE_COMPONENTS))
