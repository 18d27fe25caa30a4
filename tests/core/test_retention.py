"""Keep or remove, and why: each case reads as a sentence about a small repository.

In ``expected``, ``-`` before a reason means that the image is removed.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta, timezone
from typing import Any

import pytest

from core.worlds import (
    MOMENT,
    NOW,
    SCAN_BEGAN,
    ago,
    image,
    index,
    plan_of,
    policy_of,
    removals,
    sha,
)
from ecr_cleaner.core.model import Action, Image, ImageStatus, Plan
from ecr_cleaner.core.policy import Policy
from ecr_cleaner.core.retention import Known
from fakes.ecr import DOCKER_LIST

ARCHIVED = ImageStatus.ARCHIVED
ARCHIVING = policy_of(action=Action.ARCHIVE)
COUNT_ONLY = policy_of(keep_days=0, keep_pulled_days=0)


@dataclass(frozen=True)
class Case:
    """A repository, what is in use of it, and what is to come out."""

    told: str
    images: Sequence[Image]
    expected: str
    children: Mapping[str, Sequence[str]] = field(default_factory=dict)
    used: Sequence[str] = ()
    policy: Policy = field(default_factory=policy_of)
    lately: Sequence[str] = ()
    elsewhere: Sequence[str] = ()
    used_anywhere: Sequence[str] = ()


def outcome(plan: Plan, expected: str) -> str:
    """Tell the verdicts in the order and in the words of ``expected``."""
    told = {
        verdict.image.digest: ("" if verdict.action is Action.KEEP else "-") + verdict.reason
        for verdict in plan.verdicts
    }
    names = [part.partition("=")[0] for part in expected.split()]
    assert len(told) == len(names), "a verdict for each image"
    return " ".join(f"{name}={told[sha(name)]}" for name in names)


def known(case: Case) -> Known:
    """What was used lately, and what exists or is in use in other repositories, by name."""
    lately = {sha(name): (f"arn:of-{name}", "2026-02-28") for name in case.lately}
    return Known(
        last_use=lambda one: lately.get(one.digest, ()),
        users_of=lambda one: ("arn:far",) if one in map(sha, case.used_anywhere) else (),
        elsewhere=frozenset(map(sha, case.elsewhere)),
    )


def check(case: Case) -> None:
    plan = plan_of(
        *case.images,
        children=case.children,
        used=case.used,
        policy=case.policy,
        known=known(case),
    )
    assert outcome(plan, case.expected) == case.expected


def cases(*told: Case) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("case", [pytest.param(case, id=case.told) for case in told])


@cases(
    Case("pushed 30 days and a second ago", [image("a", 30 + 1 / 86_400)], "a=-unused"),
    Case("pushed 30 days ago to the second", [image("a", 30)], "a=too_young"),
    Case("pushed 29 days ago", [image("a", 29)], "a=too_young"),
    Case(
        "29 days and a second where 29 days are kept",
        [image("a", 29 + 1 / 86_400)],
        "a=-unused",
        policy=policy_of(keep_days=29, keep_pulled_days=29),
    ),
    Case("pushed in the future", [image("a", -1)], "a=pushed_during_run"),
    Case("no push time", [image("a", pushed_at=None)], "a=time_unknown"),
    Case("keep nothing", [image("a", 1)], "a=-unused", policy=COUNT_ONLY),
    Case("untagged, old and unused", [image("a")], "a=-unused"),
    Case("untagged, old and used by digest", [image("a")], "a=in_use", used=["a"]),
    Case("tagged, old and used by digest", [image("a", tags="v1")], "a=in_use", used=["a"]),
    Case("used by one of its tags", [image("a", tags="v1 v2")], "a=in_use", used=["tag:v2"]),
    Case("used by a tag that it lacks", [image("a", tags="v1")], "a=-unused", used=["tag:v"]),
    Case("used who knows how", [image("a"), image("b")], "a=in_use b=in_use", used=["*"]),
    Case(
        "the tag moved from A to B while a task runs A",
        [image("A"), image("B", tags="live"), image("C")],
        "A=in_use B=in_use C=-unused",
        used=["A", "tag:live"],
    ),
    Case(
        "pushed when the scan began",
        [image("a", pushed_at=SCAN_BEGAN), image("b", pushed_at=SCAN_BEGAN - timedelta(seconds=1))],
        "a=pushed_during_run b=-unused",
        policy=COUNT_ONLY,
    ),
    Case(
        "nobody knows what it is",
        [image("a", media_type="application/unknown"), image("b", media_type=None)],
        "a=-unused b=-unused",
    ),
)
def test_age_and_use(case: Case) -> None:
    check(case)


INDEX_OF_TWO = {"index": ["arm", "amd"]}
FAMILY = [index("index"), image("arm"), image("amd")]
NESTED = [index("top"), index("mid"), image("leaf")]
NESTING = {"top": ["mid"], "mid": ["leaf"]}


@cases(
    Case(
        "an index in use keeps its old untagged children",
        FAMILY,
        "index=in_use arm=parent_kept amd=parent_kept",
        children=INDEX_OF_TWO,
        used=["index"],
    ),
    Case(
        "a child in use keeps the index and its siblings",
        FAMILY,
        "index=family_in_use arm=in_use amd=parent_kept",
        children=INDEX_OF_TWO,
        used=["arm"],
    ),
    Case(
        "an unused index goes with its children",
        FAMILY,
        "index=-unused arm=-parent_removed amd=-parent_removed",
        children=INDEX_OF_TWO,
    ),
    Case(
        "a Docker manifest list is an index like any other",
        [index("index", media_type=DOCKER_LIST), image("arm"), image("amd")],
        "index=-unused arm=-parent_removed amd=-parent_removed",
        children=INDEX_OF_TWO,
    ),
    Case(
        "a nested index in use from its root",
        NESTED,
        "top=in_use mid=parent_kept leaf=parent_kept",
        children=NESTING,
        used=["top"],
    ),
    Case(
        "a nested index in use from its leaf",
        NESTED,
        "top=family_in_use mid=family_in_use leaf=in_use",
        children=NESTING,
        used=["leaf"],
    ),
    Case(
        "a child shared by a kept and a removable index",
        [index("young", 1), index("old"), image("shared"), image("only")],
        "young=too_young old=-unused shared=parent_kept only=-parent_removed",
        children={"young": ["shared"], "old": ["shared", "only"]},
    ),
    Case(
        "children take no age decision of their own",
        [index("index", 30.1), image("child", 30.2), image("other", 29)],
        "index=-unused child=-parent_removed other=too_young",
        children={"index": ["child"]},
    ),
    Case(
        "a child that was pushed again after its index, with its own referrer",
        [index("index"), image("child", 1, "v2"), image("sbom", 90, subject=sha("child"))],
        "index=-unused child=too_young sbom=subject_kept",
        children={"index": ["child"]},
    ),
    Case(
        "a child that was pushed again after its index, and is old by now",
        [index("index"), image("child", 40, "v2")],
        "index=-unused child=-parent_removed",
        children={"index": ["child"]},
    ),
    Case(
        "a child that was restored without its index",
        [index("index"), image("child", activated_at=ago(2)), image("old", activated_at=ago(40))],
        "index=-unused child=restored old=-parent_removed",
        children={"index": ["child", "old"]},
    ),
    Case(
        "a young index keeps old children",
        [index("index", 1), image("child")],
        "index=too_young child=parent_kept",
        children={"index": ["child"]},
    ),
    Case(
        "a child pushed during the run keeps its index",
        [index("index"), image("child", pushed_at=NOW)],
        "index=pushed_during_run child=pushed_during_run",
        children={"index": ["child"]},
    ),
    Case(
        "a child without a time keeps its index",
        [index("index"), image("child", pushed_at=None)],
        "index=time_unknown child=time_unknown",
        children={"index": ["child"]},
    ),
    Case(
        "an orphan is judged by itself",
        [image("old"), image("new", 1)],
        "old=-unused new=too_young",
    ),
    Case(
        "an index whose children are missing",
        [index("index")],
        "index=-unused",
        children={"index": ["gone"]},
    ),
)
def test_indexes(case: Case) -> None:
    check(case)


GONE = sha("gone")


def tag_of(name: str, suffix: str = "", prefix: str = "") -> str:
    """The tag that the tag scheme gives a referrer of this image."""
    return prefix + sha(name).replace(":", "-") + suffix


def signature(of: str, days: float = 100, suffix: str = ".sig") -> Image:
    """A signature by the tag scheme; its name is that of its subject and the suffix."""
    return image(of + suffix, days, tags=sha(of).replace(":", "-") + suffix)


@cases(
    Case(
        "a referrer of a kept subject",
        [image("a", 1), image("sbom", subject=sha("a")), signature("a")],
        "a=too_young sbom=subject_kept a.sig=subject_kept",
    ),
    Case(
        "a referrer of a removed subject, young as it is",
        [image("a"), image("sbom", 1, subject=sha("a")), signature("a", 1)],
        "a=-unused sbom=-subject_removed a.sig=-subject_removed",
    ),
    Case(
        "orphan referrers, old and young",
        [image("old", subject=GONE), image("new", 1, subject=GONE), signature("lost")],
        "old=-unused new=too_young lost.sig=-unused",
    ),
    Case(
        "a chain of referrers follows its first subject",
        [image("a"), image("sbom", subject=sha("a")), signature("sbom")],
        "a=in_use sbom=subject_kept sbom.sig=subject_kept",
        used=["a"],
    ),
    Case(
        "a referrer in use keeps its subject",
        [image("a"), image("soci", subject=sha("a"))],
        "a=family_in_use soci=in_use",
        used=["soci"],
    ),
    Case(
        "a signature of a child follows the child",
        [*FAMILY, signature("arm")],
        "index=in_use arm=parent_kept amd=parent_kept arm.sig=subject_kept",
        children=INDEX_OF_TWO,
        used=["index"],
    ),
    Case(
        "a list of referrers by the tag scheme, and what it lists",
        [
            image("a"),
            index("a.refs", tags=sha("a").replace(":", "-")),
            image("sbom", subject=sha("a")),
        ],
        "a=-unused a.refs=-subject_removed sbom=-parent_removed",
        children={"a.refs": ["sbom"]},
    ),
    Case(
        "a prefix in front of the tag, by which tools keep apart what they attach",
        [image("a", 1), image("p", tags=tag_of("a", ".att", "sbom-")),
         image("q", tags=tag_of("gone", ".att", "sbom-"))],
        "a=too_young p=subject_kept q=-unused",
    ),
    Case(
        "its own digest in its tag",
        [image("own", 1, tags=tag_of("own", ".imgpkg"))],
        "own=too_young",
    ),
    Case(
        "an ordinary tag beside that of a signature makes it an image",
        [image("a"), image("b", 1, tags=f"{sha('a').replace(':', '-')}.sig mine")],
        "a=-unused b=too_young",
    ),
    Case(
        "of several subjects the kept one decides",
        [image("a", 1), image("b"), image("both", subject=sha("b"),
         tags=sha("a").replace(":", "-") + ".sig")],
        "a=too_young b=-unused both=subject_kept",
    ),
    Case(
        "subjects in a circle, and what is behind them, are kept",
        [image("a", subject=sha("b")), image("b", subject=sha("a")),
         image("behind", subject=sha("a"))],
        "a=graph_unclear b=graph_unclear behind=graph_unclear",
    ),
    Case(
        "a circle in use is in use",
        [image("a", subject=sha("b")), image("b", subject=sha("a"))],
        "a=in_use b=family_in_use",
        used=["a"],
    ),
)  # fmt: skip
def test_referrers(case: Case) -> None:
    check(case)


FIVE = [image(f"i{days}", days, tags=f"v{days}") for days in (50, 51, 52, 53, 54)]


@cases(
    Case(
        "keep 3: five unused and two in use leave three and two",
        [*FIVE, image("u1", 40), image("u2", 60)],
        "i50=newest i51=newest i52=newest i53=-unused i54=-unused u1=in_use u2=in_use",
        used=["u1", "u2"],
        policy=policy_of(keep_count=3),
    ),
    Case(
        "four tags take one slot",
        [image("a", 40, tags="1 2 3 4"), image("b", 50, tags="5"), image("c", 60, tags="6")],
        "a=newest b=newest c=-unused",
        policy=policy_of(keep_count=2),
    ),
    Case(
        "children and referrers take no slot",
        [index("index", 50, tags="v3"), image("arm", 40, tags="v3-arm"), image("amd", 40),
         signature("index", 35), image("lost", 35, tags="x", subject=sha("gone")),
         image("next", 60, tags="v2"), image("last", 70, tags="v1")],
        "index=newest arm=parent_kept amd=parent_kept index.sig=subject_kept lost=-unused"
        " next=newest last=-unused",
        children=INDEX_OF_TWO,
        policy=policy_of(keep_count=2),
    ),
    Case(
        "images that are too young take slots as well",
        [image("young", 1, tags="v3"), image("b", 50, tags="v2"), image("c", 60, tags="v1")],
        "young=too_young b=newest c=-unused",
        policy=policy_of(keep_count=2),
    ),
    Case("keep as many as there are", FIVE[:2], "i50=newest i51=newest",
         policy=policy_of(keep_count=2)),
    Case("keep more than there are", FIVE[:2], "i50=newest i51=newest",
         policy=policy_of(keep_count=9)),
    Case("keep none", FIVE[:1], "i50=-unused", policy=policy_of(keep_count=0)),
    Case(
        "removed only when age and count both say so",
        [image("young", 1), image("younger", 0.5), image("old", 60)],
        "young=too_young younger=too_young old=-unused",
        policy=policy_of(keep_count=1),
    ),
    Case(
        "what is archived takes no slot",
        [image("asleep", 40, tags="v3", status=ARCHIVED), image("a", 50, tags="v2"),
         image("b", 60, tags="v1")],
        "asleep=archived a=newest b=-unused",
        policy=policy_of(keep_count=1),
    ),
    Case(
        "the newest releases stay, whatever was left over without a tag after them",
        [*FIVE[:4], image("left1", 40), image("left2", 40), index("left3", 40)],
        "i50=newest i51=newest i52=newest i53=-unused"
        " left1=-unused left2=-unused left3=-unused",
        policy=policy_of(keep_count=3),
    ),
    Case(
        "caches of builds take no slot, by their type or by all of their tags",
        [*FIVE[:2], index("by-tag", 40, tags="buildcache"),
         image("of-branch", 40, tags="Build-Cache-main app-buildcache"),
         image("by-type", 40, tags="main", artifact_type="application/vnd.buildkit.cacheconfig.v0"),
         image("release", 45, tags="buildcache v2")],
        "i50=newest i51=-unused by-tag=-unused of-branch=-unused by-type=-unused release=newest",
        policy=policy_of(keep_count=2),
    ),
    Case(
        "other artifacts, such as charts, are releases",
        [image("chart", 40, tags="1.0", artifact_type="application/vnd.cncf.helm.config.v1+json")],
        "chart=newest",
        policy=policy_of(keep_count=1),
    ),
    Case(
        "a tag with its own digest makes no referrer of itself",
        [image("own", 40, tags=tag_of("own", ".imgpkg")), image("b", 50, tags="v1")],
        "own=newest b=-unused",
        policy=policy_of(keep_count=1),
    ),
    Case(
        "a tag in the form of a digest is an ordinary one if there is no such image",
        [image("a", 40, tags=tag_of("source")), image("b", 50, tags=tag_of("source", "", "git-"))],
        "a=newest b=newest",
        policy=policy_of(keep_count=2),
    ),
    Case(
        "a signature whose subject is gone takes no slot",
        [image("s", 40, tags=tag_of("gone", ".sig")), image("a", 50, tags="v1")],
        "s=-unused a=newest",
        policy=policy_of(keep_count=1),
    ),
)  # fmt: skip
def test_keep_count(case: Case) -> None:
    check(case)


def test_equal_times_break_the_same_way_whatever_the_order_of_the_listing() -> None:
    images = [image(f"same-{number}", 50, tags=f"v{number}") for number in range(8)]
    policy = policy_of(keep_count=3)
    first = removals(plan_of(*images, policy=policy))
    assert len(first) == 5
    for seed in range(10):
        shuffled = random.Random(seed).sample(images, len(images))  # noqa: S311 - no secret
        assert removals(plan_of(*shuffled, policy=policy)) == first


PATTERNS = policy_of(keep_tag_patterns=("v*", "release-?"))


@cases(
    Case("one of its tags", [image("a", tags="build-9 v1")], "a=tag_pattern", policy=PATTERNS),
    Case("any of the patterns", [image("a", tags="release-1")], "a=tag_pattern", policy=PATTERNS),
    Case("none of the patterns", [image("a", tags="release-10 dev")], "a=-unused", policy=PATTERNS),
    Case("case matters", [image("a", tags="V1")], "a=-unused", policy=PATTERNS),
    Case("untagged", [image("a")], "a=-unused", policy=policy_of(keep_tag_patterns=("*",))),
    Case(
        "a tag of a child keeps the whole index",
        [index("index"), image("arm", tags="v1-arm"), image("amd")],
        "index=tag_pattern arm=parent_kept amd=parent_kept",
        children=INDEX_OF_TWO,
        policy=PATTERNS,
    ),
    Case(
        "a tag of a referrer keeps the referrer and not its subject",
        [image("a"), image("r", tags="v1", subject=sha("a")), image("s", subject=sha("r"))],
        "a=-unused r=tag_pattern s=subject_kept",
        policy=PATTERNS,
    ),
    Case(
        "a tag in a list of referrers keeps the list",
        [image("a"), index("refs", subject=sha("a")), image("sbom", tags="v1")],
        "a=-unused refs=tag_pattern sbom=parent_kept",
        children={"refs": ["sbom"]},
        policy=PATTERNS,
    ),
)
def test_tag_patterns(case: Case) -> None:
    check(case)


PULLS = policy_of(keep_days=30, keep_pulled_days=7)


@cases(
    Case("pushed a year ago, pulled yesterday", [image("a", 365, pulled_at=ago(1))],
         "a=recently_pulled", policy=PULLS),
    Case("pulled 7 days ago", [image("a", pulled_at=ago(7))], "a=recently_pulled", policy=PULLS),
    Case("a second longer ago", [image("a", pulled_at=ago(7, 1))], "a=-unused", policy=PULLS),
    Case("pulled in the future", [image("a", pulled_at=ago(-1))], "a=recently_pulled",
         policy=PULLS),
    Case("never pulled: its push counts", [image("a", 40)], "a=recently_pulled",
         policy=policy_of(keep_pulled_days=60)),
    Case("pulls switched off", [image("a", pulled_at=NOW)], "a=-unused",
         policy=policy_of(keep_pulled_days=0)),
    Case("an index by a pull of a leaf",
         [index("index"), image("arm"), image("amd", pulled_at=ago(1))],
         "index=recently_pulled arm=parent_kept amd=parent_kept",
         children=INDEX_OF_TWO, policy=PULLS),
    Case("an index by its own pull, as its platforms may be cached",
         [index("index", pulled_at=ago(1)), image("arm"), image("amd")],
         "index=recently_pulled arm=parent_kept amd=parent_kept",
         children=INDEX_OF_TWO, policy=PULLS),
    Case("an index promoted by a further tag, and pulled for that, long after its push",
         [index("index", 60, tags="build-7 stable", pulled_at=ago(1))],
         "index=recently_pulled", policy=PULLS),
    Case("a nested index by that of the inner one",
         [index("top"), index("mid", pulled_at=ago(1)), image("leaf")],
         "top=recently_pulled mid=parent_kept leaf=parent_kept",
         children=NESTING, policy=PULLS),
    Case("an index that nobody has read yet by its own pull",
         [index("index", pulled_at=ago(1))], "index=recently_pulled", policy=PULLS),
)  # fmt: skip
def test_pulls(case: Case) -> None:
    check(case)


SHARED = {"live": ["base", "mine"], "dead": ["base", "other"]}
BASE = image("base", pulled_at=ago(1))


@cases(
    Case("a platform shared with an index in use, which is pulled daily, keeps no dead index",
         [index("live"), index("dead"), BASE, image("mine"), image("other")],
         "live=in_use dead=-unused base=parent_kept mine=parent_kept other=-parent_removed",
         children=SHARED, policy=PULLS, used=["live"]),
    Case("nor does a platform shared with an index whose other platform is in use",
         [index("live"), index("dead"), BASE, image("mine"), image("other")],
         "live=family_in_use dead=-unused base=parent_kept mine=in_use other=-parent_removed",
         children=SHARED, policy=PULLS, used=["mine"]),
    Case("it keeps both if nothing shows which of them was pulled",
         [index("live"), index("dead"), BASE, image("mine"), image("other")],
         "live=recently_pulled dead=recently_pulled base=parent_kept"
         " mine=parent_kept other=parent_kept",
         children=SHARED, policy=PULLS),
    Case("it keeps the one that was pulled with it",
         [index("live", pulled_at=ago(1.5)), index("dead", pulled_at=ago(20)), BASE, image("mine"),
          image("other")],
         "live=recently_pulled dead=-unused base=parent_kept"
         " mine=parent_kept other=-parent_removed",
         children=SHARED, policy=PULLS),
    Case("it keeps the one that was pulled with it, a little too long ago by itself",
         [index("live", pulled_at=ago(7.5)), index("dead"), image("base", pulled_at=ago(7)),
          image("mine"), image("other")],
         "live=recently_pulled dead=-unused base=parent_kept"
         " mine=parent_kept other=-parent_removed",
         children=SHARED, policy=PULLS),
    Case("a platform that only the dead index lists keeps it",
         [index("live"), index("dead"), BASE, image("mine"), image("other", pulled_at=ago(1))],
         "live=in_use dead=recently_pulled base=parent_kept mine=parent_kept other=parent_kept",
         children=SHARED, policy=PULLS, used=["live"]),
    Case("a platform that is in use by itself keeps every index that lists it",
         [index("live"), index("dead"), BASE, image("mine"), image("other")],
         "live=family_in_use dead=family_in_use base=in_use mine=parent_kept other=parent_kept",
         children=SHARED, policy=PULLS, used=["base"]),
)  # fmt: skip
def test_pulls_of_shared_platforms(case: Case) -> None:
    check(case)


def archived(name: str, days_asleep: float | None, **more: Any) -> Image:
    at = None if days_asleep is None else ago(days_asleep)
    return image(name, status=ARCHIVED, archived_at=at, **more)


UNTAGGED = policy_of(30, keep_pulled_days=0, untagged_keep_days=7)


@cases(
    Case("an untagged image by its own age", [image("a", 8), image("b", 7), image("c", 8, "v1")],
         "a=-unused b=too_young c=too_young", policy=UNTAGGED),
    Case("a greater age as well", [image("a", 60), image("b", 60, "v1")],
         "a=too_young b=-unused",
         policy=policy_of(30, keep_pulled_days=0, untagged_keep_days=90)),
    Case("never the children of an index",
         [index("index", 8, "v1"), image("arm", 8), image("amd", 8)],
         "index=too_young arm=parent_kept amd=parent_kept",
         children=INDEX_OF_TWO, policy=UNTAGGED),
    Case("an untagged index with its children",
         [index("index", 8), image("arm", 8), image("amd", 8)],
         "index=-unused arm=-parent_removed amd=-parent_removed",
         children=INDEX_OF_TWO, policy=UNTAGGED),
    Case("but not its children with a tag",
         [index("index", 8), image("arm", 8.1, "v1-arm"), image("amd", 8.1)],
         "index=-unused arm=too_young amd=-parent_removed",
         children=INDEX_OF_TWO, policy=UNTAGGED),
    Case("its children with a tag by their own age",
         [index("index", 31), image("arm", 31.1, "v1-arm"), image("amd", 31.1)],
         "index=-unused arm=-parent_removed amd=-parent_removed",
         children=INDEX_OF_TWO, policy=UNTAGGED),
    Case("never the referrers of an image",
         [image("a", 8, "v1"), image("sbom", 8, subject=sha("a"))],
         "a=too_young sbom=subject_kept", policy=UNTAGGED),
    Case("no age: not even today's", [image("a", 0.5), image("b", 0.5, "v1")],
         "a=-unused b=too_young",
         policy=policy_of(30, keep_pulled_days=0, untagged_keep_days=0)),
)  # fmt: skip
def test_untagged_images_have_an_age_of_their_own(case: Case) -> None:
    check(case)


@cases(
    Case("what was used yesterday", [image("a"), image("b")], "a=recently_used b=-unused",
         lately=["a"]),
    Case("what is in use is reported as that", [image("a")], "a=in_use", lately=["a"],
         used=["a"]),
    Case("an index that was used yesterday keeps its platforms", FAMILY,
         "index=recently_used arm=parent_kept amd=parent_kept", children=INDEX_OF_TWO,
         lately=["index"]),
    Case("a platform that was used yesterday keeps its index", FAMILY,
         "index=recently_used arm=recently_used amd=parent_kept", children=INDEX_OF_TWO,
         lately=["arm"]),
    Case("it keeps its signatures", [image("a"), signature("a")],
         "a=recently_used a.sig=subject_kept", lately=["a"]),
    Case("it takes no slot", [image("a", 40, "v3"), *FIVE[:2]],
         "a=recently_used i50=newest i51=-unused", policy=policy_of(keep_count=1),
         lately=["a"]),
    Case("it stays if it is archived", [archived("a", 100)], "a=recently_used",
         policy=policy_of(archive_days=90), lately=["a"]),
)  # fmt: skip
def test_what_was_in_use_lately_is_kept(case: Case) -> None:
    check(case)


@cases(
    Case("a signature by its tag, of an image elsewhere", [signature("a")], "a.sig=subject_kept",
         elsewhere=["a"]),
    Case("one by its subject, with what is about it",
         [image("sbom", subject=sha("a")), image("more", subject=sha("sbom"))],
         "sbom=subject_kept more=subject_kept", elsewhere=["a"]),
    Case("one whose subject exists nowhere", [signature("a")], "a.sig=-unused", elsewhere=["b"]),
    Case("one whose subject is removed here and exists elsewhere", [image("a"), signature("a")],
         "a=-unused a.sig=-subject_removed", elsewhere=["a"]),
    Case("one of several subjects suffices",
         [image("s", tags=f"{tag_of('a', '.sig')} {tag_of('b', '.sig')}")],
         "s=subject_kept", elsewhere=["b"]),
    Case("an ordinary tag beside it makes it an image",
         [image("s", tags=f"{tag_of('a', '.sig')} v1")], "s=-unused", elsewhere=["a"]),
    Case("with a prefix in front of the tag", [image("s", tags=tag_of("a", ".att", "sbom-"))],
         "s=subject_kept", elsewhere=["a"]),
)  # fmt: skip
def test_referrers_in_a_repository_of_their_own(case: Case) -> None:
    check(case)


@cases(
    Case("a signature by its tag", [signature("a")], "a.sig=family_in_use", used_anywhere=["a"]),
    Case("an attestation with a prefix", [image("s", tags=tag_of("a", ".att", "sbom-"))],
         "s=family_in_use", used_anywhere=["a"]),
    Case("a tag without a suffix", [image("s", tags=tag_of("a"))], "s=family_in_use",
         used_anywhere=["a"]),
    Case("one by its subject, with what is about it",
         [image("sbom", subject=sha("a")), image("more", subject=sha("sbom"))],
         "sbom=family_in_use more=subject_kept", used_anywhere=["a"]),
    Case("one that an index lists", [index("bundle"), image("sbom", subject=sha("a"))],
         "bundle=family_in_use sbom=family_in_use", children={"bundle": ["sbom"]},
         used_anywhere=["a"]),
    Case("one that is an index", [index("soci", subject=sha("a")), image("layer")],
         "soci=family_in_use layer=parent_kept", children={"soci": ["layer"]},
         used_anywhere=["a"]),
    Case("one whose subject also exists in another repository", [signature("a")],
         "a.sig=family_in_use", elsewhere=["a"], used_anywhere=["a"]),
    Case("one of several subjects suffices",
         [image("s", tags=f"{tag_of('a', '.sig')} {tag_of('b', '.sig')}")],
         "s=family_in_use", used_anywhere=["b"]),
    # What is in use is the copy in the other registry, not the image.
    Case("the image here goes, and its signature stays", [image("a"), signature("a")],
         "a=-unused a.sig=family_in_use", used_anywhere=["a"]),
    Case("and what is about the signature",
         [image("a"), image("sbom", subject=sha("a")), image("more", subject=sha("sbom"))],
         "a=-unused sbom=family_in_use more=subject_kept", used_anywhere=["a"]),
    Case("the image alone goes", [image("a")], "a=-unused", used_anywhere=["a"]),
    Case("an ordinary tag makes it an image", [image("s", tags=f"{tag_of('a', '.sig')} v1")],
         "s=-unused", used_anywhere=["a"]),
    Case("one of an image that nothing uses goes", [signature("a")], "a.sig=-unused",
         used_anywhere=["b"]),
    Case("it takes no slot", [image("s", 40, tag_of("a")), *FIVE[:2]],
         "s=family_in_use i50=newest i51=-unused", policy=policy_of(keep_count=1),
         used_anywhere=["a"]),
)  # fmt: skip
def test_artifact_about_a_digest_that_is_in_use_in_another_registry_is_kept(case: Case) -> None:
    check(case)


def test_consumer_in_another_registry_is_named() -> None:
    users = Known(users_of=lambda one: ("arn:far", "arn:too") if one == sha("a") else ())
    images = [index("bundle"), image("sbom", subject=sha("a"))]
    plan = plan_of(*images, children={"bundle": ["sbom"]}, known=users)

    assert {one.because for one in plan.verdicts} == {("arn:far", "arn:too")}


TO_REMOVE = image("a", 100, tags="v1", activated_at=ago(1), pulled_at=ago(1))
EVERY_RULE = policy_of(30, 1, ("v*",), 30)


@pytest.mark.parametrize(
    ("subject", "policy", "used", "reason"),
    [
        # Each line takes away what kept the line before.
        (replace(TO_REMOVE, pushed_at=None), EVERY_RULE, ["a"], "a=in_use"),
        (replace(TO_REMOVE, pushed_at=None), EVERY_RULE, [], "a=time_unknown"),
        (replace(TO_REMOVE, pushed_at=NOW), EVERY_RULE, [], "a=pushed_during_run"),
        (replace(TO_REMOVE, status=ImageStatus.ACTIVATING), EVERY_RULE, [], "a=restored"),
        (replace(TO_REMOVE, pushed_at=ago(1)), EVERY_RULE, [], "a=too_young"),
        (TO_REMOVE, EVERY_RULE, [], "a=restored"),
        (replace(TO_REMOVE, activated_at=None), EVERY_RULE, [], "a=tag_pattern"),
        (replace(TO_REMOVE, activated_at=None), policy_of(30, 1, (), 30), [], "a=recently_pulled"),
        (replace(TO_REMOVE, activated_at=None), policy_of(30, 1, (), 0), [], "a=newest"),
        (replace(TO_REMOVE, activated_at=None), policy_of(30, 0, (), 0), [], "a=-unused"),
    ],
)
def test_the_first_rule_that_keeps_an_image_is_the_reason(
    subject: Image, policy: Policy, used: list[str], reason: str
) -> None:
    assert outcome(plan_of(subject, policy=policy, used=used), reason) == reason


FOR_GOOD = policy_of(action=Action.ARCHIVE, archive_days=90)


@cases(
    Case("what is archived stays, by default for ever", [archived("a", 9000)], "a=archived"),
    Case("and is never archived twice", [archived("a", 1)], "a=archived", policy=ARCHIVING),
    Case("archived 90 days ago", [archived("a", 90)], "a=archived", policy=FOR_GOOD),
    Case("a second longer ago", [archived("a", 90 + 1 / 86_400)], "a=-unused", policy=FOR_GOOD),
    Case("archived nobody knows when", [archived("a", None)], "a=archived", policy=FOR_GOOD),
    Case("archived long ago and in use", [archived("a", 100)], "a=in_use", used=["a"],
         policy=FOR_GOOD),
    Case("archived long ago under a kept tag", [archived("a", 100, tags="v1")], "a=tag_pattern",
         policy=replace(FOR_GOOD, keep_tag_patterns=("v*",))),
    Case("deleted for good where deleting is the action as well", [archived("a", 91)], "a=-unused",
         policy=policy_of(archive_days=90)),
    Case("being restored", [image("a", status=ImageStatus.ACTIVATING)], "a=restored"),
    Case("restored yesterday", [image("a", activated_at=ago(1))], "a=restored"),
    Case("restored long ago", [image("a", activated_at=ago(31))], "a=-unused"),
    Case("a child being restored keeps its index",
         [index("index"), image("arm", status=ImageStatus.ACTIVATING), image("amd")],
         "index=restored arm=restored amd=parent_kept", children=INDEX_OF_TWO),
    Case("children of an archived index stay where deleting is the action",
         [index("index", status=ARCHIVED, archived_at=ago(1)), image("arm"), image("amd")],
         "index=archived arm=parent_kept amd=parent_kept", children=INDEX_OF_TWO),
    Case("children of an archived index are archived after it",
         [index("index", status=ARCHIVED, archived_at=ago(1)), image("arm"), archived("amd", 1)],
         "index=archived arm=-parent_removed amd=archived",
         children=INDEX_OF_TWO, policy=ARCHIVING),
    Case("an archived child stays where its index is deleted",
         [index("index"), archived("arm", 1), image("amd")],
         "index=-unused arm=archived amd=-parent_removed", children=INDEX_OF_TWO),
    Case("an archived subject keeps its referrers",
         [archived("a", 1), image("sbom", subject=sha("a"))],
         "a=archived sbom=subject_kept"),
)  # fmt: skip
def test_archive(case: Case) -> None:
    check(case)


def asleep_index(days_asleep: float | None = 50, **more: Any) -> Image:
    at = None if days_asleep is None else ago(days_asleep)
    return index("index", 100, status=ARCHIVED, archived_at=at, **more)


# Nobody can read what an archived index lists.
@cases(
    Case("an untagged image of the time before may be its child",
         [asleep_index(), image("a", 100), image("b", 101)],
         "index=archived a=graph_unclear b=graph_unclear"),
    Case("one pushed after it is not", [asleep_index(), image("a", 99)],
         "index=archived a=-unused"),
    Case("a tagged one, too: some tools tag each platform",
         [asleep_index(), image("a", 101, tags="v1")], "index=archived a=graph_unclear"),
    Case("an artifact about something is none",
         [asleep_index(), image("a", 101, subject=sha("gone"))],
         "index=archived a=-unused"),
    Case("what follows such a child stays with it",
         [asleep_index(), image("a", 101), image("sbom", 90, subject=sha("a"))],
         "index=archived a=graph_unclear sbom=subject_kept"),
    Case("one archived with it is its child, one archived long before is not",
         [asleep_index(90), image("child", 101, status=ARCHIVED, archived_at=ago(91)),
          image("other", 101, status=ARCHIVED, archived_at=ago(91, 1))],
         "index=archived child=graph_unclear other=-unused",
         policy=replace(FOR_GOOD, archive_days=90)),
    Case("an index archived nobody knows when may list all the same",
         [asleep_index(None), image("child", 101, status=ARCHIVED, archived_at=ago(99))],
         "index=archived child=graph_unclear", policy=FOR_GOOD),
    Case("an index that is deleted for good needs nothing any more",
         [asleep_index(91), image("child", 101, status=ARCHIVED, archived_at=ago(91))],
         "index=-unused child=-unused", policy=FOR_GOOD),
    Case("an index in use keeps what it may list",
         [asleep_index(91), image("child", 101, status=ARCHIVED, archived_at=ago(91))],
         "index=in_use child=graph_unclear", policy=FOR_GOOD, used=["index"]),
    Case("where archiving is the action, its child can be brought back as well",
         [asleep_index(), image("a", 101)], "index=archived a=-unused", policy=ARCHIVING),
)  # fmt: skip
def test_archived_indexes_that_nobody_can_read(case: Case) -> None:
    check(case)


@pytest.mark.parametrize("action", [Action.DELETE, Action.ARCHIVE])
def test_what_is_removable_is_deleted_or_archived_as_the_action_says(action: Action) -> None:
    plan = plan_of(*FAMILY, children=INDEX_OF_TWO, policy=policy_of(action=action))
    assert set(removals(plan).values()) == {action}


def test_what_was_archived_long_enough_is_deleted_whatever_the_action() -> None:
    assert removals(plan_of(archived("a", 91), policy=FOR_GOOD)) == {sha("a"): Action.DELETE}


def test_where_archiving_is_the_action_nothing_that_is_active_is_deleted() -> None:
    asleep = index("index", status=ARCHIVED, archived_at=ago(91))
    plan = plan_of(asleep, image("arm"), children={"index": ["arm"]}, policy=FOR_GOOD)
    assert removals(plan) == {sha("index"): Action.DELETE, sha("arm"): Action.ARCHIVE}


@pytest.mark.parametrize(
    ("used", "policy", "expected"),
    [
        (["index"], policy_of(), {"index": ("arn:of-index",), "arm": (sha("index"),)}),
        (["arm"], policy_of(), {"index": ("arn:of-arm",), "arm": ("arn:of-arm",)}),
        (["tag:v1"], policy_of(), {"index": ("arn:of-v1",), "arm": (sha("index"),)}),
        ([], policy_of(), {"index": (), "arm": (sha("index"),)}),
        ([], PATTERNS, {"index": ("v*",), "arm": (sha("index"),)}),
    ],
)
def test_a_verdict_points_to_what_it_is_because_of(
    used: list[str], policy: Policy, expected: dict[str, tuple[str, ...]]
) -> None:
    images = [index("index", tags="v1"), image("arm")]
    plan = plan_of(*images, children={"index": ["arm"]}, policy=policy, used=used)
    told = {verdict.image.digest: verdict.because for verdict in plan.verdicts}
    assert told == {sha(name): because for name, because in expected.items()}


def test_newest_release_has_its_rank() -> None:
    plan = plan_of(*FIVE, policy=policy_of(keep_count=3))
    told = {one.image.tags[0]: one.because for one in plan.verdicts if one.because}
    assert told == {"v50": ("1 of 3",), "v51": ("2 of 3",), "v52": ("3 of 3",)}


@pytest.mark.parametrize(
    ("subject", "old"),
    [
        (image("a", 31), True),
        (image("a", 30), False),
        (image("a", pushed_at=None), False),
        (archived("a", 1), True),
    ],
)
def test_a_verdict_tells_whether_age_alone_would_not_have_kept(subject: Image, old: bool) -> None:
    assert [verdict.old for verdict in plan_of(subject, used=["a"]).verdicts] == [old]


def test_times_in_other_zones_are_the_same_times() -> None:
    zone = timezone(timedelta(hours=9))
    subject = image("a", pushed_at=ago(30).astimezone(zone), pulled_at=ago(1).astimezone(zone))
    assert outcome(plan_of(subject), "a=?") == "a=too_young"


def test_an_empty_repository_has_an_empty_plan() -> None:
    plan = plan_of()
    assert (plan.verdicts, plan.steps, plan.leaders) == ((), (), {})


def steps_of(plan: Plan) -> list[set[str]]:
    return [{verdict.image.digest for verdict in step} for step in plan.steps]


@pytest.mark.parametrize("branching", [1, 2, 3])
@pytest.mark.parametrize("depth", [1, 2, 3, 4])
def test_nested_indexes_go_parents_first_or_stay_as_a_whole(depth: int, branching: int) -> None:
    levels = [["root"]]
    children = {}
    for _ in range(depth):
        for name in levels[-1]:
            children[name] = [f"{name}.{number}" for number in range(branching)]
        levels.append([child for name in levels[-1] for child in children[name]])
    images = [index(name) for level in levels[:-1] for name in level]
    images += [image(name) for name in levels[-1]]
    assert steps_of(plan_of(*images, children=children)) == [{*map(sha, level)} for level in levels]
    assert plan_of(*images, children=children, used=["root"]).steps == ()


def test_a_child_of_two_indexes_and_its_referrers_wait_for_the_deepest_of_their_leaders() -> None:
    images = [*NESTED, signature("leaf"), image("sbom", subject=sha("leaf.sig"))]
    plan = plan_of(*images, children={"top": ["mid", "leaf"], "mid": ["leaf"]})
    names = (["top"], ["mid"], ["leaf"], ["leaf.sig"], ["sbom"])
    assert steps_of(plan) == [{*map(sha, step)} for step in names]
    assert set(plan.leaders[sha("leaf")]) == {sha("top"), sha("mid")}
    assert plan.leaders[sha("top")] == ()


def test_only_what_is_removed_has_a_step_and_leaders() -> None:
    plan = plan_of(image("young", 1), image("old"), moment=MOMENT)
    assert steps_of(plan) == [{sha("old")}]
    assert plan.leaders == {sha("old"): ()}
