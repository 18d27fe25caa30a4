"""Check what is left by asking ECR directly, without code of the program."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import boto3

from small_world import World

# Answers of DescribeImages, by repository and digest.
Listing = Mapping[str, Mapping[str, Mapping[str, Any]]]


@dataclass(frozen=True, slots=True)
class Check:
    """One claim that must be true; ``violations`` lists where it is not."""

    claim: str
    violations: tuple[str, ...]


def list_images() -> Listing:
    """Return every image of every repository."""
    ecr = boto3.client("ecr")
    names = [one["repositoryName"] for one in ecr.describe_repositories()["repositories"]]
    return {
        name: {
            image["imageDigest"]: image
            for image in ecr.describe_images(repositoryName=name)["imageDetails"]
        }
        for name in sorted(names)
    }


def checks(
    world: World, before: Listing, between: Listing, after: Listing, announced: Iterable[str]
) -> Iterator[Check]:
    """Check what is left after both runs; ``announced`` are the digests in the dry-run report."""
    left, gone = _digests(after), _digests(before) - _digests(after)
    needed = len(world.needed)
    yield Check("The dry run changed nothing", tuple(_changed(before, between)))
    yield Check(
        f"All {needed} images that something needs are still there",
        tuple(
            f"{needs} needs {digest}"
            for digest, needs in world.needed.items()
            if digest not in left
        ),
    )
    yield Check("Each remaining multi-platform image has all its platforms", _broken(after))
    yield Check("Each remaining signature has its image", tuple(_widowed(after)))
    yield Check(
        "Repositories that did not opt in are unchanged",
        tuple(name for name in world.not_opted_in if before[name] != after[name]),
    )
    yield Check(
        "Exactly the images that the dry run reported were removed",
        tuple(sorted(gone ^ set(announced))),
    )


def _digests(listing: Listing) -> set[str]:
    return {digest for images in listing.values() for digest in images}


def _changed(before: Listing, after: Listing) -> Iterator[str]:
    for name in before.keys() | after.keys():
        if before.get(name) != after.get(name):
            yield name


def _broken(listing: Listing) -> tuple[str, ...]:
    return tuple(
        f"{name} has lost {child}"
        for name, images in listing.items()
        for child in _platforms(name, images)
        if child not in images
    )


def _platforms(name: str, digests: Iterable[str]) -> Iterator[str]:
    ids = [{"imageDigest": digest} for digest in digests]
    if not ids:
        return
    answer = boto3.client("ecr").batch_get_image(repositoryName=name, imageIds=ids)
    for image in answer["images"]:
        for platform in json.loads(image["imageManifest"]).get("manifests", ()):
            yield platform["digest"]


def _widowed(listing: Listing) -> Iterator[str]:
    for name, images in listing.items():
        for digest, image in images.items():
            subject = image.get("subjectManifestDigest", digest)
            if subject not in images:
                yield f"{name} has lost {subject}"
