"""Which image needs which: index to children, subject to referrers.

An edge leads from the image that decides to the one that follows it: from an index to the images
it lists, and from a subject to the artifacts about it.
"""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from ecr_cleaner.core.errors import ManifestError
from ecr_cleaner.core.model import Image, ImageStatus

INDEX_MEDIA_TYPES = frozenset(
    {
        "application/vnd.oci.image.index.v1+json",
        "application/vnd.docker.distribution.manifest.list.v2+json",
    }
)
# Media types without children. Manifests of any other type are read, unknown ones too: an index
# that is not recognised would leave its children unprotected.
LEAF_MEDIA_TYPES = frozenset(
    {
        "application/vnd.oci.image.manifest.v1+json",
        "application/vnd.docker.distribution.manifest.v2+json",
        "application/vnd.docker.distribution.manifest.v1+json",
        "application/vnd.docker.distribution.manifest.v1+prettyjws",
    }
)

# What the manifest of anything but an index has at least one of.
_CONTENT = frozenset({"config", "layers", "fsLayers", "blobs"})

# https://github.com/opencontainers/distribution-spec/blob/main/spec.md#referrers-tag-schema,
# with the suffixes that signing tools append (.sig, .att, .sbom), and with a prefix:
# https://github.com/sigstore/cosign/blob/main/doc/cosign_sign.md, --attachment-tag-prefix.
_REFERRER_TAG = re.compile(
    r"(?P<prefix>.*?)(?P<algorithm>sha256|sha512)-(?P<hex>[a-f0-9]{64}|[a-f0-9]{128})"
    r"(?P<suffix>\..+)?"
)
_SIGNING_SUFFIXES = frozenset({".sig", ".att", ".sbom"})

# https://docs.docker.com/build/cache/backends/registry/: the type of a cache's config, and the tag
# that the documentation gives it. By default, a cache is an index, for which ECR returns no type.
_CACHE_TYPES = frozenset({"application/vnd.buildkit.cacheconfig.v0"})
_CACHE_TAG = re.compile(r"build[-_.]?cache", re.IGNORECASE)

# https://helm.sh/docs/topics/registries/#helm-chart-manifest: the type of a chart's config.
_CHART_TYPE = "application/vnd.cncf.helm.config.v1+json"


def may_have_children(image: Image) -> bool:
    """Return whether the image's manifest must be read to know its children."""
    return image.media_type not in LEAF_MEDIA_TYPES


def own_bytes(image: Image) -> int:
    """Return what the image adds to a sum of sizes: of an index, nothing.

    ECR returns the size of the largest image that an index lists, and that image has it as well.
    https://docs.aws.amazon.com/AmazonECR/latest/APIReference/API_ImageDetail.html
    """
    return 0 if image.media_type in INDEX_MEDIA_TYPES else image.size_bytes


def can_be_read(image: Image) -> bool:
    """Return whether ECR gives the manifest out. It does not for archived images.

    Source: https://docs.aws.amazon.com/AmazonECR/latest/userguide/archive-image.html
    """
    return image.status is ImageStatus.ACTIVE


def children_in(image: Image, manifest: str) -> tuple[str, ...] | None:
    """Return the digests that the image's manifest lists, or None if it is not an index.

    Raise ManifestError if the manifest cannot be parsed: that never counts as "no children".
    """
    try:
        document = json.loads(manifest)
    except (ValueError, RecursionError) as error:
        raise ManifestError(image.digest, "is not JSON") from error
    if not isinstance(document, dict):
        raise ManifestError(image.digest, "is not a JSON object")
    if "manifests" in document:
        entries = document["manifests"]
        # Encoders in Go write a list without entries as null.
        return () if entries is None else _listed(image.digest, entries)
    if image.media_type in INDEX_MEDIA_TYPES or not _CONTENT.intersection(document):
        raise ManifestError(image.digest, "is neither an index nor an image")
    return None


def _listed(digest: str, entries: object) -> tuple[str, ...]:
    if not isinstance(entries, list):
        raise ManifestError(digest, "has no list of manifests")
    return tuple(_child(digest, entry) for entry in entries)


def _child(digest: str, entry: object) -> str:
    child = entry.get("digest") if isinstance(entry, dict) else None
    if not isinstance(child, str) or ":" not in child:
        raise ManifestError(digest, "lists a child without a digest")
    return child


def subjects_of(image: Image) -> tuple[str, ...]:
    """Return the digests of which the image may be a referrer, by its manifest or by its tags.

    Tags count only if every tag of the image has the form of a referrer's: an image that also has
    an ordinary tag is an image. Its own digest is not a subject: imgpkg tags an image with that.
    A tag alone makes no referrer, because any image may have such a tag: its subject must exist.
    """
    declared = (image.subject,) if image.subject else ()
    named = [_REFERRER_TAG.fullmatch(tag) for tag in image.tags]
    by_tag = [f"{match['algorithm']}:{match['hex']}" for match in named if match]
    every = (*declared, *(by_tag if len(by_tag) == len(named) else ()))
    return tuple(digest for digest in dict.fromkeys(every) if digest != image.digest)


def is_signature(image: Image) -> bool:
    """Return whether the image is an artifact about another image even if that does not exist."""
    matches = [_REFERRER_TAG.fullmatch(tag) for tag in image.tags]
    signing = [bool(one and one["suffix"] in _SIGNING_SUFFIXES) for one in matches]
    return bool(image.subject) or (any(signing) and all(signing) and bool(subjects_of(image)))


def may_be_chart(image: Image) -> bool:
    """Return whether the image is a Helm chart, or ECR does not say what it is.

    Source: https://docs.aws.amazon.com/AmazonECR/latest/userguide/push-oci-artifact.html
    """
    return image.artifact_type in {None, _CHART_TYPE} and image.media_type not in INDEX_MEDIA_TYPES


def is_build_cache(image: Image) -> bool:
    """Return whether the image is a cache of a build, by its type or by all of its tags."""
    by_tag = bool(image.tags) and all(_CACHE_TAG.search(tag) for tag in image.tags)
    return by_tag or image.artifact_type in _CACHE_TYPES


@dataclass(frozen=True, slots=True)
class Graph:
    """The images of one repository with their edges. An edge to a missing digest is dropped.

    ``unread`` are the images that may have children and whose manifest was not read. ``missing``
    are the possible subjects that the repository does not hold, by the image that names them.
    """

    images: Mapping[str, Image]
    parents: Mapping[str, tuple[str, ...]]
    subjects: Mapping[str, tuple[str, ...]]
    children: Mapping[str, tuple[str, ...]]
    followers: Mapping[str, tuple[str, ...]]
    unread: frozenset[str]
    missing: Mapping[str, tuple[str, ...]]

    @classmethod
    def build(cls, images: Iterable[Image], listed: Mapping[str, tuple[str, ...] | None]) -> Graph:
        """Build from a full listing and from what each manifest lists (None: not an index)."""
        by_digest = {image.digest: image for image in images}
        children = {
            index: tuple(child for child in dict.fromkeys(digests) if child in by_digest)
            for index, digests in listed.items()
            if digests is not None
        }
        parents: dict[str, list[str]] = defaultdict(list)
        for index, digests in children.items():
            for child in digests:
                parents[child].append(index)
        named = {digest: subjects_of(image) for digest, image in by_digest.items()}
        subjects = {
            digest: there
            for digest, about in named.items()
            if (there := tuple(one for one in about if one in by_digest))
        }
        missing = {
            digest: absent
            for digest, about in named.items()
            if about and (absent := tuple(one for one in about if one not in by_digest))
        }
        followers: dict[str, list[str]] = defaultdict(
            list, {index: list(digests) for index, digests in children.items()}
        )
        for referrer, about in subjects.items():
            for subject in about:
                followers[subject].append(referrer)
        unread = {d for d, image in by_digest.items() if may_have_children(image)} - listed.keys()
        return cls(
            images=by_digest,
            parents=_frozen(parents),
            subjects=subjects,
            children=children,
            followers=_frozen(followers),
            unread=frozenset(unread),
            missing=missing,
        )

    def leaders(self, digest: str) -> tuple[str, ...]:
        """Return the parents and subjects that this image follows; a root has none."""
        return self.parents.get(digest, ()) + self.subjects.get(digest, ())

    def is_referrer(self, digest: str) -> bool:
        """Return whether the image is an artifact about another one."""
        return digest in self.subjects or bool(self.images[digest].subject)

    def led_by(self, digest: str) -> tuple[str, ...]:
        """Return the children and referrers that follow this image."""
        return self.followers.get(digest, ())

    def upwards(self, digests: Iterable[str]) -> dict[str, str]:
        """Return all that these follow, directly or not, and the digest each was reached from."""
        origin: dict[str, str] = {}
        waiting = [(digest, digest) for digest in digests]
        while waiting:
            digest, start = waiting.pop()
            if digest not in origin:
                origin[digest] = start
                waiting += [(leader, start) for leader in self.leaders(digest)]
        return origin

    def family(self, digest: str) -> Iterator[Image]:
        """Yield the image and, if it is an index, all that it lists, nested indexes included."""
        if digest not in self.children:
            yield self.images[digest]
            return
        yield from (self.images[member] for member in self.downwards([digest]))

    def downwards(self, digests: Iterable[str]) -> set[str]:
        """Return these and all that they list, nested indexes included."""
        seen: set[str] = set()
        waiting = list(digests)
        while waiting:
            current = waiting.pop()
            if current not in seen:
                seen.add(current)
                waiting += self.children.get(current, ())
        return seen

    def leaders_first(self) -> tuple[str, ...]:
        """Return every digest after all that it follows, without those in or behind a cycle."""
        following = self.parents.keys() | self.subjects.keys()
        waiting = {digest: len(self.leaders(digest)) for digest in following}
        order = [digest for digest in self.images if not waiting.get(digest)]
        for digest in order:  # grows while it is read
            for follower in self.led_by(digest):
                waiting[follower] -= 1
                if not waiting[follower]:
                    order.append(follower)
        return tuple(order)


def _frozen(lists: Mapping[str, list[str]]) -> dict[str, tuple[str, ...]]:
    return {key: tuple(values) for key, values in lists.items()}
