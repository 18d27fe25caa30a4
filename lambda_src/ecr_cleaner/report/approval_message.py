"""The message that asks a person to approve a plan. Pure."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator

from ecr_cleaner.core.approval_request import ApprovalRequest, Gain
from ecr_cleaner.core.settings import Settings
from ecr_cleaner.core.text import counted, dollars, human_size, price_tag, repositories

# In characters.
# Source: https://docs.aws.amazon.com/sns/latest/api/API_Publish.html
LONGEST_SUBJECT = 99

_NAME = "ecr-cleaner"


def subject(request: ApprovalRequest, settings: Settings) -> str:
    """Return one line of ASCII."""
    registry = request.registry
    where = f"{registry.account} {registry.region}"
    text = f"{counted(request.gain.images, 'image')} to remove in {where}"
    name = settings.function_name or _NAME
    return f"{name}: {text}, {_worth(request, settings)}"[:LONGEST_SUBJECT]


def message(request: ApprovalRequest, settings: Settings) -> str:
    """Return the text of the message."""
    return "\n\n".join(_paragraphs(request, settings)) + "\n"


def command(request: ApprovalRequest, settings: Settings) -> str:
    """Return the one call that applies a plan: of the function if there is one that can read it."""
    if settings.function_name and request.plan.startswith("s3://"):
        return _of_function(request, settings)
    return _of_shell(request)


def _paragraphs(request: ApprovalRequest, settings: Settings) -> Iterator[str]:
    gain = request.gain
    registry = request.registry
    yield (
        f"A run of {settings.function_name or _NAME} made a plan for the registry of "
        f"{registry.account} in {registry.region}. Applying it removes {_of(gain)}: "
        f"{_worth(request, settings)}{_price(settings)}. Sizes are upper bounds, because layers "
        "that images share are counted in each of them."
    )
    yield "\n".join(_repositories(request))
    notes = list(_notes(request, settings))
    if notes:
        yield "\n".join(f"- {one}" for one in notes)
    yield from _ways(request, settings)
    yield (
        "Applying judges all images again. An image is removed only if the plan removes it, a new "
        "run would still remove it, and it did not change in between. The plan can be applied "
        f"until {request.until:%Y-%m-%d %H:%M} UTC, while the settings that decide about images "
        "stay the same."
    )


def _repositories(request: ApprovalRequest) -> Iterator[str]:
    """Yield the repositories with the most images to remove, one a line."""
    yield "Most images are removed from:" if len(request.most) > 1 else "They are removed from:"
    for name, gain in request.most:
        yield f"- {name}: {counted(gain.images, 'image')}, up to {human_size(gain.size_bytes)}"
    others = request.gain.repositories - len(request.most)
    if others:
        yield f"- {counted(others, 'other repository', 'other repositories')}"


def _notes(request: ApprovalRequest, settings: Settings) -> Iterator[str]:
    """Yield what a person should know before they approve."""
    source = "page" if request.page else "plan"
    if request.near_misses:
        number = counted(request.near_misses, "near miss", "near misses")
        yield (
            f"{number}: an earlier plan would have removed images that are needed now. The log "
            "names them; find out why before you apply."
        )
    if not settings.applying_removes:
        yield (
            "DRY_RUN is not false: until it is, applying the plan removes nothing and only reports."
        )
    if request.gain.images > settings.max_deletions:
        yield (
            f"One call removes at most {settings.max_deletions:,} images (MAX_DELETIONS). Repeat "
            "it for the others."
        )
    if request.guarded.images:
        yield (
            f"Guards stand: {_of(request.guarded)}, up to "
            f"{human_size(request.guarded.size_bytes)}, stay until the guards are lifted. The "
            f"{source} says how."
        )
    if request.broken_references:
        yield (
            f"{counted(request.broken_references, 'broken reference')}: consumers name images that "
            f"cannot be pulled. The {source} names them."
        )
    if request.unvisited:
        yield f"{repositories(request.unvisited)} not judged: the run was out of time."


def _ways(request: ApprovalRequest, settings: Settings) -> Iterator[str]:
    """Yield how to read a plan, and how to apply it."""
    if request.page:
        yield f"Page of the plan:\n  {_fetched(request.page)}"
    else:
        yield f"Plan (there was no time to write its page):\n  {_fetched(request.plan)}"
    shell = f"in a shell with the settings of the run:\n  {_of_shell(request)}"
    if command(request, settings) == _of_shell(request):
        yield f"Apply it {shell}"
    else:
        yield f"Apply it by calling the function:\n  {command(request, settings)}"
        yield f"Or apply it {shell}"


def _fetched(address: str) -> str:
    if not address.startswith("s3://"):
        return address
    return f"{address}\n  aws s3 cp {shlex.quote(address)} ."


def _of_function(request: ApprovalRequest, settings: Settings) -> str:
    payload = shlex.quote(json.dumps({"apply": request.plan}))
    return (
        f"aws lambda invoke --function-name {settings.function_name} "
        f"--region {request.registry.region} --cli-read-timeout 900 "
        f"--cli-binary-format raw-in-base64-out --payload {payload} out.json"
    )


def _of_shell(request: ApprovalRequest) -> str:
    return f"python -m ecr_cleaner apply {shlex.quote(request.plan)}"


def _worth(request: ApprovalRequest, settings: Settings) -> str:
    size, price = request.gain.size_bytes, settings.price_per_gb_month
    text = f"up to {human_size(size)}"
    return f"{text}, up to {dollars(size, price)} a month" if price else text


def _price(settings: Settings) -> str:
    price = settings.price_per_gb_month
    return f" at {price_tag(price)} per GB" if price else ""


def _of(gain: Gain) -> str:
    return f"{counted(gain.images, 'image')} of {repositories(gain.repositories)}"
