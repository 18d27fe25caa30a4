"""What a line of the log looks like."""

from __future__ import annotations

import io
import json
import os
from threading import Thread

import pytest

from ecr_cleaner.errors import ApiError
from ecr_cleaner.logs import log_error, make_logger, together

Capsys = pytest.CaptureFixture[str]


class Blocks(io.StringIO):
    """Standard output that knows what each write held."""

    def __init__(self) -> None:
        super().__init__()
        self.blocks: list[str] = []

    def write(self, text: str) -> int:
        self.blocks.append(text)
        return len(text)


def test_a_line_is_one_json_object_with_what_is_bound(capsys: Capsys) -> None:
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


def test_a_line_begins_with_what_a_reader_looks_for(capsys: Capsys) -> None:
    make_logger("INFO", request_id="r-1").bind(repository="app").info("Event", count=2)
    line = json.loads(capsys.readouterr().out)
    assert list(line) == ["timestamp", "level", "event", "request_id", "repository", "count"]


@pytest.mark.parametrize("count", [0, 1, 99, 100, 101, 250])
def test_lines_held_together_are_all_written_in_their_order(
    count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    output = Blocks()
    monkeypatch.setattr("sys.stdout", output)
    log = make_logger("INFO")
    with together():
        for number in range(count):
            log.info("Event", number=number)
    log.info("Event", number=count)
    lines = "".join(output.blocks).splitlines()
    assert [json.loads(line)["number"] for line in lines] == list(range(count + 1))
    assert len(output.blocks) <= count // 100 + 2
    assert all(block.endswith("\n") or not block for block in output.blocks)


def test_lines_held_together_are_written_where_something_fails(capsys: Capsys) -> None:
    def fail() -> None:
        with together():
            make_logger("INFO").info("Event")
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert json.loads(capsys.readouterr().out)["event"] == "Event"


def test_lines_of_another_thread_are_not_held(capsys: Capsys) -> None:
    log = make_logger("INFO")
    with together():
        log.info("held")
        other = Thread(target=log.info, args=["other"])
        other.start()
        other.join(timeout=60)
        assert json.loads(capsys.readouterr().out)["event"] == "other"
    assert json.loads(capsys.readouterr().out)["event"] == "held"


@pytest.mark.parametrize(
    ("level", "written"),
    [
        ("DEBUG", ["debug", "info", "warning", "error"]),
        ("INFO", ["info", "warning", "error"]),
        ("WARNING", ["warning", "error"]),
        ("ERROR", ["error"]),
    ],
)
def test_only_what_reaches_the_level_is_written(
    capsys: Capsys, level: str, written: list[str]
) -> None:
    log = make_logger(level)
    log.debug("a")
    log.info("a")
    log.warning("a")
    log.error("a")
    lines = capsys.readouterr().out.splitlines()
    assert [json.loads(line)["level"] for line in lines] == written


def test_what_json_does_not_know_is_written_as_text(capsys: Capsys) -> None:
    make_logger("INFO").info("Event", where=object)
    assert json.loads(capsys.readouterr().out)["where"] == "<class 'object'>"


def test_two_loggers_do_not_know_what_the_other_has_bound(capsys: Capsys) -> None:
    make_logger("INFO", request_id="first")
    make_logger("INFO").info("Event")
    assert "request_id" not in json.loads(capsys.readouterr().out)


def test_an_error_tells_its_fields(capsys: Capsys) -> None:
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


def test_an_error_that_nobody_foresaw_comes_with_its_traceback(capsys: Capsys) -> None:
    with pytest.raises(LookupError) as caught:
        os.environ["SURPRISE"]
    log_error(make_logger("INFO"), "Run failed", caught.value)
    line = json.loads(capsys.readouterr().out)
    assert line["error"] == "KeyError('SURPRISE')"
    assert line["exception"].startswith("Traceback")
    assert line["exception"].endswith("KeyError: 'SURPRISE'")
