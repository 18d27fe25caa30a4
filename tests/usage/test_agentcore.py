"""What Bedrock AgentCore runs."""

from __future__ import annotations

from typing import Any

from ecr_cleaner.usage.rows import AGENTCORE
from fakes.aws_api import Parameters, error, found
from fakes.scripted import HOST, Scripted, by

GONE = error("ResourceNotFoundException")
CODE = {"codeConfiguration": {"runtime": "PYTHON_3_13", "entryPoint": ["main.py"]}}
ACTIONS = [
    "bedrock-agentcore:GetAgentRuntime",
    "bedrock-agentcore:ListAgentRuntimeVersions",
    "bedrock-agentcore:ListAgentRuntimes",
    "bedrock-agentcore:ListHarnesses",
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
        ListHarnesses={},
    )


def test_no_runtimes_use_nothing() -> None:
    api = agentcore({})

    assert found(AGENTCORE, api) == []
    assert api.actions == ["bedrock-agentcore:ListAgentRuntimes", "bedrock-agentcore:ListHarnesses"]


def test_every_version_of_every_runtime_uses_its_image() -> None:
    api = agentcore({"a": {"1": image("v1"), "2": image("v2")}, "b": {"1": image("other")}})

    usages = found(AGENTCORE, api)

    assert {(one.consumer, one.reference.tag) for one in usages} == {
        (f"{arn('a')}:1", "v1"),
        (f"{arn('a')}:2", "v2"),
        (f"{arn('b')}:1", "other"),
    }
    assert {one.source for one in usages} == {"agentcore"}
    assert api.actions == ACTIONS


def test_runtime_from_code_holds_no_image() -> None:
    assert found(AGENTCORE, agentcore({"a": {"1": CODE, "2": {}}})) == []


def test_full_pages_are_asked_for() -> None:
    api = agentcore({"a": {"1": CODE}})
    found(AGENTCORE, api)

    assert api.asked("ListAgentRuntimes") == [{"maxResults": 100}]
    assert api.asked("ListAgentRuntimeVersions") == [{"agentRuntimeId": "a", "maxResults": 100}]


def test_version_that_vanished_is_skipped() -> None:
    api = agentcore({"a": {"1": None, "2": image("v2")}})

    assert [one.reference.tag for one in found(AGENTCORE, api)] == ["v2"]


def test_runtime_that_vanished_is_skipped() -> None:
    api = agentcore({"gone": {"1": CODE}, "stays": {"1": image("v1")}})
    stays = listed(("stays", "1"))
    api.line("ListAgentRuntimeVersions", by("agentRuntimeId", {"gone": GONE, "stays": stays}))

    assert [one.reference.tag for one in found(AGENTCORE, api)] == ["v1"]
