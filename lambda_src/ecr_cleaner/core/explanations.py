"""What a verdict means, and what would have to change for the image to be removed. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import date, datetime, timedelta
from typing import Any

from ecr_cleaner.core.model import Reason
from ecr_cleaner.core.plan_document import PlannedImage
from ecr_cleaner.core.text import counted, short_digest

# The README has the same sentences.
MEANINGS: Mapping[Reason, str] = {
    Reason.IN_USE: "a consumer names it, by digest or by tag",
    Reason.RECENTLY_USED: "it was in use within the last KEEP_USED_DAYS",
    Reason.TIME_UNKNOWN: "ECR does not return when it was pushed",
    Reason.PUSHED_DURING_RUN: "it was pushed after the scan began, so its consumers may be unknown",
    Reason.RESTORED: "it is being restored from the archive, or was restored within the last "
    "DEFAULT_KEEP_DAYS",
    Reason.FAMILY_IN_USE: "it is the index or the subject of an image that is in use, or an "
    "artifact about an image that a consumer names in another registry",
    Reason.PARENT_KEPT: "an index that lists it is kept",
    Reason.SUBJECT_KEPT: "it is a signature, SBOM or other artifact of an image that is kept, or "
    "that is in another repository of the registry",
    Reason.TOO_YOUNG: "it was pushed within the last DEFAULT_KEEP_DAYS, or UNTAGGED_KEEP_DAYS",
    Reason.TAG_PATTERN: "one of its tags, or a tag of an image that it lists, matches a pattern",
    Reason.RECENTLY_PULLED: "it was pulled within the last KEEP_PULLED_DAYS; if that is set, an "
    "image that was never pulled counts from its push",
    Reason.NEWEST: "it is one of the KEEP_COUNT newest unused releases",
    Reason.ARCHIVED: "it is already archived, and not due for deletion",
    Reason.GRAPH_UNCLEAR: "its parent is unknown: an archived index, which ECR does not let "
    "anybody read, may list it, or indexes list each other",
    Reason.UNUSED: "no rule keeps it",
    Reason.PARENT_REMOVED: "the index that lists it is removed",
    Reason.SUBJECT_REMOVED: "the image that it is about is removed",
}

# The reasons to remove an image; all others keep it.
REMOVES = frozenset({Reason.UNUSED, Reason.PARENT_REMOVED, Reason.SUBJECT_REMOVED})


def numbers(image: PlannedImage, policy: Mapping[str, Any], now: datetime) -> str:
    """Return the numbers behind a reason, as one phrase; nothing if it has none."""
    pushed = _ago("pushed", image.pushed_at, now)
    days = _days(image, policy)
    pulled_days = _pulled_days(policy)
    phrases: Mapping[Reason, Callable[[], str]] = {
        Reason.TOO_YOUNG: lambda: f"{pushed}; kept for {days} days",
        Reason.RECENTLY_PULLED: lambda: _pulled(image, policy, now),
        Reason.RECENTLY_USED: lambda: (
            f"last in use on {image.because[-1]}; kept for {policy.get('keep_used_days')} days"
        ),
        Reason.NEWEST: lambda: f"number {image.because[0]}, the newest first",
        Reason.UNUSED: lambda: (
            f"{pushed}, {_ago('pulled', image.pulled_at, now)}; kept for {days} days after a push, "
            f"{pulled_days} after a pull"
        ),
    }
    return phrases.get(image.reason, str)()


def _pulled(image: PlannedImage, policy: Mapping[str, Any], now: datetime) -> str:
    days = _pulled_days(policy)
    pushed = image.pushed_at if policy.get("push_is_pull") else None
    oldest = now - timedelta(days=days)
    if image.pulled_at and image.pulled_at >= oldest:
        return f"{_ago('pulled', image.pulled_at, now)}; kept for {days} days"
    if image.pulled_at is None and pushed and pushed >= oldest:
        return f"{_ago('pushed', pushed, now)} and never pulled; kept for {days} days"
    return f"an image that it lists was pulled within the last {days} days"


def _ago(what: str, time: datetime | None, now: datetime) -> str:
    if time is None:
        return f"never {what}"
    # A pull during the run is later than its begin.
    return f"{what} {counted(max((now - time).days, 0), 'day')} ago"


def way_out(
    image: PlannedImage,
    family: Mapping[str, PlannedImage],
    policy: Mapping[str, Any],
    settings: Mapping[str, Any],
    *,
    users_named: bool = True,
) -> list[str]:
    """Return what would have to change for the image to be removed, one sentence each.

    ``family`` are the images of its repository by digest, ``policy`` the settings that apply to
    that, and ``settings`` those of the run. ``users_named``: who uses it stands above. Empty if it
    is removed.
    """
    if not image.is_kept:
        return []
    followed = image.because[0] if image.because else ""
    if image.reason in {Reason.PARENT_KEPT, Reason.SUBJECT_KEPT} and followed != image.digest:
        leader = family.get(followed)
        if leader is None:
            return [f"{followed}, which is in another repository, has to be removed first."]
        first = f"{short_digest(followed)}, which it follows, has to be removed first:"
        return [first, *way_out(leader, family, policy, settings, users_named=False)]
    return _by_rule(image, policy, settings, users_named=users_named)


def _by_rule(
    image: PlannedImage,
    policy: Mapping[str, Any],
    settings: Mapping[str, Any],
    *,
    users_named: bool,
) -> list[str]:
    """Return what the rule asks for, and that the rules after it are asked as well."""
    days = _days(image, policy)
    used_days = int(policy.get("keep_used_days", 0))

    def no_longer_used() -> list[str]:
        return _no_longer_used(image, used_days, settings, users_named=users_named)

    ways: Mapping[Reason, Callable[[], list[str]]] = {
        Reason.IN_USE: no_longer_used,
        Reason.FAMILY_IN_USE: no_longer_used,
        Reason.RECENTLY_USED: lambda: [
            f"Nothing may use it until {_day_after(image.because[-1], used_days)}."
        ],
        Reason.TIME_UNKNOWN: lambda: ["ECR has to return when it was pushed."],
        Reason.PUSHED_DURING_RUN: lambda: ["A later run has to judge it."],
        Reason.RESTORED: lambda: [f"More than {days} days have to pass since it was restored."],
        Reason.TOO_YOUNG: lambda: [
            f"It has to be older than {days} days: {_from(image.pushed_at, days)}."
        ],
        Reason.TAG_PATTERN: lambda: [
            f"No tag of it, or of an image that it lists, may match {', '.join(image.because)}."
        ],
        Reason.RECENTLY_PULLED: lambda: [_not_pulled(image, policy)],
        Reason.NEWEST: lambda: [
            f"It must no longer be one of the {policy['keep_count']} newest unused releases."
        ],
        Reason.ARCHIVED: lambda: [_archived(policy)],
        # PARENT_KEPT and SUBJECT_KEPT, too, if an image follows itself.
        Reason.GRAPH_UNCLEAR: lambda: [
            "It has to be known which index lists it.",
            "So delete (ARCHIVE_DAYS) or restore the archived indexes that were pushed after it.",
        ],
    }
    return [*ways.get(image.reason, ways[Reason.GRAPH_UNCLEAR])(), "No other rule may keep it."]


def _no_longer_used(
    image: PlannedImage, days: int, settings: Mapping[str, Any], *, users_named: bool
) -> list[str]:
    users = ", ".join(image.because)
    what = "it or its family" if image.reason is Reason.FAMILY_IN_USE else "it"
    sentences = [
        f"None of the consumers above may name {what} any more."
        if users_named
        else f"None of these may name {what} any more: {users}."
    ]
    if days and "ledger" in settings:
        sentences.append(f"After that, it stays for {days} more days (KEEP_USED_DAYS).")
    return sentences


def _not_pulled(image: PlannedImage, policy: Mapping[str, Any]) -> str:
    days = _pulled_days(policy)
    last = image.pulled_at or (image.pushed_at if policy.get("push_is_pull") else None)
    known = f": {_from(last, days)}" if last else ""
    return f"Neither it nor an image that it lists may be pulled for {days} days{known}."


def _archived(policy: Mapping[str, Any]) -> str:
    days = policy.get("archive_days")
    if days is None:
        return "ARCHIVE_DAYS has to be set; without it, archived images stay."
    return f"It has to be archived for longer than {days} days."


def _days(image: PlannedImage, policy: Mapping[str, Any]) -> int:
    untagged = not (image.tags or image.follows)
    days = policy.get("keep_days", 0)
    return int(policy.get("untagged_keep_days", days) if untagged else days)


def _pulled_days(policy: Mapping[str, Any]) -> int:
    return int(policy.get("keep_pulled_days", 0))


def _from(time: datetime | None, days: int) -> str:
    return f"from {(time + timedelta(days=days)).date()} on" if time else "when is unknown"


def _day_after(day: str, days: int) -> date:
    return date.fromisoformat(day) + timedelta(days=days)
