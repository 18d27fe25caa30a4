"""Why one image is kept or removed, as a person reads it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from core.test_plan_summary import HEADER, planned
from core.worlds import ago, policy_of, sha, usage
from ecr_cleaner.core.in_use import Broken
from ecr_cleaner.core.model import (
    Action,
    Guard,
    Reason,
    ReferencePattern,
    StandingGuard,
    Usage,
)
from ecr_cleaner.core.plan_document import (
    PlannedImage,
    PlannedRepository,
    State,
    policy_fields,
)
from ecr_cleaner.report.explanation import Explained, explain, explain_unjudged

PLANNED = PlannedRepository("app", policy=policy_fields(policy_of()))


def explained(
    image: PlannedImage,
    *others: PlannedImage,
    usages: tuple[Usage, ...] = (),
    of: PlannedRepository = PLANNED,
) -> str:
    images = {one.digest: one for one in (image, *others)}
    return explain(Explained(HEADER, of, images, usages), image)


def test_facts_verdict_users_and_the_way_out_are_named() -> None:
    image = replace(planned("a", Reason.IN_USE, "arn:one", size=214_000_000), pulled_at=ago(9))
    users = (
        usage("app", "arn:one", tag="a"),
        usage("app", "arn:one", tag="a"),
        usage("app", "arn:one", digest=image.digest),
        usage("app", "arn:two", digest=image.digest),
        usage("app", "arn:three"),
        usage("app", "arn:other", tag="b"),
        usage("app", "arn:other", digest=sha("b")),
        Usage(ReferencePattern("a*", tag="a"), "arn:four", "step-functions"),
        Usage(ReferencePattern("*", charts=True), "arn:charts", "eks"),
    )
    assert (
        explained(image, usages=users)
        == f"""\
Repository   app
Digest       {image.digest}
Tags         a
Pushed       2025-11-21, 100 days ago
Last pulled  2026-02-20
Size         214 MB

Verdict: keep, because a consumer names it, by digest or by tag (in_use)

Used by
  arn:one (read by stub, as app:a; read by stub, as app@{image.digest})
  arn:two (read by stub, as app@{image.digest})
  arn:three (read by stub, as app, any image)
  arn:four (read by step-functions, as a*:a, of which a part is computed)

Family
  {sha("a")[7:19]} a: keep, in_use  <- this image

For it to be removed
  None of the consumers above may name it any more.
  No other rule may keep it.
"""
    )


def test_what_ecr_does_not_return_is_unknown() -> None:
    image = replace(planned("a", Reason.TIME_UNKNOWN), pushed_at=None, tags=())
    text = explained(image)
    assert "Pushed       unknown\n" in text
    assert "Tags         none\n" in text
    assert "Last pulled  not recorded\n" in text
    assert "\nUsed by nothing that was scanned\n" in text


def test_image_to_remove_needs_no_change_or_its_guards_lifted() -> None:
    image = planned("a")
    told = "Nothing has to change: a run that is not a dry run removes it. If APPROVAL is true,"
    assert told in explained(image)
    guard = StandingGuard(Guard.DELETE_REPLICATION, "waive the guard")
    text = explained(image, of=replace(PLANNED, guards=(guard,)))
    assert text.endswith(
        "  These guards have to be lifted:\n  delete-replication: waive the guard\n"
    )


def test_verdict_on_an_image_behind_a_guard_says_that_it_is_kept() -> None:
    guards = (
        StandingGuard(Guard.DELETE_REPLICATION, "waive the guard"),
        StandingGuard(Guard.EKS_CLUSTERS, "one"),
        StandingGuard(Guard.EKS_CLUSTERS, "two"),
    )
    unused = "delete, because no rule keeps it (unused)"
    assert f"\nVerdict: {unused}\n" in explained(planned("a"))
    text = explained(planned("a"), of=replace(PLANNED, guards=guards[:1]))
    assert f"\nVerdict: kept by the guard delete-replication; without it: {unused}\n" in text
    text = explained(planned("a"), of=replace(PLANNED, guards=guards))
    both = "kept by the guards delete-replication, eks-clusters; without them"
    assert f"\nVerdict: {both}: {unused}\n" in text
    used = explained(planned("a", Reason.IN_USE, "arn"), of=replace(PLANNED, guards=guards))
    assert "\nVerdict: keep, because" in used


@pytest.mark.parametrize(
    ("image", "told"),
    [
        (
            planned("a", days=100),
            "  pushed 100 days ago, never pulled; kept for 30 days after a push, 30 after a pull\n",
        ),
        (planned("a", Reason.TOO_YOUNG, days=3), "  pushed 3 days ago; kept for 30 days\n"),
        (
            planned("a", Reason.NEWEST, "2 of 5"),
            "(newest)\n  number 2 of 5, the newest first\n\n",
        ),
        (
            planned("a", Reason.RECENTLY_USED, "arn:job", "2026-02-20"),
            "  last in use on 2026-02-20; kept for 14 days\n  arn:job\n\n",
        ),
        (planned("a", Reason.TAG_PATTERN, "v*"), "(tag_pattern)\n  v*\n\n"),
    ],
)
def test_reason_has_its_numbers(image: PlannedImage, told: str) -> None:
    assert told in explained(image)


def test_reference_to_an_archived_image_is_broken() -> None:
    broken = (
        Broken("a", "archived", ("arn:one", "arn:one", "arn:two")),
        Broken("b", "missing", ("arn:three",)),
    )
    text = explained(planned("a"), of=replace(PLANNED, broken=broken))
    assert "\nBroken reference: a is archived, used by arn:one, arn:two\n" in text
    assert "arn:three" not in text


def follows(name: str, *leaders: str) -> PlannedImage:
    reason = Reason.PARENT_REMOVED if leaders else Reason.UNUSED
    image = planned(name, Reason.PARENT_KEPT, sha(leaders[0])) if leaders else planned(name)
    return replace(image, follows=tuple(map(sha, leaders)), reason=reason, verdict=Action.DELETE)


def drawn(text: str) -> list[str]:
    family = text.partition("Family\n")[2].partition("\n\n")[0]
    return [line[2:].partition(": ")[0] for line in family.splitlines()]


def named(name: str) -> str:
    return f"{sha(name)[7:19]} {name}"


def test_family_is_a_tree() -> None:
    arm, amd = follows("arm", "index"), follows("amd", "index")
    signature = follows("signature", "arm")
    index, other = follows("index"), follows("other")
    assert drawn(explained(signature, arm, amd, index, other)) == [
        named("index"),
        f"├── {named('arm')}",
        f"│   └── {named('signature')}",
        f"└── {named('amd')}",
    ]


def test_image_of_two_indexes_is_drawn_below_each() -> None:
    shared = follows("shared", "one", "two")
    assert sorted(drawn(explained(shared, follows("one"), follows("two")))) == sorted(
        [named("one"), f"└── {named('shared')}", named("two"), f"└── {named('shared')}"]
    )


def test_cycle_and_leader_that_is_elsewhere_end_the_tree() -> None:
    one, two = follows("one", "two"), follows("two", "one")
    assert drawn(explained(one, two)) == [named("one"), f"└── {named('two')}"]
    assert drawn(explained(follows("referrer", "far"))) == [named("referrer")]


def test_diamond_is_walked_once() -> None:
    bottom = follows("bottom", "left", "right")
    family = (follows("left", "top"), follows("right", "top"), follows("top"))
    assert drawn(explained(bottom, *family))[0] == named("top")


@pytest.mark.parametrize(
    ("planned_repository", "opted_in", "text"),
    [
        (None, False, "Every image of app is kept: the repository is not opted in."),
        (PlannedRepository("app", State.FAILED, "no access"), True, "not judged: no access"),
        (None, True, "one of its tags looks misspelled"),
    ],
)
def test_repository_that_was_not_judged_says_why(
    planned_repository: PlannedRepository | None,
    opted_in: bool,  # a table
    text: str,
) -> None:
    assert text in explain_unjudged("app", planned_repository, opted_in=opted_in)


def test_nothing_of_the_account_reaches_the_terminal_as_it_is() -> None:
    hostile = "\x1b]0;title\x07\u202e"
    image = replace(planned("a", Reason.IN_USE, hostile), tags=(hostile,), repository=hostile)
    users = (usage(hostile, hostile),)
    text = explained(image, usages=users)
    assert "\x1b" not in text
    assert "\u202e" not in text


def test_consumer_of_any_chart_is_named_for_a_chart_only() -> None:
    charts = Usage(ReferencePattern("*", charts=True), "arn:flux", "eks")

    text = explained(planned("a", Reason.IN_USE, "arn:flux"), usages=(charts,))
    assert "arn:flux (read by eks, as *, any Helm chart, of which a part is computed)" in text

    text = explained(planned("a", Reason.IN_USE, "arn:one"), usages=(charts,))
    assert "Used by nothing that was scanned" in text
