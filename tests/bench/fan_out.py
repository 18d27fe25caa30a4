"""What a run in steps takes, by arithmetic from measured numbers. It prints a table."""

from __future__ import annotations

import sys
from dataclasses import dataclass

from ecr_cleaner.core.fan_out import REPOSITORIES_A_SHARE

# Measured: an empty target by HTTPS, a million images in `bench --million`, and the plans of
# 100,000 images that become one.
CALLS_OF_A_TARGET = 45
PROCESSOR_SECONDS_OF_A_TARGET = 0.3
PROCESSOR_SECONDS_OF_AN_IMAGE = 86 / 1_000_000
PROCESSOR_SECONDS_OF_A_PLANNED_IMAGE = 48 / 1_000_000
# Assumed: the time that a call of a step waits for answers, and the processor time of reading one
# document with the SDK.
WAITING_SECONDS_OF_A_STEP = 0.5
PROCESSOR_SECONDS_OF_A_DOCUMENT = 0.002

ROUNDS = 2
SCANS_AT_ONCE, SHARES_AT_ONCE = 50, 10

# Of Lambda: the memory that comes with one processor, and prices in us-east-1 in dollars.
MEMORY_OF_A_PROCESSOR = 1769
GB_SECOND = 0.0000166667
TRANSITION = 0.000025
TRANSITIONS_OF_A_CHILD = 2


@dataclass(frozen=True)
class Cost:
    """What a run that removes images takes."""

    memory: int
    lambda_seconds: float
    minutes: float
    dollars: float


def cost(targets: int, repositories: int, images: int, memory: int) -> Cost:
    """Return what a run takes if the function has so many MB of memory."""
    share = min(1.0, memory / MEMORY_OF_A_PROCESSOR)
    shares = -(-repositories // REPOSITORIES_A_SHARE)
    scan = PROCESSOR_SECONDS_OF_A_TARGET / share + WAITING_SECONDS_OF_A_STEP
    gather = targets * ROUNDS * PROCESSOR_SECONDS_OF_A_DOCUMENT / share + WAITING_SECONDS_OF_A_STEP
    clean = images / shares * PROCESSOR_SECONDS_OF_AN_IMAGE / share + WAITING_SECONDS_OF_A_STEP
    report = images * PROCESSOR_SECONDS_OF_A_PLANNED_IMAGE / share + WAITING_SECONDS_OF_A_STEP
    seconds = targets * ROUNDS * scan + gather + shares * clean + report
    elapsed = ROUNDS * -(-targets // SCANS_AT_ONCE) * scan + gather + report
    elapsed += -(-shares // SHARES_AT_ONCE) * clean
    transitions = (targets * ROUNDS + shares) * TRANSITIONS_OF_A_CHILD
    dollars = seconds * memory / 1024 * GB_SECOND + transitions * TRANSITION
    return Cost(memory, seconds, elapsed / 60, dollars)


def most_targets_of_one_function(memory: int, seconds: float) -> int:
    """Return how many empty targets one function scans within so many seconds."""
    share = min(1.0, memory / MEMORY_OF_A_PROCESSOR)
    return int(seconds * share / PROCESSOR_SECONDS_OF_A_TARGET)


def table() -> str:
    """Return the table of the README: 1,000 targets, and 2,000 repositories of 500 images."""
    lines = ["| memory | Lambda seconds | minutes | dollars |", "| --- | --- | --- | --- |"]
    for memory in (512, 1024, 1769):
        one = cost(1_000, 2_000, 1_000_000, memory)
        numbers = f"{one.lambda_seconds:,.0f} | {one.minutes:.1f} | {one.dollars:.2f}"
        lines.append(f"| {memory:,} MB | {numbers} |")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.stdout.write(table() + "\n")
    for size in (512, 1024, 1769):
        targets = most_targets_of_one_function(size, 180)
        sys.stdout.write(f"{size} MB: one function scans {targets} empty targets in 180 s\n")
