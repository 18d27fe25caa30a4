"""ECS service revisions: which images, by digest, a service runs or would roll back to.

Source: https://docs.aws.amazon.com/AmazonECS/latest/developerguide/service-revision.html
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import Any

from ecr_cleaner.aws.api import Answer
from ecr_cleaner.core.errors import ApiError, OperationAbsentError
from ecr_cleaner.usage.shared.ecs_answers import described
from ecr_cleaner.usage.shared.target import Target
from ecr_cleaner.workers import batches

REVISIONS_A_CALL = 20
_GONE = ("ServiceNotFoundException", "ClusterNotFoundException")
# A deployment that has not ended may yet become the one that runs.
_DEAD = frozenset({"STOPPED", "ROLLBACK_SUCCESSFUL", "ROLLBACK_FAILED"})
# A deployment that was created so long ago is certainly listed.
_LISTED_AFTER = timedelta(days=1)


def is_deployed_by_ecs(service: Answer) -> bool:
    """Return whether ECS deploys a service itself, and so keeps its deployments."""
    return bool(service.get("deploymentController", {}).get("type", "ECS") == "ECS")


def revisions_of(target: Target, service: Answer) -> tuple[str, ...]:
    """Return the ARNs of a service's current revisions and of the one that a rollback goes to."""
    current = [revision["arn"] for revision in service.get("currentServiceRevisions", ())]
    return tuple(dict.fromkeys([*current, *_deployed(target, service)]))


def _deployed(target: Target, service: Answer) -> list[str]:
    """Return the targets of unfinished deployments and of the two latest successful ones.

    Of those two, one is what runs, the other what a rollback goes to. A service that ECS does not
    deploy itself has no such deployments. Deployments are read-only, so their list is the same as
    long as the most recent one is.
    """
    if not is_deployed_by_ecs(service):
        return []
    key = _latest_if_ended(target, service)
    known = target.answers.names(key) if key else None
    if known is not None:
        return known
    try:
        listed = list(
            target.api("ecs").each(
                "ListServiceDeployments",
                "serviceDeployments",
                cluster=service["clusterArn"],
                service=service["serviceArn"],
                maxResults=100,
            )
        )
    except OperationAbsentError as error:
        target.note_absent(error)
        return []
    except ApiError as error:
        if error.code in _GONE:
            return []
        raise
    listed.sort(key=lambda deployment: deployment["createdAt"], reverse=True)
    successful = [one for one in listed if one["status"] == "SUCCESSFUL"][:2]
    open_ended = [one for one in listed if one["status"] not in _DEAD | {"SUCCESSFUL"}]
    deployed = [_target(deployment) for deployment in (*open_ended, *successful)]
    if key and not open_ended:
        target.answers.remember_names(key, deployed)
    return deployed


def _latest_if_ended(target: Target, service: Answer) -> str | None:
    """Return what identifies the most recent deployment; None if any is or may be under way.

    ECS documents PRIMARY as the most recent deployment of a service, and COMPLETED as its end.
    Sources: https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_Deployment.html,
    https://docs.aws.amazon.com/AmazonECS/latest/developerguide/service-deployment.html
    """
    deployments = service.get("deployments", [])
    if len(deployments) != 1:
        return None
    (latest,) = deployments
    state = (latest.get("status"), latest.get("rolloutState"))
    created = latest.get("createdAt")
    if state != ("PRIMARY", "COMPLETED") or not created or not latest.get("id"):
        return None
    if target.deadline.now() - created < _LISTED_AFTER:
        return None
    current = sorted(revision["arn"] for revision in service.get("currentServiceRevisions", ()))
    parts = (service["serviceArn"], "deployments", latest["id"], created.isoformat(), *current)
    return " ".join(parts)


def _target(deployment: Mapping[str, Any]) -> str:
    return str(deployment["targetServiceRevisionArn"])


def described_revisions(target: Target, arns: Iterable[str]) -> dict[str, Answer]:
    """Return, by ARN, each of these revisions but those whose service has vanished."""

    def describe(batch: list[str]) -> list[Answer]:
        try:
            answer = target.api("ecs").find(
                "DescribeServiceRevisions", *_GONE, serviceRevisionArns=batch
            )
        except OperationAbsentError as error:
            # The task definitions of the service are described instead.
            target.note_absent(error)
            return []
        if answer is None:
            # One service that vanished fails the call for all of them.
            return [one for arn in batch for one in describe([arn])] if len(batch) > 1 else []
        return described("DescribeServiceRevisions", answer, "serviceRevisions", len(batch))

    asked = list(batches(list(dict.fromkeys(arns)), REVISIONS_A_CALL))
    answers = target.workers.map(describe, asked)
    return {revision["serviceRevisionArn"]: revision for answer in answers for revision in answer}
