"""A cluster whose API server answers one request wrongly: over TLS, each request, each fault."""

from __future__ import annotations

import re
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest

from ecr_cleaner.aws import kubernetes
from ecr_cleaner.aws.kubernetes import KubernetesApi
from ecr_cleaner.deadline import Deadline
from ecr_cleaner.usage.shared.cluster import read_cluster
from fakes.kubernetes import (
    TOKEN,
    WORKFLOWS,
    FakeCluster,
    Fault,
    cut_off,
    drops,
    running,
    says,
    status,
)


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kubernetes, "_PAUSE", 0)


def problem_of(cluster: FakeCluster) -> str:
    """Read a cluster as the source does, and return why it guards."""
    api = KubernetesApi("prod", cluster.endpoint, lambda: TOKEN, Deadline())
    document = read_cluster("prod", api, Deadline())
    assert bool(document.problem) is bool(document.fix)
    return document.problem


def all_requests() -> list[str]:
    """Return the path of every request that reading a cluster makes."""
    with running() as cluster:
        cluster.resources.extend(WORKFLOWS)
        problem_of(cluster)
        return sorted({urlsplit(request).path for request in cluster.requests})


PATHS = all_requests()
LISTS = [path for path in PATHS if re.fullmatch(r"(/api/v1|/apis/[^/]+/[^/]+)/[^/]+", path)]
FAULTS: dict[str, Fault] = {
    "400": status(400),
    "401": status(401),
    "403": status(403),
    "404": status(404),
    "410": status(410),
    "429": status(429),
    "500": status(500),
    "302": status(302, Location="/login"),
    "html": says("<html></html>"),
    "object": says("{}"),
    "array": says("[]"),
    "empty": says(""),
    "status": says('{"kind": "Status", "apiVersion": "v1", "status": "Success"}'),
    "cut": cut_off,
    "dropped": drops,
}


def test_every_kind_of_request_is_among_those_that_fail() -> None:
    assert {"/api", "/apis", "/api/v1", "/apis/apps/v1", "/api/v1/pods"} <= set(PATHS)
    assert "/apis/argoproj.io/v1alpha1/rollouts" in PATHS


@pytest.fixture
def small_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kubernetes, "FIRST_LIMIT", 1)
    monkeypatch.setattr(kubernetes, "MOST_ITEMS", 1)


@pytest.fixture(scope="module")
def many_kinds() -> Iterator[FakeCluster]:
    """Serve a cluster with two pages of everything."""
    with running() as cluster:
        cluster.resources.extend(WORKFLOWS)
        for resource in cluster.resources:
            for number in range(2):
                cluster.create(resource.full_name, f"x-{number}")
        yield cluster


@pytest.mark.usefixtures("small_pages")
def test_without_a_fault_nothing_guards(many_kinds: FakeCluster) -> None:
    many_kinds.faults, many_kinds.requests = {}, []
    assert problem_of(many_kinds) == ""
    assert len([one for one in many_kinds.requests if "continue=" in one]) == len(LISTS)


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
@pytest.mark.parametrize("path", PATHS)
def test_any_fault_of_any_request_guards(many_kinds: FakeCluster, path: str, fault: Fault) -> None:
    many_kinds.faults = {re.escape(path) + r"(\?.*)?": fault}
    assert problem_of(many_kinds)


@pytest.mark.usefixtures("small_pages")
@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
@pytest.mark.parametrize("path", LISTS)
def test_any_fault_of_a_later_page_guards(many_kinds: FakeCluster, path: str, fault: Fault) -> None:
    many_kinds.faults = {re.escape(path) + r"\?.*continue.*": fault}
    assert problem_of(many_kinds)
