"""The usage sources of SageMaker that consist of rows."""

from __future__ import annotations

from typing import Any

from ecr_cleaner.usage.shared.reading import Keep, Row, Rows, each, one, row
from ecr_cleaner.usage.shared.sagemaker import GONE


def _kind(
    name: str, listing: str, key: str, *, by: str = "Name", keep: Keep | None = None, **filters: Any
) -> Row:
    """Return the row of a kind: ``Model`` is described by ``ModelName``, ``ModelArn`` names it."""
    parameters = {f"{name}Name": f"@{name}{by}"}
    return row(
        f"{{0[{name}Arn]}}",
        each(listing, key, keep, MaxResults=100, **filters),
        one(f"Describe{name}", **parameters),
        gone=GONE,
    )


# What a model would run, and what an endpoint runs by digest: instances are replaced by that.
# Transform jobs name a model and no image, so the models cover them.
SAGEMAKER = Rows(
    "sagemaker",
    "sagemaker",
    "every model, and every endpoint and inference component, by the digest that it serves",
    (
        _kind("Model", "ListModels", "Models"),
        _kind("Endpoint", "ListEndpoints", "Endpoints"),
        _kind("InferenceComponent", "ListInferenceComponents", "InferenceComponents"),
    ),
)
# A job that is stopping pulls nothing any more; one that is stopped is never started again. A
# tuning job goes on to create training jobs.
_UNDER_WAY: dict[str, Any] = {"StatusEquals": "InProgress"}
SAGEMAKER_JOBS = Rows(
    "sagemaker-jobs",
    "sagemaker",
    "training, tuning, processing and optimization jobs under way",
    (
        _kind("TrainingJob", "ListTrainingJobs", "TrainingJobSummaries", **_UNDER_WAY),
        _kind(
            "HyperParameterTuningJob",
            "ListHyperParameterTuningJobs",
            "HyperParameterTuningJobSummaries",
            **_UNDER_WAY,
        ),
        _kind("ProcessingJob", "ListProcessingJobs", "ProcessingJobSummaries", **_UNDER_WAY),
        _kind(
            "OptimizationJob",
            "ListOptimizationJobs",
            "OptimizationJobSummaries",
            keep=lambda job: job["OptimizationJobStatus"] in {"STARTING", "INPROGRESS"},
        ),
    ),
)
# Every version of every image: a user can choose any of them.
SAGEMAKER_STUDIO = Rows(
    "sagemaker-studio",
    "sagemaker",
    "every version of every Studio image",
    (
        row(
            "{1[ImageVersionArn]}",
            each("ListImages", "Images", MaxResults=100),
            each("ListImageVersions", "ImageVersions", ImageName="@ImageName", MaxResults=100),
            one("DescribeImageVersion", ImageName="@0.ImageName", Version="@Version"),
            gone=GONE,
        ),
    ),
)
# Every version in every model package group, rejected ones too: approval can change.
SAGEMAKER_PACKAGES = Rows(
    "sagemaker-packages",
    "sagemaker",
    "every model package and algorithm",
    (
        _kind(
            "ModelPackage",
            "ListModelPackages",
            "ModelPackageSummaryList",
            by="Arn",
            ModelPackageType="Both",
        ),
        _kind("Algorithm", "ListAlgorithms", "AlgorithmSummaryList"),
    ),
)
# The latest definition of each pipeline and every version: an execution may name any of them.
_PIPELINES = each("ListPipelines", "PipelineSummaries", MaxResults=100)
SAGEMAKER_PIPELINES = Rows(
    "sagemaker-pipelines",
    "sagemaker",
    "every version of every pipeline, by the references and the templates in its definition",
    (
        row(
            "{0[PipelineArn]}",
            _PIPELINES,
            one("DescribePipeline", PipelineName="@PipelineName"),
            gone=GONE,
        ),
        row(
            "{0[PipelineArn]}",
            _PIPELINES,
            each(
                "ListPipelineVersions",
                "PipelineVersionSummaries",
                PipelineName="@PipelineName",
                MaxResults=100,
            ),
            one(
                "DescribePipeline",
                PipelineName="@0.PipelineName",
                PipelineVersionId="@PipelineVersionId",
            ),
            gone=GONE,
        ),
    ),
)
