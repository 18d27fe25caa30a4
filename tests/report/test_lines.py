"""The format of log lines."""

from __future__ import annotations

import json
import os

import pytest

from ecr_cleaner.core.errors import ApiError
from ecr_cleaner.report.lines import log_error, make_logger

Capsys = pytest.CaptureFixture[str]


def test_line_is_one_json_object_with_the_bound_fields(capsys: Capsys) -> None:
    make_logger("INFO", request_id="r-1", dry_run=True).info("Event", tags=["v1"], count=2)
    output = capsys.readouterr().out
    assert output.count("\n") == 1
    line = json.loads(output)
    assert line.pop("timestamp").endswith("Z")
    assert line == {
        "event": "Event",
        "level": "info",
        "request_id": "r-1",
        "dry_run": True,
        "tags": ["v1"],
        "count": 2,
    }


def test_line_begins_with_the_most_important_fields(capsys: Capsys) -> None:
    make_logger("INFO", request_id="r-1").bind(repository="app").info("Event", count=2)
    line = json.loads(capsys.readouterr().out)
    assert list(line) == ["timestamp", "level", "event", "request_id", "repository", "count"]


def test_event_with_each_is_one_line_per_item(capsys: Capsys) -> None:
    log = make_logger("INFO", request_id="r-1")
    log.info("Event", repository="app", each=[{"digest": "a"}, {"digest": "b", "tags": ("v1",)}])
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert len({line.pop("timestamp") for line in lines}) == 1
    common = {"level": "info", "event": "Event", "request_id": "r-1", "repository": "app"}
    assert lines == [common | {"digest": "a"}, common | {"digest": "b", "tags": ["v1"]}]


@pytest.mark.parametrize(
    ("level", "written"),
    [
        ("DEBUG", ["debug", "info", "warning", "error"]),
        ("INFO", ["info", "warning", "error"]),
        ("WARNING", ["warning", "error"]),
        ("ERROR", ["error"]),
    ],
)
def test_lines_below_the_minimum_level_are_not_written(
    capsys: Capsys, level: str, written: list[str]
) -> None:
    log = make_logger(level)
    log.debug("a")
    log.info("a")
    log.warning("a")
    log.error("a")
    lines = capsys.readouterr().out.splitlines()
    assert [json.loads(line)["level"] for line in lines] == written


def test_value_unknown_to_json_is_written_as_text(capsys: Capsys) -> None:
    make_logger("INFO").info("Event", where=object)
    assert json.loads(capsys.readouterr().out)["where"] == "<class 'object'>"


def test_loggers_do_not_share_bound_fields(capsys: Capsys) -> None:
    make_logger("INFO", request_id="first")
    make_logger("INFO").info("Event")
    assert "request_id" not in json.loads(capsys.readouterr().out)


def test_error_line_has_the_fields_of_the_error(capsys: Capsys) -> None:
    error = ApiError("ecr", "DescribeImages", code="Denied", message="no", action="ecr:X")
    log_error(make_logger("INFO"), "Repository failed", error, repository="app")
    line = json.loads(capsys.readouterr().out)
    del line["timestamp"]
    assert line == {
        "event": "Repository failed",
        "level": "error",
        "error": "ecr DescribeImages failed with Denied: no (missing IAM action: ecr:X)",
        "service": "ecr",
        "operation": "DescribeImages",
        "code": "Denied",
        "missing_action": "ecr:X",
        "repository": "app",
    }


def test_unexpected_error_has_its_traceback(capsys: Capsys) -> None:
    with pytest.raises(LookupError) as caught:
        os.environ["SURPRISE"]
    log_error(make_logger("INFO"), "Run failed", caught.value)
    line = json.loads(capsys.readouterr().out)
    assert line["error"] == "KeyError('SURPRISE')"
    assert line["exception"].startswith("Traceback")
    assert line["exception"].endswith("KeyError: 'SURPRISE'")
