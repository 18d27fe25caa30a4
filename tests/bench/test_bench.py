"""The benchmark in a small account: assert calls and references, never times."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from bench.__main__ import STANDARD
from bench.config import FakeConfig
from bench.measure import Deadline, Run, fake_aws, run_program
from bench.rates import PUBLISHED, Rate, least_seconds
from bench.report import call_ratio, call_table, run_table
from bench.world import WorldSpec

# More than one page of everything, and every kind of image and consumer.
SMALL = WorldSpec(
    repositories=3,
    images=1100,
    not_opted_in=1,
    clusters=2,
    services=230,
    tasks=230,
    functions=60,
    app_runner_services=21,
    rolling=0.2,
    versions=0.2,
    revisions=2,
)
FULL = {"DRY_RUN": "false", "MAX_DELETIONS": "1000000"}


def _run(settings: dict[str, str], world: WorldSpec = SMALL) -> Run:
    with fake_aws(FakeConfig(world, latency=0.001)) as fake:
        return run_program(fake, Deadline.after(300), settings)


@pytest.fixture(scope="module", name="dry")
def _dry() -> Run:
    return _run({})


@pytest.fixture(scope="module", name="full")
def _full() -> Run:
    return _run(FULL)


def test_run_over_https_with_a_share_of_a_processor_is_as_complete() -> None:
    world = WorldSpec(repositories=1, images=10, services=2, tasks=2, functions=2)
    runs = []
    for tls, memory in ((False, None), (True, 512)):
        with fake_aws(FakeConfig(world, tls=tls)) as fake:
            runs.append(run_program(fake, Deadline.after(300), {}, memory))
    plain, shared = runs
    assert [run.measured.status for run in runs] == [0, 0], shared.measured.output[-2000:]
    assert shared.calls == plain.calls


def test_dry_run_makes_at_most_a_tenth_more_calls_than_needed(dry: Run) -> None:
    assert call_ratio(dry) <= 1.1, "\n".join(call_table({"dry run": dry}))


def test_full_clean_makes_at_most_a_tenth_more_calls_than_needed(full: Run) -> None:
    assert call_ratio(full) <= 1.1, "\n".join(call_table({"full clean": full}))


def test_dry_run_changes_nothing(dry: Run) -> None:
    assert (dry.measured.status, dry.stats["removed"]) == (0, 0), dry.measured.output[-2000:]
    assert dry.summary["removable"] == dry.stats["removable"]


def test_full_clean_removes_all_removable_images_and_breaks_nothing(full: Run) -> None:
    assert full.measured.status == 0, full.measured.output[-2000:]
    assert full.summary["complete"]
    assert full.summary["removed"] == full.stats["removed"] == full.stats["removable"]
    assert (full.stats["broken"], full.stats["removed_wrongly"]) == (0, 0)


def test_second_run_makes_less_than_a_third_of_the_scan_calls_of_the_first(tmp_path: Path) -> None:
    """A third of the consumers of the standard account; its many images take no scan calls."""
    third = {name: getattr(STANDARD, name) // 3 for name in ("services", "tasks", "functions")}
    world = replace(STANDARD, repositories=3, images=20, **third)
    first, second = (_run({"LEDGER": str(tmp_path / "ledger")}, world) for _ in range(2))
    assert 3 * second.scan_calls < first.scan_calls, "\n".join(call_table({"second": second}))
    same = ("images", "kept", "removable", "complete")
    assert [second.summary[name] for name in same] == [first.summary[name] for name in same]
    listed = {name for name in first.calls if ":List" in name} - {"ecs:ListServiceDeployments"}
    assert {name: second.calls[name] for name in listed} == {
        name: first.calls[name] for name in listed
    }


def test_table_has_a_row_for_the_run(full: Run) -> None:
    head, _, row = run_table({"full clean": full})
    assert head.split()[:2] == ["run", "images"]
    assert row.split()[:3] == ["full", "clean", "3,300"]
    assert row.endswith("complete")


def test_rates_require_a_minimum_time() -> None:
    calls = {"ecs:ListServices": 150, "ecs:DescribeServices": 100, "ecr:DescribeImages": 10_000}
    assert least_seconds(calls, PUBLISHED) == (250 - 50) / 20
    assert least_seconds({"a": 5}, {"a": Rate(10, 1)}) == 0
