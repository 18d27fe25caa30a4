"""Which guards stand before a repository: who else may pull, or lose, its images."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from fnmatch import fnmatchcase
from typing import Any

from ecr_cleaner.core.copies import prefixes_of
from ecr_cleaner.core.in_use import InUse, RepositoryUse
from ecr_cleaner.core.locations import Scanned
from ecr_cleaner.core.model import ClusterReading, Guard, Registry, Repository, StandingGuard

# What it takes to pull (https://docs.aws.amazon.com/AmazonECR/latest/userguide/image-pull-iam.html).
PULL_ACTIONS = ("ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer")

# The usage source that reads EKS clusters.
EKS_SOURCE = "eks"

# Condition keys that, with the own account as their value, leave nobody else.
_OWN_ACCOUNT_KEYS = frozenset({"aws:principalaccount", "aws:sourceaccount"})
_SOURCE_ARN_KEYS = frozenset({"aws:sourcearn", "aws:principalarn"})
_SOURCE_ORG_KEYS = frozenset({"aws:sourceorgid", "aws:sourceorgpaths"})
_ORG_ID_KEYS = frozenset({"aws:principalorgid", "aws:sourceorgid"})
_ORG_PATH_KEYS = frozenset({"aws:principalorgpaths", "aws:sourceorgpaths"})
_STRICT_OPERATORS = frozenset({"stringequals", "stringlike", "arnlike", "arnequals"})
# For keys with several values. ForAllValues would let those pass who have none.
_STRICT_FOR_PATHS = frozenset({"foranyvalue:stringequals", "foranyvalue:stringlike"})

# The usage sources that see what these services pull for the account.
_SOURCE_OF_SERVICE = {
    "apprunner": "app-runner",
    "batch": "batch",
    "bedrock-agentcore": "agentcore",
    "build.apprunner": "app-runner",
    "codebuild": "codebuild",
    "ecs": "ecs",
    "ecs-tasks": "ecs",
    "emr-serverless": "emr-serverless",
    "lambda": "lambda",
    "ops.emr-serverless": "emr-serverless",
    "sagemaker": "sagemaker",
    "states": "step-functions",
    "tasks.apprunner": "app-runner",
}
# Services that copy or inspect images and run none.
_RUN_NOTHING = frozenset(
    {"ecr", "guardduty", "inspector2", "pullthroughcache.ecr", "replication.ecr", "signer"}
)
_SERVICE = re.compile(r"(?P<name>.+)\.amazonaws\.(?:com(?:\.cn)?|eu)")

# The ids of roles and users. A policy holds one after its role or user was deleted; it is never
# given again (https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_identifiers.html).
_DELETED_IDENTITY = re.compile(r"A(?:ROA|IDA)[A-Z0-9]{12,}")

_ACCOUNT = re.compile(r"(?:arn:[^:]+:(?:iam|sts)::)?(?P<account>[0-9]{12})(?::.*)?")

_ANY_ARN = re.compile(r"arn:[^:]*:[^:]*:[^:]*:(?P<account>[^:]*):")


def cross_account_pull(
    repository: Repository,
    policies: Iterable[str],
    waived_sources: Collection[str] = (),
    scanned: Scanned = Scanned(),  # noqa: B008 - frozen
) -> StandingGuard | None:
    """Return the guard if a policy lets anybody pull whose use no usage source sees.

    Whoever belongs to an account that was scanned is seen, and so is everybody in the organization
    if all of it was scanned.

    ``policies`` are the documents that apply: the repository's own and the registry's. A document
    that cannot be parsed guards as well.
    """
    outsiders = dict.fromkeys(
        outsider
        for policy in policies
        for outsider in _outsiders(repository, policy, waived_sources, scanned)
    )
    if not outsiders:
        return None
    return StandingGuard(
        Guard.CROSS_ACCOUNT_PULL,
        f"{', '.join(outsiders)} may pull from this repository, and no scan of this account "
        "shows what they run; if these are accounts, scan them with SCAN_ACCOUNTS; else waive "
        f"the guard {Guard.CROSS_ACCOUNT_PULL} if nobody pulls, or list their images through "
        "REFERENCE_LISTS and waive it",
    )


def deleted_identities(policies: Iterable[str]) -> list[str]:
    """Return the ids of deleted roles and users that the policies still name as principals."""
    named = (name for policy in policies for name in _aws_principals(policy))
    return sorted({name for name in named if _DELETED_IDENTITY.fullmatch(name)})


def _aws_principals(policy: str) -> Iterator[str]:
    try:
        for statement in _listed(json.loads(policy)["Statement"]):
            principal = statement.get("Principal")
            names = principal.get("AWS", ()) if isinstance(principal, dict) else principal
            yield from (name for name in _listed(names) if isinstance(name, str))
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return  # the guard says that it could not be parsed


def delete_replication(
    repository: Repository,
    configuration: Mapping[str, Any],
    scanned: Scanned = Scanned(),  # noqa: B008 - frozen
    in_use: InUse | None = None,
) -> StandingGuard | None:
    """Return the guard if a replicated deletion may remove what is in use in another registry.

    That is so where nothing was scanned, and where a consumer names the replica by a tag: a tag of
    the replica may mean another image than the same tag here, and the deletion is by digest.

    ``configuration`` is the ``replicationConfiguration`` of DescribeRegistry.
    """
    destinations = [
        f"{destination.get('registryId')} in {destination.get('region')}"
        for rule in configuration.get("rules", ())
        if rule.get("deleteReplication", {}).get("enabled")
        and repository.name.startswith(tuple(prefixes_of(rule)))
        for destination in rule.get("destinations", ())
        if not _is_seen_by_digest(repository, _registry(destination), scanned, in_use)
    ]
    if not destinations:
        return None
    return StandingGuard(
        Guard.DELETE_REPLICATION,
        f"a deletion would be replicated to {', '.join(dict.fromkeys(destinations))}, where "
        "nothing was scanned or a consumer names this repository by a tag; scan it with "
        "SCAN_ACCOUNTS and SCAN_REGIONS, let consumers name digests or this registry, or waive the "
        f"guard {Guard.DELETE_REPLICATION} if nothing runs from there",
    )


def _is_seen_by_digest(
    repository: Repository, destination: Registry, scanned: Scanned, in_use: InUse | None
) -> bool:
    """Return whether all that is in use of a replica is known, by digest."""
    if destination not in scanned.registries or in_use is None:
        return False
    replica = in_use.of(Repository(destination, repository.name, arn=""))
    return not (replica.tags or replica.any_image or replica.computed)


def _registry(destination: Mapping[str, Any]) -> Registry:
    return Registry(str(destination.get("registryId")), str(destination.get("region")))


def no_usage(in_use: Iterable[RepositoryUse], own_function: str) -> StandingGuard | None:
    """Return the guard if nothing of the registry is in use, other than by this program itself.

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

    ``listed`` are the EKS clusters: beside the registry by name, elsewhere by ARN. The others are
    known from their usage documents only.
    """
    by_cluster: dict[tuple[bool, str], list[ClusterReading]] = {(True, one): [] for one in listed}
    for reading in readings:
        by_cluster.setdefault(_cluster(registry, reading), []).append(reading)
    for (_, name), found in by_cluster.items():
        if name not in waived and all(one.problem for one in found):
            yield _unread_cluster(name, found)


def _cluster(registry: Registry, reading: ClusterReading) -> tuple[bool, str]:
    """Return whether this is an EKS cluster, and its name as in the listing.

    A usage document means one only by its ARN, because any cluster may have the same name.
    """
    arn = re.fullmatch(r"arn:[^:]+:eks:([^:]+):([^:]+):cluster/(.+)", reading.cluster)
    if arn and (arn[1], arn[2]) == (registry.region, registry.account):
        return True, arn[3]
    return arn is not None or reading.source == EKS_SOURCE, reading.cluster


def _unread_cluster(name: str, readings: Sequence[ClusterReading]) -> StandingGuard:
    problems = [f"{one.problem}; to fix it, {one.fix}" for one in readings] or [
        f"it was not scanned; do not waive the source {EKS_SOURCE}"
    ]
    return StandingGuard(
        Guard.EKS_CLUSTERS,
        f"the Kubernetes cluster {name} was not read in full: {'. '.join(problems)}. If nothing in "
        "it runs images of this registry, name it in WAIVED_CLUSTERS",
    )


def _outsiders(
    repository: Repository, policy: str, waived_sources: Collection[str], scanned: Scanned
) -> Iterator[str]:
    insiders = replace(scanned, registries=scanned.registries | {repository.registry})
    try:
        statements = _listed(json.loads(policy)["Statement"])
        for statement in statements:
            if statement.get("Effect") != "Deny" and _covers_pulls(statement, repository):
                yield from _outside_principals(statement, insiders, waived_sources)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        yield "somebody named in a policy that could not be parsed"


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


def _outside_principals(
    statement: Mapping[str, Any], insiders: Scanned, waived_sources: Collection[str]
) -> Iterator[str]:
    if "NotPrincipal" in statement:
        yield "everyone"
        return
    condition = statement.get("Condition", {})
    is_limited = _is_limited_to(insiders, condition)
    principal = statement["Principal"]
    by_kind = principal if isinstance(principal, dict) else {"AWS": principal}
    for kind, names in by_kind.items():
        for name in _listed(names):
            if kind == "Service":
                outside = not _is_seen(name, waived_sources)
                # Without such a condition, a service acts for this account.
                outside = outside or (_names_source(condition) and not is_limited)
            else:
                outside = not (is_limited or _is_own(name, insiders))
            if outside:
                yield "everyone" if name == "*" else _with_state(name, insiders)


def _with_state(principal: str, insiders: Scanned) -> str:
    """Return a principal with the reason if its account could not be scanned."""
    match = _ACCOUNT.fullmatch(principal)
    state = insiders.left_out.get(match["account"]) if match else None
    return f"{principal} (the organization has this account as {state})" if state else principal


def _is_seen(service: str, waived_sources: Collection[str]) -> bool:
    """Return whether a usage source sees all that the service runs for the account."""
    match = _SERVICE.fullmatch(service.lower())
    name = match["name"] if match else service
    if name in _RUN_NOTHING:
        return True
    return name in _SOURCE_OF_SERVICE and _SOURCE_OF_SERVICE[name] not in waived_sources


def _is_own(principal: str, insiders: Scanned) -> bool:
    match = _ACCOUNT.fullmatch(principal)
    is_own = match is not None and match["account"] in insiders.accounts
    return is_own or _DELETED_IDENTITY.fullmatch(principal) is not None


def _conditions(condition: Mapping[str, Any]) -> Iterator[tuple[str, str, list[str]]]:
    for operator, keys in condition.items():
        for key, values in keys.items():
            yield operator.lower(), key.lower(), _listed(values)


def _is_limited_to(insiders: Scanned, condition: Mapping[str, Any]) -> bool:
    return any(
        _is_strict(operator, key) and all(_is_inside(key, value, insiders) for value in values)
        for operator, key, values in _conditions(condition)
    )


def _is_strict(operator: str, key: str) -> bool:
    return operator in _STRICT_OPERATORS or (
        key in _ORG_PATH_KEYS and operator in _STRICT_FOR_PATHS
    )


def _is_inside(key: str, value: str, insiders: Scanned) -> bool:
    """Return whether a condition key with this value leaves only those that were scanned."""
    organization = insiders.organization
    return (
        (key in _OWN_ACCOUNT_KEYS and value in insiders.accounts)
        or (key in _SOURCE_ARN_KEYS and _arn_account(value) in insiders.accounts)
        or (key in _ORG_ID_KEYS and organization is not None and value == organization)
        or (
            key in _ORG_PATH_KEYS
            and organization is not None
            and value.startswith(f"{organization}/")
        )
    )


def _names_source(condition: Mapping[str, Any]) -> bool:
    naming = _OWN_ACCOUNT_KEYS | _SOURCE_ARN_KEYS | _SOURCE_ORG_KEYS
    return any(key in naming for _, key, _ in _conditions(condition))


def _arn_account(arn: str) -> str:
    match = _ANY_ARN.match(arn)
    return match["account"] if match else ""


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]
