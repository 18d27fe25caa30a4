"""The entry points: what they check before they call AWS, and how they end."""

from __future__ import annotations

import json
import runpy
import sys
from importlib.abc import MetaPathFinder
from typing import Any
from unittest import mock

import pytest

from core.worlds import NOW, ago
from ecr_cleaner import __main__ as shell
from ecr_cleaner import program
from ecr_cleaner.core.errors import InvalidSettingError, RunFailedError
from ecr_cleaner.core.fan_out import StepError
from fakes.ecr import FakeEcr

REGION = {"AWS_REGION": "eu-west-1"}


@pytest.fixture
def ecr() -> FakeEcr:
    made = FakeEcr(clock=lambda: NOW)
    made.create("app", {})
    return made


@pytest.fixture
def archived(ecr: FakeEcr) -> list[str]:
    """Two archived images, by digest."""
    return [
        ecr.push("app", name, status="ARCHIVED", pushed_at=ago(100), archived_at=ago(10)).digest
        for name in ("a", "b")
    ]


@pytest.fixture(autouse=True)
def sdk(ecr: FakeEcr, monkeypatch: pytest.MonkeyPatch) -> None:
    """Use the fake as the client of every service."""
    session = mock.Mock(region_name="eu-west-1", client=lambda *_, **__: ecr)
    monkeypatch.setattr(program, "open_session", lambda _: session)


def lines(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def status(ecr: FakeEcr) -> dict[str, str]:
    return {digest: one.status for digest, one in ecr.repositories["app"].images.items()}


@pytest.mark.parametrize(
    ("raised", "expected", "told", "shown"),
    [
        (KeyboardInterrupt(), 130, "interrupted", "ecr_cleaner: interrupted\n"),
        (RunFailedError("no"), 1, "no", ""),
        # Not an error of the log itself, so it is written there and nowhere else.
        (FileNotFoundError("a bundle"), 1, "FileNotFoundError('a bundle')", ""),
    ],
)
def test_run_that_ends_early_is_logged_and_sets_the_exit_status(
    raised: BaseException,
    expected: int,
    told: str,
    shown: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(program, "Cleaner", mock.Mock(side_effect=raised))

    assert shell.main([]) == expected
    output = capsys.readouterr()
    assert output.err == shown
    (line,) = [json.loads(line) for line in output.out.splitlines()]
    assert (line["event"], line["level"]) == ("Run failed", "error")
    assert line["error"].startswith(told)


@pytest.mark.parametrize("command", [["plan"], ["explain", "app:v1"], ["apply", "plan.jsonl"]])
def test_command_that_is_interrupted_says_so_in_one_line(
    command: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("Looker", "stored_plan"):
        monkeypatch.setattr(program, name, mock.Mock(side_effect=KeyboardInterrupt()))
    assert shell.main(command) == 130
    assert capsys.readouterr().err == "ecr_cleaner: interrupted\n"


class Interrupting(MetaPathFinder):
    """Interrupts the import of one module."""

    def find_spec(self, fullname: str, *_: object) -> None:
        if fullname == "ecr_cleaner.shell":
            raise KeyboardInterrupt


def test_start_that_is_interrupted_says_so_in_one_line(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(sys.modules, "ecr_cleaner.shell")
    monkeypatch.delattr("ecr_cleaner.shell")
    monkeypatch.setattr(sys, "meta_path", [Interrupting(), *sys.meta_path])
    with pytest.raises(SystemExit) as ended:
        runpy.run_path(shell.__file__)
    assert ended.value.code == 130
    assert capsys.readouterr() == ("", "ecr_cleaner: interrupted\n")


def test_restore_restores_the_images(
    ecr: FakeEcr, archived: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert shell.main(["restore", "app", *archived]) == 0

    assert set(status(ecr).values()) == {"ACTIVATING"}
    told = lines(capsys)
    assert [line["event"] for line in told] == ["Restoring image from the archive"] * 2
    assert {line["dry_run"] for line in told} == {False}


def test_restore_continues_after_a_failure_and_fails_at_the_end(
    ecr: FakeEcr, archived: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    ecr.fail("UpdateImageStorageClass", "AccessDeniedException", nth=1)

    assert shell.main(["restore", "app", *archived]) == 1

    denied, restored = archived
    assert status(ecr) == {denied: "ARCHIVED", restored: "ACTIVATING"}
    first, _, last = lines(capsys)
    assert (first["event"], first["digest"]) == ("Image could not be restored", denied)
    assert first["missing_action"] == "ecr:UpdateImageStorageClass"
    assert (last["event"], last["error"]) == (
        "Run failed",
        "1 of 2 images could not be restored",
    )


def test_restore_ignores_settings_that_it_does_not_need(archived: list[str]) -> None:
    answer = program.restore(REGION | {"DEFAULT_KEEP_DAYS": "abc"}, "r", "app", archived)

    assert answer == {"repository": "app", "restored": archived}


@pytest.mark.parametrize("arguments", [["restore"], ["restore", "app"], ["restore", "app", "v1"]])
def test_restore_of_an_invalid_digest_is_a_usage_error(
    ecr: FakeEcr, arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as left:
        shell.main(arguments)

    assert left.value.code == 2
    assert "usage: ecr_cleaner restore" in capsys.readouterr().err
    assert ecr.calls == []


def test_bad_setting_stops_a_run_before_any_call(
    ecr: FakeEcr, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(InvalidSettingError):
        program.run(REGION | {"DEFAULT_KEEP_DAYS": "abc", "DRY_RUN": "false"}, "request")

    (line,) = lines(capsys)
    assert (line["event"], line["setting"]) == ("Run failed", "DEFAULT_KEEP_DAYS")
    assert (line["dry_run"], line["mode"], line["request_id"]) == (False, "clean", "request")
    assert ecr.calls == []


def test_shell_without_arguments_runs_and_exits_with_1_on_failure(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sys, "argv", ["ecr_cleaner"])
    monkeypatch.setattr(shell, "run", mock.Mock(side_effect=RunFailedError("no")))
    assert shell.main() == 1

    monkeypatch.setattr(shell, "run", mock.Mock(return_value={}))
    assert shell.main() == 0


def test_event_that_names_no_step_is_an_error_and_starts_no_run(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(StepError, match="names no step"):
        program.run_step(REGION, "one", {"step": "everything", "run": "one"})
    (line,) = lines(capsys)
    assert (line["event"], line["request_id"]) == ("Run failed", "one")


def test_step_needs_the_place_of_its_documents(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(InvalidSettingError, match="RUNS"):
        program.run_step(REGION, "one", {"step": "plan", "run": "one"})
    assert [line["setting"] for line in lines(capsys)] == ["RUNS"]


TARGET = {"account": "111111111111", "region": "eu-west-1", "partition": "aws"}


@pytest.mark.parametrize(
    ("event", "named"),
    [
        ({"step": "gather"}, {"step": "gather"}),
        ({"step": "clean", "share": 3}, {"step": "clean", "share": 3}),
        (
            {"step": "scan", "round": 2, "target": TARGET},
            {"step": "scan", "round": 2, "target": "111111111111/eu-west-1"},
        ),
    ],
)
def test_failure_of_a_step_names_the_step(
    event: dict[str, Any], named: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(InvalidSettingError):
        program.run_step(REGION | {"KEEP_COUNT": "many"}, "request", event | {"run": "tonight"})

    (line,) = lines(capsys)
    expected = {"run": "tonight", **named}
    assert (line["event"], line["setting"]) == ("Run failed", "KEEP_COUNT")
    assert {name: line.get(name) for name in ("run", "step", "round", "target", "share")} == (
        dict.fromkeys(("run", "step", "round", "target", "share")) | expected
    )
