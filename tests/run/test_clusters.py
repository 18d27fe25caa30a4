"""Whole runs with Kubernetes clusters: what is not read in full keeps everything."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import pytest

from core.worlds import usage
from ecr_cleaner.core.errors import RunFailedError
from ecr_cleaner.core.model import ClusterReading, Usage
from ecr_cleaner.core.settings import RepositoryRule, Settings
from ecr_cleaner.usage.shared.target import Target
from ecr_cleaner.workers import Workers
from run.test_cleaner import DELETING, SOMETHING_IN_USE, World

READ = ClusterReading("eks", "prod")
UNREAD = ClusterReading("eks", "prod", "it denies a list", "allow it")
OTHER = ClusterReading("eks", "test", "it could not be reached", "reach it")


@dataclass
class ClusterSource:
    """A usage source with these results of clusters, by the number of the scan."""

    results: Callable[[int], Iterable[ClusterReading]]
    name: str = "eks"
    service: str = "ecs"  # one that the stub of AWS offers
    everywhere: bool = True
    scans: int = 0

    def usages(self, target: Target) -> Iterable[Usage]:
        self.scans += 1
        target.clusters.extend(self.results(self.scans))
        return [SOMETHING_IN_USE, usage("app", tag="used")]


@pytest.fixture
def world() -> Iterator[World]:
    with Workers(2) as workers:
        made = World(workers)
        made.create("app")
        made.push("app", "used", tags=["used"])
        made.push("app", "old", tags=["old"])
        yield made


def run(world: World, *scans: Iterable[ClusterReading], settings: Settings = DELETING) -> int:
    """Return the number of images that a run removed."""
    world.source = ClusterSource(lambda number: scans[min(number, len(scans)) - 1])  # type: ignore[assignment]
    removed: int = world.run(settings)["removed"]
    return removed


def test_cluster_that_was_read_in_full_lets_unused_images_go(world: World) -> None:
    assert run(world, [READ]) == 1
    assert world.events("Kubernetes cluster was read in full") == [
        {
            "event": "Kubernetes cluster was read in full",
            "log_level": "info",
            "source": "eks",
            "cluster": "prod",
        }
    ]


def test_cluster_that_was_not_read_keeps_everything_and_says_how_to_fix_it(world: World) -> None:
    assert run(world, [READ, OTHER]) == 0

    assert world.ecr.mutations() == []
    (line,) = world.events("Kubernetes cluster could not be read in full")
    assert (line["cluster"], line["why"], line["fix"]) == (
        *("test", "it could not be reached", "reach it"),
    )
    (guarded,) = world.events("Repository is guarded")
    assert guarded["guard"] == "eks-clusters"
    assert world.events("Run finished")[0]["guarded"] == {"eks-clusters": 1}


def test_repositories_behind_several_guards_of_a_kind_are_counted_once(world: World) -> None:
    run(world, [UNREAD, OTHER])

    assert len(world.events("Repository is guarded")) == 2
    assert world.events("Run finished")[0]["guarded"] == {"eks-clusters": 1}


@pytest.mark.parametrize("later", [[UNREAD], [READ, OTHER]])
def test_cluster_that_a_later_scan_cannot_read_ends_the_removals(
    world: World, later: list[ClusterReading]
) -> None:
    always = Settings(dry_run=False, rescan_after_seconds=0)
    with pytest.raises(RunFailedError, match="usage source eks could not be read in full"):
        run(world, [READ], later, settings=always)

    assert world.ecr.mutations() == []


def test_usage_document_that_is_gone_in_a_later_scan_ends_the_removals(world: World) -> None:
    document = ClusterReading("cluster-documents", "kind")
    with pytest.raises(RunFailedError, match="usages of Kubernetes cluster kind are no longer"):
        run(world, [READ, document], [READ])

    assert world.ecr.mutations() == []


def test_cluster_of_eks_that_is_deleted_meanwhile_holds_nothing(world: World) -> None:
    assert run(world, [READ], []) == 1


def test_cluster_that_was_never_read_does_not_fail_a_repository_that_waives_the_guard(
    world: World,
) -> None:
    rules = (RepositoryRule(("app",), waived_guards=("eks-clusters",)),)
    settings = Settings(dry_run=False, rescan_after_seconds=0, rules=rules)

    assert run(world, [UNREAD], [UNREAD], [UNREAD], settings=settings) == 1


def test_cluster_that_only_a_later_scan_reads_stays_guarded(world: World) -> None:
    always = Settings(dry_run=False, rescan_after_seconds=0)

    assert run(world, [UNREAD], [READ], [READ], settings=always) == 0
