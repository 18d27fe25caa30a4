"""The account before the cleaner is deployed, and what the example should do with its images."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from world import World

# A rule of the complete example keeps these for three days, regardless of number and pulls.
SANDBOX = "sandbox/web"
# Its general settings keep the newest three, images of 30 days, and releases.
SHOP = "shop"
NOT_OPTED_IN = "legacy"
REPOSITORIES = (SANDBOX, SHOP, NOT_OPTED_IN)


@dataclass(frozen=True)
class Account:
    """Digests by what the example should do with them.

    Of the images in use, ``in_use_elsewhere`` is the one that only the member account uses.
    """

    kept: frozenset[str]
    in_use: frozenset[str]
    in_use_elsewhere: str
    archived: frozenset[str]
    deleted: frozenset[str]

    @property
    def everything(self) -> frozenset[str]:
        """All digests of the opted-in repositories."""
        return self.kept | self.in_use | self.archived | self.deleted


def fill(world: World, member: World) -> Account:
    """Fill the account of the registry, and the member account."""
    world.repository(SANDBOX)
    world.repository(SHOP)
    world.repository(NOT_OPTED_IN, tags={"BoxCleanerEnabled": "false"})
    world.image(NOT_OPTED_IN, "old", days_old=900)
    in_use = {_in_a_service(world), _in_a_function(world), _in_app_runner(world)}
    in_use_elsewhere = _in_a_member_account(world, member)
    # The third of the newest three is a young image.
    newest = {world.image(SHOP, f"build-{days}", days_old=days) for days in (60, 61)}
    young = {world.image(SANDBOX, "new", days_old=2), world.image(SHOP, "new", days_old=20)}
    moved_on = world.image(SHOP, "job", days_old=20)  # the function still runs the older one
    release = world.image(SHOP, "v1.0", "build-1", days_old=800)
    unused = {world.image(SHOP, f"build-{days}", days_old=days) for days in (62, 63, 64)}
    unused |= {world.image(SANDBOX, days_old=90)}
    return Account(
        kept=frozenset({*newest, *young, moved_on, release}),
        in_use=frozenset({*in_use, in_use_elsewhere}),
        in_use_elsewhere=in_use_elsewhere,
        archived=frozenset(unused | _index(world, "nightly")),
        deleted=frozenset(_archived_long_ago(world)),
    )


def digests(world: World) -> dict[str, set[str]]:
    """Return the digests that each repository of the account contains now."""
    return {repository: world.digests(repository) for repository in REPOSITORIES}


def archived(world: World) -> set[str]:
    """Return the digests of the images that are archived now."""
    return {
        digest
        for repository in REPOSITORIES
        for digest in world.digests(repository)
        if getattr(world.stored(repository, digest), "image_status", "") == "ARCHIVED"
    }


def _in_a_service(world: World) -> str:
    digest = world.image(SANDBOX, "web", days_old=90)
    cluster = world.cluster("main")
    definition = world.task_definition("web", world.uri(SANDBOX, "web"))
    world.service(cluster, "web", definition)
    return digest


def _in_a_function(world: World) -> str:
    digest = world.image(SHOP, "job", days_old=90)
    world.function("job", world.uri(SHOP, "job"))
    return digest


def _in_app_runner(world: World) -> str:
    digest = world.image(SANDBOX, "site", days_old=90)
    world.app_runner("site", world.uri(SANDBOX, "site"))
    return digest


def _in_a_member_account(world: World, member: World) -> str:
    digest = world.image(SANDBOX, "partner", days_old=90)
    member.task_definition("partner", world.uri(SANDBOX, "partner"))
    return digest


def _index(world: World, tag: str) -> set[str]:
    children = [world.image(SANDBOX, days_old=90) for _ in range(2)]
    return {*children, world.index(SANDBOX, children, tag, days_old=90)}


def _archived_long_ago(world: World) -> set[str]:
    """Add an archived index and its children: ECR refuses to delete a child before its index."""
    found = _index(world, "last-year")
    for digest in found:
        stored = world.stored(SANDBOX, digest)
        stored.image_status = "ARCHIVED"
        stored.last_archived_at = (datetime.now(UTC) - timedelta(days=200)).timestamp()
    return found
