"""Clean a small simulated AWS account: first as a dry run, then for real.

Needs no AWS account, no network beyond this machine and no container engine. Exits with 1 if a run
or a check failed.
"""

from __future__ import annotations

import io
import json
import os
import shutil
import sys
from collections.abc import Iterable, Mapping, Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import proof
import small_world
from ecr_cleaner.core.errors import CleanerError
from ecr_cleaner.handler import lambda_handler
from ecr_cleaner.report import events
from fake_aws import ACCOUNT, LEDGER, REGION, embedded_aws
from fake_kubernetes import kubernetes_cluster
from table import (
    Colour,
    count,
    heading,
    human_size,
    paint,
    paragraph,
    short_arn,
    short_digest,
    short_tags,
    table,
    without_repeats,
)

# Not in git. `make page` opens the page.
PLANS = Path(os.environ.get("DEMO_DIRECTORY") or Path(__file__).resolve().parents[2] / ".demo")
PAGE = PLANS / "page.html"

Line = Mapping[str, Any]

# The verdict as one word, by log event.
VERDICTS = {
    events.WOULD_REMOVE: "remove",
    events.REMOVING: "removed",
    events.OLD_IN_USE: "keep",
    events.KEEPING: "keep",
}
COLOURS = {"remove": Colour.RED, "removed": Colour.RED, "keep": Colour.GREEN}


@dataclass(frozen=True, slots=True)
class Run:
    """One run of the program: its log lines, and the error that it raised."""

    lines: Sequence[Line]
    error: CleanerError | None

    @property
    def verdicts(self) -> list[Line]:
        """The lines about single images: young before old, indexes before their children."""
        found = [line for line in self.lines if line["event"] in VERDICTS]
        return sorted(found, key=_order)

    @property
    def removals(self) -> list[Line]:
        return [line for line in self.verdicts if VERDICTS[line["event"]] != "keep"]

    @property
    def summary(self) -> Line:
        """The summary line; empty if the run failed before it."""
        return next((line for line in self.lines if line["event"] == events.RUN_DONE), {})


def main() -> int:
    """Build the account, clean it twice, and check that no image in use was removed."""
    shutil.rmtree(PLANS, ignore_errors=True)
    with embedded_aws(), kubernetes_cluster() as kubernetes:
        world = small_world.build(datetime.now(UTC), kubernetes)
        before = proof.list_images()
        introduce(world, before)
        dry = run(dry_run="true")
        show_dry_run(dry)
        between = proof.list_images()
        real = run(dry_run="false")
        show_real_run(real, dry)
        after = proof.list_images()
        show_what_is_left(before, after)
        announced = [line["digest"] for line in dry.removals]
        checks = proof.checks(world, before, between, after, announced)
        status = show_proof(checks, [dry, real])
        show_page(dry)
        return status


def run(dry_run: str) -> Run:
    """Run the real program as Lambda does, and capture its log."""
    os.environ |= {"DRY_RUN": dry_run, "LOG_LEVEL": "DEBUG", "LEDGER": LEDGER, "PLANS": str(PLANS)}
    error = None
    with redirect_stdout(io.StringIO()) as written:
        try:
            lambda_handler({}, SimpleNamespace(aws_request_id=f"demo-dry-run-{dry_run}"))
        except CleanerError as raised:
            error = raised
    return Run([json.loads(line) for line in written.getvalue().splitlines()], error)


def introduce(world: small_world.World, before: proof.Listing) -> None:
    """Print the repositories, and what to look for in each."""
    print(paint("ECR cleaner: a demonstration", Colour.BOLD))
    print()
    print(f"This process simulates the AWS account {ACCOUNT} in {REGION}, with an EKS cluster.")
    print("It runs the same program as Lambda, with default settings except LOG_LEVEL=DEBUG, which")
    print("logs every verdict, and LEDGER, the bucket in which it remembers what was in use.")
    print()
    rows = [(name, str(len(before[name])), story) for name, story in sorted(world.stories.items())]
    print(table(("REPOSITORY", "IMAGES", "WHAT TO LOOK FOR"), rows, right=("IMAGES",)))


def show_dry_run(dry: Run) -> None:
    """Print each verdict and the reason."""
    print(heading("1. Dry run: what it would remove, and why"))
    show_end(dry)
    show_coverage(dry.summary.get("coverage", {}))
    print()
    show_verdicts(dry.verdicts)
    print()
    size = human_size(dry.summary.get("removable_bytes", 0))
    print(f"Would remove {len(dry.removals)} of {count(len(dry.verdicts), 'image')}, up to {size}.")


def show_real_run(real: Run, dry: Run) -> None:
    """Print what was removed; count images that were kept for the same reason as before."""
    print(heading("2. The same account with DRY_RUN=false"))
    show_end(real)
    known = {_judged(line) for line in dry.verdicts}
    kept = [line for line in real.verdicts if VERDICTS[line["event"]] == "keep"]
    same = [line for line in kept if _judged(line) in known]
    show_verdicts([line for line in real.verdicts if line not in same])
    print()
    removed, failed = real.summary.get("removed", 0), real.summary.get("failed", 0)
    print(f"Removed {count(removed, 'image')}, {failed} failed.", end=" ")
    share = "all" if len(same) == len(kept) else f"{len(same)} of them"
    print(f"Kept {len(kept)}, {share} for the same reasons as in the dry run.")


def show_coverage(sources: Mapping[str, Mapping[str, Any]]) -> None:
    """Print what each usage source found, and which sources the region does not have."""
    by_state: dict[str, list[str]] = {}
    for source, reading in sources.items():
        found = reading.get("usages")
        state = "found in use" if found else "nothing found" if found == 0 else reading["state"]
        by_state.setdefault(state, []).append(f"{source} ({found})" if found else source)
    for state, names in sorted(by_state.items()):
        print(paragraph(f"{state.capitalize()}: {', '.join(names)}"))


def show_end(finished: Run) -> None:
    """Print the error of a run that failed."""
    if finished.error:
        print(paint(f"THE RUN FAILED: {finished.error}", Colour.RED))


def show_verdicts(lines: Sequence[Line]) -> None:
    """Print the log lines about single images as a table."""
    titles = ("REPOSITORY", "TAGS", "DIGEST", "AGE", "SIZE", "VERDICT", "WHY")
    names = without_repeats([line["repository"] for line in lines])
    rows = [(name, *_cells(line)) for name, line in zip(names, lines, strict=True)]
    print(table(titles, rows, right=("AGE", "SIZE"), colours=COLOURS))


def show_what_is_left(before: proof.Listing, after: proof.Listing) -> None:
    """Print the images and bytes of each repository before and after."""
    print(heading("3. What is left"))
    titles = ("REPOSITORY", "IMAGES", "BEFORE", "SIZE", "BEFORE", "TAGS LEFT")
    rows = [
        (
            name,
            str(len(after[name])),
            str(len(images)),
            _size(after[name]),
            _size(images),
            _tags(after[name]),
        )
        for name, images in before.items()
    ]
    print(table(titles, rows, right=titles[1:5]))


def show_proof(checks: Iterable[proof.Check], runs: Sequence[Run]) -> int:
    """Print each check; return the exit status."""
    print(heading("4. Checks that ask ECR directly, without the program"))
    done = list(checks)
    rows = [("VIOLATED" if check.violations else "ok", check.claim) for check in done]
    print(table(("", ""), rows, colours={"ok": Colour.GREEN, "VIOLATED": Colour.RED}).lstrip())
    for violation in (text for check in done for text in check.violations):
        print(f"- {violation}")
    print()
    if any(check.violations for check in done) or any(one.error for one in runs):
        print(paint("The demo FAILED.", Colour.RED))
        return 1
    print("Nothing in use was removed.")
    return 0


def show_page(dry: Run) -> None:
    """Keep the page of the dry run where ``make page`` looks for it, and print its path."""
    for line in dry.lines:
        if line["event"] == events.PLAN_WRITTEN:
            shutil.copyfile(line["others"][0], PAGE)
            print(f"The dry run as a page: {PAGE}")


def _cells(line: Line) -> tuple[str, ...]:
    return (
        short_tags(line["tags"]),
        short_digest(line["digest"]),
        f"{line['age_days']} d",
        human_size(line["size_bytes"]),
        VERDICTS[line["event"]],
        _why(line),
    )


def _why(line: Line) -> str:
    """Return the reason, and the first consumer or image that it names."""
    reason = str(line["reason"]).replace("_", " ")
    if not line["because"]:
        return reason
    first, *others = line["because"]
    name = short_digest(first) if first.startswith("sha256:") else short_arn(first)
    if line["reason"] == "recently_used":
        return f"used {others[0]}: {name}"
    return f"{reason}: {name}" + (f" (+{len(others)})" if others else "")


def _order(line: Line) -> tuple[str, int, bool, str]:
    follows = "_kept" in line["reason"] or "_removed" in line["reason"]
    return line["repository"], line["age_days"], follows, line["reason"]


def _judged(line: Line) -> tuple[str, str, str]:
    return line["digest"], VERDICTS[line["event"]], line["reason"]


def _size(images: Mapping[str, Mapping[str, Any]]) -> str:
    return human_size(sum(image["imageSizeInBytes"] for image in images.values()))


def _tags(images: Mapping[str, Mapping[str, Any]]) -> str:
    tags = [tag for image in images.values() for tag in image.get("imageTags", ())]
    untagged = sum(not image.get("imageTags") for image in images.values())
    return ", ".join([*sorted(tags), *([f"{untagged} untagged"] if untagged else [])])


if __name__ == "__main__":
    sys.exit(main())
