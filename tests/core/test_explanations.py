"""What a verdict means, and the way out of it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from core.test_plan_summary import planned
from core.worlds import NOW, ago, policy_of, sha
from ecr_cleaner.core.explanations import MEANINGS, numbers, way_out
from ecr_cleaner.core.model import Reason
from ecr_cleaner.core.plan_document import PlannedImage, policy_fields
from ecr_cleaner.core.settings import Settings

POLICY = policy_fields(policy_of(keep_count=3))
SETTINGS = Settings(ledger="s3://bucket/ledger").deciding()


def way(image: PlannedImage, *family: PlannedImage, **policy: Any) -> str:
    by_digest = {one.digest: one for one in (image, *family)}
    return " ".join(way_out(image, by_digest, POLICY | policy, SETTINGS))


def test_every_reason_has_a_meaning() -> None:
    assert set(MEANINGS) == set(Reason)


def test_what_is_removed_needs_nothing() -> None:
    assert way(planned("a")) == ""


@pytest.mark.parametrize(
    ("image", "expected"),
    [
        (
            planned("a", Reason.IN_USE, "arn:one", "arn:two"),
            "None of the consumers above may name it any more. After that, it stays for 14",
        ),
        (planned("a", Reason.FAMILY_IN_USE, "arn:one"), "may name it or its family any more"),
        (
            planned("a", Reason.RECENTLY_USED, "arn:one", "2026-02-20"),
            "Nothing may use it until 2026-03-06.",
        ),
        (planned("a", Reason.TIME_UNKNOWN), "ECR has to return"),
        (planned("a", Reason.PUSHED_DURING_RUN), "A later run"),
        (planned("a", Reason.RESTORED), "More than 30 days"),
        (
            planned("a", Reason.TOO_YOUNG, days=3),
            "It has to be older than 30 days: from 2026-03-28 on.",
        ),
        (
            replace(planned("a", Reason.TOO_YOUNG), pushed_at=None),
            "It has to be older than 30 days: when is unknown.",
        ),
        (planned("a", Reason.TAG_PATTERN, "v*"), "may match v*."),
        (
            replace(planned("a", Reason.RECENTLY_PULLED), pulled_at=ago(1)),
            "may be pulled for 30 days: from 2026-03-30 on.",
        ),
        (
            planned("a", Reason.RECENTLY_PULLED, days=5),
            "may be pulled for 30 days: from 2026-03-26 on.",
        ),
        (planned("a", Reason.NEWEST), "one of the 3 newest unused releases."),
        (planned("a", Reason.ARCHIVED), "ARCHIVE_DAYS has to be set"),
        (
            planned("a", Reason.GRAPH_UNCLEAR),
            "So delete (ARCHIVE_DAYS) or restore the archived indexes that were pushed after it.",
        ),
    ],
    ids=lambda value: value.reason.value if isinstance(value, PlannedImage) else value[-20:],
)
def test_each_rule_says_what_it_asks_for(image: PlannedImage, expected: str) -> None:
    assert expected in way(image)
    assert way(image).endswith("No other rule may keep it.")


def test_policy_of_the_repository_counts() -> None:
    untagged = replace(planned("a", Reason.TOO_YOUNG, days=3), tags=())
    assert "older than 5 days" in way(untagged, untagged_keep_days=5)
    child = replace(untagged, follows=(sha("index"),))
    assert "older than 30 days" in way(child, untagged_keep_days=5)
    assert "longer than 9 days" in way(planned("a", Reason.ARCHIVED), archive_days=9)
    pulled = planned("a", Reason.RECENTLY_PULLED)
    assert "pulled for 30 days." in way(pulled, push_is_pull=False)


def test_without_a_ledger_nothing_stays_after_its_use() -> None:
    used = planned("a", Reason.IN_USE, "arn:one")
    sentences = way_out(used, {used.digest: used}, POLICY, Settings().deciding())
    assert not any("stays" in one for one in sentences)


def test_what_follows_another_image_goes_with_that() -> None:
    index = planned("index", Reason.IN_USE, "arn:one")
    child = planned("child", Reason.PARENT_KEPT, index.digest)
    signature = planned("signature", Reason.SUBJECT_KEPT, child.digest)
    text = way(signature, child, index)
    assert text.index(sha("child")[7:19]) < text.index(sha("index")[7:19]) < text.index("arn:one")


@pytest.mark.parametrize(
    ("image", "told"),
    [
        (
            replace(planned("a", days=100), pulled_at=ago(50)),
            (
                "pushed 100 days ago, pulled 50 days ago; kept for 30 days after a push, 30 after "
                "a pull"
            ),
        ),
        (planned("a", Reason.TOO_YOUNG, days=3), "pushed 3 days ago; kept for 30 days"),
        (
            replace(planned("a", Reason.RECENTLY_PULLED), pulled_at=ago(2)),
            "pulled 2 days ago; kept for 30 days",
        ),
        (
            planned("a", Reason.RECENTLY_PULLED, days=4),
            "pushed 4 days ago and never pulled; kept for 30 days",
        ),
        (
            planned("a", Reason.RECENTLY_PULLED, days=400),
            "an image that it lists was pulled within the last 30 days",
        ),
        (
            replace(planned("a", Reason.RECENTLY_PULLED), pulled_at=ago(90)),
            "an image that it lists was pulled within the last 30 days",
        ),
        (
            replace(planned("a", Reason.RECENTLY_PULLED), pushed_at=None),
            "an image that it lists was pulled within the last 30 days",
        ),
        (
            planned("a", Reason.RECENTLY_USED, "arn:job", "2026-02-20"),
            "last in use on 2026-02-20; kept for 14 days",
        ),
        (planned("a", Reason.NEWEST, "2 of 3"), "number 2 of 3, the newest first"),
        (planned("a", Reason.IN_USE, "arn:one"), ""),
    ],
)
def test_numbers_behind_a_reason_are_named(image: PlannedImage, told: str) -> None:
    assert numbers(image, POLICY, NOW) == told


def test_a_push_is_no_reason_if_it_does_not_count_as_a_pull() -> None:
    image = planned("a", Reason.RECENTLY_PULLED, days=4)
    told = numbers(image, POLICY | {"push_is_pull": False}, NOW)
    assert told == "an image that it lists was pulled within the last 30 days"


@pytest.mark.parametrize(
    ("days", "told"), [(-1, "pulled 0 days ago"), (1, "pulled 1 day ago"), (2, "pulled 2 days ago")]
)
def test_a_pull_during_the_run_is_not_in_the_future(days: int, told: str) -> None:
    image = replace(planned("a", Reason.RECENTLY_PULLED), pulled_at=ago(days))
    assert numbers(image, POLICY, NOW).startswith(told)


def test_subject_may_be_in_another_repository() -> None:
    signature = planned("signature", Reason.SUBJECT_KEPT, sha("far"))
    assert way(signature) == (
        f"{sha('far')}, which is in another repository, has to be removed first."
    )


def test_image_that_follows_itself_ends_the_search() -> None:
    odd = planned("odd", Reason.PARENT_KEPT, sha("odd"))
    assert "It has to be known which index lists it." in way(odd)
