"""The account of the demo: eight repositories, and the consumers of their images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import fake_aws
from ecr_cleaner.core.ledger import Ledger, Use
from fake_aws import ACCOUNT, LEDGER, REGION, REGISTRY, EcrImage
from fake_kubernetes import KubernetesCluster

MB = 1_000_000
# The name of both clusters, of ECS and of EKS.
CLUSTER = "prod"

_OCI_IMAGE = "application/vnd.oci.image.manifest.v1+json"
_OCI_INDEX = "application/vnd.oci.image.index.v1+json"
_SIGNATURE = "application/vnd.dev.cosign.artifact.sig.v1+json"


@dataclass(slots=True)
class World:
    """The account that was built, with what the checks at the end need.

    ``needed`` maps the digest of an image to the consumer that breaks without it. It is recorded
    while the account is built, independently of the program.
    """

    now: datetime
    stories: dict[str, str] = field(default_factory=dict)
    needed: dict[str, str] = field(default_factory=dict)
    not_opted_in: list[str] = field(default_factory=list)

    def repository(self, name: str, story: str, *, opted_in: bool = True, **tags: str) -> None:
        """Create a repository; ``story`` is what a reader should look for."""
        self.stories[name] = story
        if opted_in:
            tags["BoxCleanerEnabled"] = "true"
        else:
            self.not_opted_in.append(name)
        fake_aws.create_repository(name, **tags)

    def image(self, repository: str, tag: str | None, days: int, megabytes: int) -> EcrImage:
        """Push an image that was built this many days ago."""
        # The tag and the age give each image a different digest.
        layer = {"digest": f"{repository}:{tag}:{days}", "size": megabytes * MB}
        manifest = {"mediaType": _OCI_IMAGE, "config": {"size": 1_000}, "layers": [layer]}
        return self._push(repository, manifest, tag, days, megabytes * MB)

    def index(
        self, repository: str, tag: str, days: int, platforms: Sequence[EcrImage]
    ) -> EcrImage:
        """Push a multi-platform image; ECR returns the size of its largest platform image."""
        listed = [{"mediaType": _OCI_IMAGE, "digest": one.image_digest} for one in platforms]
        manifest = {"mediaType": _OCI_INDEX, "manifests": listed}
        return self._push(repository, manifest, tag, days, max(one.size for one in platforms))

    def signature(self, repository: str, subject: EcrImage, days: int) -> EcrImage:
        """Push a signature that names its subject, as the OCI referrers API requires."""
        manifest = {
            "mediaType": _OCI_IMAGE,
            "artifactType": _SIGNATURE,
            "config": {"size": 2},
            "layers": [],
            "subject": {"mediaType": _OCI_INDEX, "digest": subject.image_digest},
        }
        return self._push(repository, manifest, None, days, 2_000)

    def tagged_signature(self, repository: str, subject: EcrImage, days: int) -> EcrImage:
        """Push a signature that names its subject by its tag, as older tools do."""
        manifest = {"mediaType": _OCI_IMAGE, "config": {"size": 2}, "layers": [], "of": days}
        tag = subject.image_digest.replace(":", "-") + ".sig"
        return self._push(repository, manifest, tag, days, 2_000)

    def need(self, consumer: str, *images: EcrImage) -> None:
        """Record that a consumer needs these images."""
        self.needed.update({image.image_digest: consumer for image in images})

    def _push(
        self, repository: str, manifest: dict[str, Any], tag: str | None, days: int, size: int
    ) -> EcrImage:
        # Add six hours, so that no age is exactly a whole number of days.
        pushed_at = self.now - timedelta(days=days, hours=6)
        return fake_aws.push(repository, manifest, tag, pushed_at, size)


def build(now: datetime, kubernetes: KubernetesCluster) -> World:
    """Build the account."""
    world = World(now)
    fake_aws.create_cluster(CLUSTER)
    fake_aws.create_eks_cluster(CLUSTER, kubernetes.url, kubernetes.authority)
    _search(world, kubernetes)
    for fill in (_shop, _payments, _invoices, _worker, _tools, _reports, _legacy):
        fill(world)
    return world


def _search(world: World, kubernetes: KubernetesCluster) -> None:
    world.repository("search", "a deployment in EKS, scaled to zero, still names an old image")
    paused = world.image("search", "2.0", days=210, megabytes=120)
    world.image("search", "2.1", days=95, megabytes=121)
    image = f"{REGISTRY}/search:2.0"
    kubernetes.create_deployment("web", "search", image, replicas=0)
    world.need("the deployment search, when it is scaled up", paused)


def _shop(world: World) -> None:
    world.repository("shop", "a service still runs an old image")
    world.image("shop", "1.3", days=130, megabytes=212)
    running = world.image("shop", "1.4", days=96, megabytes=214)
    world.image("shop", None, days=75, megabytes=214)
    world.image("shop", "1.5", days=61, megabytes=231)
    world.image("shop", "1.6", days=9, megabytes=233)
    fake_aws.create_service(CLUSTER, "shop", f"{REGISTRY}/shop:1.4")
    world.need("the service shop", running)


def _payments(world: World) -> None:
    world.repository("payments", "the tag has moved; a task still runs the previous digest")
    world.image("payments", "stable", days=140, megabytes=176)
    running = world.image("payments", "stable", days=88, megabytes=178)
    fake_aws.run_task(CLUSTER, "payments", f"{REGISTRY}/payments:stable", running.image_digest)
    tagged = world.image("payments", "stable", days=45, megabytes=179)
    world.need("the task payments, by digest", running)
    world.need("the task payments, when it starts again", tagged)


def _invoices(world: World) -> None:
    world.repository("invoices", "version 1 of a function uses an old image")
    pinned = world.image("invoices", "2.0", days=180, megabytes=148)
    world.image("invoices", "2.1", days=90, megabytes=150)
    latest = world.image("invoices", "2.2", days=20, megabytes=151)
    fake_aws.create_function("invoices", f"{REGISTRY}/invoices:2.0")
    fake_aws.update_function("invoices", f"{REGISTRY}/invoices:2.2")
    world.need("version 1 of the function invoices", pinned)
    world.need("the function invoices", latest)


def _worker(world: World) -> None:
    name = "base/worker"
    world.repository(name, "two signed multi-platform images; a service runs one of them")
    before = [world.image(name, None, days=300, megabytes=size) for size in (301, 288)]
    removable = world.index(name, "3.11", days=300, platforms=before)
    world.tagged_signature(name, removable, days=300)
    platforms = [world.image(name, None, days=120, megabytes=size) for size in (305, 291)]
    running = world.index(name, "3.12", days=120, platforms=platforms)
    signature = world.signature(name, running, days=120)
    fake_aws.create_service(CLUSTER, "worker", f"{REGISTRY}/{name}:3.12")
    world.need("the service worker", running, *platforms)
    world.need("the signature check of the service worker", signature)


def _tools(world: World) -> None:
    story = "a tag keeps images for 180 days; a user outside AWS pulls an old one"
    world.repository("tools", story, BoxCleanerKeepDays="180")
    pulled = world.image("tools", "cli", days=400, megabytes=64)
    pulled.last_recorded_pull_time = world.now - timedelta(days=4)
    world.image("tools", "spring", days=200, megabytes=66)
    world.image("tools", "summer", days=150, megabytes=66)
    world.need("a user outside AWS", pulled)


def _reports(world: World) -> None:
    world.repository("reports", "a job ran yesterday; nothing runs its image now")
    ran = world.image("reports", "weekly", days=70, megabytes=92)
    world.image("reports", "monthly", days=80, megabytes=92)
    # What the run of last night remembered.
    yesterday = (world.now - timedelta(days=1)).date()
    ledger = Ledger(since=yesterday)
    job = f"arn:aws:ecs:{REGION}:{ACCOUNT}:task/{CLUSTER}/weekly"
    ledger.record(ran.image_digest, Use(job, yesterday))
    fake_aws.store(LEDGER, ledger.stored())
    world.need("the next run of the job", ran)


def _legacy(world: World) -> None:
    world.repository("legacy", "old and unused images; did not opt in", opted_in=False)
    world.image("legacy", "2019", days=900, megabytes=410)
    world.image("legacy", "2020", days=800, megabytes=415)
