"""The judgement alone: how its time grows in a repository with archived indexes."""

from __future__ import annotations

import gc
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from time import process_time

from bench.world import IMAGE, INDEX
from ecr_cleaner.core.graph import Graph
from ecr_cleaner.core.in_use import RepositoryUse
from ecr_cleaner.core.model import Action, Image, ImageStatus, Registry, Repository
from ecr_cleaner.core.policy import policy_for
from ecr_cleaner.core.retention import Moment, judge
from ecr_cleaner.core.settings import Settings

NOW = datetime(2026, 3, 1, tzinfo=UTC)
REPOSITORY = Repository(Registry("111122223333", "eu-west-1"), "app", "arn")
SETTINGS = Settings(action=Action.ARCHIVE, archive_days=90)
SIZES = (50_000, 100_000, 200_000)
MILLION = (250_000, 500_000, 1_000_000)


def images(count: int) -> Iterator[Image]:
    """Yield images pushed and archived one after another: a third indexes, half of all archived."""
    step = timedelta(days=400) / count
    for number in range(count):
        is_archived = number % 2 == 0
        pushed_at = NOW - timedelta(days=500) + number * step
        yield Image(
            digest=f"sha256:{number:064x}",
            media_type=IMAGE if number % 3 else INDEX,
            pushed_at=pushed_at,
            status=ImageStatus.ARCHIVED if is_archived else ImageStatus.ACTIVE,
            archived_at=pushed_at + timedelta(days=30) if is_archived else None,
        )


def seconds_to_judge(count: int) -> float:
    """Return the CPU seconds of one judgement of this many images."""
    graph = Graph.build(list(images(count)), {})
    policy = policy_for(REPOSITORY, SETTINGS)
    gc.collect()
    began = process_time()
    judge(REPOSITORY, graph, policy, RepositoryUse(), Moment(NOW, NOW))
    return process_time() - began


def judging_lines(sizes: Iterable[int]) -> Iterator[str]:
    """Yield the time of each size, relative to the size before."""
    yield "Judgement of a repository, half of it archived:"
    before: tuple[int, float] | None = None
    for count in sizes:
        seconds = seconds_to_judge(count)
        growth = ""
        if before:
            growth = f", {seconds / before[1]:.1f} times as long for {count / before[0]:.1f} times"
        yield f"  {count:,} images: {seconds:.1f} s{growth}"
        before = count, seconds
