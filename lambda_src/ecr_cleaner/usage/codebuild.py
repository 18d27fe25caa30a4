"""CodeBuild projects with a build environment of their own."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import chain
from typing import Any

from ecr_cleaner.aws.api import Api
from ecr_cleaner.core.errors import IncompleteAnswerError
from ecr_cleaner.core.model import Usage
from ecr_cleaner.usage.shared.references import usages_of
from ecr_cleaner.usage.shared.target import Target
from ecr_cleaner.workers import batches


class CodeBuild:
    """The image that the next build of each project pulls.

    Builds under way are not read: they can only be listed together with all builds of the past
    year, and a build pulls its image once, as it begins.
    Source: https://docs.aws.amazon.com/codebuild/latest/APIReference/API_ProjectEnvironment.html
    """

    name = "codebuild"
    service = "codebuild"

    def usages(self, target: Target) -> Iterable[Usage]:
        """Yield the build environment of each project."""
        codebuild = target.api("codebuild")
        # A page of ListProjects has 100 names; it takes no size.
        names = list(codebuild.each("ListProjects", "projects"))
        described = target.workers.map(
            lambda batch: _described(codebuild, batch), batches(names, 100)
        )
        for project in chain.from_iterable(described):
            image = project.get("environment", {}).get("image")
            yield from usages_of(self.name, project["arn"], [image])


def _described(codebuild: Api, names: list[str]) -> list[Mapping[str, Any]]:
    """Describe one batch; what vanished since it was listed stands in ``projectsNotFound``."""
    answer = codebuild.call("BatchGetProjects", names=names)
    found: list[Mapping[str, Any]] = answer.get("projects", [])
    if len(found) + len(answer.get("projectsNotFound", [])) < len(names):
        problem = f"only {len(found)} of {len(names)} projects"
        raise IncompleteAnswerError(f"BatchGetProjects described {problem}")
    return found
