"""Errors of several usage sources, as one sentence."""

from __future__ import annotations

from ecr_cleaner.core.errors import ApiError, ScanError

NO_ROLE = ApiError("sts", "AssumeRole", code="AccessDenied", message="no")
DENIED = ApiError("ecs", "ListTasks", code="AccessDenied", message="no", action="ecs:ListTasks")


def test_one_source_is_named_with_its_reason() -> None:
    error = ScanError("ecs", DENIED).together_with([])
    assert str(error) == str(ScanError("ecs", DENIED))
    assert error.fields == ScanError("ecs", DENIED).fields


def test_sources_that_failed_for_one_reason_in_one_place_are_named_together() -> None:
    account = "222233334444/us-east-1"
    others = [
        *(ScanError(name, NO_ROLE, account) for name in ("batch", "eks")),
        ScanError("eks", NO_ROLE),
    ]
    error = ScanError("ecs", DENIED).together_with(others)
    why = "sts AssumeRole failed with AccessDenied: no"
    assert str(error) == (
        f"{ScanError('ecs', DENIED)}; also not read: batch, eks in {account}: {why}; eks: {why}"
    )
    assert error.fields["missing_action"] == "ecs:ListTasks"


def test_only_so_many_are_named() -> None:
    others = [ScanError(f"source-{number}", KeyError(number)) for number in range(23)]
    text = str(ScanError("ecs", DENIED).together_with(others))
    assert "source-19: KeyError(19); 3 more" in text
    assert "source-20" not in text
