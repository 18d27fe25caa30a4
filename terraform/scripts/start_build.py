"""Starts a build in CodeBuild and waits for it. Terraform invokes it: see codebuild.tf."""

import time
from typing import Any

import boto3

SECONDS_BETWEEN_CALLS = 5
SECONDS_TO_REPORT = 20  # the function stops waiting this long before Lambda ends it


def handler(event: dict[str, Any], context: Any) -> dict[str, str]:
    """Return the ID of the build if it succeeded; raise an error if it did not.

    Terraform may send the same event twice, after a lost connection. The second build then finds
    the image and does nothing.
    """
    codebuild = boto3.client("codebuild")
    build = codebuild.start_build(
        projectName=event["project"],
        environmentVariablesOverride=[
            {"name": name, "value": value, "type": "PLAINTEXT"}
            for name, value in event["environment"].items()
        ],
    )["build"]
    while build["buildStatus"] == "IN_PROGRESS":
        if context.get_remaining_time_in_millis() < SECONDS_TO_REPORT * 1000:
            raise TimeoutError(f"build {build['id']} has not ended yet; apply again later")
        time.sleep(SECONDS_BETWEEN_CALLS)
        build = codebuild.batch_get_builds(ids=[build["id"]])["builds"][0]
    if build["buildStatus"] != "SUCCEEDED":
        raise RuntimeError(failure(build))
    return {"build": build["id"]}


def failure(build: dict[str, Any]) -> str:
    """Return what failed, and where the log is."""
    reasons = [
        f"{phase['phaseType']}: {context['message']}"
        for phase in build.get("phases", [])
        for context in phase.get("contexts", [])
        if context.get("message") and phase.get("phaseStatus") != "SUCCEEDED"
    ]
    log = build.get("logs", {}).get("deepLink", "in CodeBuild")
    return f"build {build['id']} ended as {build['buildStatus']} ({'; '.join(reasons)}). Log: {log}"
