"""The SDK's descriptions of services, each read once."""

from __future__ import annotations

from functools import cache

import botocore.session
from botocore.model import ServiceModel


@cache
def model_of(service: str) -> ServiceModel:
    """Return the description of a service; a session takes longer to make than most tests."""
    return botocore.session.get_session().get_service_model(service)
