"""A client that makes one call at a time, like the original cleaner.

It makes at most ``SAMPLE`` calls of each operation and prints their times. The time for the whole
account is the mean time of a call multiplied by the number of calls, because the client only waits
for its calls.
"""

from __future__ import annotations

import json
import sys
import time
from collections import defaultdict
from typing import Any

import botocore.session
from botocore import xform_name

SAMPLE = 40


class Stopwatch:
    """Makes calls and records wall and CPU time by operation."""

    def __init__(self) -> None:
        self._session = botocore.session.get_session()
        self._clients: dict[str, Any] = {}
        self.took: dict[str, list[float]] = defaultdict(lambda: [0, 0.0, 0.0])

    def call(self, operation: str, **parameters: Any) -> dict[str, Any]:
        service, _, name = operation.partition(":")
        if service not in self._clients:
            self._clients[service] = self._session.create_client(service)
        client = self._clients[service]
        wall, cpu = time.monotonic(), time.process_time()
        answer: dict[str, Any] = getattr(client, xform_name(name))(**parameters)
        took = self.took[operation]
        took[0] += 1
        took[1] += time.monotonic() - wall
        took[2] += time.process_time() - cpu
        return answer

    def pages(self, operation: str, key: str, token: str, **parameters: Any) -> list[Any]:
        """Return the items of at most ``SAMPLE`` pages."""
        found: list[Any] = []
        argument = "Marker" if token == "NextMarker" else token  # noqa: S105 -- of pages
        for _ in range(SAMPLE):
            answer = self.call(operation, **parameters)
            found += answer[key]
            if not answer.get(token):
                break
            parameters[argument] = answer[token]
        return found


def _scan(stopwatch: Stopwatch) -> None:
    for cluster in stopwatch.pages("ecs:ListClusters", "clusterArns", "nextToken")[:SAMPLE]:
        services = stopwatch.pages("ecs:ListServices", "serviceArns", "nextToken", cluster=cluster)
        for start in range(0, len(services), 10)[:SAMPLE]:
            batch = services[start : start + 10]
            answer = stopwatch.call("ecs:DescribeServices", cluster=cluster, services=batch)
            if stopwatch.took["ecs:DescribeTaskDefinition"][0] < SAMPLE:
                for service in answer["services"]:
                    definition = service["taskDefinition"]
                    stopwatch.call("ecs:DescribeTaskDefinition", taskDefinition=definition)
    functions = stopwatch.pages("lambda:ListFunctions", "Functions", "NextMarker")
    images = [one["FunctionName"] for one in functions if one["PackageType"] == "Image"]
    for name in images[:SAMPLE]:
        stopwatch.call("lambda:GetFunction", FunctionName=name)
    listed = stopwatch.pages("apprunner:ListServices", "ServiceSummaryList", "NextToken")
    for service in listed[:SAMPLE]:
        stopwatch.call("apprunner:DescribeService", ServiceArn=service["ServiceArn"])


def _clean(stopwatch: Stopwatch) -> None:
    repositories = stopwatch.pages("ecr:DescribeRepositories", "repositories", "nextToken")
    for repository in repositories[:SAMPLE]:
        stopwatch.call("ecr:ListTagsForResource", resourceArn=repository["repositoryArn"])
    name = repositories[-1]["repositoryName"]
    images = stopwatch.pages("ecr:DescribeImages", "imageDetails", "nextToken", repositoryName=name)
    tags = [tag for image in images for tag in image.get("imageTags", ())]
    for tag in tags[:SAMPLE]:
        stopwatch.call("ecr:BatchDeleteImage", repositoryName=name, imageIds=[{"imageTag": tag}])


def main() -> None:
    """Print calls, wall seconds and CPU seconds by operation."""
    stopwatch = Stopwatch()
    _scan(stopwatch)
    _clean(stopwatch)
    json.dump(stopwatch.took, sys.stdout)


if __name__ == "__main__":
    main()
