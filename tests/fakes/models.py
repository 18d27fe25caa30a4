"""The SDK's descriptions of services, each read once."""

from __future__ import annotations

from functools import cache

import botocore.session
from botocore.model import ServiceModel


@cache
def _session() -> botocore.session.Session:
    """Return the one session: it takes longer to make than most tests."""
    return botocore.session.get_session()


@cache
def model_of(service: str) -> ServiceModel:
    """Return the description of a service."""
    return _session().get_service_model(service)


def paginated_operations(service: str) -> frozenset[str]:
    """Return the operations of a service that answer in pages."""
    loader = _session().get_component("data_loader")
    return frozenset(loader.load_service_model(service, "paginators-1")["pagination"])
