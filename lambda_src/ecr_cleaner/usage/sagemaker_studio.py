"""SageMaker Studio: images that notebooks and other apps can be started from."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import chain
from typing import Any

from ecr_cleaner.aws.api import Api
from ecr_cleaner.core.model import Usage
from ecr_cleaner.usage.shared.references import usages_of
from ecr_cleaner.usage.shared.sagemaker import find
from ecr_cleaner.usage.shared.target import Target


class SageMakerStudio:
    """Every version of every image: a user can choose any of them.

    Source: https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_DescribeImageVersion.html
    """

    name = "sagemaker-studio"
    service = "sagemaker"

    def usages(self, target: Target) -> Iterable[Usage]:
        """Yield the images of each version, one call a version."""
        api, workers = target.api("sagemaker"), target.workers
        names = [image["ImageName"] for image in api.each("ListImages", "Images", MaxResults=100)]
        versions = workers.map(lambda name: _versions(api, name), names)
        usages = workers.map(lambda version: _usages(api, *version), chain.from_iterable(versions))
        return chain.from_iterable(usages)


def _versions(api: Api, image: str) -> list[tuple[str, Mapping[str, Any]]]:
    listing = api.each_found(
        "ListImageVersions", "ImageVersions", "ResourceNotFound", ImageName=image, MaxResults=100
    )
    return [(image, version) for version in listing]


def _usages(api: Api, image: str, version: Mapping[str, Any]) -> list[Usage]:
    """Where the version was made from an image (BaseImage), and where that lies now."""
    answer = find(api, "DescribeImageVersion", ImageName=image, Version=version["Version"])
    if answer is None:
        return []
    images = [answer.get("BaseImage"), answer.get("ContainerImage")]
    return list(usages_of(SageMakerStudio.name, version["ImageVersionArn"], images))
