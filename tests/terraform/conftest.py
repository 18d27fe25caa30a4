"""Terraform with one process of the AWS provider for many commands, and a fake AWS."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from terraform_provider import Providers, running_providers, shared_provider
from terraform_support import FakeAws, empty_aws, install_provider, moto_server


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
