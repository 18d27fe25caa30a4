"""From what a consumer wrote, or AWS resolved, to usages; shared by the sources."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from ecr_cleaner.core.model import Usage
from ecr_cleaner.core.reference import parse


def usages_of(source: str, consumer: str, images: Iterable[str | None]) -> Iterator[Usage]:
    """Yield a usage for each image that is in private ECR; what is elsewhere is not ours."""
    for image in dict.fromkeys(images):
        reference = parse(image) if image else None
        if reference:
            yield Usage(reference, consumer, source)


def with_digest(image: str | None, digest: str | None) -> str | None:
    """Return the reference to what is really run, where AWS tells the digest beside the image."""
    if not image or not digest:
        return image
    return f"{image.partition('@')[0]}@{digest}"


def as_written_and_run(image: str | None, digest: str | None) -> tuple[str | None, str | None]:
    """Return both: the reference that a restart may resolve anew, and what runs now."""
    return image, with_digest(image, digest)
