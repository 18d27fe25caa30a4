"""ECS Managed Daemons: what runs once on every managed instance, or would on the next one.

Source: https://docs.aws.amazon.com/AmazonECS/latest/developerguide/managed-daemons.html
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain

from ecr_cleaner.aws.api import Answer
from ecr_cleaner.core.errors import ApiError, IncompleteAnswerError, OperationAbsentError
from ecr_cleaner.core.model import Usage
from ecr_cleaner.core.walk import find
from ecr_cleaner.usage.shared.ecs_answers import described, names_every_image
from ecr_cleaner.usage.shared.target import Target
from ecr_cleaner.usage.shared.uses import usages_of
from ecr_cleaner.workers import batches

# Of deployments as of revisions.
DESCRIBED_A_CALL = 20
# The region does not have daemons. Other operations of ECS have this code for other features too.
_NO_DAEMONS = "UnsupportedFeatureException"


class EcsDaemons:
    """The revisions that run, and the targets and sources of the latest deployment.

    If no instance runs, a daemon may have no current revision. Its latest deployment then names
    what the next instance starts.
    """

    name = "ecs-daemons"
    service = "ecs"
    everywhere = True
    what = (
        "every managed daemon of every cluster: the revisions that run, and those that its latest "
        "deployment goes to, comes from or rolls back to, by digest and as written; where a "
        "revision names no image, its daemon task definition"
    )

    def usages(self, target: Target) -> Iterable[Usage]:
        """Yield the images of each revision, by the daemon that it belongs to."""
        revisions = _revisions(target, _daemons(target))
        behind = _definitions_of(target, revisions)
        named = [
            (revision["daemonArn"], find([revision, behind.get(_definition(revision))]))
            for revision in revisions
        ]
        return usages_of(target, self.name, named)


def _daemons(target: Target) -> list[Answer]:
    listed = target.workers.map(lambda one: _list(target, one), target.ecs_clusters())
    arns = dict.fromkeys(chain.from_iterable(listed))
    daemons = target.workers.map(lambda arn: _describe(target, arn), list(arns))
    return [daemon for daemon in daemons if daemon]


def _list(target: Target, cluster: str) -> list[str]:
    """Return the daemons of one cluster: without one, the default cluster alone may be meant.

    Source: https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_ListDaemons.html
    """
    listing = target.api("ecs").each_found(
        "ListDaemons",
        "daemonSummariesList",
        "ClusterNotFoundException",
        clusterArn=cluster,
        maxResults=100,
    )
    try:
        return [daemon["daemonArn"] for daemon in listing]
    except ApiError as error:
        if not isinstance(error, OperationAbsentError) and error.code != _NO_DAEMONS:
            raise
        target.note_absent(error)
        return []


def _describe(target: Target, arn: str) -> Answer | None:
    answer = target.api("ecs").find(
        "DescribeDaemon", "DaemonNotFoundException", "ClusterNotFoundException", daemonArn=arn
    )
    if answer is None:
        return None
    daemon: Answer = answer["daemon"]
    named = daemon.get("currentRevisions") or daemon.get("deploymentArn")
    if not named and daemon.get("status") != "DELETE_IN_PROGRESS":
        raise IncompleteAnswerError(
            f"DescribeDaemon returned neither a revision nor a deployment of {arn}"
        )
    return daemon


def _revisions(target: Target, daemons: Sequence[Answer]) -> list[Answer]:
    """Return the described revisions of all daemons."""
    deployed = [daemon["deploymentArn"] for daemon in daemons if daemon.get("deploymentArn")]
    deployments = _in_batches(
        target,
        "DescribeDaemonDeployments",
        "daemonDeploymentArns",
        "daemonDeployments",
        deployed,
    )
    current = (one["arn"] for daemon in daemons for one in daemon.get("currentRevisions", ()))
    arns = dict.fromkeys([*current, *chain.from_iterable(map(_deployed, deployments))])
    return _in_batches(
        target, "DescribeDaemonRevisions", "daemonRevisionArns", "daemonRevisions", list(arns)
    )


def _deployed(deployment: Answer) -> Iterator[str]:
    """Yield the target, the sources and the rollback target of a deployment."""
    if deployment.get("targetDaemonRevision"):
        yield deployment["targetDaemonRevision"]["arn"]
    yield from (one["arn"] for one in deployment.get("sourceDaemonRevisions", ()))
    target = deployment.get("rollback", {}).get("rollbackTargetDaemonRevisionArn")
    if target:
        yield target


def _in_batches(
    target: Target, operation: str, asked: str, told: str, arns: list[str]
) -> list[Answer]:
    def describe(batch: list[str]) -> list[Answer]:
        answer = target.api("ecs").call(operation, **{asked: batch})
        return described(operation, answer, told, len(batch))

    answers = target.workers.map(describe, list(batches(arns, DESCRIBED_A_CALL)))
    return list(chain.from_iterable(answers))


def _definition(revision: Answer) -> str:
    return str(revision["daemonTaskDefinitionArn"])


def _definitions_of(target: Target, revisions: Iterable[Answer]) -> dict[str, Answer]:
    """Return, by ARN, the daemon task definitions of revisions that do not name every image."""
    untold = [one for one in revisions if not names_every_image(one)]
    arns = list(dict.fromkeys(map(_definition, untold)))
    answers = target.workers.map(
        lambda arn: target.api("ecs").call(
            "DescribeDaemonTaskDefinition", daemonTaskDefinition=arn
        ),
        arns,
    )
    return dict(zip(arns, answers, strict=True))
