"""Which images a run of the handler removes and keeps, in an account on moto."""

from __future__ import annotations

from typing import Any

import pytest

from integration.program import Ask, Parameters, Program, paged
from world import OPTED_IN, World

SECOND = 1 / 86_400
OLD = 90


def kept_as(world: World, repository: str, **digests: str) -> set[str]:
    """Return the names of the images that exist."""
    there = world.digests(repository)
    return {name for name, digest in digests.items() if digest in there}


def use(world: World, image: str, name: str = "web") -> None:
    """Create a service that runs the image."""
    cluster = world.cluster(f"cluster-of-{name}")
    world.service(cluster, name, world.task_definition(name, image))


@pytest.fixture
def app(world: World) -> str:
    """An opted-in repository with one image in use."""
    name = world.repository("app")
    world.image(name, "in-use", days_old=OLD)
    use(world, world.uri(name, "in-use"))
    return name


# -- Age ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("days_old", "tags", "settings", "stays"),
    [
        (30 + SECOND, {}, {}, False),
        (29, {}, {}, True),
        (30 - 60 * SECOND, {}, {}, True),
        (29 + SECOND, {"BoxCleanerKeepDays": "29"}, {}, False),
        (29 + SECOND, {"BoxCleanerKeepDays": "30"}, {"DEFAULT_KEEP_DAYS": "1"}, True),
        (7 + SECOND, {}, {"DEFAULT_KEEP_DAYS": "7"}, False),
        (SECOND, {}, {"DEFAULT_KEEP_DAYS": "0", "KEEP_PULLED_DAYS": "0"}, False),
    ],
)
def test_unused_image_is_removed_once_it_is_older_than_keep_days(  # a table
    world: World,
    program: Program,
    days_old: float,
    tags: dict[str, str],
    settings: dict[str, str],
    stays: bool,  # a table
) -> None:
    name = world.repository("app", {**OPTED_IN, **tags})
    digest = world.image(name, "v1", days_old=days_old)
    use(world, world.uri(name, digest=world.image(name)))
    program.delete(**settings)

    assert (digest in world.digests(name)) is stays


# -- Opting in ---------------------------------------------------------------------------------


@pytest.mark.parametrize("value", ["false", "True", "TRUE", "true ", "yes", "1", "", None])
def test_images_of_a_repository_that_is_not_opted_in_are_not_even_listed(
    world: World, program: Program, app: str, value: str | None
) -> None:
    other = world.repository("other", {} if value is None else {"BoxCleanerEnabled": value})
    world.image(other, days_old=OLD)
    before = world.digests(other)
    run = program.delete()

    assert world.digests(other) == before
    listed = {asked["repositoryName"] for asked in run.called("ecr:DescribeImages")}
    assert listed == {app}
    warned = [line["value"] for line in run.lines if line["event"].startswith("Repository is not")]
    assert warned == ([] if value in {None, "false"} else [value])


# -- In use ------------------------------------------------------------------------------------


@pytest.mark.parametrize("tagged", [True, False])
@pytest.mark.parametrize("used", [True, False])
def test_old_image_is_kept_if_and_only_if_something_runs_its_digest(
    world: World, program: Program, app: str, *, tagged: bool, used: bool
) -> None:
    digest = world.image(app, *(["v1"] if tagged else []), days_old=OLD)
    if used:
        use(world, world.uri(app, digest=digest), "by-digest")
    run = program.delete()

    assert (digest in world.digests(app)) is used
    assert run.summary["removed"] == (0 if used else 1)


def test_moved_tag_protects_the_new_image_and_the_task_protects_the_old_one(
    world: World, program: Program, app: str
) -> None:
    before = world.image(app, "v1", days_old=OLD)
    world.task(world.cluster("main"), world.task_definition("t", world.uri(app, "v1")), before)
    after = world.image(app, "v1", days_old=OLD - 1)
    unused = world.image(app, "v0", days_old=OLD)
    program.delete()

    assert kept_as(world, app, before=before, after=after, unused=unused) == {"before", "after"}


def test_every_version_of_a_function_protects_the_image_that_lambda_resolved(
    world: World, program: Program, app: str
) -> None:
    images = [world.image(app, "latest", days_old=OLD)]
    world.function("f", world.uri(app, "latest"))
    world.publish("f")
    for _ in range(2):
        images.append(world.image(app, "latest", days_old=OLD))
        world.update_function("f", world.uri(app, "latest"))
        world.publish("f")
    moved_to = world.image(app, "latest", days_old=OLD)
    unused = world.image(app, "unused", days_old=OLD)
    world.zip_function("no-image")
    program.delete()

    assert {*images, moved_to} <= world.digests(app)
    assert unused not in world.digests(app)


def test_service_without_tasks_its_draining_deployment_and_its_task_set_protect_three_images(
    world: World, program: Program, app: str
) -> None:
    tags = ("primary", "draining", "task-set", "unused")
    digests = {tag: world.image(app, tag, days_old=OLD) for tag in tags}
    definitions = {
        tag: world.task_definition(tag, world.uri(app, tag), "nginx:1.27") for tag in tags[:3]
    }
    cluster = world.cluster("main")
    world.service(cluster, "none", definitions["primary"], tasks=0)
    world.draining_deployment(cluster, "none", definitions["draining"])
    world.service(cluster, "external", None)
    world.task_set(cluster, "external", definitions["task-set"])
    for definition in definitions.values():
        world.retire(definition)
    program.delete()

    there = world.digests(app)
    assert {tag for tag in tags if digests[tag] in there} == {"primary", "draining", "task-set"}


def test_deployed_revision_protects_the_digest_that_ecs_resolved(
    world: World, program: Program, app: str
) -> None:
    cluster = world.cluster("main")
    world.service(cluster, "s", world.task_definition("s", world.uri(app, "v1")))
    rolled_back_to = world.image(app, "v1", days_old=OLD)
    world.revision(cluster, "s", world.uri(app, "v1"), rolled_back_to)
    current = world.image(app, "v1", days_old=OLD)
    world.revision(cluster, "s", world.uri(app, "v1"), current)
    world.image(app, "v1", days_old=OLD)
    unused = world.image(app, "unused", days_old=OLD)
    program.delete()

    names = kept_as(world, app, rolled_back_to=rolled_back_to, current=current, unused=unused)
    assert names == {"rolled_back_to", "current"}


def test_service_without_task_definition_and_foreign_images_cause_no_error(
    world: World, program: Program, app: str
) -> None:
    cluster = world.cluster("main")
    world.service(cluster, "external", None)
    foreign = world.task_definition("f", "nginx", "public.ecr.aws/x/y:1", "scratch", "ghcr.io/a/b")
    world.service(cluster, "foreign", foreign)
    world.app_runner("public", "public.ecr.aws/x/y:1")
    world.app_runner("code", None)
    unused = world.image(app, days_old=OLD)

    assert program.delete().summary["complete"] is True
    assert unused not in world.digests(app)


# -- Multi-platform images ---------------------------------------------------------------------


def test_index_in_use_keeps_its_children_and_a_child_in_use_its_index_and_siblings(
    world: World, program: Program, app: str
) -> None:
    first = [world.image(app, days_old=OLD) for _ in range(2)]
    by_index = world.index(app, first, "by-index", days_old=OLD)
    second = [world.image(app, days_old=OLD) for _ in range(2)]
    by_child = world.index(app, second, days_old=OLD)
    third = [world.image(app, days_old=OLD) for _ in range(2)]
    unused = world.index(app, third, "unused", days_old=OLD)
    use(world, world.uri(app, "by-index"), "by-index")
    use(world, world.uri(app, digest=second[0]), "by-child")
    run = program.delete()

    assert {by_index, *first, by_child, *second} <= world.digests(app)
    assert world.digests(app).isdisjoint({unused, *third})
    assert (run.summary["removed"], run.summary["failed"]) == (3, 0)


def test_unused_nested_index_is_removed_in_one_run(
    world: World, program: Program, app: str
) -> None:
    leaves = [world.image(app, days_old=OLD) for _ in range(4)]
    inner = [world.index(app, leaves[:2], days_old=OLD), world.index(app, leaves[2:], days_old=OLD)]
    outer = world.index(app, inner, "multi", days_old=OLD)
    run = program.delete()

    assert world.digests(app).isdisjoint({*leaves, *inner, outer})
    order = [one["imageDigest"] for call in deletions(run.calls) for one in call["imageIds"]]
    assert order[0] == outer
    assert set(order[1:3]) == set(inner)


def deletions(calls: list[Any]) -> list[Parameters]:
    return [call.parameters for call in calls if call.action == "ecr:BatchDeleteImage"]


def test_images_are_deleted_by_digest_only(world: World, program: Program, app: str) -> None:
    world.image(app, "a", "b", days_old=OLD)
    run = program.delete()

    (call,) = deletions(run.calls)
    assert [sorted(image_id) for image_id in call["imageIds"]] == [["imageDigest"]]


# -- Pages -------------------------------------------------------------------------------------

LISTINGS = {
    "ecr:DescribeRepositories": ("repositories", "nextToken"),
    "ecs:ListClusters": ("clusterArns", "nextToken"),
    "ecs:ListServices": ("serviceArns", "nextToken"),
    "ecs:ListTasks": ("taskArns", "nextToken"),
    "apprunner:ListServices": ("ServiceSummaryList", "NextToken"),
}


@pytest.mark.parametrize("size", [1, 2, 1000])
def test_pages_of_every_size_with_empty_ones_between_change_nothing(
    world: World, program: Program, size: int
) -> None:
    used, unused = set(), set()
    for number in range(3):
        name = world.repository(f"app-{number}")
        used |= {world.image(name, tag, days_old=OLD) for tag in ("ecs", "task", "f", "site")}
        unused |= {world.image(name, days_old=OLD) for _ in range(5)}
        use(world, world.uri(name, "ecs"), f"s{number}")
        task = world.task_definition(f"t{number}", world.uri(name, "task"))
        world.task(world.cluster(f"tasks-{number}"), task)
        world.function(f"f{number}", world.uri(name, "f"))
        world.zip_function(f"z{number}")
        world.app_runner(f"site-{number}", world.uri(name, "site"))
    for action, (key, token) in LISTINGS.items():
        program.on(action, paged(key, token, size=size))
    program.on("ecr:DescribeImages", paged("imageDetails", size=size))
    program.on("lambda:ListFunctions", paged("Functions", "Marker", "NextMarker", size=size))
    run = program.delete()

    left = {digest for number in range(3) for digest in world.digests(f"app-{number}")}
    assert left == used
    assert (run.summary["images"], run.summary["removed"]) == (27, 15)


# -- Regions -----------------------------------------------------------------------------------


def test_region_without_app_runner_is_cleaned_and_the_coverage_says_so(
    world: World, program: Program
) -> None:
    elsewhere = World(region="eu-south-1")
    name = elsewhere.repository("app")
    elsewhere.image(name, "in-use", days_old=OLD)
    unused = elsewhere.image(name, days_old=OLD)
    use(elsewhere, elsewhere.uri(name, "in-use"))
    run = program.delete(AWS_REGION="eu-south-1")

    assert unused not in elsewhere.digests(name)
    assert run.summary["coverage"]["app-runner"] == {"state": "not in this region"}
    assert run.called("apprunner:ListServices") == []
    (coverage,) = run.events("Coverage")
    assert coverage["sources"]["app-runner"] == {"state": "not in this region"}
    assert world.region == "eu-west-1"


def test_only_the_region_of_the_run_is_cleaned(world: World, program: Program, app: str) -> None:
    elsewhere = World(region="eu-central-1")
    name = elsewhere.repository("app")
    other = elsewhere.image(name, days_old=OLD)
    here = world.image(app, days_old=OLD)
    program.delete(AWS_REGION=world.region)

    assert other in elsewhere.digests(name)
    assert here not in world.digests(app)


# -- The account changes during the run --------------------------------------------------------


def test_image_that_is_pushed_during_the_run_is_kept(
    world: World, program: Program, app: str
) -> None:
    pushed: list[str] = []

    def push_first(parameters: Parameters, ask: Ask) -> dict[str, Any]:
        pushed.append(world.image(app, "new"))
        return ask(parameters)

    program.on("ecr:DescribeImages", push_first)
    program.delete(DEFAULT_KEEP_DAYS="0", KEEP_PULLED_DAYS="0")

    assert set(pushed[-1:]) <= world.digests(app)


def test_image_that_comes_into_use_before_the_sweep_is_kept(
    world: World, program: Program, app: str
) -> None:
    digest = world.image(app, "late", days_old=OLD)
    unused = world.image(app, days_old=OLD)

    def deploy_meanwhile(parameters: Parameters, ask: Ask) -> dict[str, Any]:
        answer = ask(parameters)
        use(world, world.uri(app, "late"), "late")
        return answer

    program.on("ecr:DescribeImages", deploy_meanwhile)
    program.delete(RESCAN_AFTER_SECONDS="0")

    assert kept_as(world, app, late=digest, unused=unused) == {"late"}


def test_second_run_removes_nothing(world: World, program: Program, app: str) -> None:
    world.index(app, [world.image(app, days_old=OLD)], days_old=OLD)
    first, second = program.delete().summary, program.delete().summary

    assert (first["removed"], second["removed"], second["removable"]) == (2, 0, 0)
    assert second["images"] == 1


# -- An account in which nothing is in use -----------------------------------------------------


def test_account_without_any_usage_is_not_cleaned_unless_that_is_expected(
    world: World, program: Program
) -> None:
    name = world.repository("app")
    unused = world.image(name, days_old=OLD)
    refused = program.delete()
    assert unused in world.digests(name)
    assert refused.mutations == []
    assert "EXPECT_NO_USAGE" in refused.failure

    assert program.delete(EXPECT_NO_USAGE="true").summary["removed"] == 1
    assert world.digests(name) == set()


def test_account_without_repositories_causes_no_error(world: World, program: Program) -> None:
    assert world.region
    summary = program.delete().summary

    assert (summary["repositories"], summary["complete"]) == (0, True)


# -- Archiving ---------------------------------------------------------------------------------


def test_unused_image_is_archived_and_deleted_later(
    world: World, program: Program, app: str
) -> None:
    digest = world.image(app, "v1", days_old=OLD)
    settings = {"ACTION": "archive", "ARCHIVE_DAYS": "7"}
    first = program.delete(**settings)
    assert (first.summary["removed"], deletions(first.calls)) == (1, [])
    assert world.stored(app, digest).image_status == "ARCHIVED"

    second = program.delete(**settings)
    assert (second.summary["kept"]["archived"], second.mutations) == (1, [])

    world.stored(app, digest).last_archived_at -= 8 * 86_400
    assert program.delete(**settings).summary["removed"] == 1
    assert digest not in world.digests(app)
