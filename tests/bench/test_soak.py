"""A short soak test: random accounts with failures. ``python -m bench.soak`` runs for longer."""

from __future__ import annotations

import pytest

from bench.measure import Deadline
from bench.soak import case, problems, run_case


@pytest.mark.parametrize("seed", range(1, 9))
def test_run_is_complete_or_fails_with_an_error_and_breaks_nothing(seed: int) -> None:
    run = run_case(case(seed), Deadline.after(300))
    assert list(problems(run)) == [], run.measured.output[-4000:]
