"""Why one image is kept or removed, as text for a person."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from ecr_cleaner.core.explanations import MEANINGS, numbers, way_out
from ecr_cleaner.core.model import ImageReference, Reason, ReferencePattern, Usage
from ecr_cleaner.core.plan_document import PlanHeader, PlannedImage, PlannedRepository, State
from ecr_cleaner.core.plan_summary import age_days
from ecr_cleaner.core.text import human_size, short_digest, visible


@dataclass(frozen=True, slots=True)
class Explained:
    """One repository of a plan, with the images of it by digest and the usages that were found."""

    header: PlanHeader
    planned: PlannedRepository
    images: Mapping[str, PlannedImage] = field(default_factory=dict)
    usages: Sequence[Usage] = ()


def explain(found: Explained, image: PlannedImage) -> str:
    """Return the explanation of the verdict on one image of the repository."""
    return "\n".join(_lines(found, image)) + "\n"


def explain_unjudged(repository: str, planned: PlannedRepository | None, *, opted_in: bool) -> str:
    """Return why no image of a repository was judged."""
    name = visible(repository)
    if not opted_in:
        return (
            f"Every image of {name} is kept: the repository is not opted in.\n"
            "For its images to be judged, tag it BoxCleanerEnabled = true.\n"
        )
    if planned is not None and planned.state is not State.JUDGED:
        return f"Every image of {name} is kept, because it was not judged: {planned.problem}\n"
    return (
        f"Every image of {name} is kept: it is skipped, because one of its tags looks misspelled.\n"
    )


def _lines(found: Explained, image: PlannedImage) -> Iterator[str]:
    yield from _facts(found, image)
    users = _users(found, image)
    yield ""
    yield from _verdict(found, image)
    yield from (f"  {visible(one)}" for one in _because(image) if one not in users)
    yield ""
    yield "Used by" if users else "Used by nothing that was scanned"
    yield from (f"  {visible(user)} ({'; '.join(ways)})" for user, ways in users.items())
    yield from _broken(found, image)
    yield ""
    yield "Family"
    yield from (f"  {line}" for line in _tree(found.images, image))
    yield ""
    yield from _way(found, image)


def _facts(found: Explained, image: PlannedImage) -> Iterator[str]:
    age = age_days(image, found.header.time)
    pushed = f"{image.pushed_at:%Y-%m-%d}, {age} days ago" if image.pushed_at else "unknown"
    yield f"Repository   {visible(image.repository)}"
    yield f"Digest       {image.digest}"
    yield f"Tags         {', '.join(map(visible, image.tags)) or 'none'}"
    yield f"Pushed       {pushed}"
    yield f"Last pulled  {f'{image.pulled_at:%Y-%m-%d}' if image.pulled_at else 'not recorded'}"
    yield f"Size         {human_size(image.size_bytes)}"


def _verdict(found: Explained, image: PlannedImage) -> Iterator[str]:
    verdict = f"{image.verdict}, because {MEANINGS[image.reason]} ({image.reason})"
    guards = dict.fromkeys(one.guard.value for one in found.planned.guards)
    if guards and not image.is_kept:
        names, them = ", ".join(guards), "it" if len(guards) == 1 else "them"
        noun = "guard" if len(guards) == 1 else "guards"
        yield f"Verdict: kept by the {noun} {names}; without {them}: {verdict}"
    else:
        yield f"Verdict: {verdict}"
    known = numbers(image, found.planned.policy, found.header.time)
    if known:
        yield f"  {visible(known)}"


def _because(image: PlannedImage) -> Sequence[str]:
    """Return what the reason refers to, unless the line with the numbers has it."""
    if image.reason is Reason.NEWEST:
        return ()
    return image.because[:1] if image.reason is Reason.RECENTLY_USED else image.because


def _users(found: Explained, image: PlannedImage) -> dict[str, list[str]]:
    """Return the consumers of the image, each with how it was found to use it."""
    users: dict[str, dict[str, None]] = {}
    for usage in found.usages:
        if _means(usage, image):
            way = f"read by {usage.source}, as {_written(usage)}"
            users.setdefault(usage.consumer, {})[way] = None
    return {user: list(ways) for user, ways in users.items()}


def _broken(found: Explained, image: PlannedImage) -> Iterator[str]:
    """Yield the references to the image that consumers cannot pull."""
    for one in found.planned.broken:
        if one.name == image.digest or one.name in image.tags:
            users = ", ".join(map(visible, dict.fromkeys(one.consumers)))
            yield f"Broken reference: {visible(one.name)} is {one.problem}, used by {users}"


def _means(usage: Usage, image: PlannedImage) -> bool:
    reference = usage.reference
    if isinstance(reference, ReferencePattern) and reference.charts:
        # A plan does not say which images are charts.
        return usage.consumer in image.because
    if reference.digest is not None:
        return reference.digest == image.digest
    return reference.tag is None or reference.tag in image.tags


def _written(usage: Usage) -> str:
    reference = usage.reference
    name = visible(reference.repository)
    computed = "" if isinstance(reference, ImageReference) else ", of which a part is computed"
    if reference.digest is not None:
        return f"{name}@{visible(reference.digest)}{computed}"
    if reference.tag is not None:
        return f"{name}:{visible(reference.tag)}{computed}"
    charts = isinstance(reference, ReferencePattern) and reference.charts
    return f"{name}, any {'Helm chart' if charts else 'image'}{computed}"


def _tree(images: Mapping[str, PlannedImage], image: PlannedImage) -> Iterator[str]:
    """Yield a tree for each image that the given one follows, directly or not, and that is a root.

    An image that several others lead is drawn below each; what would repeat itself is not.
    """
    followers: dict[str, list[str]] = {}
    for one in images.values():
        for leader in one.follows:
            followers.setdefault(leader, []).append(one.digest)
    for root in _roots(images, image.digest):
        yield _label(images[root], image)
        yield from _branches(images, followers, root, image, frozenset({root}))


def _roots(images: Mapping[str, PlannedImage], digest: str) -> list[str]:
    roots: dict[str, None] = {}
    seen: set[str] = set()
    waiting = [digest]
    while waiting:
        current = waiting.pop()
        if current in seen:
            continue
        seen.add(current)
        leaders = [one for one in images[current].follows if one in images]
        if leaders:
            waiting += leaders
        else:
            roots[current] = None
    # A cycle has no root.
    return list(roots) or [digest]


def _branches(
    images: Mapping[str, PlannedImage],
    followers: Mapping[str, Sequence[str]],
    digest: str,
    image: PlannedImage,
    above: frozenset[str],
) -> Iterator[str]:
    below = [one for one in followers.get(digest, ()) if one not in above]
    for one in below:
        is_last = one == below[-1]
        yield ("└── " if is_last else "├── ") + _label(images[one], image)
        for line in _branches(images, followers, one, image, above | {one}):
            yield ("    " if is_last else "│   ") + line


def _label(one: PlannedImage, image: PlannedImage) -> str:
    tags = ", ".join(map(visible, one.tags)) or "(untagged)"
    marked = "  <- this image" if one.digest == image.digest else ""
    return f"{short_digest(one.digest)} {tags}: {one.verdict}, {one.reason}{marked}"


def _way(found: Explained, image: PlannedImage) -> Iterator[str]:
    yield "For it to be removed"
    ways = way_out(image, found.images, found.planned.policy, found.header.settings)
    if ways:
        yield from (f"  {visible(one)}" for one in ways)
        return
    guards = found.planned.guards
    if guards:
        yield "  These guards have to be lifted:"
        yield from (f"  {one.guard}: {visible(one.why)}" for one in guards)
    else:
        yield (
            "  Nothing has to change: a run that is not a dry run removes it. If APPROVAL is true, "
            "that is a run that applies a plan with it."
        )
