"""AWS Batch: job definitions that can be submitted, and jobs that are not finished.

Source: https://docs.aws.amazon.com/batch/latest/APIReference/API_JobDefinition.html
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from itertools import chain

from ecr_cleaner.aws.api import Answer, Api
from ecr_cleaner.core.errors import IncompleteAnswerError
from ecr_cleaner.core.model import Usage
from ecr_cleaner.usage.shared.references import usages_of
from ecr_cleaner.usage.shared.target import Target
from ecr_cleaner.workers import batches

# In the order of a job's life: what moves on while it is asked for is met again further down.
UNFINISHED = ("SUBMITTED", "PENDING", "RUNNABLE", "STARTING", "RUNNING")
UNFINISHED_IN_SERVICE = ("SUBMITTED", "PENDING", "RUNNABLE", "SCHEDULED", "STARTING", "RUNNING")
FOR_SAGEMAKER = "SAGEMAKER_TRAINING"


class Batch:
    """Every ACTIVE job definition, and each job in a queue: its definition may be gone by now.

    An array or multi-node job tells the images of its children, so these are not listed.
    """

    name = "batch"
    service = "batch"

    def usages(self, target: Target) -> Iterable[Usage]:
        """Yield the images of job definitions, of jobs, and of training jobs still in a queue."""
        batch = target.api("batch")
        definitions = batch.each(
            "DescribeJobDefinitions", "jobDefinitions", status="ACTIVE", maxResults=100
        )
        for definition in definitions:
            yield from usages_of(self.name, definition["jobDefinitionArn"], images(definition))
        queues = [
            queue
            for queue in batch.each("DescribeJobQueues", "jobQueues", maxResults=100)
            if queue.get("status") != "DELETED"
        ]
        for job in _jobs(target, queues):
            yield from usages_of(self.name, job["jobArn"], images(job))
        for job in _service_jobs(target, queues):
            yield from usages_of(self.name, job["jobArn"], [_training_image(job)])


def images(shape: Answer) -> Iterator[str | None]:
    """Yield each image of a job, a job definition or a range of nodes, in whatever shape it is."""
    for single in ("container", "containerProperties"):
        yield shape.get(single, {}).get("image")
    tasks = shape.get("ecsProperties", {}).get("taskProperties", ())
    pod = shape.get("eksProperties", {}).get("podProperties", {})
    several = [*(task.get("containers", ()) for task in tasks)]
    several += [pod.get("containers", ()), pod.get("initContainers", ())]
    for container in chain.from_iterable(several):
        yield container.get("image")
    for nodes in shape.get("nodeProperties", {}).get("nodeRangeProperties", ()):
        yield from images(nodes)


def _jobs(target: Target, queues: list[Answer]) -> Iterator[Answer]:
    batch, workers = target.api("batch"), target.workers
    arns = [one["jobQueueArn"] for one in queues if one.get("jobQueueType") != FOR_SAGEMAKER]
    listed = workers.map(lambda arn: _listed(batch, "ListJobs", arn, UNFINISHED, 1000), arns)
    asked = list(batches(list(dict.fromkeys(chain.from_iterable(listed))), 100))
    return chain.from_iterable(workers.map(lambda ids: _described(batch, ids), asked))


def _service_jobs(target: Target, queues: list[Answer]) -> list[Answer]:
    """What waits in these queues is not known to SageMaker yet."""
    batch, workers = target.api("batch"), target.workers
    arns = [one["jobQueueArn"] for one in queues if one.get("jobQueueType") == FOR_SAGEMAKER]
    listed = workers.map(
        lambda arn: _listed(batch, "ListServiceJobs", arn, UNFINISHED_IN_SERVICE, 100), arns
    )
    asked = dict.fromkeys(chain.from_iterable(listed))
    return workers.map(lambda job: batch.call("DescribeServiceJob", jobId=job), asked)


def _listed(
    batch: Api, operation: str, queue: str, states: Iterable[str], page: int
) -> Iterable[str]:
    """Only one status can be asked for at a time."""
    listings = (
        batch.each(operation, "jobSummaryList", jobQueue=queue, jobStatus=state, maxResults=page)
        for state in states
    )
    return [job["jobId"] for job in chain.from_iterable(listings)]


def _described(batch: Api, ids: list[str]) -> list[Answer]:
    """Finished jobs can be described for days: one that is missing here was not told of."""
    found: list[Answer] = batch.call("DescribeJobs", jobs=ids).get("jobs", [])
    missing = set(ids) - {job["jobId"] for job in found}
    if missing:
        raise IncompleteAnswerError(f"DescribeJobs told nothing of {', '.join(sorted(missing))}")
    return found


def _training_image(job: Answer) -> str | None:
    """The payload is the request to create the training job, as SageMaker will get it.

    Source: https://docs.aws.amazon.com/batch/latest/userguide/service-job-payload.html
    """
    request = json.loads(job["serviceRequestPayload"])
    image: str | None = request.get("AlgorithmSpecification", {}).get("TrainingImage")
    return image
