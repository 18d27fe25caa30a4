"""Read every reference that one Kubernetes cluster holds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ecr_cleaner.aws.kubernetes import Items, KubernetesApi
from ecr_cleaner.core.errors import OutOfTimeError, text_of
from ecr_cleaner.core.kubernetes import (
    Access,
    ClusterError,
    Kind,
    Obstacle,
    denied,
    fix_for,
    missing_kinds,
)
from ecr_cleaner.core.kubernetes_objects import references_of
from ecr_cleaner.core.usage_document import HeldReferences, UsageDocument
from ecr_cleaner.deadline import Deadline


def read_cluster(
    cluster: str,
    api: KubernetesApi,
    deadline: Deadline,
    *,
    waived_api_groups: Sequence[str] = (),
    access: Access = Access(),  # noqa: B008 - frozen
) -> UsageDocument:
    """Return what the cluster uses. If it was not read in full, the document says why.

    What was found until then is in the document as well: it can only protect. Raise OutOfTimeError
    if the deadline came first.
    """
    held = HeldReferences()
    read: list[str] = []
    started = deadline.now()
    problem = fix = ""
    try:
        _read_kinds(cluster, api, held, read, waived_api_groups)
    except OutOfTimeError:
        raise
    except Exception as error:  # noqa: BLE001 - any error means: not read in full
        problem, fix = explained(cluster, error, access)
    return UsageDocument(
        cluster, started, deadline.now(), read, held, tuple(waived_api_groups), problem, fix
    )


def explained(cluster: str, error: Exception, access: Access) -> tuple[str, str]:
    """Return the reason why the cluster was not read, and the fix."""
    if isinstance(error, ClusterError):
        return error.reason, fix_for(error, access)
    detail = text_of(error)
    failed = ClusterError(cluster, Obstacle.FAILED, detail)
    return failed.reason, fix_for(failed, access)


def _read_kinds(
    cluster: str,
    api: KubernetesApi,
    held: HeldReferences,
    read: list[str],
    waived_groups: Sequence[str],
) -> None:
    kinds = api.kinds(waived_groups)
    missing = missing_kinds(kind.name for kind in kinds)
    if missing:
        raise ClusterError(cluster, Obstacle.VANISHED, f"it does not list {', '.join(missing)}")
    refused: list[ClusterError] = []
    for kind in kinds:
        try:
            _read_kind(cluster, api, held, kind)
        except ClusterError as error:
            if error.obstacle is not Obstacle.FORBIDDEN:
                raise
            refused.append(error)
        else:
            read.append(kind.name)
    if refused:
        raise denied(refused)


def _read_kind(cluster: str, api: KubernetesApi, held: HeldReferences, kind: Kind) -> None:
    def take(items: Items) -> None:
        for item in items:
            consumer = _consumer(cluster, kind, item)
            for reference in references_of(item):
                held.add(reference, consumer)

    api.each_page(kind, take)


def _consumer(cluster: str, kind: Kind, item: dict[str, Any]) -> str:
    """Return how a person finds it: cluster, namespace, kind and name."""
    metadata = item.get("metadata")
    if not isinstance(metadata, dict) or not isinstance(metadata.get("name"), str):
        raise ClusterError(cluster, Obstacle.GARBLED, "an object has no name", kind)
    namespace = metadata.get("namespace") or "-"
    return f"{cluster}/{namespace}/{kind.kind or kind.resource}/{metadata['name']}"
