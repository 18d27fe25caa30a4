"""Bedrock AgentCore runtimes, in every version."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import chain
from typing import Any

from ecr_cleaner.aws.api import Api
from ecr_cleaner.core.model import Usage
from ecr_cleaner.usage.shared.references import usages_of
from ecr_cleaner.usage.shared.target import Target


class AgentCore:
    """All versions: an endpoint may point at any of them. Those built from code hold no image.

    Source: https://docs.aws.amazon.com/bedrock-agentcore/latest/devguide/agent-runtime-versioning.html
    """

    name = "agentcore"
    service = "bedrock-agentcore-control"

    def usages(self, target: Target) -> Iterable[Usage]:
        """Yield the image of each version, one call a version."""
        api, workers = target.api(self.service), target.workers
        runtimes = list(api.each("ListAgentRuntimes", "agentRuntimes", maxResults=100))
        versions = workers.map(lambda runtime: _versions(api, runtime), runtimes)
        usages = workers.map(lambda version: _usages(api, version), chain.from_iterable(versions))
        return chain.from_iterable(usages)


def _versions(api: Api, runtime: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    listing = api.each_found(
        "ListAgentRuntimeVersions",
        "agentRuntimes",
        "ResourceNotFoundException",
        agentRuntimeId=runtime["agentRuntimeId"],
        maxResults=100,
    )
    return list(listing)


def _usages(api: Api, version: Mapping[str, Any]) -> list[Usage]:
    answer = api.find(
        "GetAgentRuntime",
        "ResourceNotFoundException",
        agentRuntimeId=version["agentRuntimeId"],
        agentRuntimeVersion=version["agentRuntimeVersion"],
    )
    if answer is None:
        return []
    container = answer.get("agentRuntimeArtifact", {}).get("containerConfiguration", {})
    consumer = f"{answer['agentRuntimeArn']}:{answer['agentRuntimeVersion']}"
    return list(usages_of(AgentCore.name, consumer, [container.get("containerUri")]))
