"""What SageMaker's jobs in progress run."""

from __future__ import annotations

from typing import Any

import pytest

from ecr_cleaner.usage.rows_sagemaker import SAGEMAKER_JOBS
from fakes.aws_api import error, found
from fakes.scripted import HOST, Scripted, by

GONE = error("ValidationException", "Requested resource not found.")
ACTIONS = [
    "sagemaker:DescribeHyperParameterTuningJob",
    "sagemaker:DescribeProcessingJob",
    "sagemaker:DescribeTrainingJob",
    "sagemaker:ListHyperParameterTuningJobs",
    "sagemaker:ListOptimizationJobs",
    "sagemaker:ListProcessingJobs",
    "sagemaker:ListTrainingJobs",
]


def arn(name: str) -> str:
    return f"arn:aws:sagemaker:eu-west-1:123456789012:job/{name}"


def listed(kind: str, *names: str) -> dict[str, Any]:
    jobs = [{f"{kind}JobName": one, f"{kind}JobArn": arn(one)} for one in names]
    return {f"{kind}JobSummaries": jobs}


def jobs(**lines: Any) -> Scripted:
    """Return SageMaker with no jobs but what these lines say."""
    nothing: dict[str, Any] = {
        "ListTrainingJobs": {},
        "ListHyperParameterTuningJobs": {},
        "ListProcessingJobs": {},
        "ListOptimizationJobs": {},
    }
    return Scripted("sagemaker", **(nothing | lines))


def algorithm(tag: str) -> dict[str, Any]:
    return {"AlgorithmSpecification": {"TrainingImage": f"{HOST}/train:{tag}"}}


def uses(api: Scripted) -> set[tuple[str, str | None]]:
    usages = found(SAGEMAKER_JOBS, api)
    assert {one.source for one in usages} <= {"sagemaker-jobs"}
    return {(one.consumer, one.reference.tag) for one in usages}


def test_no_jobs_use_nothing_and_only_those_in_progress_are_asked_for() -> None:
    api = jobs()

    assert uses(api) == set()
    assert api.actions == [action for action in ACTIONS if ":List" in action]
    # Two states of an optimization job count, and only one could be asked for.
    others = [asked for name, asked in api.calls if name != "ListOptimizationJobs"]
    assert all(asked == {"StatusEquals": "InProgress", "MaxResults": 100} for asked in others)


@pytest.mark.parametrize(
    ("status", "tags"), [("STARTING", {"v1"}), ("INPROGRESS", {"v1"}), ("COMPLETED", set())]
)
def test_optimization_job_under_way_uses_its_image(status: str, tags: set[str]) -> None:
    job = {"OptimizationJobName": "one", "OptimizationJobArn": arn("one")}
    config = {"ModelQuantizationConfig": {"Image": f"{HOST}/optimize:v1"}}
    api = jobs(
        ListOptimizationJobs={
            "OptimizationJobSummaries": [job | {"OptimizationJobStatus": status}]
        },
        DescribeOptimizationJob={"OptimizationConfigs": [config]},
    )

    assert {tag for _, tag in uses(api)} == tags


def test_training_job_uses_its_algorithm_and_the_rules_that_watch_it() -> None:
    job = {
        **algorithm("v1"),
        "DebugRuleConfigurations": [{"RuleEvaluatorImage": f"{HOST}/rule:debug"}],
        "ProfilerRuleConfigurations": [{"RuleEvaluatorImage": f"{HOST}/rule:profile"}],
    }
    api = jobs(ListTrainingJobs=listed("Training", "one"), DescribeTrainingJob=job)

    assert uses(api) == {(arn("one"), tag) for tag in ("v1", "debug", "profile")}


@pytest.mark.parametrize("job", [{"AlgorithmSpecification": {"AlgorithmName": "of-a-vendor"}}, {}])
def test_training_job_without_an_image_uses_none(job: dict[str, Any]) -> None:
    api = jobs(ListTrainingJobs=listed("Training", "one"), DescribeTrainingJob=job)

    assert uses(api) == set()


@pytest.mark.parametrize(
    ("job", "tags"),
    [
        ({"TrainingJobDefinition": algorithm("v1")}, {"v1"}),
        ({"TrainingJobDefinitions": [algorithm("a"), algorithm("b")]}, {"a", "b"}),
        ({}, set()),
    ],
    ids=["one", "several", "none"],
)
def test_tuning_job_uses_what_its_training_jobs_will(job: dict[str, Any], tags: set[str]) -> None:
    api = jobs(
        ListHyperParameterTuningJobs=listed("HyperParameterTuning", "one"),
        DescribeHyperParameterTuningJob=job,
    )

    assert uses(api) == {(arn("one"), tag) for tag in tags}


def test_processing_job_uses_its_image() -> None:
    job = {"AppSpecification": {"ImageUri": f"{HOST}/process:v1"}}
    api = jobs(ListProcessingJobs=listed("Processing", "one"), DescribeProcessingJob=job)

    assert uses(api) == {(arn("one"), "v1")}


def test_jobs_behind_a_page_without_any_in_progress_are_found() -> None:
    """SageMaker filters each page after it has cut it, so pages may be empty."""
    api = jobs(
        ListTrainingJobs=[listed("Training"), listed("Training"), listed("Training", "one")],
        DescribeTrainingJob=algorithm("v1"),
    )

    assert uses(api) == {(arn("one"), "v1")}


def test_job_that_vanished_is_skipped() -> None:
    api = jobs(
        ListTrainingJobs=listed("Training", "gone", "stays"),
        DescribeTrainingJob=by("TrainingJobName", {"gone": GONE, "stays": algorithm("v1")}),
    )

    assert uses(api) == {(arn("stays"), "v1")}
