"""What can go wrong, as the operator reads it in the log."""

from __future__ import annotations

from typing import Any


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
            f"{service} {operation} failed with {code}: {message}{missing}",
            service=service,
            operation=operation,
            code=code,
            **({"missing_action": action} if action else {}),
        )
        self.code = code
        self.action = action


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
    """A usage source could not be read in full, so it is unknown what is in use."""

    def __init__(self, source: str, cause: Exception) -> None:
        details = dict(cause.fields) if isinstance(cause, CleanerError) else {}
        details.pop("error", None)
        problem = str(cause) if isinstance(cause, CleanerError) else repr(cause)
        super().__init__(
            f"usage source {source} could not be read in full: {problem}", source=source, **details
        )


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
