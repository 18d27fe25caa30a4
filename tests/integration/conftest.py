"""An empty account on moto for each test, and the program to run."""

from __future__ import annotations

from collections.abc import Iterator
from unittest import mock

import pytest
from moto import mock_aws
from moto.moto_api._internal.models import moto_api_backend

from integration.aws_as_it_is import aws_as_it_is
from integration.full_world import FIRST, FullWorld, fill, only
from integration.program import Program
from integration.told_services import forget, told_services
from terraform_provider import Providers, running_providers, shared_provider
from terraform_support import FakeAws, empty_aws, install_provider, moto_server
from world import World


@pytest.fixture(scope="module")
def empty_world() -> Iterator[World]:
    """Start moto once per module: that takes longer than a test."""
    # No DNS in tests; moto simulates every region.
    everywhere = mock.patch("ecr_cleaner.aws.availability.host_exists", return_value=True)
    with everywhere, told_services(), aws_as_it_is(), mock_aws():
        yield World()


@pytest.fixture
def world(empty_world: World) -> World:
    moto_api_backend.reset()
    forget()
    return empty_world.from_the_start()


@pytest.fixture(scope="session")
def server() -> Iterator[FakeAws]:
    """One server for all modules, because the address is part of the provider's environment."""
    with moto_server() as server:
        yield server


@pytest.fixture(scope="module")
def aws(server: FakeAws) -> Iterator[FakeAws]:
    """A fake AWS for subprocesses."""
    with empty_aws(server) as aws:
        yield aws


@pytest.fixture(scope="session")
def providers(server: FakeAws, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Providers]:
    """Processes of Terraform's AWS provider."""
    binary = install_provider(tmp_path_factory.mktemp("provider"))
    with running_providers(binary, server.environ) as providers:
        yield providers


@pytest.fixture(scope="module")
def terraform_environ(providers: Providers, aws: FakeAws) -> Iterator[dict[str, str]]:
    """Return the variables that let Terraform use the fake AWS, with few providers."""
    with shared_provider(providers) as environ:
        yield {**aws.environ, **environ}


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
