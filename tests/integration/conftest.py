"""One empty account on moto for each test, and the program to run over it."""

from __future__ import annotations

from collections.abc import Iterator
from unittest import mock

import pytest
from botocore.loaders import create_loader
from moto import mock_aws
from moto.moto_api._internal.models import moto_api_backend

from integration.aws_as_it_is import aws_as_it_is
from integration.full_world import FIRST, FullWorld, fill, only
from integration.program import Program
from integration.told_services import forget, told_services
from world import World


@pytest.fixture(scope="module")
def empty_world() -> Iterator[World]:
    """Start moto once, and read the SDK's models once: each takes longer than a test."""
    loader = create_loader()
    cached = mock.patch("botocore.session.create_loader", return_value=loader)
    # Only a name server could tell, and the tests ask none; moto stands in for every region.
    everywhere = mock.patch("ecr_cleaner.aws.availability.host_exists", return_value=True)
    with cached, everywhere, told_services(), aws_as_it_is(), mock_aws():
        yield World()


@pytest.fixture
def world(empty_world: World) -> World:
    moto_api_backend.reset()
    forget()
    return empty_world


@pytest.fixture
def many_revisions(monkeypatch: pytest.MonkeyPatch) -> None:
    """As where there are too many for one listing: then each family is asked for."""
    monkeypatch.setattr("ecr_cleaner.usage.shared.ecs_families.REVISIONS_LISTED", 0)


@pytest.fixture
def full(world: World) -> FullWorld:
    return fill(world, FIRST)


@pytest.fixture
def program() -> Program:
    """The program, asking the usage sources that most tests are about."""
    return Program(environ=only(*FIRST))
