"""Two instances in one region: each cleans only the repositories that its filter leaves to it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from ecr_cleaner.core.settings import RepositoryRule, Settings
from ecr_cleaner.workers import Workers
from run.test_cleaner import World
from run.test_warnings import DOUBTFUL


@pytest.fixture
def world() -> Iterator[World]:
    """Return repositories of two teams, each with an old unused image."""
    with Workers(2) as workers:
        made = World(workers)
        for name in ("team-a/app", "team-b/app"):
            made.create(name)
            made.push(name, f"old-{name}")
        yield made


def test_only_matching_repositories_are_cleaned_and_the_others_are_counted(world: World) -> None:
    world.ecr.create("team-b/not-opted-in", {})
    summary = world.run(Settings(dry_run=False, repository_filter=("team-a/*",)))

    assert (len(world.ecr.digests("team-a/app")), len(world.ecr.digests("team-b/app"))) == (0, 1)
    assert (summary["repositories"], summary["repositories_not_matching"]) == (1, 1)
    assert (summary["complete"], world.events(DOUBTFUL)) == (True, [])


def test_without_a_filter_every_repository_matches(world: World) -> None:
    summary = world.run()
    assert (summary["repositories"], summary["repositories_not_matching"]) == (2, 0)


def test_pattern_or_rule_without_a_repository_of_this_run_is_warned_about(world: World) -> None:
    rules = (RepositoryRule(("team-a/*",)), RepositoryRule(("team-b/*",)))
    world.run(Settings(repository_filter=("team-a/*", "team-c/*"), rules=rules))

    assert [line["why"] for line in world.events(DOUBTFUL)] == [
        "REPOSITORY_FILTER has a pattern that matches no repository: team-c/*",
        "entry 2 of REPOSITORY_RULES matches no repository: team-b/*",
    ]


def test_tags_of_repositories_that_do_not_match_are_not_warned_about(world: World) -> None:
    world.create("team-b/misspelled", boxcleanerkeepdays="365")
    world.create("team-b/doubtful", BoxCleanerEnabled="yes")
    world.run(Settings(repository_filter=("team-a/*",)))

    assert [line for line in world.log.lines if "team-b" in str(line.get("repository"))] == []


def test_signature_is_kept_if_its_subject_is_in_a_repository_that_does_not_match(
    world: World,
) -> None:
    subject = next(iter(world.ecr.digests("team-b/app")))
    world.create("team-a/signatures")
    world.push("team-a/signatures", "signature", tags=[subject.replace(":", "-") + ".sig"])
    world.run(Settings(dry_run=False, repository_filter=("team-a/*",)))

    assert len(world.ecr.digests("team-a/signatures")) == 1
