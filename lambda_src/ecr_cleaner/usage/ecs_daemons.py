"""ECS Managed Daemons: what runs once on every managed instance, or would on the next one.

Source: https://docs.aws.amazon.com/AmazonECS/latest/developerguide/managed-daemons.html
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain

from ecr_cleaner.errors import IncompleteAnswerError
from ecr_cleaner.model import Usage
from ecr_cleaner.usage._ecs_answers import Answer, described, images_of, names_every_image
from ecr_cleaner.usage._references import usages_of
from ecr_cleaner.usage.account import Account
from ecr_cleaner.workers import batches

# Of deployments as of revisions.
DESCRIBED_A_CALL = 20


class EcsDaemons:
    """The revisions that run, and those that the latest deployment goes to, leaves or returns to.

    Where no instance runs, a daemon may have no current revision; its latest deployment then tells
    what the next instance starts.
    """

    name = "ecs-daemons"
    service = "ecs"

    def usages(self, account: Account) -> Iterable[Usage]:
        """Yield the images of each revision, by the daemon that it belongs to."""
        listed = account.aws.workers.map(lambda one: _list(account, one), account.ecs_clusters())
        arns = dict.fromkeys(chain.from_iterable(listed))
        daemons = account.aws.workers.map(lambda arn: _describe(account, arn), list(arns))
        revisions = _revisions(account, [daemon for daemon in daemons if daemon])
        behind = _images_behind(account, revisions)
        for revision in revisions:
            told = images_of(revision.get("containerImages", ()))
            images = [*told, *behind.get(_definition(revision), ())]
            yield from usages_of(self.name, revision["daemonArn"], images)


def _list(account: Account, cluster: str) -> list[str]:
    """Return the daemons of one cluster: without one, the default cluster alone may be meant.

    UnsupportedFeatureException says that the region does not have daemons.
    Source: https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_ListDaemons.html
    """
    listing = account.aws.api("ecs").each_found(
        "ListDaemons",
        "daemonSummariesList",
        "ClusterNotFoundException",
        "UnsupportedFeatureException",
        clusterArn=cluster,
        maxResults=100,
    )
    return [daemon["daemonArn"] for daemon in listing]


def _describe(account: Account, arn: str) -> Answer | None:
    answer = account.aws.api("ecs").find(
        "DescribeDaemon", "DaemonNotFoundException", "ClusterNotFoundException", daemonArn=arn
    )
    if answer is None:
        return None
    daemon: Answer = answer["daemon"]
    named = daemon.get("currentRevisions") or daemon.get("deploymentArn")
    if not named and daemon.get("status") != "DELETE_IN_PROGRESS":
        raise IncompleteAnswerError(f"DescribeDaemon told neither revision nor deployment of {arn}")
    return daemon


def _revisions(account: Account, daemons: Sequence[Answer]) -> list[Answer]:
    """Return the revisions of all daemons, with what each of them tells."""
    deployed = [daemon["deploymentArn"] for daemon in daemons if daemon.get("deploymentArn")]
    deployments = _in_batches(
        account,
        "DescribeDaemonDeployments",
        "daemonDeploymentArns",
        "daemonDeployments",
        deployed,
    )
    current = (one["arn"] for daemon in daemons for one in daemon.get("currentRevisions", ()))
    arns = dict.fromkeys([*current, *chain.from_iterable(map(_deployed, deployments))])
    return _in_batches(
        account, "DescribeDaemonRevisions", "daemonRevisionArns", "daemonRevisions", list(arns)
    )


def _deployed(deployment: Answer) -> Iterator[str]:
    """Yield the revisions that a deployment goes to and comes from, and to which it rolls back."""
    if deployment.get("targetDaemonRevision"):
        yield deployment["targetDaemonRevision"]["arn"]
    yield from (one["arn"] for one in deployment.get("sourceDaemonRevisions", ()))
    target = deployment.get("rollback", {}).get("rollbackTargetDaemonRevisionArn")
    if target:
        yield target


def _in_batches(
    account: Account, operation: str, asked: str, told: str, arns: list[str]
) -> list[Answer]:
    def describe(batch: list[str]) -> list[Answer]:
        answer = account.aws.api("ecs").call(operation, **{asked: batch})
        return described(operation, answer, told, len(batch))

    answers = account.aws.workers.map(describe, list(batches(arns, DESCRIBED_A_CALL)))
    return list(chain.from_iterable(answers))


def _definition(revision: Answer) -> str:
    return str(revision["daemonTaskDefinitionArn"])


def _images_behind(account: Account, revisions: Iterable[Answer]) -> dict[str, list[str]]:
    """Return, by daemon task definition, the images of those that a revision does not tell."""
    untold = [one for one in revisions if not names_every_image(one)]
    arns = list(dict.fromkeys(map(_definition, untold)))
    images = account.aws.workers.map(lambda arn: _images_of_definition(account, arn), arns)
    return dict(zip(arns, images, strict=True))


def _images_of_definition(account: Account, arn: str) -> list[str]:
    answer = account.aws.api("ecs").call("DescribeDaemonTaskDefinition", daemonTaskDefinition=arn)
    containers = answer["daemonTaskDefinition"].get("containerDefinitions", ())
    return [one["image"] for one in containers]
