"""``python -m ecr_cleaner`` in a subprocess, against moto's server on the loopback interface."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Iterator

import pytest
from moto.core import enable_iam_authentication
from moto.moto_api._internal.models import moto_api_backend
from moto.server import ThreadedMotoServer

from integration import full_world
from integration.aws_as_it_is import aws_as_it_is
from integration.cheap import cheap_calls
from integration.full_world import FullWorld
from integration.program import as_role, json_lines, run_shell, run_shell_into
from integration.told_services import forget, told_services
from world import World, role_for

UNSERVED = {"WAIVED_SOURCES": ",".join(full_world.WITHOUT_SERVER)}


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    # The server logs each request, which would bury a failed test's report.
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    with cheap_calls(), told_services(), aws_as_it_is():
        server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
        server.start()
        host, port = server.get_host_and_port()
        yield f"http://{host}:{port}"
        server.stop()


@pytest.fixture
def world(endpoint: str) -> Iterator[World]:
    moto_api_backend.reset()
    forget()
    yield World(endpoint_url=endpoint)
    moto_api_backend.reset()
    forget()


@pytest.fixture
def full(world: World) -> FullWorld:
    served = [name for name in full_world.CONSUMERS if name not in full_world.WITHOUT_SERVER]
    return full_world.fill(world, served)


def test_dry_run_and_real_run_write_json_lines_and_nothing_else_to_standard_output(
    world: World, endpoint: str, full: FullWorld
) -> None:
    dry = run_shell(**UNSERVED, AWS_ENDPOINT_URL=endpoint)
    assert (dry.returncode, dry.stderr) == (0, ""), dry.stdout
    assert json_lines(dry.stdout)[-1]["removable"] == len(full.unused)
    assert full_world.everything(world) == full.all

    real = run_shell(**UNSERVED, AWS_ENDPOINT_URL=endpoint, DRY_RUN="false")
    assert (real.returncode, real.stderr) == (0, ""), real.stdout
    lines = json_lines(real.stdout)
    assert lines[-1]["event"] == "Run finished"
    assert lines[-1]["removed"] == len(full.unused)
    assert full_world.everything(world) == set(full.used)
    assert len({line["request_id"] for line in lines}) == 1
    assert {line["request_id"] for line in lines}.isdisjoint(
        line["request_id"] for line in json_lines(dry.stdout)
    )


def test_denied_run_exits_with_1_and_deletes_nothing(
    world: World, endpoint: str, full: FullWorld
) -> None:
    role = role_for(world.client("iam"), "nobody", "lambda.amazonaws.com")
    credentials = as_role(world.client("sts"), role)
    with enable_iam_authentication():
        done = run_shell(**UNSERVED, AWS_ENDPOINT_URL=endpoint, DRY_RUN="false", **credentials)

    assert (done.returncode, done.stderr) == (1, "")
    last = json_lines(done.stdout)[-1]
    assert (last["event"], last["level"]) == ("Run failed", "error")
    assert last["missing_action"].partition(":")[0] in {"ecr", "ecs", "eks", "lambda", "apprunner"}
    assert full_world.everything(world) == full.all


@pytest.mark.traced
@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"DEFAULT_KEEP_DAYS": "abc"}, "DEFAULT_KEEP_DAYS is 'abc'"),
        ({"AWS_REGION": "", "AWS_DEFAULT_REGION": ""}, "AWS_REGION"),
    ],
)
def test_bad_setting_exits_with_1_before_any_call(settings: dict[str, str], named: str) -> None:
    nowhere = "http://127.0.0.1:9"
    done = run_shell(AWS_ENDPOINT_URL=nowhere, DRY_RUN="false", **settings)

    assert (done.returncode, done.stderr) == (1, "")
    (line,) = json_lines(done.stdout)
    assert named in line["error"]
    assert json.loads(done.stdout) == line


def test_log_that_cannot_be_written_is_reported_on_standard_error_and_nothing_is_removed(
    world: World, endpoint: str, full: FullWorld
) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "w") as closed:
        run = run_shell_into(closed, {**UNSERVED, "AWS_ENDPOINT_URL": endpoint, "DRY_RUN": "false"})

    assert run.returncode == 1
    assert run.stderr == "ecr_cleaner: the log could not be written: [Errno 32] Broken pipe\n"
    assert full_world.everything(world) == full.all
