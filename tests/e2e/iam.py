"""Let moto enforce IAM, including for requests without a body."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest import mock

from moto.core.authorization import enable_iam_authentication
from moto.iam.access_control import IAMRequest, IAMRequestBase

create_request: Any = IAMRequestBase._create_aws_request  # noqa: SLF001 - no public API


def create_request_without_body(request: Any) -> Any:
    """Stop moto from using the query as the body; the signature contains the hash of the body.

    Of a form, the body is read already and only the fields are left, which make the same body.
    """
    content_type = request._headers.get("Content-Type", "")  # noqa: SLF001
    is_form = content_type.startswith("application/x-www-form-urlencoded")
    if not request._body and not is_form:  # noqa: SLF001
        request._data = {}  # noqa: SLF001
    return create_request(request)


@contextmanager
def iam_enforced() -> Iterator[None]:
    """Let moto check the signature of each request, and the policies of the caller."""
    check: Any = IAMRequestBase.check_signature
    with (
        mock.patch.object(IAMRequest, "check_signature", check),
        mock.patch.object(IAMRequestBase, "_create_aws_request", create_request_without_body),
        enable_iam_authentication(),
    ):
        yield
