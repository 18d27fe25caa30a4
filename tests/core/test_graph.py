"""Which image needs which."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.worlds import graph_of, image, index, sha
from ecr_cleaner.core.errors import ManifestError
from ecr_cleaner.core.graph import (
    LEAF_MEDIA_TYPES,
    Graph,
    children_in,
    may_have_children,
    subjects_of,
)
from fakes.ecr import DOCKER_LIST, INDEX

HEX = sha("subject").partition(":")[2]


def named(*names: str) -> tuple[str, ...]:
    return tuple(map(sha, names))


@pytest.mark.parametrize(
    ("media_type", "read"),
    [
        *((media_type, False) for media_type in sorted(LEAF_MEDIA_TYPES)),
        (INDEX, True),
        (DOCKER_LIST, True),
        ("application/vnd.example.unknown+json", True),
        (None, True),
    ],
)
def test_every_manifest_that_may_list_children_is_read(
    media_type: str | None,
    read: bool,
) -> None:
    assert may_have_children(image("a", media_type=media_type)) is read


@pytest.mark.parametrize(
    ("media_type", "document", "children"),
    [
        (INDEX, {"manifests": [{"digest": sha("a")}, {"digest": sha("b")}]}, named("a", "b")),
        (DOCKER_LIST, {"manifests": [{"digest": sha("a")}]}, named("a")),
        (INDEX, {"manifests": []}, ()),
        ("application/unknown", {"manifests": [{"digest": sha("a")}]}, named("a")),
        (None, {"manifests": [{"digest": sha("a")}]}, named("a")),
        (INDEX, {"manifests": None}, ()),
        ("application/unknown", {"config": {}, "layers": []}, None),
        ("application/unknown", {"layers": []}, None),
        ("application/unknown", {"fsLayers": []}, None),
        ("application/unknown", {"blobs": []}, None),
    ],
)
def test_the_children_are_what_the_manifest_lists(
    media_type: str | None, document: dict[str, Any], children: tuple[str, ...] | None
) -> None:
    assert children_in(image("i", media_type=media_type), json.dumps(document)) == children


@pytest.mark.parametrize(
    ("manifest", "problem"),
    [
        ("", "is not JSON"),
        ("{", "is not JSON"),
        ("[" * 100_000, "is not JSON"),
        ("[]", "is not a JSON object"),
        ("null", "is not a JSON object"),
        ('"manifests"', "is not a JSON object"),
        ("{}", "is neither an index nor an image"),
        ('{"config": {}, "layers": []}', "is neither an index nor an image"),
        ('{"manifests": {}}', "has no list of manifests"),
        ('{"manifests": "sha256:a"}', "has no list of manifests"),
        ('{"manifests": [null]}', "lists a child without a digest"),
        ('{"manifests": ["sha256:a"]}', "lists a child without a digest"),
        ('{"manifests": [{}]}', "lists a child without a digest"),
        ('{"manifests": [{"digest": 1}]}', "lists a child without a digest"),
        ('{"manifests": [{"digest": ""}]}', "lists a child without a digest"),
        ('{"manifests": [{"digest": "sha256:a"}, {"size": 1}]}', "lists a child without a digest"),
    ],
)
def test_an_index_that_is_not_understood_is_an_error_and_never_without_children(
    manifest: str, problem: str
) -> None:
    with pytest.raises(ManifestError) as caught:
        children_in(index("i"), manifest)
    assert str(caught.value) == f"manifest of {sha('i')} {problem}"


def test_a_manifest_of_an_unknown_type_with_no_content_is_not_understood() -> None:
    with pytest.raises(ManifestError, match="is neither an index nor an image"):
        children_in(image("i", media_type="application/unknown"), '{"schemaVersion": 2}')


VALUES = st.none() | st.integers() | st.text() | st.lists(st.text())
ENTRIES = st.lists(VALUES | st.dictionaries(st.just("digest"), VALUES))


@given(st.text() | (VALUES | st.dictionaries(st.just("manifests"), ENTRIES)).map(json.dumps))
def test_any_manifest_is_understood_or_a_manifest_error(manifest: str) -> None:
    with contextlib.suppress(ManifestError):  # the one way to say that it was not understood
        assert children_in(index("i"), manifest) is not None


@pytest.mark.parametrize(
    ("tags", "subject", "expected"),
    [
        ("", None, ()),
        ("v1", None, ()),
        ("", sha("subject"), named("subject")),
        ("v1", sha("subject"), named("subject")),
        (f"sha256-{HEX}", None, named("subject")),
        (f"sha256-{HEX}.sig", None, named("subject")),
        (f"sha256-{HEX}.att", None, named("subject")),
        (f"sha256-{HEX}.sbom", None, named("subject")),
        (f"sha256-{HEX}.any.thing", None, named("subject")),
        (f"sha256-{HEX}.sig sha256-{HEX}.att", None, named("subject")),
        (f"sha256-{HEX}.sig", sha("declared"), named("declared", "subject")),
        (f"sha512-{HEX * 2}.sig", None, (f"sha512:{HEX * 2}",)),
        # An ordinary tag makes it an image like others.
        (f"sha256-{HEX}.sig v1", None, ()),
        (f"sha256-{HEX[:-1]}.sig", None, ()),
        (f"sha256-{HEX}sig", None, ()),
        (f"sha256-{HEX}.", None, ()),
        (f"sha256-{HEX.upper()}.sig", None, ()),
        (f"md5-{HEX}.sig", None, ()),
        # cosign puts the prefix of --attachment-tag-prefix in front as it is.
        (f"xsha256-{HEX}.sig", None, named("subject")),
        (f"sbom-sha256-{HEX}.att", None, named("subject")),
        (f"sbom-sha256-{HEX}.att v1", None, ()),
        # imgpkg tags an image with its own digest.
        (sha("referrer").replace(":", "-") + ".imgpkg", None, ()),
    ],
)
def test_the_subject_is_what_the_manifest_declares_or_all_tags_say(
    tags: str, subject: str | None, expected: tuple[str, ...]
) -> None:
    assert subjects_of(image("referrer", tags=tags, subject=subject)) == expected


def test_edges_lead_from_an_index_to_its_children_and_from_a_subject_to_its_referrers() -> None:
    images = [index("i"), image("c"), image("sbom", subject=sha("c"))]
    graph = graph_of(images, {"i": ["c"]})
    assert graph.leaders(sha("i")) == ()
    assert graph.leaders(sha("c")) == named("i")
    assert graph.leaders(sha("sbom")) == named("c")
    assert graph.led_by(sha("i")) == named("c")
    assert graph.led_by(sha("c")) == named("sbom")
    assert graph.led_by(sha("sbom")) == ()


def test_what_does_not_exist_and_what_repeats_has_no_edge() -> None:
    images = [index("i"), image("c", subject=sha("nowhere")), image("self", subject=sha("self"))]
    graph = graph_of(images, {"i": ["c", "gone", "c"]})
    assert graph.children == {sha("i"): named("c")}
    assert graph.leaders(sha("c")) == named("i")
    assert graph.leaders(sha("self")) == ()


def test_only_what_may_have_children_and_was_not_read_is_unread() -> None:
    unknown = image("unknown", media_type="application/unknown")
    images = [index("i"), index("j"), unknown, image("leaf")]
    graph = Graph.build(images, {sha("i"): (), sha("unknown"): None})
    assert graph.unread == frozenset(named("j"))
    assert sha("unknown") not in graph.children


def test_upwards_leads_to_everything_followed_and_names_where_it_began() -> None:
    sig = image("sig", subject=sha("leaf"))
    images = [index("top"), index("mid"), image("leaf"), sig, image("other")]
    graph = graph_of(images, {"top": ["mid"], "mid": ["leaf"]})
    followed = named("sig", "leaf", "mid", "top")
    assert graph.upwards([sha("sig")]) == dict.fromkeys(followed, sha("sig"))
    assert graph.upwards([]) == {}


def test_the_family_is_the_image_and_all_it_lists_without_referrers() -> None:
    images = [index("top"), index("mid"), image("leaf"), image("sig", subject=sha("top"))]
    graph = graph_of(images, {"top": ["mid", "leaf"], "mid": ["leaf"]})
    assert [one.digest for one in graph.family(sha("top"))].count(sha("leaf")) == 1
    assert {one.digest for one in graph.family(sha("top"))} == {*named("top", "mid", "leaf")}


def test_leaders_come_first_and_what_is_in_or_behind_a_cycle_is_left_out() -> None:
    images = [
        image("behind", subject=sha("a")),
        image("a", subject=sha("b")),
        image("b", subject=sha("a")),
        image("sig", subject=sha("leaf")),
        image("leaf"),
        index("top"),
    ]
    graph = graph_of(images, {"top": ["leaf"]})
    assert graph.leaders_first() == named("top", "leaf", "sig")


def test_an_image_that_is_child_and_referrer_of_the_same_index_waits_for_both() -> None:
    graph = graph_of([image("att", subject=sha("i")), index("i")], {"i": ["att"]})
    assert graph.leaders_first() == named("i", "att")
