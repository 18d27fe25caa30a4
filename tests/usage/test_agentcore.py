"""What Bedrock AgentCore runs."""

from __future__ import annotations

from typing import Any

import pytest

from ecr_cleaner.core.errors import ApiError
from ecr_cleaner.usage.agentcore import AgentCore
from fakes.aws_api import Parameters, error, found
from fakes.scripted import DENIED, HOST, THROTTLED, Scripted, by

GONE = error("ResourceNotFoundException")
CODE = {"codeConfiguration": {"runtime": "PYTHON_3_13", "entryPoint": ["main.py"]}}
ACTIONS = [
    "bedrock-agentcore:GetAgentRuntime",
    "bedrock-agentcore:ListAgentRuntimeVersions",
    "bedrock-agentcore:ListAgentRuntimes",
]


def arn(name: str) -> str:
    return f"arn:aws:bedrock-agentcore:eu-west-1:123456789012:runtime/{name}"


def image(tag: str) -> dict[str, Any]:
    return {"containerConfiguration": {"containerUri": f"{HOST}/agent:{tag}"}}


def listed(*pairs: tuple[str, str]) -> dict[str, Any]:
    return {
        "agentRuntimes": [
            {"agentRuntimeId": name, "agentRuntimeVersion": version, "agentRuntimeArn": arn(name)}
            for name, version in pairs
        ]
    }


def agentcore(runtimes: dict[str, dict[str, Any]]) -> Scripted:
    """Return AgentCore with the artifact of each version of each runtime."""

    def versions(parameters: Parameters) -> Any:
        name = parameters["agentRuntimeId"]
        return [listed((name, version)) for version in runtimes[name]]

    def described(parameters: Parameters) -> Any:
        name, version = parameters["agentRuntimeId"], parameters["agentRuntimeVersion"]
        artifact = runtimes[name][version]
        if artifact is None:
            raise GONE
        return {
            "agentRuntimeArn": arn(name),
            "agentRuntimeVersion": version,
            "agentRuntimeArtifact": artifact,
        }

    return Scripted(
        "bedrock-agentcore-control",
        ListAgentRuntimes=[listed((name, "1")) for name in runtimes] or listed(),
        ListAgentRuntimeVersions=versions,
        GetAgentRuntime=described,
    )


def test_no_runtimes_use_nothing() -> None:
    api = agentcore({})

    assert found(AgentCore(), api) == []
    assert api.actions == ["bedrock-agentcore:ListAgentRuntimes"]


def test_every_version_of_every_runtime_uses_its_image() -> None:
    api = agentcore({"a": {"1": image("v1"), "2": image("v2")}, "b": {"1": image("other")}})

    usages = found(AgentCore(), api)

    assert {(one.consumer, one.reference.tag) for one in usages} == {
        (f"{arn('a')}:1", "v1"),
        (f"{arn('a')}:2", "v2"),
        (f"{arn('b')}:1", "other"),
    }
    assert {one.source for one in usages} == {"agentcore"}
    assert api.actions == ACTIONS


def test_runtime_from_code_holds_no_image() -> None:
    assert found(AgentCore(), agentcore({"a": {"1": CODE, "2": {}}})) == []


def test_full_pages_are_asked_for() -> None:
    api = agentcore({"a": {"1": CODE}})
    found(AgentCore(), api)

    assert api.asked("ListAgentRuntimes") == [{"maxResults": 100}]
    assert api.asked("ListAgentRuntimeVersions") == [{"agentRuntimeId": "a", "maxResults": 100}]


def test_version_that_vanished_is_skipped() -> None:
    api = agentcore({"a": {"1": None, "2": image("v2")}})

    assert [one.reference.tag for one in found(AgentCore(), api)] == ["v2"]


def test_runtime_that_vanished_is_skipped() -> None:
    api = agentcore({"gone": {"1": CODE}, "stays": {"1": image("v1")}})
    stays = listed(("stays", "1"))
    api.line("ListAgentRuntimeVersions", by("agentRuntimeId", {"gone": GONE, "stays": stays}))

    assert [one.reference.tag for one in found(AgentCore(), api)] == ["v1"]


@pytest.mark.parametrize("fault", [DENIED, THROTTLED])
@pytest.mark.parametrize(
    "operation", ["ListAgentRuntimes", "ListAgentRuntimeVersions", "GetAgentRuntime"]
)
def test_operation_that_fails_is_an_error_that_names_it(operation: str, fault: Exception) -> None:
    api = agentcore({"a": {"1": image("v1")}}).line(operation, fault)

    with pytest.raises(ApiError, match=f" {operation} failed with") as failure:
        found(AgentCore(), api)

    action = f"bedrock-agentcore:{operation}" if fault is DENIED else None
    assert failure.value.action == action
