"""An empty account on moto for each test, and the program to run."""

from __future__ import annotations

from collections.abc import Iterator
from unittest import mock

import pytest
from moto import mock_aws
from moto.moto_api._internal.models import moto_api_backend

from integration.aws_as_it_is import aws_as_it_is
from integration.cheap import cheap_calls
from integration.full_world import FIRST, FullWorld, fill, only
from integration.program import Program
from integration.told_services import forget, told_services
from world import World


@pytest.fixture(scope="module")
def empty_world() -> Iterator[World]:
    """Start moto once per module: that takes longer than a test."""
    # No DNS in tests; moto simulates every region.
    everywhere = mock.patch("ecr_cleaner.aws.availability.host_exists", return_value=True)
    with everywhere, cheap_calls(), told_services(), aws_as_it_is(), mock_aws():
        yield World()


@pytest.fixture
def world(empty_world: World) -> World:
    moto_api_backend.reset()
    forget()
    return empty_world.from_the_start()


@pytest.fixture
def many_revisions(monkeypatch: pytest.MonkeyPatch) -> None:
    """As with too many revisions for one listing: the program then lists each family."""
    monkeypatch.setattr("ecr_cleaner.usage.shared.ecs_families.REVISIONS_LISTED", 0)


@pytest.fixture
def full(world: World) -> FullWorld:
    return fill(world, FIRST)


@pytest.fixture
def program() -> Program:
    """The program with the usage sources that most tests are about."""
    return Program(environ=only(*FIRST))
