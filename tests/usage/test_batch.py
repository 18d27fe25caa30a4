"""What AWS Batch runs and could run, in every shape of a job."""

from __future__ import annotations

import json
from typing import Any

import pytest

from ecr_cleaner.core.errors import IncompleteAnswerError
from ecr_cleaner.usage.rows import BATCH
from fakes.aws_api import Parameters, found, tags
from fakes.scripted import HOST, Scripted

ARN = "arn:aws:batch:eu-west-1:123456789012:"
TRAINING = "SAGEMAKER_TRAINING"

CONTAINER = {"image": f"{HOST}/app:container"}
ECS = {
    "taskProperties": [
        {"containers": [{"image": f"{HOST}/app:main"}, {"image": f"{HOST}/app:sidecar"}]},
        {"containers": [{"image": f"{HOST}/app:second-task"}]},
    ]
}
EKS = {
    "podProperties": {
        "containers": [{"image": f"{HOST}/app:pod"}],
        "initContainers": [{"image": f"{HOST}/app:init"}],
    }
}
OF_ECS = {"main", "sidecar", "second-task"}
OF_EKS = {"pod", "init"}


def definition(name: str, **shape: Any) -> dict[str, Any]:
    return {"jobDefinitionArn": f"{ARN}job-definition/{name}:1", **shape}


def queue(name: str, **more: Any) -> dict[str, Any]:
    return {"jobQueueArn": f"{ARN}job-queue/{name}", "status": "VALID"} | more


def job(name: str, **shape: Any) -> dict[str, Any]:
    return {"jobId": name, "jobArn": f"{ARN}job/{name}", **shape}


def service_job(name: str, payload: str) -> dict[str, Any]:
    return {**job(name), "serviceRequestPayload": payload}


def ids_by_status(**ids: list[str]) -> Any:
    def answer(parameters: Parameters) -> dict[str, Any]:
        listed = ids.get(parameters["jobStatus"], [])
        return {"jobSummaryList": [{"jobId": one} for one in listed]}

    return answer


def described(*jobs: dict[str, Any]) -> Any:
    def answer(parameters: Parameters) -> dict[str, Any]:
        return {"jobs": [one for one in jobs if one["jobId"] in parameters["jobs"]]}

    return answer


def batch(**lines: Any) -> Scripted:
    """Return Batch with nothing in it but what these lines say."""
    nothing: dict[str, Any] = {
        "DescribeJobDefinitions": {},
        "DescribeJobQueues": {},
        "ListJobs": {},
    }
    return Scripted("batch", **(nothing | lines))


def test_account_without_batch_uses_nothing() -> None:
    api = batch()

    assert found(BATCH, api) == []
    assert api.actions == ["batch:DescribeJobDefinitions", "batch:DescribeJobQueues"]


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        ({"containerProperties": CONTAINER}, {"container"}),
        ({"ecsProperties": ECS}, OF_ECS),
        ({"eksProperties": EKS}, OF_EKS),
        ({"eksProperties": {"podProperties": {}}}, set()),
        (
            {
                "nodeProperties": {
                    "nodeRangeProperties": [
                        {"container": CONTAINER},
                        {"ecsProperties": ECS},
                        {"eksProperties": EKS},
                    ]
                }
            },
            {"container"} | OF_ECS | OF_EKS,
        ),
        ({"containerProperties": {"image": "public.ecr.aws/docker/library/busybox"}}, set()),
        ({}, set()),
    ],
    ids=["container", "ecs", "eks", "eks-empty", "nodes", "elsewhere", "none"],
)
def test_every_shape_of_a_job_definition_is_read(shape: dict[str, Any], expected: set[str]) -> None:
    api = batch(DescribeJobDefinitions={"jobDefinitions": [definition("one", **shape)]})

    usages = found(BATCH, api)

    assert tags(usages) == expected
    assert {one.consumer for one in usages} <= {f"{ARN}job-definition/one:1"}


def test_only_active_definitions_are_asked_for_on_all_pages() -> None:
    def page(name: str) -> dict[str, Any]:
        image = {"image": f"{HOST}/app:{name}"}
        return {"jobDefinitions": [definition(name, containerProperties=image)]}

    api = batch(DescribeJobDefinitions=[page("a"), {"jobDefinitions": []}, page("b")])

    assert tags(found(BATCH, api)) == {"a", "b"}
    assert api.asked("DescribeJobDefinitions")[0] == {"status": "ACTIVE", "maxResults": 100}


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        ({"container": CONTAINER}, {"container"}),
        ({"ecsProperties": ECS}, OF_ECS),
        ({"eksProperties": EKS}, OF_EKS),
        ({"nodeProperties": {"nodeRangeProperties": [{"container": CONTAINER}]}}, {"container"}),
        ({"container": CONTAINER, "arrayProperties": {"size": 1000}}, {"container"}),
    ],
    ids=["container", "ecs", "eks", "nodes", "array"],
)
def test_job_whose_definition_is_gone_uses_its_images(
    shape: dict[str, Any], expected: set[str]
) -> None:
    api = batch(
        DescribeJobQueues={"jobQueues": [queue("q")]},
        ListJobs=ids_by_status(PENDING=["one"]),
        DescribeJobs=described(job("one", **shape)),
    )

    usages = found(BATCH, api)

    assert tags(usages) == expected
    assert {(one.consumer, one.source) for one in usages} == {(f"{ARN}job/one", "batch")}


def test_jobs_of_each_unfinished_status_are_found_in_the_order_of_their_life() -> None:
    states = ["SUBMITTED", "PENDING", "RUNNABLE", "STARTING", "RUNNING"]
    jobs = [job(one, container={"image": f"{HOST}/app:{one}"}) for one in states]
    api = batch(
        DescribeJobQueues=[{"jobQueues": [queue("q")]}],
        ListJobs=ids_by_status(SUCCEEDED=["old"], **{state: [state] for state in states}),
        DescribeJobs=described(*jobs),
    )

    assert tags(found(BATCH, api)) == set(states)
    assert [asked["jobStatus"] for asked in api.asked("ListJobs")] == states
    assert {asked["maxResults"] for asked in api.asked("ListJobs")} == {1000}


def test_jobs_are_described_a_hundred_at_a_time_and_each_once() -> None:
    names = [f"job-{number}" for number in range(250)]
    pages = [{"jobSummaryList": [{"jobId": one} for one in part]} for part in (names, names[:50])]
    api = batch(
        DescribeJobQueues={"jobQueues": [queue("q")]},
        ListJobs=pages,
        DescribeJobs=described(*(job(one) for one in names)),
    )

    assert found(BATCH, api) == []
    assert sorted(len(asked["jobs"]) for asked in api.asked("DescribeJobs")) == [50, 100, 100]


def test_deleted_queue_is_not_asked_for_jobs_but_a_disabled_one_is() -> None:
    queues = [queue("gone", status="DELETED"), queue("off", state="DISABLED")]
    api = batch(DescribeJobQueues={"jobQueues": queues})

    assert found(BATCH, api) == []
    assert {asked["jobQueue"] for asked in api.asked("ListJobs")} == {f"{ARN}job-queue/off"}


def test_job_that_was_listed_but_not_described_is_an_error() -> None:
    api = batch(
        DescribeJobQueues={"jobQueues": [queue("q")]},
        ListJobs=ids_by_status(RUNNING=["one", "two"]),
        DescribeJobs=described(job("one", container=CONTAINER)),
    )

    with pytest.raises(IncompleteAnswerError, match="DescribeJobs described only 1 of 2 jobs"):
        found(BATCH, api)


def test_training_job_that_waits_in_a_queue_uses_its_image() -> None:
    payload = {"AlgorithmSpecification": {"TrainingImage": f"{HOST}/train:v1"}}
    api = batch(
        DescribeJobQueues={"jobQueues": [queue("train", jobQueueType=TRAINING)]},
        ListServiceJobs=ids_by_status(SCHEDULED=["one"]),
        DescribeServiceJob=service_job("one", json.dumps(payload)),
    )

    assert tags(found(BATCH, api)) == {"v1"}
    assert api.actions == [
        "batch:DescribeJobDefinitions",
        "batch:DescribeJobQueues",
        "batch:DescribeServiceJob",
        "batch:ListServiceJobs",
    ]


def test_training_job_by_an_algorithm_names_no_image_itself() -> None:
    payload = {"AlgorithmSpecification": {"AlgorithmName": "of-a-vendor"}}
    api = batch(
        DescribeJobQueues={"jobQueues": [queue("train", jobQueueType=TRAINING)]},
        ListServiceJobs=ids_by_status(RUNNABLE=["one"]),
        DescribeServiceJob=service_job("one", json.dumps(payload)),
    )

    assert found(BATCH, api) == []


def test_payload_that_is_not_json_is_read_as_text() -> None:
    api = batch(
        DescribeJobQueues={"jobQueues": [queue("train", jobQueueType=TRAINING)]},
        ListServiceJobs=ids_by_status(RUNNABLE=["one"]),
        DescribeServiceJob=service_job("one", f'{{"image": "{HOST}/train:v1"'),
    )

    assert [usage.reference.tag for usage in found(BATCH, api)] == ["v1"]
