"""What can go wrong, as the operator reads it in the log."""

from __future__ import annotations

from typing import Any


class CleanerError(Exception):
    """Base of every error that this program raises on purpose.

    ``fields`` is what a log line tells about it: the message, and what stands beside it.
    """

    def __init__(self, message: str, **fields: Any) -> None:
        super().__init__(message)
        self.fields: dict[str, Any] = fields | {"error": message}


class InvalidSettingError(CleanerError):
    """A setting or a repository tag that cannot be understood; nothing is guessed from it."""

    def __init__(self, name: str, value: str, allowed: str) -> None:
        super().__init__(f"{name} is {value!r}, but must be {allowed}", setting=name)


class ApiError(CleanerError):
    """An AWS call that did not give its answer, retries included.

    ``action`` is the IAM action that the caller lacks, where access was denied; otherwise None.
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
    """The region does not offer this operation, so there is nothing that it could return."""


class IncompleteAnswerError(CleanerError):
    """AWS answered, but the answer lacks something that was asked for."""


class ScanError(CleanerError):
    """A usage source that could not be read in full: what is in use is unknown."""

    def __init__(self, source: str, cause: Exception) -> None:
        told = dict(cause.fields) if isinstance(cause, CleanerError) else {}
        told.pop("error", None)
        problem = str(cause) if isinstance(cause, CleanerError) else repr(cause)
        super().__init__(
            f"usage source {source} could not be read in full: {problem}", source=source, **told
        )


class ManifestError(CleanerError):
    """An image manifest that cannot be read or understood; it never counts as "no children"."""

    def __init__(self, digest: str, problem: str) -> None:
        super().__init__(f"manifest of {digest} {problem}", digest=digest)


class LogError(CleanerError):
    """The log cannot be written, so that nobody would read what went wrong."""


class RunFailedError(CleanerError):
    """The run did what it could, and something failed. Raised after the work, for an alarm."""
