"""The entry point on AWS Lambda: what it passes on from the function's environment and context."""

from __future__ import annotations

import json
import os
from datetime import timedelta
from types import SimpleNamespace
from unittest import mock

import pytest

from ecr_cleaner import handler
from ecr_cleaner.core.invocation import EventError
from ecr_cleaner.deadline import RESERVE

SUMMARY = {"event": "Run finished"}


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> mock.Mock:
    """Stands in for the program."""
    made = mock.Mock(return_value=SUMMARY)
    monkeypatch.setattr(handler, "run", made)
    return made


def test_handler_passes_on_the_request_and_the_time_that_lambda_leaves(run: mock.Mock) -> None:
    left = RESERVE + timedelta(seconds=5)
    context = SimpleNamespace(
        aws_request_id="one", get_remaining_time_in_millis=lambda: left.total_seconds() * 1000
    )

    assert handler.lambda_handler({"source": "aws.scheduler"}, context) == SUMMARY

    environ, request_id, deadline = run.call_args.args
    assert (environ, request_id) == (os.environ, "one")
    assert deadline.allows(timedelta(seconds=5))
    assert not deadline.allows(timedelta(seconds=6))


def test_event_names_a_plan_to_apply(run: mock.Mock, monkeypatch: pytest.MonkeyPatch) -> None:
    apply = mock.Mock(return_value=SUMMARY)
    monkeypatch.setattr(handler, "apply", apply)
    address = "s3://bucket/plans/plan.jsonl.gz"

    assert handler.lambda_handler({"apply": address}, None) == SUMMARY

    assert apply.call_args.args[:3] == (os.environ, "none", address)
    run.assert_not_called()


def test_event_names_a_step(run: mock.Mock, monkeypatch: pytest.MonkeyPatch) -> None:
    step = mock.Mock(return_value={"run": "one"})
    monkeypatch.setattr(handler, "run_step", step)
    event = {"step": "plan", "run": "one"}

    assert handler.lambda_handler(event, None) == {"run": "one"}

    assert step.call_args.args[:3] == (os.environ, "none", event)
    run.assert_not_called()


def test_event_that_is_not_understood_is_logged_and_starts_nothing(
    run: mock.Mock, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(EventError):
        handler.lambda_handler({"Apply": "s3://bucket/plans/plan.jsonl.gz"}, None)

    (line,) = map(json.loads, capsys.readouterr().out.splitlines())
    assert (line["event"], line["level"]) == ("Run failed", "error")
    assert line["error"].startswith("the event has unknown keys: 'Apply', so nothing is done")
    run.assert_not_called()


def test_handler_runs_without_a_deadline_if_the_context_is_not_that_of_lambda(
    run: mock.Mock,
) -> None:
    assert handler.lambda_handler({}, None) == SUMMARY

    _, request_id, deadline = run.call_args.args
    assert request_id == "none"
    assert deadline.allows(timedelta(days=365))
