"""The benchmark's output: tables and plots in plain text."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from bench.measure import Run

MEBIBYTE = 2**20
_BAR = 44


@dataclass(frozen=True, slots=True)
class Column:
    """One column of the table of runs."""

    head: str
    cell: Callable[[Run], str]


def call_ratio(run: Run) -> float:
    """Return the number of calls divided by the fewest possible."""
    return sum(run.calls.values()) / max(1, sum(run.least.values()))


def outcome(run: Run) -> str:
    """Return how a run ended, in one word."""
    if run.measured.status:
        return "failed"
    return "complete" if run.summary.get("complete") else "incomplete"


COLUMNS = (
    Column("images", lambda run: f"{run.stats['images']:,}"),
    Column("consumers", lambda run: f"{run.stats['consumers']:,}"),
    Column("wall s", lambda run: f"{run.measured.wall:.1f}"),
    Column("CPU s", lambda run: f"{run.measured.cpu:.1f}"),
    Column("peak MiB", lambda run: f"{run.measured.peak_bytes / MEBIBYTE:.0f}"),
    Column("calls", lambda run: f"{sum(run.calls.values()):,}"),
    Column("minimum", lambda run: f"{sum(run.least.values()):,}"),
    Column("ratio", lambda run: f"{call_ratio(run):.2f}"),
    Column("throttled", lambda run: f"{sum(run.stats['throttled'].values()):,}"),
    Column("removed", lambda run: f"{run.stats['removed']:,}"),
    Column("broken", lambda run: f"{run.stats['broken']:,}"),
    Column("ended", outcome),
)


def run_table(runs: Mapping[str, Run]) -> Iterator[str]:
    """Yield the lines of the table of all runs."""
    rows = [[name, *(column.cell(run) for column in COLUMNS)] for name, run in runs.items()]
    yield from table(["run", *(column.head for column in COLUMNS)], rows)


def call_table(runs: Mapping[str, Run]) -> Iterator[str]:
    """Yield the calls of each run by operation, and the minimum in parentheses."""
    names = sorted({name for run in runs.values() for name in run.calls})
    rows = [[name, *(_calls(run, name) for run in runs.values())] for name in names]
    total = [f"{sum(r.calls.values())} ({sum(r.least.values())})" for r in runs.values()]
    yield from table(["operation: calls (minimum)", *runs], [*rows, ["all", *total]])


def _calls(run: Run, operation: str) -> str:
    if operation not in run.calls:
        return "-"
    return f"{run.calls[operation]} ({run.least[operation]})"


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """Yield a table whose first column is text and whose others are numbers."""
    widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
    for row in (head, ["-" * width for width in widths], *rows):
        first, *others = (
            cell.rjust(width) if number else cell.ljust(width)
            for number, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        yield "  ".join([first, *others]).rstrip()


def plot(title: str, unit: str, points: Iterable[tuple[str, float]]) -> Iterator[str]:
    """Yield a bar for each point, on one scale that starts at 0."""
    shown = list(points)
    most = max((value for _, value in shown), default=0) or 1
    label = max((len(name) for name, _ in shown), default=0)
    yield title
    for name, value in shown:
        yield f"  {name:>{label}} |{'#' * round(_BAR * value / most):<{_BAR}} {value:,.1f} {unit}"
