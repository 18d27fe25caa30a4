"""A short soak: random worlds in which things go wrong. ``python -m bench.soak`` goes on longer."""

from __future__ import annotations

import pytest

from bench.measure import Deadline
from bench.soak import case, problems, run_case


@pytest.mark.parametrize("seed", range(1, 9))
def test_a_run_ends_complete_or_loudly_and_breaks_nothing(seed: int) -> None:
    run = run_case(case(seed), Deadline.after(300))
    assert list(problems(run)) == [], run.measured.output[-4000:]
