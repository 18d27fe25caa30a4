"""Whose pulls ECR does not record, and what that means for pull times. Pure."""

from __future__ import annotations

from collections.abc import Iterable

_COMMAND = "aws ecr register-pull-time-update-exclusion --principal-arn"


def role_of(caller: str) -> str:
    """Return the ARN of the principal that a caller's ARN stands for: a role for its session.

    A role with a path does not have it in the ARN of a session.
    """
    start, _, resource = caller.partition(":assumed-role/")
    if not resource:
        return caller
    name, _, _ = resource.partition("/")
    return f"{start.replace(':sts:', ':iam:', 1)}:role/{name}"


def is_same(principal: str, caller: str) -> bool:
    """Return whether an excluded principal is the caller.

    The path of a role is ignored: an account has one role of a name.
    """
    role = role_of(caller)
    if ":role/" not in role or ":role/" not in principal:
        return principal == role
    (start, _, path), (own, _, own_path) = principal.partition(":role/"), role.partition(":role/")
    return start == own and path.rsplit("/", 1)[-1] == own_path.rsplit("/", 1)[-1]


def not_excluded(caller: str | None) -> str:
    """Return a warning that our own reading looks like pulls."""
    principal = role_of(caller) if caller else "THE_ROLE_OF_THIS_PROGRAM"
    return (
        "ECR records it as a pull if this program reads the manifest of an index, so indexes look "
        f"recently pulled and stay for KEEP_PULLED_DAYS more; to prevent that: {_COMMAND} "
        f"{principal}"
    )


def others(principals: Iterable[str], caller: str) -> list[str]:
    """Return a warning for each other principal that is excluded."""
    return [
        f"ECR does not record the pulls of {principal}, so images that only it pulls do not look "
        "recently pulled; its exclusion from pull times is in effect in the whole registry"
        for principal in principals
        if not is_same(principal, caller)
    ]
