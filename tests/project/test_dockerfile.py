"""What the Dockerfile promises to those who build the image."""

from __future__ import annotations

import re
from pathlib import Path

SOURCES = Path(__file__).resolve().parents[2] / "lambda_src"
DOCKERFILE = (SOURCES / "Dockerfile").read_text()


def test_base_image_is_that_of_aws_unless_another_is_given() -> None:
    (base,) = re.findall(r"^ARG BASE_IMAGE=(\S+)$", DOCKERFILE, re.MULTILINE)

    assert re.fullmatch(r"public\.ecr\.aws/lambda/python:3\.\d+", base)


def test_mirror_of_pypi_is_a_build_argument() -> None:
    before_pip = DOCKERFILE[: DOCKERFILE.index("pip install")]
    stage = before_pip[before_pip.rindex("\nFROM ") :]

    assert "\nARG PIP_INDEX_URL\n" in stage, "pip reads it only if its stage declares it"
