"""The exact lines that operators read."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pytest

from core.worlds import NOW, REPOSITORY, ago, image, index, plan_of, sha
from ecr_cleaner.core.errors import ApiError
from ecr_cleaner.core.in_use import Broken
from ecr_cleaner.core.locations import Location
from ecr_cleaner.core.model import Guard, Image, Plan, StandingGuard, Verdict
from ecr_cleaner.core.near_misses import NearMiss
from ecr_cleaner.core.outcome import Left, Outcome
from ecr_cleaner.core.settings import Settings
from ecr_cleaner.core.summary import Result, Tally, summarize
from ecr_cleaner.report.repository_report import LINES_A_WRITE, RepositoryReport
from ecr_cleaner.report.run_report import RunReport
from fakes.log import FakeLog

OLD = image("old", 100, tags="v1 v2", size_bytes=7)


class Log(FakeLog):
    """Keeps the lines of a reporter."""

    def reporter(self) -> RepositoryReport:
        return RepositoryReport(self.logger(), REPOSITORY.name, NOW)

    def finish(self, results: Sequence[Result]) -> dict[str, Any]:
        """Write the summary of these results and return it."""
        summary = summarize(results, Settings())
        RunReport(self.logger(), Settings()).finished(summary)
        return summary.fields()


@pytest.fixture
def log() -> Log:
    return Log()


def told(subject: Image, **more: Any) -> dict[str, Any]:
    pushed = subject.pushed_at
    return {
        "repository": "app",
        "action": "keep",
        "digest": subject.digest,
        "tags": subject.tags,
        "pushed_at": pushed and pushed.isoformat(),
        "size_bytes": subject.size_bytes,
        "because": (),
    } | more


@pytest.mark.parametrize(
    ("sweeping", "event"),
    [
        (False, "Found unused image, should be removed"),
        (True, "Found unused image, removing"),
    ],
)
def test_unused_image(log: Log, sweeping: bool, event: str) -> None:
    log.reporter().plan(plan_of(OLD), [], sweeping=sweeping)
    line = told(OLD, age_days=100, reason="unused", action="delete")
    assert log.lines == [line | {"event": event, "log_level": "info"}]


@pytest.mark.parametrize("count", [1, LINES_A_WRITE, 2 * LINES_A_WRITE + 1])
def test_each_of_many_unused_images_has_its_line(log: Log, count: int) -> None:
    images = [image(f"old-{number}", 100) for number in range(count)]
    log.reporter().plan(plan_of(*images), [], sweeping=False)
    assert [line["digest"] for line in log.lines] == [one.digest for one in images]


def test_unused_image_of_a_guarded_repository(log: Log) -> None:
    guards = [
        StandingGuard(Guard.NO_USAGE, "nothing found"),
        StandingGuard(Guard.EKS_CLUSTERS, "there is one"),
    ]
    log.reporter().plan(plan_of(OLD), guards, sweeping=False)
    assert log.lines[:2] == [
        {
            "event": "Repository is guarded",
            "log_level": "warning",
            "repository": "app",
            "guard": guard,
            "why": why,
        }
        for guard, why in (("no-usage", "nothing found"), ("eks-clusters", "there is one"))
    ]
    assert log.lines[2]["guarded_by"] == ["no-usage", "eks-clusters"]


def test_old_image_in_use_with_its_consumers(log: Log) -> None:
    log.reporter().plan(plan_of(OLD, used=["old"]), [], sweeping=True)
    line = told(OLD, age_days=100, reason="in_use", because=("arn:of-old",))
    assert log.lines == [line | {"event": "Found old image in use", "log_level": "info"}]


def test_old_index_whose_child_is_in_use(log: Log) -> None:
    parent = index("index")
    children = {"index": ["old"]}
    log.reporter().plan(plan_of(parent, OLD, children=children, used=["old"]), [], sweeping=True)
    by_reason = {line["reason"]: line for line in log.lines}
    assert by_reason["family_in_use"]["event"] == "Found old image in use"
    assert by_reason["family_in_use"]["because"] == ("arn:of-old",)


@pytest.mark.parametrize(
    ("subject", "used", "age", "reason"),
    [
        (image("young", 1), [], 1, "too_young"),
        (image("young", 1), ["young"], 1, "in_use"),
        (image("when", pushed_at=None), [], None, "time_unknown"),
    ],
)
def test_other_images_are_logged_at_debug_level_only(
    log: Log, subject: Image, used: list[str], age: int | None, reason: str
) -> None:
    log.reporter().plan(plan_of(subject, used=used), [], sweeping=True)
    because = tuple(f"arn:of-{name}" for name in used)
    assert log.lines == [
        told(subject, age_days=age, reason=reason, because=because)
        | {"event": "Keeping image", "log_level": "debug"}
    ]


def verdicts(plan: Plan) -> dict[str, Verdict]:
    return {verdict.image.digest: verdict for verdict in plan.verdicts}


def test_images_that_a_sweep_did_not_remove(log: Log) -> None:
    error = ApiError("ecr", "BatchDeleteImage", code="ThrottlingException", message="slow")
    left = {sha("b"): Left.CHANGED, sha("c"): Left.MAX_DELETIONS, sha("d"): Left.CHANGED}
    log.reporter().outcome(Outcome(failed={sha("a"): "KmsError"}, left=left, error=error))
    common = {"repository": "app"}
    assert log.lines == [
        common
        | {
            "event": "Image could not be removed",
            "log_level": "error",
            "digest": sha("a"),
            "code": "KmsError",
        },
        *(
            common
            | {
                "event": "Images left for the next run",
                "log_level": "warning",
                "reason": reason,
                "count": count,
            }
            for reason, count in (("changed_since_listing", 2), ("max_deletions_reached", 1))
        ),
        common
        | {
            "event": "Repository failed",
            "log_level": "error",
            "error": "ecr BatchDeleteImage failed with ThrottlingException: slow",
            "service": "ecr",
            "operation": "BatchDeleteImage",
            "code": "ThrottlingException",
        },
    ]


def test_sweep_without_failures_writes_nothing(log: Log) -> None:
    log.reporter().outcome(Outcome(removed=verdicts(plan_of(OLD)), gone=verdicts(plan_of(OLD))))
    assert log.lines == []


def test_broken_reference(log: Log) -> None:
    log.reporter().broken([Broken("v1", "missing", ("arn:a", "arn:b"))])
    assert log.lines == [
        {
            "event": "Found broken reference",
            "log_level": "warning",
            "repository": "app",
            "reference": "v1",
            "problem": "missing",
            "consumers": ["arn:a", "arn:b"],
        }
    ]


def test_sizes_of_indexes_are_those_of_the_images_that_they_list() -> None:
    plan = plan_of(index("index"), image("child"), OLD, children={"index": ["child"]})
    tally = Tally()
    tally.count_plan(plan, [])
    tally.count_outcome(Outcome(removed=verdicts(plan)))
    sizes = (tally.images_bytes, tally.removable_bytes, tally.removed_bytes)
    assert sizes == (17, 17, 17)
    assert tally.removable == 3


def test_near_misses_are_warnings_with_the_time_of_the_plan(log: Log) -> None:
    plan = plan_of(image("used"), used=["used"])
    near = [NearMiss("app", NOW, verdict) for verdict in plan.verdicts]
    log.reporter().near_misses(near)
    (line,) = log.lines
    assert (line["event"], line["log_level"]) == ("Found near miss", "warning")
    assert (line["digest"], line["planned_at"]) == (sha("used"), "2026-03-01T12:00:00+00:00")
    assert line["because"] == ("arn:of-used",)


def test_totals_of_one_repository_and_of_several(log: Log) -> None:
    plan = plan_of(OLD, image("young", 1), image("younger", 1), image("used"), used=["used"])
    outcome = Outcome(
        removed=verdicts(plan_of(OLD)),
        gone=verdicts(plan_of(image("gone"))),
        failed={sha("a"): "KmsError", sha("b"): "KmsError"},
        left=dict.fromkeys(map(sha, ("c", "d", "e")), Left.CHANGED),
    )
    tally = Tally(near_misses=0)
    tally.count_plan(plan, [Broken("v9", "missing", ())])
    tally.count_outcome(outcome)
    log.reporter().done(tally)
    numbers = {
        "images": 4,
        "images_bytes": 37,
        "kept": {"in_use": 1, "too_young": 2},
        "kept_total": 3,
        "removable": 1,
        "removable_bytes": 7,
        "removed": 1,
        "removed_bytes": 7,
        "already_gone": 1,
        "failed": 2,
        "left": 3,
        "broken_references": 1,
        "near_misses": 0,
    }
    head = {"event": "Repository finished", "log_level": "info", "repository": "app"}
    assert log.lines == [head | numbers]
    total = Tally()
    total.add(tally)
    total.add(tally)
    assert total.fields() == {
        key: value * 2 if isinstance(value, int) else {"in_use": 2, "too_young": 4}
        for key, value in numbers.items()
    }


def test_near_misses_that_are_unknown_are_no_number() -> None:
    total = Tally()
    total.add(Tally())
    assert "near_misses" not in total.fields()
    for known in (2, None, 3):
        total.add(Tally(near_misses=known))
    assert total.fields()["near_misses"] == 5


def test_age_is_in_whole_days(log: Log) -> None:
    log.reporter().plan(plan_of(image("a", pushed_at=ago(99, 86_399))), [], sweeping=True)
    assert [line["age_days"] for line in log.lines] == [99]


def test_run_without_time_for_any_repository_is_a_warning_and_not_an_error(log: Log) -> None:
    summary = log.finish([Result(unvisited=True), Result(unvisited=True)])
    assert (summary["repositories_unvisited"], summary["errors"]) == (2, [])
    assert log.events("No repository was visited") == [
        {
            "event": "No repository was visited",
            "log_level": "warning",
            "repositories": 2,
            "why": "the scan took all the time of the run; raise the timeout or the memory of the "
            "function",
        }
    ]


@pytest.mark.parametrize(
    "results",
    [[], [Result()], [Result(unvisited=True), Result()]],
    ids=["none there", "visited", "one of two visited"],
)
def test_run_with_time_for_a_repository_or_without_repositories_is_not_a_warning(
    log: Log, results: list[Result]
) -> None:
    log.finish(results)
    assert [line["event"] for line in log.lines] == ["Run finished"]


def test_error_of_many_repositories_is_named_once(log: Log) -> None:
    denied = ApiError("ecs", "ListTasks", code="AccessDeniedException", message="denied")
    results = [Result(error=denied), Result(error=ValueError("odd")), Result(error=denied)]
    assert log.finish(results)["errors"] == [
        "ecs ListTasks failed with AccessDeniedException: denied (in 2 repositories)",
        "odd",
    ]


def test_line_of_the_summary_is_short_enough_for_cloudwatch(log: Log) -> None:
    results = [
        Result(error=ApiError("ecr", "DescribeImages", code=f"Code{number}", message="x" * 2000))
        for number in range(1000)
    ]
    summary = log.finish(results)
    assert len(summary["errors"]) == 21
    assert summary["errors"][-1] == "980 more errors, all of which are in the log"
    assert len(json.dumps(log.lines[-1])) < 256 * 1024
    assert len(str(summarize(results, Settings()).failure)) < 256 * 1024


def test_accounts_of_a_large_organization_take_several_lines(log: Log) -> None:
    places = [
        Location(f"{number:012}", f"region-{n:02}") for number in range(900) for n in range(34)
    ]
    RunReport(log.logger(), Settings()).targets(places, {"999999999999": "SUSPENDED"})
    assert [len(line["accounts"]) for line in log.lines] == [400, 400, 100]
    assert {line["targets"] for line in log.lines} == {len(places)}
    assert ["left_out" in line for line in log.lines] == [True, False, False]
    assert max(len(json.dumps(line)) for line in log.lines) < 256 * 1024
