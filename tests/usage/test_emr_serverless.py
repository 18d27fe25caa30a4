"""What EMR Serverless runs."""

from __future__ import annotations

from typing import Any

import pytest

from ecr_cleaner.usage.rows import EMR_SERVERLESS
from fakes.aws_api import Parameters, error, found
from fakes.scripted import HOST, Scripted

GONE = error("ResourceNotFoundException")
NEW = "sha256:" + "b" * 64
OLD = "sha256:" + "a" * 64
ACTIONS = [
    "emr-serverless:GetApplication",
    "emr-serverless:GetJobRun",
    "emr-serverless:ListApplications",
    "emr-serverless:ListJobRuns",
]


def arn(name: str) -> str:
    return f"arn:aws:emr-serverless:eu-west-1:123456789012:/applications/{name}"


def image(tag: str, digest: str = "") -> dict[str, Any]:
    resolved = {"resolvedImageDigest": digest} if digest else {}
    return {"imageConfiguration": {"imageUri": f"{HOST}/spark:{tag}", **resolved}}


def listed(name: str, state: str = "STARTED") -> dict[str, Any]:
    return {"id": name, "arn": arn(name), "state": state}


def emr(
    applications: list[dict[str, Any]], details: dict[str, Any], runs: dict[str, Any] | None = None
) -> Scripted:
    """Return EMR Serverless with the details of its applications and of runs in the first one."""
    runs = runs or {}

    def application(parameters: Parameters) -> Any:
        name = parameters["applicationId"]
        return {"application": {"applicationId": name, "arn": arn(name), **details[name]}}

    def run(parameters: Parameters) -> Any:
        name = parameters["jobRunId"]
        if runs[name] is None:
            raise GONE
        return {"jobRun": {"jobRunId": name, "arn": arn(f"a/jobruns/{name}"), **runs[name]}}

    return Scripted(
        "emr-serverless",
        ListApplications=[{"applications": [one]} for one in applications] or {"applications": []},
        GetApplication=application,
        ListJobRuns=[{"jobRuns": [{"applicationId": "a", "id": one}]} for one in runs]
        or {"jobRuns": []},
        GetJobRun=run,
    )


def uses(api: Scripted) -> set[tuple[str, str]]:
    usages = found(EMR_SERVERLESS, api)
    assert {one.source for one in usages} <= {"emr-serverless"}
    return {(one.consumer, one.reference.digest or str(one.reference.tag)) for one in usages}


def test_no_applications_use_nothing() -> None:
    api = emr([], {})

    assert uses(api) == set()
    assert api.actions == ["emr-serverless:ListApplications"]


def test_applications_of_all_pages_are_read_in_every_state_but_terminated() -> None:
    api = emr([listed("a"), listed("b", "STOPPED")], {"a": image("v1"), "b": image("v2")})

    assert uses(api) == {(arn("a"), "v1"), (arn("b"), "v2")}
    assert api.asked("ListApplications")[0] == {
        "states": ["CREATING", "CREATED", "STARTING", "STARTED", "STOPPING", "STOPPED"],
        "maxResults": 50,
    }


def test_application_without_an_image_of_its_own_uses_none() -> None:
    assert uses(emr([listed("a")], {"a": {}})) == set()


def test_resolved_digest_counts_beside_the_tag() -> None:
    assert uses(emr([listed("a")], {"a": image("v1", OLD)})) == {(arn("a"), "v1"), (arn("a"), OLD)}


def test_each_type_of_worker_may_have_an_image() -> None:
    workers = {"workerTypeSpecifications": {"DRIVER": image("driver"), "EXECUTOR": image("exec")}}

    assert uses(emr([listed("a")], {"a": workers})) == {(arn("a"), "driver"), (arn("a"), "exec")}


def test_job_run_keeps_the_image_that_it_began_with() -> None:
    run = image("v1", OLD) | {"workerTypeSpecifications": {"DRIVER": image("driver")}}
    api = emr([listed("a")], {"a": image("v2", NEW)}, {"one": run, "two": {}})
    of_run = arn("a/jobruns/one")

    assert uses(api) == {
        (arn("a"), "v2"),
        (arn("a"), NEW),
        (of_run, "v1"),
        (of_run, OLD),
        (of_run, "driver"),
    }
    assert api.actions == ACTIONS
    assert api.asked("ListJobRuns")[0] == {
        "applicationId": "a",
        "states": ["SUBMITTED", "PENDING", "SCHEDULED", "RUNNING", "CANCELLING", "QUEUED"],
        "maxResults": 50,
    }


@pytest.mark.parametrize("state", ["CREATING", "CREATED", "STOPPED"])
def test_application_that_is_not_started_has_no_job_runs_to_ask_for(state: str) -> None:
    api = emr([listed("a", state)], {"a": image("v1")})

    assert uses(api) == {(arn("a"), "v1")}
    assert api.asked("ListJobRuns") == []


@pytest.mark.parametrize("operation", ["GetApplication", "ListJobRuns"])
def test_application_that_vanished_is_skipped(operation: str) -> None:
    api = emr([listed("a")], {"a": {}}).line(operation, GONE)

    assert uses(api) == set()


def test_job_run_that_vanished_is_skipped() -> None:
    api = emr([listed("a")], {"a": {}}, {"gone": None, "stays": image("v1")})

    assert uses(api) == {(arn("a/jobruns/stays"), "v1")}
