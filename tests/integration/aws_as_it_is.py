"""Changes to moto, so that it answers as AWS does."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from typing import Any
from unittest import mock

from moto.core.exceptions import JsonRESTError
from moto.core.responses import ActionResult
from moto.ecr.models import ECRBackend
from moto.ecr.responses import ECRResponse
from moto.ecs.responses import EC2ContainerServiceResponse as EcsResponse
from moto.iam.access_control import IAMRequest

IMAGES_A_CALL = 100

describe_images: Any = ECRResponse.describe_images


def children_of(image: Any) -> set[str]:
    """Return the digests that the image lists."""
    listed = json.loads(image.image_manifest).get("manifests", [])
    return {child["digest"] for child in listed}


def status_of(image: Any) -> str:
    """Return the storage status, ACTIVE if moto has none."""
    return str(getattr(image, "image_status", "ACTIVE"))


def delete_images(
    backend: ECRBackend,
    repository_name: str,
    registry_id: str | None = None,
    image_ids: Sequence[Mapping[str, str]] | None = None,
) -> dict[str, Any]:
    """Delete by digest as AWS does: refuse children of an index, and return each deleted tag."""
    del registry_id
    if len(image_ids or ()) > IMAGES_A_CALL:
        raise JsonRESTError("InvalidParameterException", "more than 100 image ids")
    repository: Any = backend._get_repository(repository_name)  # noqa: SLF001  # no other way
    listed = {child for image in repository.images for child in children_of(image)}
    answer: dict[str, Any] = {"imageIds": [], "failures": []}
    for image_id in image_ids or ():
        there = [
            one for one in repository.images if one.image_digest == image_id.get("imageDigest")
        ]
        if not there:
            answer["failures"].append(failure(image_id, "ImageNotFound"))
        elif there[0].image_digest in listed:
            answer["failures"].append(failure(image_id, "ImageReferencedByManifestList"))
        else:
            repository.images.remove(there[0])
            answer["imageIds"] += tagged(there[0])
    return answer


def failure(image_id: Mapping[str, str], code: str) -> dict[str, Any]:
    """Return an item of `failures`."""
    return {"imageId": dict(image_id), "failureCode": code, "failureReason": code}


def tagged(image: Any) -> list[dict[str, str]]:
    """Return an item of `imageIds` for each tag of the image, or one without a tag."""
    digest = {"imageDigest": image.image_digest}
    return [digest | {"imageTag": tag} for tag in image.image_tags] or [digest]


def describe_with_status(response: ECRResponse) -> ActionResult:
    """Answer with archived images only if the filter asks for them."""
    answer: ActionResult = describe_images(response)
    asked = (response._get_param("filter") or {}).get("imageStatus", "ACTIVE")  # noqa: SLF001
    result: Any = answer.result
    result["imageDetails"] = [
        image for image in result["imageDetails"] if asked in {"ANY", status_of(image)}
    ]
    return answer


def update_image_storage_class(response: ECRResponse) -> ActionResult:
    """Archive or restore one image."""
    repository = response._get_param("repositoryName")  # noqa: SLF001
    image_id = response._get_param("imageId")  # noqa: SLF001
    target = response._get_param("targetStorageClass")  # noqa: SLF001
    stored: Any = response.ecr_backend._get_repository(repository)._get_image(  # noqa: SLF001
        None, image_id["imageDigest"]
    )
    stored.image_status = "ARCHIVED" if target == "ARCHIVE" else "ACTIVATING"
    stored.last_archived_at = datetime.now(UTC).timestamp()
    return ActionResult(
        {
            "registryId": response.current_account,
            "repositoryName": repository,
            "imageId": image_id,
            "imageStatus": stored.image_status,
        }
    )


def list_pull_time_update_exclusions(_: ECRResponse) -> ActionResult:
    """Answer that nobody is excluded."""
    return ActionResult({"pullTimeUpdateExclusions": []})


def revisions_of(response: EcsResponse) -> Iterator[dict[str, Any]]:
    """Yield the service revisions that `World` recorded, oldest first for each service."""
    services: Any = response.ecs_backend.services
    for service in services.values():
        yield from getattr(service, "revisions", ())


def list_service_deployments(response: EcsResponse) -> ActionResult:
    """Answer with one successful deployment for each revision of the service."""
    service = response._get_param("service")  # noqa: SLF001
    revisions = [one for one in revisions_of(response) if one["serviceArn"] == service]
    deployments = [
        {
            "serviceDeploymentArn": one["serviceRevisionArn"].replace("revision", "deployment"),
            "serviceArn": service,
            "status": "SUCCESSFUL",
            "createdAt": 1_700_000_000 + number,
            "targetServiceRevisionArn": one["serviceRevisionArn"],
        }
        for number, one in enumerate(revisions)
    ]
    return ActionResult({"serviceDeployments": deployments})


def describe_service_revisions(response: EcsResponse) -> ActionResult:
    """Answer with the requested revisions."""
    asked = response._get_param("serviceRevisionArns")  # noqa: SLF001
    known = {one["serviceRevisionArn"]: one for one in revisions_of(response)}
    missing = [{"arn": arn, "reason": "MISSING"} for arn in asked if arn not in known]
    found = [known[arn] for arn in asked if arn in known]
    return ActionResult({"serviceRevisions": found, "failures": missing})


def describe_pull_through_cache_rules(_: ECRResponse) -> ActionResult:
    """Answer with no rules."""
    return ActionResult({"pullThroughCacheRules": []})


def deny(request: Any) -> None:
    """Deny in JSON, as the services that the program calls; moto denies in XML."""
    user, action = request._access_key.arn, request._action  # noqa: SLF001
    message = f"User: {user} is not authorized to perform: {action}"
    raise JsonRESTError("AccessDeniedException", message)


def accept_signature(_: IAMRequest) -> None:
    """Accept every signature: moto rejects some valid ones of requests with a query."""


@contextmanager
def aws_as_it_is() -> Iterator[None]:
    """Apply these changes."""
    with ExitStack() as stack:
        for target, name, value, create in (
            (ECRBackend, "batch_delete_image", delete_images, False),
            (ECRResponse, "describe_images", describe_with_status, False),
            (ECRResponse, "update_image_storage_class", update_image_storage_class, True),
            (
                ECRResponse,
                "list_pull_time_update_exclusions",
                list_pull_time_update_exclusions,
                True,
            ),
            (
                ECRResponse,
                "describe_pull_through_cache_rules",
                describe_pull_through_cache_rules,
                True,
            ),
            (EcsResponse, "list_service_deployments", list_service_deployments, True),
            (EcsResponse, "describe_service_revisions", describe_service_revisions, True),
            (IAMRequest, "_raise_access_denied", deny, False),
            (IAMRequest, "check_signature", accept_signature, True),
        ):
            stack.enter_context(mock.patch.object(target, name, value, create=create))
        yield
