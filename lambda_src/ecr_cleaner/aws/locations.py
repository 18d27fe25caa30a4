"""Every account and region to scan: which there are, and the clients for each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from threading import Lock

from ecr_cleaner.aws.session import Aws, assumed_session
from ecr_cleaner.core.errors import naming
from ecr_cleaner.core.locations import (
    Location,
    Scanned,
    active_accounts,
    caller_of,
    enabled_regions,
)
from ecr_cleaner.core.settings import Settings


class Locations:
    """The accounts and regions to scan; that of the registry, ``home``, is the first.

    ``all`` holds them, empty until ``read``. ``left_out`` holds the state of each account of the
    organization that runs nothing. ``scanned`` says the same to guards.
    """

    def __init__(self, home: Aws, settings: Settings) -> None:
        self._aws = home
        self._settings = settings
        self._accounts: dict[str, Aws] = {}
        self._lock = Lock()
        self.all: tuple[Location, ...] = ()
        self.left_out: Mapping[str, str] = {}
        self.scanned = Scanned()

    @property
    def home(self) -> Location:
        """The account and region of the registry."""
        return self.all[0]

    def read(self) -> None:
        """Find out which accounts and regions there are; raise CleanerError if that is unknown."""
        partition, own = caller_of(self._aws.api("sts").call("GetCallerIdentity"))
        accounts, organization = self._listed_accounts(own)
        for account in accounts:
            self._accounts[account] = self._assumed(account, partition)
        self._accounts[own] = self._aws
        home = Location(own, self._aws.region, partition)
        regions = self._aws.workers.map(partial(self._regions, own), [own, *accounts])
        found = {
            Location(account, region, partition)
            for account, names in zip([own, *accounts], regions, strict=True)
            for region in names
        }
        ordered = sorted(found - {home}, key=lambda one: (one.account != own, one))
        self.take((home, *ordered), organization)

    def take(self, locations: Sequence[Location], organization: str | None) -> None:
        """Take the accounts and regions that another step found, that of the registry first."""
        self.all = tuple(locations)
        registries = frozenset(one.registry for one in self.all)
        self.scanned = Scanned(registries, organization, self.left_out)

    def open(self, location: Location) -> Aws:
        """Return the clients of one of them: those of the registry, or new ones."""
        if location == self.home:
            return self._aws
        return self._account(location).elsewhere(location.region)

    def _account(self, location: Location) -> Aws:
        """Return the account of a location; after ``take``, those of others are made here."""
        with self._lock:
            if location.account not in self._accounts:
                is_own = location.account == self.home.account
                aws = self._aws if is_own else self._assumed(location.account, location.partition)
                self._accounts[location.account] = aws
            return self._accounts[location.account]

    def _assumed(self, account: str, partition: str) -> Aws:
        return other_account(self._aws, self._settings, account, partition)

    def _listed_accounts(self, own: str) -> tuple[list[str], str | None]:
        """Return the accounts besides our own, and the id of the organization if all are meant."""
        if not self._settings.scan_organization:
            return [one for one in self._settings.scan_accounts if one != own], None
        organizations = self._aws.api("organizations")
        described = organizations.call("DescribeOrganization").get("Organization") or {}
        organization = described.get("Id")  # without it, no condition on the organization is met
        listed = organizations.each("ListAccounts", "Accounts")
        active, self.left_out = active_accounts(listed, own)
        return [one for one in active if one != own], organization

    def _regions(self, own: str, account: str) -> list[str]:
        named = self._settings.scan_regions
        if named:
            # Lambda pulls from other accounts in the registry's own region only.
            return [self._aws.region, *named]
        with naming(account):
            answer = self._accounts[account].api("ec2").call("DescribeRegions")
            # The registry's own region is in use, so at home an answer without it is wrong.
            return enabled_regions(answer, self._aws.region if account == own else None)


def other_account(home: Aws, settings: Settings, account: str, partition: str) -> Aws:
    """Return the same region of another account, by the role in it that the settings name."""
    role = f"arn:{partition}:iam::{account}:role/{settings.scan_role_name}"
    session = assumed_session(home, role, settings.scan_external_id)
    return home.elsewhere(home.region, session)
