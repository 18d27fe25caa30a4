"""The script that builds and pushes the image, with stand-ins for the engine and the AWS CLI."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

import engine_stand_in
from terraform_support import MODULE, PROJECT, FakeAws

REGION = "eu-west-1"
REGISTRY = f"123456789012.dkr.ecr.{REGION}.amazonaws.com"
SCRIPT = PROJECT / MODULE / "scripts" / "build-and-push.sh"


class Script:
    """The build script with a repository to push to and stand-ins for what it calls."""

    def __init__(self, directory: Path, aws: FakeAws) -> None:
        self.directory = directory
        self.ecr = aws.client("ecr", REGION)
        self.ecr.create_repository(repositoryName="own", imageTagMutability="IMMUTABLE")
        self.environ = {**os.environ, **aws.environ, "HOME": str(directory)}

    def run(
        self,
        *arguments: str,
        engine: str = "docker",
        commands: tuple[str, ...] = ("aws", *engine_stand_in.ENGINES),
        **environ: str,
    ) -> subprocess.CompletedProcess[str]:
        """Run it with only the system and these commands on PATH."""
        stand_ins = engine_stand_in.install(self.directory / "bin", commands)
        stand_ins["PATH"] = f"{self.directory / 'bin'}:/usr/bin:/bin"
        return subprocess.run(
            ["/bin/sh", str(SCRIPT), *arguments, str(PROJECT / "lambda_src")],
            env={
                **self.environ,
                **stand_ins,
                "CONTAINER_ENGINE": engine,
                "IMAGE_URI": f"{REGISTRY}/own:tag",
                "IMAGE_ARCHITECTURE": "arm64",
                "IMAGE_REGION": REGION,
                **environ,
            },
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def called(self, command: str, verb: str) -> list[list[str]]:
        """Return the arguments of each call of the command that began with the verb."""
        calls = engine_stand_in.calls(self.directory / "bin")
        return [call[2:] for call in calls if call[:2] == [command, verb] and "--help" not in call]

    def tags(self) -> list[str]:
        """Return the tags that the repository holds."""
        return [
            image["imageTag"] for image in self.ecr.list_images(repositoryName="own")["imageIds"]
        ]


@pytest.fixture
def script(aws: FakeAws, tmp_path: Path) -> Iterator[Script]:
    script = Script(tmp_path, aws)
    yield script
    script.ecr.delete_repository(repositoryName="own", force=True)


@pytest.mark.parametrize("engine", engine_stand_in.ENGINES)
def test_script_pushes_one_image_for_one_platform(script: Script, engine: str) -> None:
    done = script.run("--network", "host", engine=engine)

    assert (done.returncode, done.stderr) == (0, "")
    assert script.tags() == ["tag"]
    (build,) = script.called(engine, "build")
    assert build == [
        *("--platform", "linux/arm64", "--tag", f"{REGISTRY}/own:tag"),
        *("--provenance=false", "--network", "host", str(PROJECT / "lambda_src")),
    ]


def test_script_passes_the_build_platform_to_the_classic_builder(script: Script) -> None:
    done = script.run(STAND_IN_BUILDER="classic")

    assert (done.returncode, done.stderr) == (0, "")
    (build,) = script.called("docker", "build")
    assert build[4:-1] == ["--build-arg", "BUILDPLATFORM=linux/amd64"]


def test_script_builds_nothing_if_the_image_exists(script: Script) -> None:
    first = script.run()
    second = script.run()

    assert (first.returncode, second.returncode) == (0, 0)
    assert len(script.called("docker", "build")) == 1
    assert "already exists in the repository" in second.stdout


def test_script_refuses_an_image_for_another_architecture(script: Script) -> None:
    done = script.run(STAND_IN_ARCHITECTURE="amd64")

    assert done.returncode == 1
    assert "docker built an image for amd64, not for arm64" in done.stderr
    assert script.tags() == []


@pytest.mark.parametrize(("there", "missing"), [(("docker",), "aws"), (("aws",), "nerdctl")])
def test_script_names_a_missing_command(
    script: Script, there: tuple[str, ...], missing: str
) -> None:
    done = script.run(engine="nerdctl", commands=there)

    assert done.returncode == 1
    assert f"the command {missing} was not found" in done.stderr
    assert "image_uri" in done.stderr


def test_script_fails_if_the_push_fails(script: Script) -> None:
    script.ecr.delete_repository(repositoryName="own", force=True)
    done = script.run()
    script.ecr.create_repository(repositoryName="own")

    assert done.returncode != 0


def test_script_leaves_the_users_docker_configuration_alone(script: Script) -> None:
    own = script.directory / ".docker"
    (own / "contexts").mkdir(parents=True)
    (own / "config.json").write_text('{"auths": {}}')
    scratch = script.directory / "scratch"
    scratch.mkdir()

    done = script.run(TMPDIR=str(scratch))

    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads((own / "config.json").read_text()) == {"auths": {}}
    assert list(scratch.iterdir()) == [], "no file with the password is left"
    assert script.called("docker", "context") == [["show"]]


def test_script_logs_finch_out(script: Script) -> None:
    script.run(engine="finch")

    assert script.called("finch", "logout") == [[REGISTRY]]


# -- By hand -----------------------------------------------------------------------------------


def run_by_hand(*arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["/bin/sh", str(SCRIPT), *arguments],
        env={**os.environ, **environ},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_image_uri_is_all_that_the_script_needs(aws: FakeAws, tmp_path: Path) -> None:
    ecr = aws.client("ecr", REGION)
    ecr.create_repository(repositoryName="by-hand")
    stand_ins = engine_stand_in.install(tmp_path / "bin")

    environ = {**aws.environ, **stand_ins, "IMAGE_URI": f"{REGISTRY}/by-hand:1.0.0"}
    done = run_by_hand(str(PROJECT / "lambda_src"), **environ)

    assert (done.returncode, done.stderr) == (0, "")
    assert [image["imageTag"] for image in ecr.list_images(repositoryName="by-hand")["imageIds"]]
    (build,) = [
        call
        for call in engine_stand_in.calls(tmp_path / "bin")
        if call[:2] == ["docker", "build"] and "--help" not in call
    ]
    assert build[2:4] == ["--platform", "linux/arm64"]


def test_help_names_every_setting() -> None:
    done = run_by_hand("--help")

    assert done.returncode == 0
    for word in ("CONTEXT", "IMAGE_URI", "CONTAINER_ENGINE", "IMAGE_ARCHITECTURE", "IMAGE_REGION"):
        assert word in done.stdout


@pytest.mark.parametrize("arguments", [(), ("lambda_src",)])
def test_missing_arguments_print_the_usage(arguments: tuple[str, ...]) -> None:
    done = run_by_hand(*arguments)

    assert done.returncode != 0
    assert done.stderr.startswith("Usage: IMAGE_URI=")
