"""EMR Serverless: applications with images of their own, and the job runs under way in them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain

from ecr_cleaner.aws.api import Answer, Api
from ecr_cleaner.core.model import Usage
from ecr_cleaner.usage.shared.references import as_written_and_run, usages_of
from ecr_cleaner.usage.shared.target import Target

ALIVE = ("CREATING", "CREATED", "STARTING", "STARTED", "STOPPING", "STOPPED")
AT_WORK = frozenset({"STARTING", "STARTED", "STOPPING"})
UNFINISHED = ("SUBMITTED", "PENDING", "SCHEDULED", "RUNNING", "CANCELLING", "QUEUED")
GONE = "ResourceNotFoundException"


class EmrServerless:
    """What an application runs next, and what each unfinished job run in it runs.

    A job run keeps the image it began with while the application gets another one.
    Source: https://docs.aws.amazon.com/emr/latest/EMR-Serverless-UserGuide/updating-running-applications.html
    """

    name = "emr-serverless"
    service = "emr-serverless"

    def usages(self, target: Target) -> Iterable[Usage]:
        """Yield the images of each application and of each unfinished job run."""
        emr, workers = target.api("emr-serverless"), target.workers
        applications = list(
            emr.each("ListApplications", "applications", states=list(ALIVE), maxResults=50)
        )
        at_work = [one for one in applications if one["state"] in AT_WORK]
        runs = chain.from_iterable(workers.map(lambda one: _unfinished(emr, one), at_work))
        answers = [
            *workers.map(lambda one: _application(emr, one), applications),
            *workers.map(lambda one: _run(emr, one), runs),
        ]
        for answer in answers:
            if answer is not None:
                yield from usages_of(self.name, answer["arn"], _images(answer))


def _unfinished(emr: Api, application: Answer) -> list[Answer]:
    listing = emr.each_found(
        "ListJobRuns",
        "jobRuns",
        GONE,
        applicationId=application["id"],
        states=list(UNFINISHED),
        maxResults=50,
    )
    return list(listing)


def _application(emr: Api, application: Answer) -> Answer | None:
    answer = emr.find("GetApplication", GONE, applicationId=application["id"])
    return answer["application"] if answer else None


def _run(emr: Api, run: Answer) -> Answer | None:
    answer = emr.find("GetJobRun", GONE, applicationId=run["applicationId"], jobRunId=run["id"])
    return answer["jobRun"] if answer else None


def _images(answer: Answer) -> Iterator[str | None]:
    """One image for all workers, or one for each type of worker; the digest once it is resolved."""
    for part in (answer, *answer.get("workerTypeSpecifications", {}).values()):
        image = part.get("imageConfiguration", {})
        yield from as_written_and_run(image.get("imageUri"), image.get("resolvedImageDigest"))
