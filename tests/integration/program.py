"""Runs the program, in this process and in a subprocess, and records its AWS calls."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass, field
from pathlib import Path
from threading import RLock
from typing import IO, Any
from unittest import mock

from botocore.client import BaseClient
from botocore.exceptions import ClientError

from ecr_cleaner.handler import lambda_handler

PACKAGE = Path(__file__).resolve().parents[2] / "lambda_src"
REQUEST_ID = "8f5e6a0c-0000-4000-8000-000000000001"
SECONDS_FOR_A_RUN = 60

Parameters = dict[str, Any]
Ask = Callable[[Parameters], dict[str, Any]]
# The answer to an operation, from its parameters and, if needed, from moto.
Answer = Callable[[Parameters, Ask], dict[str, Any]]


@dataclass(frozen=True)
class Call:
    """An AWS API call, with the IAM action that it needs."""

    action: str
    parameters: Parameters

    @property
    def reads(self) -> bool:
        """Return whether the call changes nothing."""
        return self.action.partition(":")[2].startswith(
            ("List", "Describe", "Get", "BatchGet", "Search")
        )


@dataclass
class Context:
    """The part of Lambda's context that the handler reads."""

    aws_request_id: str = REQUEST_ID

    def get_remaining_time_in_millis(self) -> int:
        """Return Lambda's longest timeout."""
        return 900_000


@dataclass(frozen=True)
class Run:
    """The result of a run: a summary or an error, the log, the calls."""

    lines: list[dict[str, Any]]
    calls: list[Call]
    answer: dict[str, Any] | None = None
    error: Exception | None = None

    @property
    def summary(self) -> dict[str, Any]:
        """The result of the handler."""
        assert self.error is None, self.error
        assert self.answer is not None
        return self.answer

    @property
    def failure(self) -> str:
        """The text of the error that the handler raised."""
        assert self.error is not None, "the run was expected to fail"
        return str(self.error)

    @property
    def mutations(self) -> list[Call]:
        """The calls that change something."""
        return [call for call in self.calls if not call.reads]

    def called(self, action: str) -> list[Parameters]:
        """Return the parameters of each call of one action."""
        return [call.parameters for call in self.calls if call.action == action]

    def events(self, event: str) -> list[dict[str, Any]]:
        """Return the log lines of one event."""
        return [line for line in self.lines if line["event"] == event]


@dataclass
class Program:
    """Runs the handler in this process; ``answers`` replace moto's answers to actions."""

    answers: dict[str, Answer] = field(default_factory=dict)
    environ: dict[str, str] = field(default_factory=dict)

    def on(self, action: str, answer: Answer) -> None:
        """Answer every further call of the action like this."""
        self.answers[action] = answer

    def run(self, event: dict[str, Any] | None = None, /, **settings: str) -> Run:
        """Run the handler once with these settings, and with an event if one is given."""
        calls: list[Call] = []
        output = io.StringIO()
        answer, error = None, None
        environ = mock.patch.dict(os.environ, one_region(self.environ | settings))
        with recorded(calls, self.answers), redirect_stdout(output), environ:
            try:
                answer = lambda_handler(event or {}, Context())
            except Exception as raised:  # noqa: BLE001  # Lambda handles every exception
                error = raised
        return Run(json_lines(output.getvalue()), calls, answer, error)

    def delete(self, **settings: str) -> Run:
        """Run the handler once with DRY_RUN=false."""
        return self.run(DRY_RUN="false", **settings)


def one_region(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the environment with one region to scan, unless it says otherwise: moto has 30."""
    return {"SCAN_REGIONS": environ.get("AWS_REGION", os.environ["AWS_REGION"])} | dict(environ)


# moto is not thread-safe: two deletions at the same time corrupt its lists.
ONE_AT_A_TIME = RLock()  # a call may assume a role before it is signed


@contextmanager
def recorded(calls: list[Call], answers: Mapping[str, Answer]) -> Iterator[None]:
    """Record every SDK call, and replace the answers to some.

    This is above the SDK's retries: an error here is the error after all retries.
    """
    make_api_call: Any = BaseClient._make_api_call  # type: ignore[attr-defined]  # noqa: SLF001

    def make(client: Any, operation: str, parameters: Parameters) -> Any:
        action = f"{client.meta.service_model.signing_name}:{operation}"
        calls.append(Call(action, parameters))

        def ask(parameters: Parameters) -> dict[str, Any]:
            with ONE_AT_A_TIME:
                answer: dict[str, Any] = make_api_call(client, operation, parameters)
            return answer

        answer = answers.get(action)
        return answer(parameters, ask) if answer else ask(parameters)

    with mock.patch.object(BaseClient, "_make_api_call", make):
        yield


def run_shell(**environ: str) -> subprocess.CompletedProcess[str]:
    """Run the program in a subprocess with these environment variables added."""
    return run_shell_into(subprocess.PIPE, environ)


def run_shell_into(
    output: int | IO[str], environ: Mapping[str, str]
) -> subprocess.CompletedProcess[str]:
    """Run the program in a subprocess that writes its standard output to `output`."""
    return subprocess.run(
        [sys.executable, "-m", "ecr_cleaner"],
        env=os.environ | {"PYTHONPATH": str(PACKAGE)} | one_region(environ),
        stdout=output,
        stderr=subprocess.PIPE,
        text=True,
        timeout=SECONDS_FOR_A_RUN,
        check=False,
    )


def json_lines(output: str) -> list[dict[str, Any]]:
    """Return the log lines; a line that is not a JSON object is an error."""
    lines = [json.loads(line) for line in output.splitlines()]
    assert all(isinstance(line, dict) for line in lines)
    return lines


def as_role(sts: Any, role_arn: str) -> dict[str, str]:
    """Return the environment variables with the credentials of a role."""
    assumed = sts.assume_role(RoleArn=role_arn, RoleSessionName="test")["Credentials"]
    return {
        "AWS_ACCESS_KEY_ID": assumed["AccessKeyId"],
        "AWS_SECRET_ACCESS_KEY": assumed["SecretAccessKey"],
        "AWS_SESSION_TOKEN": assumed["SessionToken"],
    }


# -- Answers -----------------------------------------------------------------------------------


def fails(code: str, message: str = "as the test has it") -> Answer:
    """Answer with a service error."""

    def answer(_: Parameters, __: Ask) -> dict[str, Any]:
        raise ClientError({"Error": {"Code": code, "Message": message}}, "Operation")

    return answer


def says(**content: Any) -> Answer:
    """Always answer the same."""
    return lambda _, __: content


def changed(change: Callable[[dict[str, Any]], None]) -> Answer:
    """Answer as moto does, with one change."""

    def answer(parameters: Parameters, ask: Ask) -> dict[str, Any]:
        content = ask(parameters)
        change(content)
        return content

    return answer


def paged(
    key: str,
    token: str = "nextToken",  # noqa: S107  # of a page, not a password
    following: str = "",
    *,
    size: int = 1,
) -> Answer:
    """Answer with moto's items in pages; every second page is empty.

    ``token`` names the requested page, ``following`` the next page if its name differs.
    """

    def answer(parameters: Parameters, ask: Ask) -> dict[str, Any]:
        if "imageIds" in parameters:
            return ask(parameters)  # ECR knows no pages of chosen images
        rest = {name: parameters[name] for name in parameters if name != token}
        content = ask(rest)
        items = content[key]
        position = int(parameters.get(token, "0"))
        start = position // 2 * size
        content[key] = [] if position % 2 else items[start : start + size]
        if start + size < len(items):
            content[following or token] = str(position + 1)
        return content

    return answer
