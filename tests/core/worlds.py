"""The small worlds that the unit tests are made of: names for digests, days for times."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from ecr_cleaner.core.graph import Graph
from ecr_cleaner.core.in_use import RepositoryUse
from ecr_cleaner.core.model import Action, Image, ImageReference, Plan, Registry, Repository, Usage
from ecr_cleaner.core.policy import Policy
from ecr_cleaner.core.retention import Known, Moment, judge
from fakes.ecr import INDEX, MANIFEST

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
SCAN_BEGAN = NOW - timedelta(minutes=1)
MOMENT = Moment(SCAN_BEGAN, NOW)
REGISTRY = Registry("111122223333", "eu-west-1")
HOST = "111122223333.dkr.ecr.eu-west-1.amazonaws.com"


def ago(days: float = 0, seconds: float = 0) -> datetime:
    return NOW - timedelta(days=days, seconds=seconds)


def sha(name: str) -> str:
    return "sha256:" + hashlib.sha256(name.encode()).hexdigest()


def repository(name: str = "app", **tags: str) -> Repository:
    arn = f"arn:aws:ecr:eu-west-1:111122223333:repository/{name}"
    return Repository(REGISTRY, name, arn, {"BoxCleanerEnabled": "true"} | tags)


REPOSITORY = repository()


def image(name: str, days: float = 100, tags: str = "", **more: Any) -> Image:
    """An image, pushed so many days ago; ``tags`` are separated by spaces."""
    common: dict[str, Any] = {"media_type": MANIFEST, "pushed_at": ago(days), "size_bytes": 10}
    return Image(sha(name), tuple(tags.split()), **common | more)


def index(name: str, days: float = 100, tags: str = "", **more: Any) -> Image:
    return image(name, days, tags, **({"media_type": INDEX} | more))


def policy_of(
    keep_days: int = 30,
    keep_count: int = 0,
    keep_tag_patterns: tuple[str, ...] = (),
    keep_pulled_days: int = 30,
    push_is_pull: bool = True,  # noqa: FBT002 - a field of the policy like the others
    action: Action = Action.DELETE,
    archive_days: int | None = None,
    waived_guards: tuple[str, ...] = (),
    untagged_keep_days: int | None = None,
    keep_used_days: int = 14,
) -> Policy:
    return Policy(
        keep_days,
        keep_count,
        keep_tag_patterns,
        keep_pulled_days,
        push_is_pull,
        action,
        archive_days,
        waived_guards,
        untagged_keep_days,
        keep_used_days,
    )


def usage(repository_name: str = "app", consumer: str = "arn:task", **what: str) -> Usage:
    reference = ImageReference(REGISTRY, repository_name, **what)
    return Usage(reference, consumer, "stub")


def use_of(*used: str) -> RepositoryUse:
    """What is in use: a name for its digest, ``tag:`` for a tag, ``*`` for the whole repository."""
    use = RepositoryUse()
    for one in used:
        kind, _, tag = one.partition(":")
        if one == "*":
            use.add(usage(consumer="arn:of-all"))
        elif kind == "tag":
            use.add(usage(consumer=f"arn:of-{tag}", tag=tag))
        else:
            use.add(usage(consumer=f"arn:of-{one}", digest=sha(one)))
    return use


def graph_of(images: Iterable[Image], children: Mapping[str, Iterable[str]] | None = None) -> Graph:
    listed = {sha(name): tuple(map(sha, names)) for name, names in (children or {}).items()}
    return Graph.build(images, listed)


def plan_of(
    *images: Image,
    children: Mapping[str, Iterable[str]] | None = None,
    policy: Policy | None = None,
    used: Iterable[str] = (),
    moment: Moment = MOMENT,
    known: Known | None = None,
) -> Plan:
    graph = graph_of(images, children)
    return judge(REPOSITORY, graph, policy or policy_of(), use_of(*used), moment, known)


def removals(plan: Plan) -> dict[str, Action]:
    return {
        verdict.image.digest: verdict.action
        for verdict in plan.verdicts
        if verdict.action is not Action.KEEP
    }
