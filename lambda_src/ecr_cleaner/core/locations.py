"""Where usage sources are asked: accounts and regions, from the answers that name them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ecr_cleaner.core.errors import IncompleteAnswerError
from ecr_cleaner.core.model import Registry

_ARN = re.compile(r"arn:(?P<partition>[^:]+):[^:]+:[^:]*:(?P<account>[0-9]{12}):.*")

# Nobody can assume a role in accounts in these states, and AWS ends their access to its services.
# Within 90 days, a closed account can be opened again, with its resources
# (https://docs.aws.amazon.com/accounts/latest/reference/manage-acct-closing.html,
# https://docs.aws.amazon.com/organizations/latest/userguide/orgs_manage_accounts_account_state.html).
_INACTIVE = frozenset({"CLOSED", "PENDING_ACTIVATION", "SUSPENDED"})


@dataclass(frozen=True, slots=True, order=True)
class Location:
    """One account and region."""

    account: str
    region: str
    partition: str = "aws"

    def __str__(self) -> str:
        return f"{self.account}/{self.region}"

    @property
    def registry(self) -> Registry:
        """The private registry that is there."""
        return Registry(self.account, self.region)

    def arn(self, service: str, resource: str) -> str:
        """Return the ARN of a resource that is there."""
        return f"arn:{self.partition}:{service}:{self.region}:{self.account}:{resource}"


@dataclass(frozen=True, slots=True)
class NamedElsewhere:
    """A task definition, by its full ARN, that a consumer in another account or region names."""

    source: str
    consumer: str
    definition: str
    location: Location


@dataclass(frozen=True, slots=True)
class Scanned:
    """Where the usage sources were asked, for guards.

    ``registries`` holds the registry of each account and region. ``organization`` is the id of the
    organization if all of its active accounts were asked; ``left_out`` has the state of the others.
    """

    registries: frozenset[Registry] = frozenset()
    organization: str | None = None
    left_out: Mapping[str, str] = field(default_factory=dict)

    @property
    def accounts(self) -> frozenset[str]:
        """The ids of the accounts."""
        return frozenset(one.account for one in self.registries)


def caller_of(identity: Mapping[str, Any]) -> tuple[str, str]:
    """Return partition and account from the answer of GetCallerIdentity."""
    match = _ARN.fullmatch(str(identity.get("Arn")))
    if not match:
        raise IncompleteAnswerError(f"GetCallerIdentity returned no ARN but {identity.get('Arn')}")
    return match["partition"], match["account"]


def enabled_regions(answer: Mapping[str, Any], expected: str | None) -> list[str]:
    """Return the names of the regions in an answer of DescribeRegions.

    Raise IncompleteAnswerError if there are none, or if the ``expected`` one is not among them: it
    is in use, so the answer leaves regions out.
    """
    names = [str(one["RegionName"]) for one in answer.get("Regions") or ()]
    if not names or (expected and expected not in names):
        found = ", ".join(names) or "none"
        raise IncompleteAnswerError(
            f"DescribeRegions returned {found}{f', but not {expected}' if expected else ''}; name "
            "the regions in SCAN_REGIONS"
        )
    return sorted(names)


def active_accounts(
    listed: Iterable[Mapping[str, Any]], own: str
) -> tuple[list[str], dict[str, str]]:
    """Return the accounts of an organization to scan, and the state of each of the others.

    Raise IncompleteAnswerError if ``own``, the account of the registry, is not among them.
    """
    # State replaces Status, which AWS removes
    # (https://docs.aws.amazon.com/organizations/latest/APIReference/API_Account.html).
    states = {str(one["Id"]): str(one.get("State") or one.get("Status")) for one in listed}
    if own not in states:
        raise IncompleteAnswerError(
            f"ListAccounts returned {len(states)} accounts, but not {own}, which has the registry; "
            "name the accounts in SCAN_ACCOUNTS"
        )
    left_out = {one: state for one, state in states.items() if state in _INACTIVE}
    return sorted(states.keys() - left_out.keys()), left_out
