"""However a consumer spells an image: it protects that one, in its own registry, and no other."""

from __future__ import annotations

import pytest

from integration.program import Program
from world import World

OLD = 90
DIGEST = "sha256:" + "0" * 64

HOME = "123456789012.dkr.ecr.eu-west-1.amazonaws.com"


class Repository:
    """One repository with an image that is meant, one that is not, and neighbours alike in name."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.name = world.repository("team/app")
        self.meant = world.image(self.name, "v1", "latest", days_old=OLD)
        self.other = world.image(self.name, "v2", days_old=OLD)
        self.neighbours = {
            name: world.image(world.repository(name), "v1", "latest", days_old=OLD)
            for name in ("team/app-prod", "app", "steam/app", "team/ap", "team/app/v1")
        }
        self.cluster = world.cluster("main")

    def used_as(self, *images: str) -> None:
        definition = self.world.task_definition("web", *images)
        self.world.service(self.cluster, "web", definition)

    def left(self) -> set[str]:
        """Return the names of what is still there."""
        there = {name for name in self.neighbours if self.world.digests(name)}
        digests = self.world.digests(self.name)
        there |= {"meant"} if self.meant in digests else set()
        return there | ({"other"} if self.other in digests else set())


@pytest.fixture
def repository(world: World) -> Repository:
    return Repository(world)


@pytest.mark.parametrize(
    "image",
    [
        f"{HOME}/team/app:v1",
        f"{HOME}/team/app@{{meant}}",
        f"{HOME}/team/app:v2@{{meant}}",
        f"{HOME}/team/app",
        f"{HOME}/team/app:latest",
        "123456789012.dkr.ecr-fips.eu-west-1.amazonaws.com/team/app:v1",
        "123456789012.dkr-ecr.eu-west-1.on.aws/team/app:v1",
        "123456789012.dkr-ecr.eu-west-1.on.aws/team/app@{meant}",
        "123456789012.dkr-ecr-fips.eu-west-1.on.aws/team/app:v1",
        f"https://{HOME}/team/app:v1",
    ],
)
def test_each_spelling_protects_the_image_that_it_means_and_nothing_else(
    program: Program, repository: Repository, image: str
) -> None:
    repository.used_as(image.format(meant=repository.meant))
    program.delete()

    assert repository.left() == {"meant"}


@pytest.mark.parametrize(
    "image",
    [
        "210987654321.dkr.ecr.eu-west-1.amazonaws.com/team/app:v1",
        "123456789012.dkr.ecr.eu-west-2.amazonaws.com/team/app:v1",
        "123456789012.dkr.ecr.cn-north-1.amazonaws.com.cn/team/app:v1",
        "123456789012.dkr-ecr.us-east-1.on.aws/team/app@{meant}",
        f"{HOME}/team/app:v3",
        f"{HOME}/team/app@{DIGEST}",
        f"{HOME}/team/app:V1",
        f"{HOME}.example.com/team/app:v1",
        "team/app:v1",
        "docker.io/team/app:v1",
        "public.ecr.aws/team/app:v1",
        "scratch",
    ],
)
def test_what_is_spelt_otherwise_protects_nothing_here_and_is_no_error(
    program: Program, repository: Repository, image: str
) -> None:
    repository.used_as(image.format(meant=repository.meant))
    run = program.delete(EXPECT_NO_USAGE="true")

    assert repository.left() == set()
    assert run.summary["errors"] == []


@pytest.mark.parametrize("image", [f"{HOME}/team/app:", f"{HOME}/team/app@sha256:abc"])
def test_reference_that_breaks_the_grammar_protects_the_whole_repository(
    program: Program, repository: Repository, image: str
) -> None:
    repository.used_as(image)
    program.delete()

    assert repository.left() == {"meant", "other"}


def test_signature_of_an_image_that_runs_from_another_registry_is_kept(
    world: World, program: Program
) -> None:
    signatures = world.repository("signatures")
    tags = {end: f"sha256-{end * 64}.sig" for end in "01"}
    signature, _ = (world.image(signatures, tag, days_old=OLD) for tag in tags.values())
    image = f"210987654321.dkr.ecr.eu-west-1.amazonaws.com/app@{DIGEST}"
    world.service(world.cluster("main"), "web", world.task_definition("web", image))
    program.delete(EXPECT_NO_USAGE="true")

    assert world.digests(signatures) == {signature}


def test_parts_in_environment_variables_are_put_together(
    program: Program, repository: Repository
) -> None:
    world = repository.world
    definition = world.task_definition(
        "web", "busybox", environment={"REGISTRY": HOME, "IMAGE": "team/app:v1"}
    )
    world.service(repository.cluster, "web", definition)
    program.delete(EXPECT_NO_USAGE="true")

    assert repository.left() == {"meant"}


def test_functions_and_app_runner_services_are_understood_as_well(
    world: World, program: Program, repository: Repository
) -> None:
    host = "123456789012.dkr-ecr.eu-west-1.on.aws"
    world.function("f", f"{HOME}/team/app@{repository.other}")
    world.app_runner("site", f"{host}/team/app-prod")
    program.delete()

    assert repository.left() == {"other", "team/app-prod"}


@pytest.mark.parametrize(
    ("region", "host"),
    [
        ("cn-north-1", "123456789012.dkr.ecr.cn-north-1.amazonaws.com.cn"),
        ("us-gov-west-1", "123456789012.dkr.ecr-fips.us-gov-west-1.amazonaws.com"),
    ],
)
def test_other_partitions_are_cleaned_by_their_own_spelling(
    world: World, program: Program, region: str, host: str
) -> None:
    assert world.region != region
    there = World(region=region)
    name = there.repository("app")
    meant = there.image(name, "v1", days_old=OLD)
    there.image(name, "v2", days_old=OLD)
    cluster = there.cluster("main")
    there.service(cluster, "web", there.task_definition("web", f"{host}/app:v1"))
    program.delete(AWS_REGION=region)

    assert there.digests(name) == {meant}
