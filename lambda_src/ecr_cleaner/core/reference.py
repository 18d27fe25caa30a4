"""Image references as consumers write them. Pure."""

from __future__ import annotations

import re

from ecr_cleaner.core.model import ImageReference, Registry

# The spellings of a private registry's host, and the DNS suffixes of AWS's partitions
# (https://docs.aws.amazon.com/AmazonECR/latest/userguide/registries-dual-stack.html,
# https://docs.aws.amazon.com/general/latest/gr/ecr.html; a test compares the list with botocore's).
DNS_SUFFIXES = (
    "amazonaws.com",
    "amazonaws.com.cn",
    "amazonaws.eu",
    "c2s.ic.gov",
    "sc2s.sgov.gov",
    "cloud.adc-e.uk",
    "csp.hci.ic.gov",
)
DUAL_STACK_SUFFIXES = (
    "on.aws",
    "on.amazonwebservices.com.cn",
    "on.amazonwebservices.eu",
)

_REGION = r"(?P<region%d>[a-z0-9-]+)"
_HOST = re.compile(
    r"(?P<account>[0-9]{12})\.(?:"
    rf"dkr\.ecr(?:-fips)?\.{_REGION % 1}\.(?:{'|'.join(map(re.escape, DNS_SUFFIXES))})"
    rf"|dkr-ecr(?:-fips)?\.{_REGION % 2}\.(?:{'|'.join(map(re.escape, DUAL_STACK_SUFFIXES))})"
    r")\.?(?::[0-9]+)?",
    re.IGNORECASE,
)
# docker://, docker-pullable://, oci://, https://, ...
_SCHEME = re.compile(r"[a-z][a-z0-9+.-]*+://", re.IGNORECASE)
# https://github.com/opencontainers/distribution-spec/blob/main/spec.md#pulling-manifests
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}")
# https://github.com/opencontainers/image-spec/blob/main/descriptor.md#digests
_DIGEST = re.compile(
    r"sha256:[a-f0-9]{64}|sha512:[a-f0-9]{128}"
    r"|(?!sha(?:256|512):)[a-z0-9]+(?:[.+_-][a-z0-9]+)*:[A-Za-z0-9=_-]+"
)


def parse(text: str) -> ImageReference | None:
    """Return what ``text`` refers to in private ECR, or None if it is not such a reference.

    No tag means ``latest``. A tag or digest that breaks the grammar gives a reference to the
    repository as a whole: whatever was meant, no image of it counts as unused.
    """
    scheme = _SCHEME.match(text.strip())
    host, slash, path = text.strip()[scheme.end() if scheme else 0 :].partition("/")
    match = _HOST.fullmatch(host)
    if not match or not slash:
        return None
    return _parse_path(_registry(match), path)


def registry_of(host: str) -> Registry | None:
    """Return the private registry that a host name means, or None if it is not the name of one."""
    match = _HOST.fullmatch(host)
    return _registry(match) if match else None


def is_tag(text: str) -> bool:
    """Return whether this is a valid tag."""
    return _TAG.fullmatch(text) is not None


def is_digest(text: str) -> bool:
    """Return whether this is a valid digest."""
    return _DIGEST.fullmatch(text) is not None


def _registry(match: re.Match[str]) -> Registry:
    return Registry(match["account"], (match["region1"] or match["region2"]).lower())


def _parse_path(registry: Registry, path: str) -> ImageReference | None:
    name, at, digest = path.partition("@")
    slash = name.rfind("/") + 1
    last, colon, tag = name[slash:].partition(":")
    repository = name[:slash] + last
    if not repository:
        return None
    if (colon and not is_tag(tag)) or (at and not is_digest(digest)):
        return ImageReference(registry, repository)
    if at:
        return ImageReference(registry, repository, digest=digest)
    return ImageReference(registry, repository, tag=tag or "latest")
