"""How a plan is carried out: batches, refusals, images already gone, images left over."""

from __future__ import annotations

from typing import Any

import pytest

from integration.program import Ask, Parameters, Program, Run, fails
from world import World

OLD = 90
DELETE = "ecr:BatchDeleteImage"


@pytest.fixture
def app(world: World) -> str:
    name = world.repository("app")
    world.image(name, "in-use")
    world.app_runner("site", world.uri(name, "in-use"))
    return name


def sizes(run: Run) -> list[int]:
    """Return the number of images in each delete call, largest first."""
    return sorted((len(call["imageIds"]) for call in run.called(DELETE)), reverse=True)


def numbers(run: Run) -> dict[str, int]:
    (line,) = run.events("Run finished")
    names = ("removed", "already_gone", "failed", "left")
    return {name: line[name] for name in names if line[name]}


def failing(world: World, repository: str, codes: dict[str, str]) -> Any:
    """Delete as AWS does, but fail with a code for these digests."""

    def answer(parameters: Parameters, ask: Ask) -> dict[str, Any]:
        ids = parameters["imageIds"]
        spared = [one for one in ids if one["imageDigest"] not in codes]
        content = ask({**parameters, "imageIds": spared}) if spared else {"imageIds": []}
        content["failures"] = [
            {"imageId": one, "failureCode": codes[one["imageDigest"]], "failureReason": "test"}
            for one in ids
            if one["imageDigest"] in codes
        ]
        return content

    assert world.digests(repository)
    return answer


def test_250_images_are_deleted_in_calls_of_100_100_and_50(
    world: World, program: Program, app: str
) -> None:
    for _ in range(250):
        world.image(app, days_old=OLD)
    run = program.delete()

    assert sizes(run) == [100, 100, 50]
    assert numbers(run) == {"removed": 250}
    assert len(world.digests(app)) == 1


def test_throttled_batch_is_not_counted_and_the_next_run_finishes(
    world: World, program: Program, app: str
) -> None:
    for _ in range(150):
        world.image(app, days_old=OLD)

    def second_is_throttled(parameters: Parameters, ask: Ask) -> dict[str, Any]:
        if len(parameters["imageIds"]) == 50:
            return fails("ThrottlingException", "Rate exceeded")(parameters, ask)
        return ask(parameters)

    program.on(DELETE, second_is_throttled)
    first = program.delete()
    assert numbers(first) == {"removed": 100, "failed": 50}
    assert "BatchDeleteImage failed with ThrottlingException" in first.failure
    assert len(world.digests(app)) == 51

    program.answers.clear()
    assert numbers(program.delete()) == {"removed": 50}


def test_image_that_somebody_else_deleted_is_not_a_failure(
    world: World, program: Program, app: str
) -> None:
    gone, unused = (world.image(app, days_old=OLD) for _ in range(2))
    program.on(DELETE, failing(world, app, {gone: "ImageNotFound"}))
    run = program.delete()

    assert numbers(run) == {"removed": 1, "already_gone": 1}
    assert run.summary["complete"] is True
    assert unused not in world.digests(app)


def test_refused_image_is_reported_and_not_counted_and_the_others_are_deleted(
    world: World, program: Program, app: str
) -> None:
    refused, unused = (world.image(app, days_old=OLD) for _ in range(2))
    program.on(DELETE, failing(world, app, {refused: "KmsError"}))
    run = program.delete()

    assert numbers(run) == {"removed": 1, "failed": 1}
    assert unused not in world.digests(app)
    (line,) = run.events("Image could not be removed")
    assert (line["level"], line["digest"], line["code"]) == ("error", refused, "KmsError")
    assert line["repository"] == app
    assert "1 images could not be removed" in run.failure


def test_child_of_an_index_pushed_during_the_run_is_reported_as_failed(
    world: World, program: Program, app: str
) -> None:
    """The index lists an image that is about to be deleted."""
    child = world.image(app, days_old=OLD)

    def index_comes_first(parameters: Parameters, ask: Ask) -> dict[str, Any]:
        world.index(app, [child], "new")
        return ask(parameters)

    program.on(DELETE, index_comes_first)
    run = program.delete()

    assert child in world.digests(app)
    assert numbers(run) == {"failed": 1}
    (line,) = run.events("Image could not be removed")
    assert line["code"] == "ImageReferencedByManifestList"


def test_child_that_is_refused_at_first_is_tried_again_after_its_parent(
    world: World, program: Program, app: str
) -> None:
    """ECR may refuse to delete a child for a moment after its index was deleted."""
    children = [world.image(app, days_old=OLD) for _ in range(2)]
    index = world.index(app, children, days_old=OLD)
    refused: list[str] = []

    def refuse_once(parameters: Parameters, ask: Ask) -> dict[str, Any]:
        digests = {one["imageDigest"] for one in parameters["imageIds"]}
        if children[0] in digests and not refused:
            refused.append(children[0])
            codes = {children[0]: "ImageReferencedByManifestList"}
            return dict(failing(world, app, codes)(parameters, ask))
        return ask(parameters)

    program.on(DELETE, refuse_once)
    run = program.delete()

    assert refused == children[:1]
    assert world.digests(app).isdisjoint({index, *children})
    assert numbers(run) == {"removed": 3}


def test_children_of_an_index_that_could_not_be_deleted_are_kept(
    world: World, program: Program, app: str
) -> None:
    child = world.image(app, days_old=OLD)
    index = world.index(app, [child], days_old=OLD)
    program.on(DELETE, failing(world, app, {index: "KmsError"}))
    run = program.delete()

    assert {child, index} <= world.digests(app)
    assert numbers(run) == {"failed": 1, "left": 1}
    assert all({"imageDigest": child} not in call["imageIds"] for call in run.called(DELETE))


def test_no_more_than_the_upper_bound_is_deleted_and_the_next_runs_finish(
    world: World, program: Program, app: str
) -> None:
    for _ in range(5):
        world.image(app, days_old=OLD)
    left = []
    for _ in range(3):
        run = program.delete(MAX_DELETIONS="2")
        left.append((len(world.digests(app)) - 1, run.summary["complete"]))

    assert left == [(3, False), (1, False), (0, True)]


def test_image_that_the_answer_omits_is_counted_only_if_it_is_gone(
    world: World, program: Program, app: str
) -> None:
    gone, there = (world.image(app, days_old=OLD) for _ in range(2))

    def silent(parameters: Parameters, ask: Ask) -> dict[str, Any]:
        ask({**parameters, "imageIds": [{"imageDigest": gone}]})
        return {"imageIds": [], "failures": []}

    program.on(DELETE, silent)
    run = program.delete()

    assert there in world.digests(app)
    assert numbers(run) == {"removed": 1, "failed": 1}
