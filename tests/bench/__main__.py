"""``python -m bench``: measure the whole program against a fake AWS, within a time limit."""

from __future__ import annotations

import argparse
import sys
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

from bench import judging, lambda_sizes
from bench.config import FakeConfig
from bench.measure import (
    Deadline,
    DeadlineError,
    Run,
    fake_aws,
    run_import,
    run_program,
    run_sequential,
)
from bench.rates import PUBLISHED, Rate, least_seconds
from bench.report import MEBIBYTE, call_table, outcome, plot, run_table
from bench.world import WorldSpec

LEGEND = (
    "consumers: references to images; minimum: the fewest calls that the APIs allow; ratio: calls",
    "divided by the minimum; broken: references whose image was removed.",
)
LATENCY = 0.03
LIBRARIES = "boto3, structlog"
PROGRAM = "ecr_cleaner.handler"
FIRST_CALL = "until the first call"
FULL = (("DRY_RUN", "false"), ("MAX_DELETIONS", "1000000"))

STANDARD = WorldSpec(
    repositories=50, images=1000, services=500, tasks=1075, functions=200, revisions=5
)
NO_CONSUMERS = WorldSpec(images=1000, services=10, tasks=20, functions=5)


@dataclass(frozen=True, slots=True)
class Scenario:
    """One run of the program in one account."""

    name: str
    config: FakeConfig
    settings: tuple[tuple[str, str], ...] = ()


def _dry(name: str, world: WorldSpec) -> Scenario:
    return Scenario(name, FakeConfig(world, LATENCY))


def _full(name: str, world: WorldSpec) -> Scenario:
    return Scenario(name, FakeConfig(world, LATENCY), FULL)


STANDARD_DRY = _dry("standard, dry run", STANDARD)
STANDARD_FULL = _full("standard, full clean", STANDARD)

BY_IMAGES = [
    _dry(f"{count * 1000:,} images", replace(NO_CONSUMERS, repositories=count))
    for count in (10, 50, 200)
]
BY_CONSUMERS = [
    _dry(
        f"{count:,} services",
        WorldSpec(repositories=10, services=count, tasks=2 * count, functions=count // 5),
    )
    for count in (250, 1000, 2500)
]

SLOW_DELETIONS = {"ecr:BatchDeleteImage": Rate(2, 2)}
UNDER_RATES = [
    Scenario("published rates, dry run", FakeConfig(STANDARD, LATENCY, rates=PUBLISHED)),
    Scenario(
        "two deletions a second",
        FakeConfig(replace(NO_CONSUMERS, repositories=3), LATENCY, rates=SLOW_DELETIONS),
        FULL,
    ),
]

# As many as are enabled in every account
# (https://docs.aws.amazon.com/accounts/latest/reference/manage-acct-regions.html).
REGIONS = (
    *("eu-west-1", "eu-west-2", "eu-west-3", "eu-central-1", "eu-north-1", "us-east-1"),
    *("us-east-2", "us-west-1", "us-west-2", "ca-central-1", "sa-east-1", "ap-south-1"),
    *("ap-northeast-1", "ap-northeast-2", "ap-northeast-3", "ap-southeast-1", "ap-southeast-2"),
)
SMALL = WorldSpec(repositories=10)
# By HTTPS: the connections of many clients cost more than the clients.
ONE_REGION = Scenario("small, one region", FakeConfig(SMALL, LATENCY, tls=True))
ALL_REGIONS = Scenario(
    f"small, {len(REGIONS)} regions", ONE_REGION.config, (("SCAN_REGIONS", ",".join(REGIONS)),)
)

FIRST_NIGHT = Scenario("published rates, first night", UNDER_RATES[0].config)
SECOND_NIGHT = Scenario("published rates, second night", UNDER_RATES[0].config)

# The cold start is the same in any account.
TINY = FakeConfig(WorldSpec(repositories=1, images=1, services=1, tasks=1, functions=1))
STARTS = 5

# What is scanned in the table of sizes of the README, by HTTPS.
BY_SIZE = {
    "the account above": replace(STANDARD_DRY, config=replace(STANDARD_DRY.config, tls=True)),
    f"a small account in {len(REGIONS)} regions": ALL_REGIONS,
}

# Too large to run every time: only with --million.
MILLION = [
    _full(f"{count * 1000:,} images, full clean", replace(NO_CONSUMERS, repositories=count))
    for count in (50, 1000)
]


class Bench:
    """Runs scenarios one after another until the time limit, and keeps the measurements."""

    def __init__(self, seconds: float, write: Callable[[str], object]) -> None:
        self._deadline = Deadline.after(seconds)
        self._write = write
        self.runs: dict[str, Run] = {}

    def measure(self, scenarios: Iterable[Scenario]) -> None:
        for scenario in scenarios:
            try:
                with fake_aws(scenario.config) as fake:
                    run = run_program(fake, self._deadline, dict(scenario.settings))
            except DeadlineError:
                self._write(f"skipped, out of time: {scenario.name}\n")
                continue
            self.runs[scenario.name] = run
            self._write(f"{scenario.name}: {run.measured.wall:.1f} s, {outcome(run)}\n")
            if run.measured.status:
                self._write(run.measured.output[-2000:])

    def two_nights(self) -> None:
        """Measure two runs that have a ledger, the second with what the first left."""
        with TemporaryDirectory() as directory:
            ledger = (("LEDGER", f"{directory}/ledger"),)
            self.measure(replace(one, settings=ledger) for one in (FIRST_NIGHT, SECOND_NIGHT))

    def by_size(self) -> Mapping[str, Mapping[int, float]]:
        """Measure dry runs with the processor of each size of a function; return the seconds."""
        seconds: dict[str, dict[int, float]] = {name: {} for name in BY_SIZE}
        for name, scenario in BY_SIZE.items():
            for memory in lambda_sizes.SIZES:
                with fake_aws(scenario.config) as fake:
                    run = run_program(fake, self._deadline, dict(scenario.settings), memory)
                seconds[name][memory] = run.measured.wall
                used = f"{run.measured.cpu:.1f} s of the processor, {outcome(run)}"
                peak = run.measured.peak_bytes / MEBIBYTE
                self._write(
                    f"{name}, {memory} MB: {run.measured.wall:.1f} s, {used}, {peak:.0f} MiB\n"
                )
        return seconds

    def sequential(self) -> Mapping[str, Any] | None:
        """Measure the sequential client on a sample of the standard account."""
        try:
            with fake_aws(STANDARD_FULL.config) as fake:
                return run_sequential(fake, self._deadline)
        except DeadlineError:
            self._write("skipped, out of time: the sequential client\n")
            return None

    def cold_start(self) -> Mapping[str, float]:
        """Return the median times of the imports and of the start up to the first call."""
        taken: dict[str, list[float]] = defaultdict(list)
        try:
            for _ in range(STARTS):
                for modules in (LIBRARIES, PROGRAM):
                    taken[modules].append(run_import(modules, self._deadline).wall)
                with fake_aws(TINY) as fake:
                    taken[FIRST_CALL].append(run_program(fake, self._deadline, {}).first_call)
        except DeadlineError:
            self._write("skipped, out of time: the cold start\n")
        return {name: median(times) for name, times in taken.items() if times}

    def show(self, lines: Iterable[str]) -> None:
        self._write("\n" + "\n".join(lines) + "\n")

    def show_growth(self, title: str, scenarios: Iterable[Scenario]) -> None:
        """Plot time and memory over the runs of these scenarios."""
        runs = {one.name: self.runs[one.name] for one in scenarios if one.name in self.runs}
        wall = [(name, run.measured.wall) for name, run in runs.items()]
        peak = [(name, run.measured.peak_bytes / MEBIBYTE) for name, run in runs.items()]
        if runs:
            self.show(
                [*plot(f"Time by {title}", "s", wall), *plot(f"Peak by {title}", "MiB", peak)]
            )


def ratio_lines(runs: Mapping[str, Run], sample: Mapping[str, Any]) -> Iterable[str]:
    """Yield the comparison with the sequential client in the same account."""
    yield "A sequential client in the same account, extrapolated from at most 40 calls of each"
    yield "operation (number of calls times mean time, because it makes one call at a time):"
    for scenario, mode in ((STANDARD_DRY, "dry"), (STANDARD_FULL, "full")):
        run = runs.get(scenario.name)
        if run is not None:
            calls = run.stats["sequential"][mode]
            seconds = sum(count * _mean(sample, name) for name, count in calls.items())
            yield (
                f"  {scenario.name}: {sum(calls.values()):,} calls, {seconds:,.0f} s; the program "
                f"{run.measured.wall:.1f} s, 1/{seconds / run.measured.wall:,.0f} of it"
            )


def _mean(sample: Mapping[str, Any], operation: str) -> float:
    calls, wall, _ = sample[operation]
    return float(wall) / float(calls)


def rate_lines(runs: Mapping[str, Run]) -> Iterable[str]:
    """Yield the comparison of the throttled runs with the time that the rates alone require."""
    measured = [scenario for scenario in UNDER_RATES if scenario.name in runs]
    if measured:
        yield "Time that the rates alone require for the calls of the run:"
    for scenario in measured:
        run = runs[scenario.name]
        least = least_seconds(run.calls, scenario.config.rates)
        yield (
            f"  {scenario.name}: {least:.1f} s; the program {run.measured.wall:.1f} s, "
            f"{run.measured.wall / max(least, 0.001):.2f} times that"
        )


def night_lines(runs: Mapping[str, Run]) -> Iterable[str]:
    """Yield what a second run saves that knows what the first one found."""
    if {FIRST_NIGHT.name, SECOND_NIGHT.name} <= runs.keys():
        first, second = runs[FIRST_NIGHT.name], runs[SECOND_NIGHT.name]
        yield "Two runs with a ledger, under the published rates:"
        yield (
            f"  {first.scan_calls:,} and {second.scan_calls:,} scan calls, "
            f"{second.scan_calls / first.scan_calls:.2f} of the first; "
            f"{first.measured.wall:.1f} s and {second.measured.wall:.1f} s, "
            f"{second.measured.wall / first.measured.wall:.2f} of the first"
        )


def region_lines(runs: Mapping[str, Run]) -> Iterable[str]:
    """Yield the cost of the other regions if nothing runs in them."""
    if {ONE_REGION.name, ALL_REGIONS.name} <= runs.keys():
        one, every = runs[ONE_REGION.name], runs[ALL_REGIONS.name]
        added = every.measured.peak_bytes - one.measured.peak_bytes
        yield f"{len(REGIONS)} regions, {len(REGIONS) - 1} of them empty, in a small account:"
        yield (
            f"  {one.scan_calls:,} and {every.scan_calls:,} scan calls; "
            f"{one.measured.wall:.1f} s and {every.measured.wall:.1f} s, "
            f"{every.measured.wall / one.measured.wall:.2f} times one region; "
            f"{every.measured.cpu / one.measured.cpu:.2f} times its CPU time; "
            f"{added / MEBIBYTE:+.0f} MiB"
        )


def cold_start_lines(seconds: Mapping[str, float]) -> Iterable[str]:
    """Yield the time of a cold start, relative to importing the two libraries alone."""
    if LIBRARIES in seconds:
        yield f"Cold start of the process, median of {STARTS}:"
    for name, taken in seconds.items():
        yield f"  {name}: {taken:.2f} s, {taken / seconds[LIBRARIES]:.2f} times the libraries"


def main() -> int:
    """Run every scenario and print the measurements; return 1 if a reference was broken."""
    parser = argparse.ArgumentParser(prog="bench", description=__doc__)
    parser.add_argument("--seconds", type=float, default=300, help="time limit (300)")
    parser.add_argument("--million", action="store_true", help="only runs up to a million images")
    parser.add_argument("--sizes", action="store_true", help="only sizes of a Lambda function")
    arguments = parser.parse_args()
    bench = Bench(arguments.seconds, _write)
    if arguments.sizes:
        bench.show(lambda_sizes.table(bench.by_size()))
        return 0
    if arguments.million:
        bench.measure(MILLION)
        bench.show_growth("images", MILLION)
        bench.show(judging.judging_lines(judging.MILLION))
    else:
        _measure_all(bench)
    bench.show([*run_table(bench.runs), "", *LEGEND])
    return int(any(run.stats["broken"] for run in bench.runs.values()))


def _measure_all(bench: Bench) -> None:
    cold_start = bench.cold_start()
    bench.measure([STANDARD_DRY, STANDARD_FULL])
    sample = bench.sequential()
    bench.two_nights()
    bench.measure([ONE_REGION, ALL_REGIONS])
    bench.measure([*UNDER_RATES, *BY_IMAGES, *BY_CONSUMERS])
    standard = {name: run for name, run in bench.runs.items() if name.startswith("standard")}
    bench.show(call_table(standard))
    if sample:
        bench.show(ratio_lines(bench.runs, sample))
    bench.show(rate_lines(bench.runs))
    bench.show(night_lines(bench.runs))
    bench.show(region_lines(bench.runs))
    bench.show(cold_start_lines(cold_start))
    bench.show(judging.judging_lines(judging.SIZES))
    bench.show_growth("images", BY_IMAGES)
    bench.show_growth("consumers", BY_CONSUMERS)


def _write(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
