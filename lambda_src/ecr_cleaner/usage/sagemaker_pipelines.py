"""SageMaker pipelines, whose steps train, process and create models from images."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from itertools import chain
from typing import Any

from ecr_cleaner.aws.api import Api
from ecr_cleaner.core.model import Usage
from ecr_cleaner.usage.shared.definitions import references, texts
from ecr_cleaner.usage.shared.sagemaker import find
from ecr_cleaner.usage.shared.target import Target


class SageMakerPipelines:
    """The latest definition of each pipeline, with the default values of its parameters.

    Source: https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_DescribePipeline.html
    """

    name = "sagemaker-pipelines"
    service = "sagemaker"

    def usages(self, target: Target) -> Iterable[Usage]:
        """Yield the references in each definition, one call a pipeline."""
        api = target.api("sagemaker")
        pipelines = list(api.each("ListPipelines", "PipelineSummaries", MaxResults=100))
        usages = target.workers.map(lambda pipeline: _usages(api, pipeline), pipelines)
        return chain.from_iterable(usages)


def _usages(api: Api, pipeline: Mapping[str, Any]) -> list[Usage]:
    answer = find(api, "DescribePipeline", PipelineName=pipeline["PipelineName"])
    if answer is None:
        return []
    strings = (text for _, text in texts(json.loads(answer["PipelineDefinition"])))
    return [
        Usage(reference, pipeline["PipelineArn"], SageMakerPipelines.name)
        for reference in references(strings)
    ]
