"""What an event says about images in use."""

from __future__ import annotations

import json
from datetime import date
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from core.worlds import HOST, sha
from ecr_cleaner.core.events import uses_in
from ecr_cleaner.core.ledger import Use


def event(detail: dict[str, Any], **more: Any) -> str:
    return json.dumps(
        {"detail-type": "a change", "time": "2026-02-28T23:30:00Z", "detail": detail} | more
    )


def names(body: str) -> list[str]:
    uses = uses_in(body)
    assert uses is not None
    return [f"{one.repository}:{one.tag or one.digest}" for one, _ in uses]


def test_a_task_shows_the_digest_that_runs_and_the_reference_as_written() -> None:
    containers = [
        {"image": f"{HOST}/app:v1", "imageDigest": sha("a")},
        {"image": f"{HOST}/sidecar@{sha('b')}", "imageDigest": sha("b")},
        {"image": "docker.io/library/nginx:1", "imageDigest": sha("c")},
    ]
    body = event({"taskArn": "arn:task", "containers": containers})
    assert set(names(body)) == {
        *(f"app:{sha('a')}", "app:v1", f"sidecar:{sha('b')}"),
        f"docker.io/library/nginx:1:{sha('c')}",
    }
    assert {use for _, use in uses_in(body) or ()} == {Use("arn:task", date(2026, 2, 28))}


def test_a_job_shows_every_image_at_any_depth() -> None:
    detail = {
        "jobArn": "arn:job",
        "container": {"image": f"{HOST}/job:v1"},
        "nodeProperties": {"nodeRangeProperties": [{"container": {"image": f"{HOST}/node"}}]},
    }
    assert names(event(detail)) == ["job:v1", "node:latest"]


def test_a_value_that_is_no_text_and_a_text_that_is_no_reference_name_no_image() -> None:
    containers = [{"image": f"{HOST}/app:v1", "exitCode": 0, "essential": True, "reason": None}]
    assert names(event({"containers": containers, "cpu": 256, "group": "a group"})) == ["app:v1"]


def test_the_day_is_that_of_utc() -> None:
    body = event({"image": f"{HOST}/app"}, time="2026-02-28T23:30:00-02:00")
    assert [use.day for _, use in uses_in(body) or ()] == [date(2026, 3, 1)]


def test_without_a_task_or_job_the_resource_or_the_kind_of_event_is_the_consumer() -> None:
    detail = {"image": f"{HOST}/app"}
    assert [use.consumer for _, use in uses_in(event(detail, resources=["arn:r"])) or ()] == [
        "arn:r"
    ]
    assert [use.consumer for _, use in uses_in(event(detail)) or ()] == ["a change"]


@given(st.text() | st.dictionaries(st.text(), st.integers() | st.text()).map(json.dumps))
def test_any_text_is_an_event_or_none(body: str) -> None:
    assert uses_in(body) is None or isinstance(uses_in(body), list)
