"""A pipeline that waits for an approval: its image stays until the execution has ended."""

from __future__ import annotations

import pytest

from integration.full_world import only, pipeline
from integration.program import Program
from integration.told_services import tell
from world import World

OLD = 90
CODEPIPELINE = only("codepipeline")


def tell_pipeline(repository: str, digest: str, status: str) -> None:
    """Have the one execution of the pipeline, in this status, hold the image of this digest."""
    execution = {"pipelineExecutionId": "one", "status": status}
    revisions = [{"name": "Image", "revisionId": digest}]
    tell(
        "codepipeline",
        ListPipelines={"pipelines": [{"name": "shop"}]},
        GetPipeline={"pipeline": pipeline(repository, "prod")},
        ListPipelineExecutions=lambda asked: {
            "pipelineExecutionSummaries": [] if "filter" in asked else [execution]
        },
        GetPipelineExecution={"pipelineExecution": execution | {"artifactRevisions": revisions}},
    )


@pytest.mark.parametrize(("status", "stays"), [("InProgress", True), ("Superseded", False)])
def test_image_of_an_execution_stays_until_it_has_ended_though_the_tag_moved(
    world: World, program: Program, status: str, *, stays: bool
) -> None:
    name = world.repository("team/app")
    unused = world.image(name, days_old=OLD)
    waiting = world.image(name, "prod", days_old=OLD)
    newest = world.image(name, "prod", days_old=OLD)
    tell_pipeline(name, waiting, status)
    program.delete(**CODEPIPELINE)

    assert newest in world.digests(name)
    assert unused not in world.digests(name)
    assert (waiting in world.digests(name)) is stays
