"""Reading a cluster of many pods: everything is found, in the memory of one page."""

from __future__ import annotations

from bench.kubernetes import CASES, MEBIBYTE, Case, lines, measure
from bench.measure import Deadline


def test_memory_does_not_grow_with_the_number_of_pods() -> None:
    empty = measure(CASES[0], Deadline.after(120))
    full = measure(Case("3,000 pods", 1, 3_000), Deadline.after(120))

    assert full["problems"] == empty["problems"] == []
    # 3,000 pods of seven tags and one digest each, of which the first ten consumers are held.
    assert full["references"] > empty["references"] == 0
    assert full["peak"] - empty["peak"] < 40 * MEBIBYTE
    assert len(list(lines({CASES[0].name: empty, "full": full}))) == 3
