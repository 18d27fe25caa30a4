"""The protocol that every usage source follows."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from ecr_cleaner.core.model import Usage
from ecr_cleaner.usage.shared.target import Target


class UsageSource(Protocol):
    """One kind of thing that runs images.

    ``name`` is its name in logs, settings and ``permissions.json``. ``service`` is boto3's name of
    the AWS service: in a region without that service there is nothing to scan. ``everywhere`` is
    False if it is asked once, in the account and region of the registry.
    """

    @property
    def name(self) -> str: ...

    @property
    def service(self) -> str: ...

    @property
    def everywhere(self) -> bool: ...

    def usages(self, target: Target) -> Iterable[Usage]:
        """Yield every usage; raise CleanerError if not all of them could be read."""
