"""Who uses which image. One file for each usage source; here they come together."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Protocol

from ecr_cleaner.aws import Aws
from ecr_cleaner.errors import ScanError
from ecr_cleaner.model import Usage
from ecr_cleaner.usage.account import Account
from ecr_cleaner.usage.app_runner import AppRunner
from ecr_cleaner.usage.aws_lambda import Lambda
from ecr_cleaner.usage.ecs import Ecs


class UsageSource(Protocol):
    """One kind of thing that runs images.

    ``name`` is what logs, settings and ``permissions.json`` call it, ``service`` what boto3 calls
    the AWS service; where the region does not offer that, there is nothing to scan.
    """

    name: str
    service: str

    def usages(self, account: Account) -> Iterable[Usage]:
        """Yield every usage; raise CleanerError where not all of them could be read."""


SOURCES: tuple[UsageSource, ...] = (Ecs(), Lambda(), AppRunner())


@dataclass(frozen=True, slots=True)
class Scan:
    """What one scan found: all usages, and the number of them by source; None: not offered."""

    usages: tuple[Usage, ...]
    found: Mapping[str, int | None]


def scan(aws: Aws, sources: Iterable[UsageSource] = SOURCES) -> Scan:
    """Ask every source; raise ScanError if any one of them could not be read in full."""
    account = Account(aws)
    asked = tuple(sources)
    answers = aws.workers.map(lambda source: _read(source, account), asked)
    found = {
        source.name: None if answer is None else len(answer)
        for source, answer in zip(asked, answers, strict=True)
    }
    return Scan(tuple(usage for answer in answers for usage in answer or ()), found)


def _read(source: UsageSource, account: Account) -> tuple[Usage, ...] | None:
    if not account.aws.offers(source.service):
        return None
    try:
        return tuple(source.usages(account))
    except Exception as error:
        # Whatever went wrong, an answer that was not expected included: it was not read in full.
        raise ScanError(source.name, error) from error
