"""Who else may pull, or lose, images of a repository: read from policy documents. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any

from ecr_cleaner.core.in_use import RepositoryUse
from ecr_cleaner.core.model import ClusterReading, Guard, Registry, Repository, StandingGuard

# What it takes to pull (https://docs.aws.amazon.com/AmazonECR/latest/userguide/image-pull-iam.html).
PULL_ACTIONS = ("ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer")

# The usage source that reads EKS clusters.
EKS_SOURCE = "eks"

# Condition keys that, with the own account as their value, leave nobody else.
_OWN_ACCOUNT_KEYS = frozenset({"aws:principalaccount", "aws:sourceaccount"})
_SOURCE_ARN_KEYS = frozenset({"aws:sourcearn", "aws:principalarn"})
_STRICT_OPERATORS = frozenset({"stringequals", "stringlike", "arnlike", "arnequals"})

_ACCOUNT = re.compile(r"(?:arn:[^:]+:(?:iam|sts)::)?(?P<account>[0-9]{12})(?::.*)?")

_ANY_ARN = re.compile(r"arn:[^:]*:[^:]*:[^:]*:(?P<account>[^:]*):")


def cross_account_pull(repository: Repository, policies: Iterable[str]) -> StandingGuard | None:
    """Return the guard where one of the policies lets anybody outside the account pull.

    ``policies`` are the documents that apply: the repository's own and the registry's. One that
    cannot be understood guards as well.
    """
    outsiders = dict.fromkeys(
        outsider for policy in policies for outsider in _outsiders(repository, policy)
    )
    if not outsiders:
        return None
    return StandingGuard(
        Guard.CROSS_ACCOUNT_PULL,
        f"{', '.join(outsiders)} may pull from it and no scan of this account shows what they "
        f"run; waive the guard {Guard.CROSS_ACCOUNT_PULL} if nobody does, or list their images "
        "through REFERENCE_LISTS and waive it",
    )


def delete_replication(
    repository: Repository, configuration: Mapping[str, Any]
) -> StandingGuard | None:
    """Return the guard where a deletion would be carried to other registries.

    ``configuration`` is the ``replicationConfiguration`` of DescribeRegistry.
    """
    destinations = [
        f"{destination.get('registryId')} in {destination.get('region')}"
        for rule in configuration.get("rules", ())
        if rule.get("deleteReplication", {}).get("enabled") and _applies(rule, repository.name)
        for destination in rule.get("destinations", ())
    ]
    if not destinations:
        return None
    return StandingGuard(
        Guard.DELETE_REPLICATION,
        f"a deletion would be replicated to {', '.join(dict.fromkeys(destinations))}, where "
        f"nothing was scanned; waive the guard {Guard.DELETE_REPLICATION} if nothing runs there",
    )


def no_usage(in_use: Iterable[RepositoryUse], own_function: str) -> StandingGuard | None:
    """Return the guard where nothing of the whole registry is in use, but by this program itself.

    A whole account without a single usage is more likely a mistake than an empty account.
    """
    own = re.compile(rf".*:function:{re.escape(own_function)}(:.*)?") if own_function else None
    consumers = (consumer for use in in_use for consumer in use.consumers())
    if any(not (own and own.fullmatch(consumer)) for consumer in consumers):
        return None
    but_own = " but that of this function" if own else ""
    return StandingGuard(
        Guard.NO_USAGE,
        f"no usage source found any image of this registry in use{but_own}, which is what a wrong "
        "region, a missing permission or consumers in other accounts look like; set "
        "EXPECT_NO_USAGE to true if it is right",
    )


def eks_clusters(
    registry: Registry,
    listed: Iterable[str],
    readings: Sequence[ClusterReading],
    waived: Sequence[str] = (),
) -> Iterator[StandingGuard]:
    """Yield a guard for each Kubernetes cluster that was not read in full.

    ``listed`` are the names of the EKS clusters in the region. The others are known from their
    usage documents only.
    """
    by_cluster: dict[tuple[bool, str], list[ClusterReading]] = {(True, one): [] for one in listed}
    for reading in readings:
        by_cluster.setdefault(_cluster(registry, reading), []).append(reading)
    for (_, name), found in by_cluster.items():
        if name not in waived and all(one.problem for one in found):
            yield _unread_cluster(name, found)


def _cluster(registry: Registry, reading: ClusterReading) -> tuple[bool, str]:
    """Return whether this is an EKS cluster of the region, and its name.

    A usage document means one only by its ARN, because any cluster may have the same name.
    """
    arn = re.fullmatch(r"arn:[^:]+:eks:([^:]+):([^:]+):cluster/(.+)", reading.cluster)
    if arn and (arn[1], arn[2]) == (registry.region, registry.account):
        return True, arn[3]
    return reading.source == EKS_SOURCE, reading.cluster


def _unread_cluster(name: str, readings: Sequence[ClusterReading]) -> StandingGuard:
    problems = [f"{one.problem}; to fix it, {one.fix}" for one in readings] or [
        f"it was not scanned; do not waive the source {EKS_SOURCE}"
    ]
    return StandingGuard(
        Guard.EKS_CLUSTERS,
        f"the Kubernetes cluster {name} was not read in full: {'. '.join(problems)}. If nothing in "
        "it runs images of this registry, name it in WAIVED_CLUSTERS",
    )


def _applies(rule: Mapping[str, Any], name: str) -> bool:
    """A rule without filters holds for all; a filter of a type nobody knows holds as well."""
    filters = rule.get("repositoryFilters") or [{"filter": "", "filterType": "PREFIX_MATCH"}]
    return any(
        one.get("filterType") != "PREFIX_MATCH" or name.startswith(one.get("filter", ""))
        for one in filters
    )


def _outsiders(repository: Repository, policy: str) -> Iterator[str]:
    try:
        statements = _listed(json.loads(policy)["Statement"])
        for statement in statements:
            if statement.get("Effect") != "Deny" and _covers_pulls(statement, repository):
                yield from _outside_principals(statement, repository.registry.account)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        yield "whoever its policy means, which could not be understood,"


def _covers_pulls(statement: Mapping[str, Any], repository: Repository) -> bool:
    resources = _listed(statement.get("Resource", "*"))
    if "NotResource" not in statement and not any(
        "${" in resource or fnmatchcase(repository.arn, resource) for resource in resources
    ):
        return False
    if "NotAction" in statement:
        return True
    patterns = [action.lower() for action in _listed(statement["Action"])]
    return any(fnmatchcase(pull.lower(), pattern) for pull in PULL_ACTIONS for pattern in patterns)


def _outside_principals(statement: Mapping[str, Any], account: str) -> Iterator[str]:
    if "NotPrincipal" in statement:
        yield "everyone"
        return
    if _is_limited_to(account, statement.get("Condition", {})):
        return
    principal = statement["Principal"]
    by_kind = principal if isinstance(principal, dict) else {"AWS": principal}
    for kind, names in by_kind.items():
        if kind == "Service" and not _names_source(statement.get("Condition", {})):
            continue  # a service that acts for this account
        for name in _listed(names):
            if not _is_own(name, account):
                yield "everyone" if name == "*" else name


def _is_own(principal: str, account: str) -> bool:
    match = _ACCOUNT.fullmatch(principal)
    return match is not None and match["account"] == account


def _conditions(condition: Mapping[str, Any]) -> Iterator[tuple[str, str, list[str]]]:
    for operator, keys in condition.items():
        for key, values in keys.items():
            yield operator.lower(), key.lower(), _listed(values)


def _is_limited_to(account: str, condition: Mapping[str, Any]) -> bool:
    return any(
        operator in _STRICT_OPERATORS
        and (
            (key in _OWN_ACCOUNT_KEYS and all(value == account for value in values))
            or (key in _SOURCE_ARN_KEYS and all(_arn_account(v) == account for v in values))
        )
        for operator, key, values in _conditions(condition)
    )


def _names_source(condition: Mapping[str, Any]) -> bool:
    return any(key in _OWN_ACCOUNT_KEYS | _SOURCE_ARN_KEYS for _, key, _ in _conditions(condition))


def _arn_account(arn: str) -> str:
    match = _ANY_ARN.match(arn)
    return match["account"] if match else ""


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]
