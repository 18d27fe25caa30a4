"""What saved queries and metrics read is what the program writes, field by field."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from ecr_cleaner.core.errors import ApiError, InvalidSettingError, RunFailedError, ScanError
from ecr_cleaner.core.in_use import Broken
from ecr_cleaner.core.model import (
    Action,
    ClusterReading,
    Guard,
    Image,
    Plan,
    Reason,
    Registry,
    Repository,
    StandingGuard,
    Verdict,
)
from ecr_cleaner.core.near_misses import NearMiss
from ecr_cleaner.core.outcome import Left, Outcome
from ecr_cleaner.core.settings import Settings
from ecr_cleaner.core.summary import Facts, Result, Tally, summarize
from ecr_cleaner.report.events import RUN_FAILED
from ecr_cleaner.report.lines import log_error, make_logger
from ecr_cleaner.report.repository_report import RepositoryReport
from ecr_cleaner.report.run_report import RunReport

Line = dict[str, Any]

MODULE = Path(__file__).resolve().parents[2] / "terraform"
QUERIES = sorted((MODULE / "queries").glob("*.query"))

# -- What the program writes -------------------------------------------------------------------

NOW = datetime(2026, 3, 1, tzinfo=UTC)
REPOSITORY = Repository(
    Registry("123456789012", "eu-west-1"),
    "team/app",
    "arn:aws:ecr:eu-west-1:123456789012:repository/team/app",
    {"BoxCleanerEnabled": "True"},
)
DENIED = ApiError("ecs", "ListClusters", code="AccessDenied", message="no", action="ecs:List")
GUARD = StandingGuard(Guard.EKS_CLUSTERS, "EKS clusters exist")
CLUSTER = ClusterReading("eks", "prod", problem="access was denied", fix="add an access entry")


def verdict(digest: str, action: Action, reason: Reason, *, old: bool = True) -> Verdict:
    image = Image(digest, ("v1",), NOW - timedelta(days=90), size_bytes=1000)
    return Verdict(image, action, reason, ("arn:service", "arn:function"), old)


REMOVED = verdict("sha256:a", Action.DELETE, Reason.UNUSED)
PLAN = Plan(
    REPOSITORY,
    (
        REMOVED,
        verdict("sha256:b", Action.KEEP, Reason.IN_USE),
        verdict("sha256:c", Action.KEEP, Reason.TOO_YOUNG, old=False),
    ),
    ((REMOVED,),),
)
BROKEN = Broken("sha256:d", "missing", ("arn:service", "arn:function"))
OUTCOME = Outcome(
    removed={"sha256:a": REMOVED},
    failed={"sha256:e": "KmsError"},
    left={"sha256:f": Left.OUT_OF_TIME},
    error=DENIED,
)


def write_everything() -> None:
    """Write each line that the program knows, as it writes it."""
    log = make_logger("DEBUG", request_id="1", dry_run=False)
    settings = Settings(dry_run=False, waived_guards=("eks-clusters",))
    run = RunReport(log, settings)
    run.started()
    run.scanned("ecs", again=False, state="scanned", usages=1, seconds=0.5, calls=3)
    run.coverage({"ecs": {"state": "scanned", "usages": 1}})
    run.clusters([CLUSTER])
    run.unseen({"arn:task-definition": ["arn:service"]})
    run.remembers("s3://bucket/ledger", date(2026, 2, 1), images=1)
    run.remembers(None, None, images=0)
    run.pull_times("exclude the role", ["another role is excluded"])
    run.events_left(["a message is not an event"])
    run.not_opted_in([REPOSITORY])
    repository = RepositoryReport(log, REPOSITORY.name, NOW)
    tally = Tally(near_misses=1)
    tally.count_plan(PLAN, [BROKEN])
    repository.broken([BROKEN])
    repository.near_misses([NearMiss(REPOSITORY.name, NOW, PLAN.verdicts[1])])
    repository.plan(PLAN, [GUARD], sweeping=False)
    repository.plan(PLAN, [], sweeping=True)
    tally.count_outcome(OUTCOME)
    repository.outcome(OUTCOME)
    repository.done(tally)
    failed = summarize([Result(tally, [GUARD], DENIED)], settings)
    run.finished(failed)
    RunReport(log, replace(settings, max_deletions=0)).finished(failed)
    run.finished(summarize([Result(unvisited=True)], settings, Facts(slowest_scan_seconds=200)))
    run.misspelled({REPOSITORY.name: ["boxcleanerenabled"]})
    setting = InvalidSettingError("ACTION", "drop", "delete or archive")
    for error in (RunFailedError(str(failed.failure)), setting, ScanError("ecs", DENIED)):
        log_error(log, RUN_FAILED, error)


@pytest.fixture
def lines(capsys: pytest.CaptureFixture[str]) -> list[Line]:
    write_everything()
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def has(line: Line, field: str) -> bool:
    """Tell whether Logs Insights finds the field: ``tags.0`` is the first entry of a list."""
    found: Any = line
    for part in field.split("."):
        try:
            found = found[int(part)] if isinstance(found, list) else found[part]
        except (KeyError, IndexError, TypeError):
            return False
    return True


# -- What a query reads ------------------------------------------------------------------------

# Those that CloudWatch makes begin with an @, and Lambda itself writes this one.
OF_THE_PLATFORM = {"record.status"}

WORDS = frozenset(
    {
        *("fields", "filter", "stats", "sort", "limit"),
        *("and", "or", "in", "by", "as", "asc", "desc", "latest"),
    }
)
STRING = re.compile(r'"[^"]*"')
NAME = re.compile(r"@?[A-Za-z_]\w*(?:\.\w+)*")
EVENTS = re.compile(r'\bevent (?:= ("[^"]*")|in \[([^\]]*)\])')


@dataclass(frozen=True)
class Query:
    """A saved query, taken apart as far as these tests need it."""

    text: str

    @classmethod
    def read(cls, file: Path) -> Query:
        lines = file.read_text().splitlines()
        return cls("\n".join(line for line in lines if not line.startswith("#")))

    @property
    def events(self) -> set[str]:
        """The events that it selects."""
        named = (match[1] or match[2] for match in EVENTS.finditer(self.text))
        return {string[1:-1] for names in named for string in STRING.findall(names)}

    @property
    def fields(self) -> set[str]:
        """Every field of the program's lines that it names."""
        names = set(NAME.findall(STRING.sub("", self.text)))
        made = set(re.findall(r"\bas (\w+)", self.text))
        own = {name for name in names if not name.startswith("@")}
        return own - made - WORDS - OF_THE_PLATFORM

    def selected(self, lines: list[Line]) -> Iterator[Line]:
        """Yield the lines that it selects."""
        errors = 'level = "error"' in self.text
        for line in lines:
            if line["event"] in self.events or (errors and line["level"] == "error"):
                yield line


@pytest.mark.parametrize("file", QUERIES, ids=lambda file: file.stem)
def test_query_names_only_events_and_fields_that_are_written(file: Path, lines: list[Line]) -> None:
    query = Query.read(file)
    selected = list(query.selected(lines))

    assert query.events, "a query that selects nothing by its event is not understood here"
    assert query.events <= {line["event"] for line in selected}
    for field in query.fields:
        assert any(has(line, field) for line in selected), f"no such line has {field}"


def test_queries_are_read_as_they_are_meant() -> None:
    query = Query.read(MODULE / "queries" / "savings.query")

    assert query.events == {"Repository finished"}
    assert query.fields == {"event", "removable_bytes", "removable", "kept_total", "repository"}


def test_every_line_at_level_error_is_a_failure(lines: list[Line]) -> None:
    failures = Query.read(MODULE / "queries" / "failures.query")
    errors = [line for line in lines if line["level"] == "error"]

    assert {line["event"] for line in errors} == {
        "Image could not be removed",
        "Repository failed",
        "Run failed",
    }
    assert [line for line in failures.selected(lines) if line["level"] == "error"] == errors


# -- What a metric reads -----------------------------------------------------------------------

METRIC = re.compile(r'(\w+) += \{ field = "(\w+)", unit = "(\w+)" \}')


def metrics() -> dict[str, tuple[str, str]]:
    """Return field and unit of each metric by its name."""
    text = (MODULE / "metrics.tf").read_text()
    return {name: (field, unit) for name, field, unit in METRIC.findall(text)}


COUNTER = re.compile(r'name += "(\w+)"\n[^}]*\{ \$\.event = \\"([^"\\]+)\\" \}')


def counters() -> dict[str, str]:
    """Return the event of each metric that counts one by the metric's name."""
    return dict(COUNTER.findall((MODULE / "metrics.tf").read_text()))


def test_what_a_night_is_judged_by_is_measured() -> None:
    assert {field for field, _ in metrics().values()} >= {
        *("removed", "removed_bytes", "removable", "removable_bytes", "kept_total"),
        *(
            "failed",
            "broken_references",
            "near_misses",
            "repositories_unvisited",
            "duration_seconds",
        ),
    }


def test_metrics_are_numbers_of_the_line_that_ends_a_run(lines: list[Line]) -> None:
    event = re.search(r'\(\$\.event = \\"([^"\\]+)\\"\)', (MODULE / "metrics.tf").read_text())
    assert event is not None
    summaries = [line for line in lines if line["event"] == event[1]]

    assert summaries
    for name, (field, _) in metrics().items():
        types = {type(summary[field]) for summary in summaries if field in summary}
        assert types <= {int, float}, f"{name} is taken from {field}"


def test_metrics_that_count_an_event_count_one_that_is_written(lines: list[Line]) -> None:
    assert counters()
    assert set(counters().values()) <= {line["event"] for line in lines}


def test_units_are_those_of_the_fields() -> None:
    for field, unit in metrics().values():
        suffix = {"Bytes": "_bytes", "Seconds": "_seconds", "Count": ""}[unit]
        assert field.endswith(suffix)
        assert (unit == "Count") == (not field.endswith(("_bytes", "_seconds")))


def test_alarms_watch_metrics_that_exist() -> None:
    text = (MODULE / "alarms.tf").read_text()
    watched = set(re.findall(r'metric_name +=\s+"(\w+)"', text))

    of_aws = {"Errors", "Invocations", "ExecutionsFailed"}
    assert watched == of_aws | {"DeletionsFailed", "RunsWithoutVisit", "SlowScans"}
    assert watched - of_aws <= {*metrics(), *counters()}
