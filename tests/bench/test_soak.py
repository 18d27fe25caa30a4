"""A short soak test: random accounts with failures. ``python -m bench.soak`` runs for longer."""

from __future__ import annotations

import json

import pytest

from bench.soak import case, problems, run_case, run_case_in_steps
from seeds import tried

SEEDS_A_TEST = 10
# The first two suffice for what the test asserts of all.
SEEDS_IN_STEPS = (1, 8, 2, 3, 4, 5, 6, 7)


@pytest.mark.parametrize("first", tried(range(1, 61, SEEDS_A_TEST)))
def test_runs_end_by_themselves_and_break_nothing(first: int) -> None:
    complete = []
    for seed in range(first, first + SEEDS_A_TEST):
        one = case(seed)
        run = run_case(one)
        last = [json.dumps(line) for line in run.lines[-5:]]
        assert list(problems(run)) == [], (seed, last)
        if run.outcome == "complete":
            complete.append(one.config.world)
    # Runs that all failed would prove nothing.
    assert any(world.elsewhere for world in complete)


def test_runs_in_steps_break_nothing_and_count_once_when_documents_fail() -> None:
    complete, faults = [], set()
    for seed in tried(SEEDS_IN_STEPS):
        one = case(seed)
        run = run_case_in_steps(one)
        last = [json.dumps(line) for line in run.lines[-5:]]
        assert list(problems(run)) == [], (seed, last)
        faults |= {name for name in run.stats["faults"] if name.startswith("s3:")}
        if run.outcome == "complete" and run.stats["removed"]:
            complete.append(one.config.world)
    assert any(world.elsewhere for world in complete)
    assert len(faults) > 1
