"""What can go wrong, as the operator reads it in the log."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

_LONGEST_MESSAGE = 1000
# A run that may read nothing fails in every source at once.
_MOST_NAMED = 20


class CleanerError(Exception):
    """Base of every error that this program raises on purpose.

    ``fields`` are its fields in a log line: the message, and details beside it.
    """

    def __init__(self, message: str, **fields: Any) -> None:
        super().__init__(message)
        self.fields: dict[str, Any] = fields | {"error": message}


class InvalidSettingError(CleanerError):
    """A setting or a repository tag with a value that is not allowed. There is no fallback."""

    def __init__(self, name: str, value: str, allowed: str) -> None:
        super().__init__(f"{name} is {value!r}, but must be {allowed}", setting=name)


class ApiError(CleanerError):
    """An AWS call that failed after all retries.

    ``action`` is the missing IAM action if access was denied, otherwise None.
    """

    def __init__(
        self, service: str, operation: str, *, code: str, message: str, action: str | None = None
    ) -> None:
        missing = f" (missing IAM action: {action})" if action else ""
        super().__init__(
            f"{service} {operation} failed with {code}: {_clipped(message)}{missing}",
            service=service,
            operation=operation,
            code=code,
            **({"missing_action": action} if action else {}),
        )
        self.code = code
        self.action = action


def _clipped(message: str) -> str:
    """Return a message in one line and no longer than AWS's: a proxy answers with a page."""
    line = " ".join(message.split())
    return line if len(line) <= _LONGEST_MESSAGE else f"{line[:_LONGEST_MESSAGE]}..."


class OperationAbsentError(ApiError):
    """The region has the service, but not this operation of it."""


class ServiceUnknownError(CleanerError):
    """It is unknown whether the region has an AWS service."""

    def __init__(self, service: str, region: str, problem: str) -> None:
        super().__init__(
            f"whether {region} has the AWS service {service} is unknown: {problem}; if the region "
            "does not have it, name the usage source in WAIVED_SOURCES",
            service=service,
        )


class OutOfTimeError(CleanerError):
    """The deadline is too near for another call."""


class IncompleteAnswerError(CleanerError):
    """AWS answered, but the answer lacks something that was asked for."""


class ScanError(CleanerError):
    """A usage source could not be read in full, so it is unknown what is in use.

    ``target`` names the account and region, if it is not the one of the registry. ``others`` are
    those that failed as well; the fields are those of the first.
    """

    def __init__(
        self,
        source: str,
        cause: Exception,
        target: str | None = None,
        others: Sequence[ScanError] = (),
    ) -> None:
        super().__init__(
            f"usage source {source} could not be read in full{_in(target)}: {text_of(cause)}"
            f"{_advice(cause) if target else ''}{_also(others)}",
            source=source,
            **({"target": target} if target else {}),
            **_details(cause),
        )
        self.source = source
        self.cause = cause
        self.target = target

    def together_with(self, others: Sequence[ScanError]) -> ScanError:
        """Return one error for all of them."""
        return ScanError(self.source, self.cause, self.target, others)


def _also(others: Sequence[ScanError]) -> str:
    """Return the other sources; those that failed for the same reason in one place are named once.

    If a role cannot be assumed, every source in that account fails for that reason.
    """
    sources: dict[tuple[str, str], list[str]] = {}
    for one in others:
        sources.setdefault((_in(one.target), text_of(one.cause)), []).append(one.source)
    named = [f"{', '.join(names)}{where}: {why}" for (where, why), names in sources.items()]
    left = len(named) - _MOST_NAMED
    more = [f"{left} more"] if left > 0 else []
    return f"; also not read: {'; '.join([*named[:_MOST_NAMED], *more])}" if named else ""


def _in(target: str | None) -> str:
    return f" in {target}" if target else ""


class TargetError(CleanerError):
    """An account or region cannot be scanned, so it is unknown what is in use there."""

    def __init__(self, target: str, cause: Exception) -> None:
        super().__init__(
            f"{target} could not be scanned: {text_of(cause)}{_advice(cause)}",
            target=target,
            **_details(cause),
        )


class AdministratorError(CleanerError):
    """What the delegated administrator of Amazon Inspector sees in use could not be read."""

    def __init__(self, target: str, cause: Exception) -> None:
        name = "INSPECTOR_ADMINISTRATOR"
        super().__init__(
            f"the coverage of Amazon Inspector in {target}, which {name} names, could not be read: "
            f"{text_of(cause)}; {_ADMINISTRATOR_NEEDS}",
            **_details(cause),
            setting=name,
            target=target,
        )


# Whichever call failed: Inspector denies it to an account that is not the administrator as well.
_ADMINISTRATOR_NEEDS = (
    "the account must be the delegated administrator of Amazon Inspector in this region, with the "
    "account of the registry as a member, and must have the role that SCAN_ROLE_NAME names "
    "(terraform/modules/scan-role)"
)


@contextmanager
def naming(target: object) -> Iterator[None]:
    """Raise TargetError instead of a CleanerError; no time left is no fault of the target."""
    try:
        yield
    except OutOfTimeError:
        raise
    except CleanerError as error:
        raise TargetError(str(target), error) from error


@contextmanager
def reading_of(where: object) -> Iterator[None]:
    """Have an AWS call that fails name the list or document that was to be read."""
    try:
        yield
    except ApiError as error:
        raise CleanerError(f"{where} could not be read: {error}", **_details(error)) from error


def text_of(cause: Exception) -> str:
    """Return the text of an error, with the kind of one that this program did not foresee."""
    return str(cause) if isinstance(cause, CleanerError) else repr(cause)


def _details(cause: Exception) -> dict[str, Any]:
    fields = cause.fields if isinstance(cause, CleanerError) else {}
    return {name: value for name, value in fields.items() if name != "error"}


# What AWS answers to credentials that a region does not know: it is not enabled in the account
# (https://docs.aws.amazon.com/accounts/latest/reference/manage-acct-regions.html).
_NOT_ENABLED = frozenset(
    {"AuthFailure", "InvalidClientTokenId", "OptInRequired", "UnrecognizedClientException"}
)


def _advice(cause: Exception) -> str:
    """Return how to see another account or region, or how to leave it out."""
    if not isinstance(cause, ApiError):
        return ""
    if cause.fields["operation"] == "AssumeRole":
        return (
            "; create the role that SCAN_ROLE_NAME names in the account (terraform/modules/"
            "scan-role), or name the other accounts in SCAN_ACCOUNTS"
        )
    if "service control policy" in str(cause):
        return "; if the policy closes the region, name the other regions in SCAN_REGIONS"
    if cause.code in _NOT_ENABLED:
        return (
            "; if the region is not enabled in the account, enable it, or name other regions in "
            "SCAN_REGIONS"
        )
    return ""


class ManifestError(CleanerError):
    """An image manifest cannot be read or parsed; that never counts as "no children"."""

    def __init__(self, digest: str, problem: str) -> None:
        super().__init__(f"manifest of {digest} {problem}", digest=digest)


class LedgerError(CleanerError):
    """The ledger cannot be read or written, so it is unknown what was in use before."""


class CacheError(CleanerError):
    """Cached answers cannot be read. They are asked for again, so the run goes on."""


class LogError(CleanerError):
    """The log cannot be written."""


class RunFailedError(CleanerError):
    """Part of the run failed. Raised after the rest of the work, for alarms."""
