"""Plays CodeBuild for the module: builds run the commands of their buildspec on this machine.

moto knows projects and builds, but its builds do nothing and always succeed, and its functions need
a container engine. Here the code of a function runs in a process of its own, too.
"""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any
from unittest import mock

from moto.awslambda import models as lambda_models
from moto.codebuild import responses as codebuild_responses
from moto.codebuild.models import CodeBuildBackend
from moto.codebuild.responses import CodeBuildResponse

import engine_stand_in
from terraform_support import FakeAws

LOG = "https://console.aws.amazon.com/cloudwatch/home"

# Without the pauses between its calls. The time that remains is in an environment variable.
RUN_FUNCTION = """
import json, os, sys, types
import index
index.SECONDS_BETWEEN_CALLS = 0
left = int(os.environ["REMAINING_MILLISECONDS"])
context = types.SimpleNamespace(get_remaining_time_in_millis=lambda: left)
try:
    print(json.dumps(index.handler(json.load(sys.stdin), context)))
except Exception as error:
    print(json.dumps({"errorMessage": str(error), "errorType": type(error).__name__}))
    sys.exit(1)
"""

moto_starts_build = CodeBuildBackend.start_build


@dataclass
class CodeBuildStandIn:
    """What the builds of a test see, and what they did."""

    directory: Path
    aws: FakeAws
    environ: dict[str, str] = field(default_factory=dict)
    remaining_milliseconds: int = 900_000
    ends: bool = True
    builds: list[dict[str, Any]] = field(default_factory=list)
    last_event: bytes = b""
    called_before: int = 0

    def reset(self) -> None:
        """Forget what was set and what builds did."""
        self.environ = {}
        self.remaining_milliseconds = 900_000
        self.ends = True
        self.builds = []
        self.called_before = len(engine_stand_in.calls(self.directory / "bin"))

    def calls(self, command: str, verb: str) -> list[list[str]]:
        """Return the arguments of each call in a build that began with the verb."""
        calls = engine_stand_in.calls(self.directory / "bin")[self.called_before :]
        return [call[2:] for call in calls if call[:2] == [command, verb] and "--help" not in call]

    def start_build(self, response: CodeBuildResponse) -> str:
        """Run a build to its end, which the caller finds out with BatchGetBuilds."""
        name = response._get_param("projectName")  # noqa: SLF001
        build = moto_starts_build(response.codebuild_backend, name)
        overrides = response._get_param("environmentVariablesOverride") or []  # noqa: SLF001
        variables = {one["name"]: one["value"] for one in overrides}
        project = response.codebuild_backend.codebuild_projects[name].project_metadata
        shown = json.dumps({"build": {**build, "startTime": 0}})
        build["buildStatus"] = "IN_PROGRESS"
        if self.ends:
            self._run(project, build, {**variables, "AWS_REGION": response.region})
        self.builds.append(build)
        return shown

    def batch_get_builds(self, _: CodeBuildBackend, ids: list[str]) -> list[dict[str, Any]]:
        """Return builds as they ended."""
        return [build for build in self.builds if build["id"] in ids]

    def _run(
        self, project: dict[str, Any], build: dict[str, Any], variables: dict[str, str]
    ) -> None:
        commands = json.loads(project["source"]["buildspec"])["phases"]["build"]["commands"]
        stand_ins = engine_stand_in.install(self.directory / "bin", ("aws", "docker"))
        stand_ins["PATH"] = f"{self.directory / 'bin'}:{Path(sys.executable).parent}:/usr/bin:/bin"
        environ = {**os.environ, **self.aws.environ, **stand_ins, **variables, **self.environ}
        phase: dict[str, Any] = {"phaseType": "BUILD", "phaseStatus": "SUCCEEDED"}
        build |= {"buildStatus": "SUCCEEDED", "phases": [phase], "logs": {"deepLink": LOG}}
        with tempfile.TemporaryDirectory() as place:
            for command in commands:
                done = subprocess.run(
                    ["/bin/sh", "-c", command],
                    cwd=place,
                    env=environ,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                    timeout=60,
                    check=False,
                )
                if done.returncode:
                    why = f"Error while executing command: {command}"
                    phase |= {"phaseStatus": "FAILED", "contexts": [{"message": why}]}
                    build["buildStatus"] = "FAILED"
                    return

    def invoke(self, function: Any, body: str | bytes, _: object, headers: dict[str, str]) -> bytes:
        """Run the code of a function."""
        event = body if isinstance(body, bytes) else body.encode()
        self.last_event = event
        with tempfile.TemporaryDirectory() as place:
            zipfile.ZipFile(io.BytesIO(function.code_bytes)).extract("index.py", place)
            done = subprocess.run(
                [sys.executable, "-c", RUN_FUNCTION],
                input=event,
                cwd=place,
                env={
                    **os.environ,
                    **self.aws.environ,
                    "AWS_REGION": function.region,
                    "AWS_DEFAULT_REGION": function.region,
                    "REMAINING_MILLISECONDS": str(self.remaining_milliseconds),
                },
                capture_output=True,
                timeout=60,
                check=False,
            )
        if done.returncode:
            headers["x-amz-function-error"] = "Unhandled"
        return done.stdout or done.stderr


def update_project(response: CodeBuildResponse) -> str:
    """Change the fields of a project that are given; moto cannot."""
    name = response._get_param("name")  # noqa: SLF001
    project = response.codebuild_backend.codebuild_projects[name].project_metadata
    project |= json.loads(response.body)
    return json.dumps({"project": project})


def delete_project(response: CodeBuildResponse) -> str:
    """Delete a project by its name or ARN; moto knows only names."""
    name = response._get_param("name").rpartition("/")[2]  # noqa: SLF001
    response.codebuild_backend.delete_project(name)
    return "{}"


def importable_cloudformation() -> None:
    """Let moto import its CloudFormation, which asks for a package that only API Gateway needs."""
    package = "openapi_spec_validator"
    modules = {name: ModuleType(name) for name in (package, f"{package}.validation")}
    errors = ModuleType(f"{package}.validation.exceptions")
    vars(modules[package])["validate"] = None
    vars(errors)["OpenAPIValidationError"] = ValueError
    modules[errors.__name__] = errors
    # Not mock.patch.dict: it would also forget what is imported here.
    sys.modules.update(modules)
    import moto.cloudformation.models  # noqa: F401, PLC0415

    for name in modules:
        del sys.modules[name]


@contextmanager
def codebuild(directory: Path, aws: FakeAws) -> Iterator[CodeBuildStandIn]:
    """Let builds and functions of the fake AWS run on this machine."""
    importable_cloudformation()
    stand_in = CodeBuildStandIn(directory, aws)

    # Functions, as methods have to be: they get the object of moto first.
    def start_build(response: CodeBuildResponse) -> str:
        return stand_in.start_build(response)

    def batch_get_builds(backend: CodeBuildBackend, ids: list[str]) -> list[dict[str, Any]]:
        return stand_in.batch_get_builds(backend, ids)

    def invoke(function: Any, body: str, sent: Any, headers: dict[str, str]) -> bytes:
        return stand_in.invoke(function, body, sent, headers)

    with ExitStack() as stack:
        for target, name, value, create in (
            (codebuild_responses, "_validate_required_params_source", lambda _: None, False),
            (CodeBuildResponse, "start_build", start_build, False),
            (CodeBuildResponse, "update_project", update_project, True),
            (CodeBuildResponse, "delete_project", delete_project, False),
            (CodeBuildBackend, "batch_get_builds", batch_get_builds, False),
            (lambda_models.LambdaFunction, "invoke", invoke, False),
        ):
            stack.enter_context(mock.patch.object(target, name, value, create=create))
        yield stand_in
