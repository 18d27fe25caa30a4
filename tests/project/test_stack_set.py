"""The CloudFormation template of the scan role is the one that its generator writes."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]  # moto brings it, without types

from stack_set import PERMISSIONS, TEMPLATE, written

PROPERTIES: dict[str, Any] = yaml.safe_load(TEMPLATE.read_text())["Resources"]["ScanRole"][
    "Properties"
]
DOCUMENT = PROPERTIES["Policies"][0]["PolicyDocument"]
ACTIONS = [action for one in DOCUMENT["Statement"] for action in one["Action"]]

# What CloudFormation takes as the text of a template, and IAM as the policies of a role.
MOST_CHARACTERS = 51_200
MOST_OF_A_POLICY = 10_240


def test_template_is_current() -> None:
    assert TEMPLATE.read_text() == written(), "run: python tests/stack_set.py"


def test_template_and_policy_are_not_too_long() -> None:
    assert len(written()) <= MOST_CHARACTERS
    assert len(json.dumps(DOCUMENT, separators=(",", ":"))) <= MOST_OF_A_POLICY


def test_every_source_can_be_read() -> None:
    usage = json.loads(PERMISSIONS.read_text())["usage"]

    assert {action for listed in usage.values() for action in listed} <= set(ACTIONS)
    assert len(ACTIONS) == len(set(ACTIONS))


@pytest.mark.parametrize("action", ACTIONS)
def test_role_only_reads(action: str) -> None:
    assert re.fullmatch(r"[a-z0-9-]+:(BatchGet|Describe|Get|List|Search)[A-Za-z]+", action)
