"""The build script, run by hand."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

import engine_stand_in
from terraform_support import MODULE, PROJECT, FakeAws

REGION = "eu-west-1"
IMAGE = f"123456789012.dkr.ecr.{REGION}.amazonaws.com/by-hand:1.0.0"
SCRIPT = PROJECT / MODULE / "scripts" / "build-and-push.sh"


def run(*arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
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

    done = run(str(PROJECT / "lambda_src"), **aws.environ, **stand_ins, IMAGE_URI=IMAGE)

    assert (done.returncode, done.stderr) == (0, "")
    assert [image["imageTag"] for image in ecr.list_images(repositoryName="by-hand")["imageIds"]]
    (build,) = [
        call
        for call in engine_stand_in.calls(tmp_path / "bin")
        if call[:2] == ["docker", "build"] and "--help" not in call
    ]
    assert build[2:4] == ["--platform", "linux/arm64"]


def test_help_names_every_setting() -> None:
    done = run("--help")

    assert done.returncode == 0
    for word in ("CONTEXT", "IMAGE_URI", "CONTAINER_ENGINE", "IMAGE_ARCHITECTURE", "IMAGE_REGION"):
        assert word in done.stdout


@pytest.mark.parametrize("arguments", [(), ("lambda_src",)])
def test_missing_arguments_print_the_usage(arguments: tuple[str, ...]) -> None:
    done = run(*arguments)

    assert done.returncode != 0
    assert done.stderr.startswith("Usage: IMAGE_URI=")
