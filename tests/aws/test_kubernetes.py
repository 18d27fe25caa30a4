"""One API server: whole lists or an error, over TLS that is verified, with one token."""

from __future__ import annotations

import gzip
import json
import re
import socket
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import cycle
from typing import Any

import pytest

from ecr_cleaner.aws import kubernetes
from ecr_cleaner.aws.kubernetes import Endpoint, KubernetesApi
from ecr_cleaner.core.errors import CleanerError, OutOfTimeError
from ecr_cleaner.core.kubernetes import REQUIRED, Access, ClusterError, Kind, Obstacle, fix_for
from ecr_cleaner.deadline import Deadline
from fakes.certificates import authority
from fakes.kubernetes import (
    BUILT_IN,
    TOKEN,
    WORKFLOWS,
    FakeCluster,
    Fault,
    Handler,
    Resource,
    cut_off,
    cut_off_in_chunks,
    drops,
    hangs,
    in_turn,
    running,
    says,
    stalls,
    status,
)

PODS = Kind("", "v1", "pods", "Pod")
EMPTY_LIST = json.dumps({"kind": "PodList", "metadata": {}, "items": []})


@pytest.fixture
def cluster() -> Iterator[FakeCluster]:
    with running() as made:
        yield made


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kubernetes, "READ_TIMEOUT", timedelta(milliseconds=200))


def api(cluster: FakeCluster, **more: Any) -> KubernetesApi:
    return api_of(cluster.endpoint, **more)


def api_of(
    endpoint: Endpoint,
    token: Callable[[], str] = lambda: TOKEN,
    deadline: Deadline | None = None,
    pauses: list[float] | None = None,
) -> KubernetesApi:
    waited: list[float] = [] if pauses is None else pauses
    return KubernetesApi("prod", endpoint, token, deadline or Deadline(), waited.append)


def names(one: KubernetesApi, kind: Kind = PODS) -> list[str]:
    found: list[str] = []
    one.each_page(kind, lambda items: found.extend(item["metadata"]["name"] for item in items))
    return found


def obstacle_of(one: KubernetesApi, kind: Kind = PODS) -> Obstacle:
    with pytest.raises(ClusterError) as failure:
        names(one, kind)
    assert failure.value.cluster == "prod"
    return failure.value.obstacle


# -- Lists ---------------------------------------------------------------------------------------


def test_list_is_read_to_its_last_page(cluster: FakeCluster) -> None:
    for number in range(1234):
        cluster.create("pods", f"pod-{number}")

    assert names(api(cluster)) == [f"pod-{number}" for number in range(1234)]
    assert cluster.requests[0] == "/api/v1/pods?limit=100"
    assert "resourceVersion" not in "".join(cluster.requests)


def test_empty_list_is_empty(cluster: FakeCluster) -> None:
    assert names(api(cluster)) == []


def test_limit_follows_the_size_of_the_objects(cluster: FakeCluster) -> None:
    """Configmaps may have 1 MB each, pods have 15 KB."""
    for number in range(120):
        cluster.create("configmaps", f"large-{number}", data={"file": "x" * 150_000})

    found = names(api(cluster), Kind("", "v1", "configmaps", "ConfigMap"))

    assert len(found) == 120
    assert cluster.requests[1] == "/api/v1/configmaps?limit=9&continue=after-100"


def test_large_pages_are_asked_for_and_taken_gzipped(cluster: FakeCluster) -> None:
    encodings: list[str] = []

    def note(handler: Handler) -> None:
        encodings.append(handler.headers["Accept-Encoding"])
        handler.send(cluster.page(BUILT_IN[0], 100, 0))

    cluster.create("pods", "large", spec={"text": "x" * 1_000_000})
    cluster.faults["/api/v1/pods.*"] = note

    assert names(api(cluster)) == ["large"]
    assert encodings == ["gzip"]


def test_address_with_a_path_keeps_it() -> None:
    with running(path="/k8s/clusters/c1") as cluster:
        cluster.faults["/k8s/clusters/c1/api/v1/pods.*"] = says(EMPTY_LIST)

        assert names(api(cluster)) == []


def test_expired_list_is_started_again(cluster: FakeCluster) -> None:
    for number in range(150):
        cluster.create("pods", f"pod-{number}")
    cluster.expired["pods"] = 2

    found = names(api(cluster))

    assert set(found) == {f"pod-{number}" for number in range(150)}
    assert [one for one in cluster.requests if "continue" not in one] == [
        "/api/v1/pods?limit=100"
    ] * 3


def test_list_that_expires_three_times_is_an_error(cluster: FakeCluster) -> None:
    for number in range(150):
        cluster.create("pods", f"pod-{number}")
    cluster.expired["pods"] = 3

    assert obstacle_of(api(cluster)) is Obstacle.EXPIRED
    assert len(cluster.requests) == 6


def test_repeated_page_token_is_an_error(cluster: FakeCluster) -> None:
    page = {"kind": "PodList", "metadata": {"continue": "again"}, "items": []}
    cluster.faults["/api/v1/pods.*"] = says(json.dumps(page))

    assert obstacle_of(api(cluster)) is Obstacle.GARBLED


# -- Discovery -----------------------------------------------------------------------------------


def test_every_listable_kind_is_found_and_required_ones_come_last_in_their_order(
    cluster: FakeCluster,
) -> None:
    cluster.resources.extend(WORKFLOWS)

    found = [kind.name for kind in api(cluster).kinds()]

    assert found == [
        *("namespaces", "serviceaccounts", "services"),
        *("workflowtemplates.argoproj.io", "rollouts.argoproj.io"),
        *(kind.name for kind in REQUIRED),
    ]
    assert found[-1] == "pods"
    assert not any("metrics" in request for request in cluster.requests)


def test_kind_of_several_versions_is_listed_once_in_the_preferred_one(
    cluster: FakeCluster,
) -> None:
    old = Resource("argoproj.io", "v1alpha1", "rollouts", "Rollout")
    new = Resource("argoproj.io", "v1", "rollouts", "Rollout")
    only_old = Resource("argoproj.io", "v1alpha1", "experiments", "Experiment")
    cluster.resources.extend([new, old, only_old])

    found = [kind for kind in api(cluster).kinds() if kind.group == "argoproj.io"]

    assert [(kind.resource, kind.version) for kind in found] == [
        ("rollouts", "v1"),
        ("experiments", "v1alpha1"),
    ]


def test_preferred_version_need_not_be_the_first(cluster: FakeCluster) -> None:
    cluster.faults["/apis"] = says(
        json.dumps(
            {
                "kind": "APIGroupList",
                "groups": [
                    {
                        "name": "example.com",
                        "versions": [{"version": "v1beta1"}, {"version": "v1"}],
                        "preferredVersion": {"version": "v1"},
                    }
                ],
            }
        )
    )
    for version in ("v1beta1", "v1"):
        cluster.resources.append(Resource("example.com", version, "jobs", "Job"))

    assert Kind("example.com", "v1", "jobs", "Job") in api(cluster).kinds()


def test_waived_group_is_not_asked_for(cluster: FakeCluster) -> None:
    cluster.resources.extend(WORKFLOWS)
    cluster.faults["/apis/argoproj.io/.*"] = status(503)

    found = api(cluster).kinds(["argoproj.io"])

    assert not any(kind.group == "argoproj.io" for kind in found)


DISCOVERY = ("/api", "/apis", "/api/v1", "/apis/apps/v1", "/apis/batch/v1")
NOT_DISCOVERY: dict[str, str] = {
    "nothing": "{}",
    "a list": "[]",
    "a page": "<html></html>",
    "another kind": '{"kind": "Status"}',
    "no members": '{"kind": "APIVersions"}',
    "no list": '{"kind": "APIVersions", "versions": 1, "groups": {}, "resources": "pods"}',
    "no names": '{"kind": "APIVersions", "versions": [1], "groups": [{}], "resources": [{}]}',
    "a path as a name": '{"kind": "APIVersions", "versions": ["../x"], "groups": [{"name": "a/b"}],'
    '"resources": [{"name": "Pods?", "verbs": ["list"]}]}',
    "a name that is not a string": '{"kind": "APIVersions", "versions": [null], "groups": '
    '[{"name": 7}], "resources": [{"name": 7, "verbs": ["list"]}]}',
}


@pytest.mark.parametrize("path", DISCOVERY)
@pytest.mark.parametrize("body", NOT_DISCOVERY.values(), ids=NOT_DISCOVERY)
def test_discovery_that_is_not_whole_is_an_error(
    cluster: FakeCluster, path: str, body: str
) -> None:
    kinds = {"/api": "APIVersions", "/apis": "APIGroupList"}
    expected = kinds.get(path, "APIResourceList")
    cluster.faults[path] = says(body.replace('"APIVersions"', f'"{expected}"'))

    with pytest.raises(ClusterError) as failure:
        api(cluster).kinds()

    assert failure.value.obstacle is Obstacle.GARBLED


def test_failed_discovery_names_its_group(cluster: FakeCluster) -> None:
    cluster.resources.extend(WORKFLOWS)
    cluster.faults["/apis/argoproj.io/v1alpha1"] = status(503)

    with pytest.raises(ClusterError) as failure:
        api(cluster).kinds()

    assert failure.value.kind == Kind("argoproj.io", "v1alpha1", "*")
    assert "(*.argoproj.io)" in str(failure.value)


# As KubeVirt has them: https://github.com/kube-rs/kube/issues/1376
AGGREGATED: dict[str, tuple[str, list[str]]] = {
    "no verbs": (
        """[{"name": "rollouts/vnc", "verbs": null}, {"name": "expand-vm-spec", "verbs": null},
        {"name": "rollouts", "verbs": ["list"], "kind": "Rollout"}]""",
        ["rollouts"],
    ),
    "no resources": ("null", []),
}


@pytest.mark.parametrize(("resources", "listed"), AGGREGATED.values(), ids=AGGREGATED)
def test_what_an_aggregated_api_writes_as_null_is_empty(
    cluster: FakeCluster, resources: str, listed: list[str]
) -> None:
    cluster.resources.extend(WORKFLOWS)
    cluster.faults["/apis/argoproj.io/v1alpha1"] = says(
        f'{{"kind": "APIResourceList", "apiVersion": "v1alpha3", "resources": {resources}}}'
    )

    found = [kind.resource for kind in api(cluster).kinds() if kind.group == "argoproj.io"]

    assert found == listed


def test_discovery_that_is_not_whole_names_its_group(cluster: FakeCluster) -> None:
    cluster.resources.extend(WORKFLOWS)
    cluster.faults["/apis/argoproj.io/v1alpha1"] = says(
        '{"kind": "APIResourceList", "resources": [{"name": "rollouts"}]}'
    )

    with pytest.raises(ClusterError) as failure:
        api(cluster).kinds()

    assert failure.value.kind == Kind("argoproj.io", "v1alpha1", "*")
    assert "name the group in WAIVED_API_GROUPS" in fix_for(failure.value, Access())


def test_list_of_an_aggregated_api_may_be_null(cluster: FakeCluster) -> None:
    cluster.resources.extend(WORKFLOWS)
    empty = '{"kind": "RolloutList", "metadata": {}, "items": null}'
    cluster.faults["/apis/argoproj.io/v1alpha1/rollouts.*"] = says(empty)

    assert names(api(cluster), Kind("argoproj.io", "v1alpha1", "rollouts", "Rollout")) == []


# -- Faults --------------------------------------------------------------------------------------

GZIP = {"Content_Encoding": "gzip"}
FAULTS: dict[str, tuple[Fault, Obstacle]] = {
    "400": (status(400), Obstacle.FAILED),
    "401": (status(401), Obstacle.NOT_AUTHENTICATED),
    "403": (status(403), Obstacle.FORBIDDEN),
    "404": (status(404), Obstacle.VANISHED),
    "405": (status(405), Obstacle.FAILED),
    "410": (status(410), Obstacle.EXPIRED),
    "429": (status(429), Obstacle.FAILED),
    "500": (status(500), Obstacle.FAILED),
    "499": (status(499), Obstacle.FAILED),
    "503": (status(503), Obstacle.FAILED),
    "520": (status(520), Obstacle.FAILED),
    "204": (status(204), Obstacle.FAILED),
    "206": (status(206), Obstacle.FAILED),
    "301": (status(301, Location="https://example.com/"), Obstacle.REDIRECTED),
    "307": (status(307, Location="/api/v1/pods"), Obstacle.REDIRECTED),
    "empty": (says(""), Obstacle.GARBLED),
    "html": (says("<html>Sign in</html>"), Obstacle.GARBLED),
    "object": (says("{}"), Obstacle.GARBLED),
    "array": (says("[]"), Obstacle.GARBLED),
    "null": (says("null"), Obstacle.GARBLED),
    "deep": (says("[" * 100_000), Obstacle.GARBLED),
    "status": (says('{"kind": "Status", "status": "Success"}'), Obstacle.GARBLED),
    "no items": (says('{"kind": "PodList", "metadata": {}}'), Obstacle.GARBLED),
    "null items": (says('{"kind": "PodList", "metadata": {}, "items": null}'), Obstacle.GARBLED),
    "items of a map": (says('{"kind": "PodList", "metadata": {}, "items": {}}'), Obstacle.GARBLED),
    "null item": (says('{"kind": "PodList", "metadata": {}, "items": [null]}'), Obstacle.GARBLED),
    "no metadata": (says('{"kind": "PodList", "items": []}'), Obstacle.GARBLED),
    "odd token": (
        says('{"kind": "PodList", "metadata": {"continue": 5}, "items": []}'),
        Obstacle.GARBLED,
    ),
    "no gzip": (says(EMPTY_LIST, **GZIP), Obstacle.GARBLED),
    "cut gzip": (says(gzip.compress(EMPTY_LIST.encode())[:-9], **GZIP), Obstacle.GARBLED),
    "brotli": (says(EMPTY_LIST, Content_Encoding="br"), Obstacle.GARBLED),
    "cut": (cut_off, Obstacle.FAILED),
    "cut chunks": (cut_off_in_chunks, Obstacle.FAILED),
    "dropped": (drops, Obstacle.FAILED),
    "silent": (hangs, Obstacle.FAILED),
}


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize(("fault", "obstacle"), FAULTS.values(), ids=FAULTS)
def test_fault_is_an_error_and_never_an_empty_list(
    cluster: FakeCluster, fault: Fault, obstacle: Obstacle
) -> None:
    cluster.create("pods", "pod")
    cluster.faults["/api/v1/pods.*"] = fault

    assert obstacle_of(api(cluster)) is obstacle


def test_answer_that_never_ends_is_an_error(
    cluster: FakeCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kubernetes, "MOST_BYTES", 1000)
    cluster.create("pods", "pod", text="x" * 2000)

    assert obstacle_of(api(cluster)) is Obstacle.GARBLED


@pytest.mark.parametrize("compressed_from", [1000, 10**9])
def test_page_that_is_too_large_is_asked_for_in_smaller_parts(
    cluster: FakeCluster, monkeypatch: pytest.MonkeyPatch, compressed_from: int
) -> None:
    monkeypatch.setattr(kubernetes, "MOST_BYTES", 20_000)
    monkeypatch.setattr("fakes.kubernetes.COMPRESSED_FROM", compressed_from)
    for number in range(25):
        text = "x" * (1500 if number < 20 else 15_000)
        cluster.create("pods", f"pod-{number}", text=text)

    assert names(api(cluster)) == [f"pod-{number}" for number in range(25)]
    limits = [int(re.findall("limit=([0-9]+)", one)[0]) for one in cluster.requests]
    assert limits[:2] == [100, 10]
    assert 1 in limits


def test_answer_that_unpacks_without_end_is_an_error(
    cluster: FakeCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kubernetes, "MOST_BYTES", 10_000)
    cluster.faults["/api/v1/pods.*"] = says(gzip.compress(b" " * 1_000_000), **GZIP)

    assert obstacle_of(api(cluster)) is Obstacle.GARBLED


def test_answer_in_drops_is_an_error(cluster: FakeCluster) -> None:
    """Each read is in time, and all of them together are not."""
    cluster.create("pods", "pod")
    clock = iter(datetime(2026, 1, 1, tzinfo=UTC) + timedelta(minutes=n) for n in range(100))

    assert obstacle_of(api(cluster, deadline=Deadline(lambda: next(clock)))) is Obstacle.FAILED


def test_wait_for_the_first_byte_counts(cluster: FakeCluster) -> None:
    now = datetime(2026, 1, 1, tzinfo=UTC)

    def late(handler: Handler) -> None:
        nonlocal now
        now += timedelta(seconds=36)
        handler.send(json.loads(EMPTY_LIST))

    cluster.faults["/api/v1/pods.*"] = late
    with pytest.raises(ClusterError, match="an answer took too long"):
        names(api(cluster, deadline=Deadline(lambda: now)))


@pytest.mark.parametrize("connection", ["keep-alive", "close"])
def test_last_wait_for_a_body_ends_with_the_time_of_the_call(
    cluster: FakeCluster, connection: str
) -> None:
    """A wait takes up to 30 s, but this one begins 0.2 s before the end of the call."""
    start = datetime(2026, 1, 1, tzinfo=UTC)
    clock = cycle([start, start + timedelta(seconds=34.8)])
    cluster.faults["/api/v1/pods.*"] = lambda handler: stalls(handler, connection)

    began = time.monotonic()
    with pytest.raises(ClusterError, match="ReadTimeoutError"):
        names(api(cluster, deadline=Deadline(lambda: next(clock))))
    assert time.monotonic() - began < 10


def test_answer_of_a_connection_that_is_closed_after_it_is_read(cluster: FakeCluster) -> None:
    cluster.faults["/api/v1/pods.*"] = says(EMPTY_LIST, Connection="close")

    assert names(api(cluster)) == []


@pytest.mark.parametrize("code", [499, 520])
def test_status_without_a_name_is_told_with_its_message(cluster: FakeCluster, code: int) -> None:
    cluster.faults["/api/v1/pods.*"] = status(code)

    with pytest.raises(ClusterError, match=f"HTTP {code}, as the test has it"):
        names(api(cluster))


def test_list_of_a_custom_resource_may_have_any_name(cluster: FakeCluster) -> None:
    cluster.resources.extend(WORKFLOWS)
    cluster.list_kinds["rollouts.argoproj.io"] = "RolloutCollectionList"

    assert names(api(cluster), Kind("argoproj.io", "v1alpha1", "rollouts", "Rollout")) == []


# -- Attempts ------------------------------------------------------------------------------------


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("name", ["429", "500", "503", "cut", "cut chunks", "dropped", "silent"])
def test_passing_fault_is_tried_again(cluster: FakeCluster, name: str) -> None:
    fault, _ = FAULTS[name]
    cluster.create("pods", "pod")
    cluster.faults["/api/v1/pods.*"] = in_turn(fault, fault, fault)
    pauses: list[float] = []

    assert names(api(cluster, pauses=pauses)) == ["pod"]
    assert pauses == [0.5, 1.0, 2.0]


def test_pause_is_what_the_server_asks_for_within_bounds(cluster: FakeCluster) -> None:
    asked = ("1", "3600", "tomorrow")
    cluster.faults["/api/v1/pods.*"] = in_turn(*(status(429, Retry_After=one) for one in asked))
    pauses: list[float] = []

    assert names(api(cluster, pauses=pauses)) == []
    assert pauses == [1.0, 10.0, 2.0]


def test_no_call_begins_without_time_for_it(cluster: FakeCluster) -> None:
    late = Deadline(seconds_left=lambda: 39)

    with pytest.raises(OutOfTimeError, match="no time left to read Kubernetes cluster prod"):
        names(api(cluster, deadline=late))
    assert cluster.requests == []


def test_no_attempt_begins_without_time_for_it(cluster: FakeCluster) -> None:
    left = iter([100, 40, 39])
    cluster.faults["/api/v1/pods.*"] = status(503)

    with pytest.raises(OutOfTimeError):
        names(api(cluster, deadline=Deadline(seconds_left=lambda: next(left))))
    assert len(cluster.requests) == 1


@pytest.mark.parametrize("fault", [status(429, Retry_After="10"), drops], ids=["429", "dropped"])
def test_no_pause_begins_without_time_for_another_attempt(
    cluster: FakeCluster, fault: Fault
) -> None:
    left = iter([100, 39])
    cluster.faults["/api/v1/pods.*"] = fault
    pauses: list[float] = []

    late = Deadline(seconds_left=lambda: next(left))
    with pytest.raises(OutOfTimeError):
        names(api(cluster, deadline=late, pauses=pauses))
    assert pauses == []


# -- Tokens --------------------------------------------------------------------------------------


def test_expired_token_is_replaced_once(cluster: FakeCluster) -> None:
    tokens = iter(["expired", TOKEN])

    assert names(api(cluster, token=lambda: next(tokens))) == []
    assert cluster.tokens == ["expired", TOKEN]


def test_one_token_serves_many_calls(cluster: FakeCluster) -> None:
    made: list[str] = []

    def token() -> str:
        made.append(TOKEN)
        return TOKEN

    api(cluster, token=token).kinds()
    assert len(made) == 1
    assert set(cluster.tokens) == {TOKEN}


def test_second_refusal_is_an_error(cluster: FakeCluster) -> None:
    tokens = iter(["wrong", "wrong as well"])

    one = api(cluster, token=lambda: next(tokens))
    assert obstacle_of(one) is Obstacle.NOT_AUTHENTICATED
    assert cluster.tokens == ["wrong", "wrong as well"]


def test_token_that_cannot_be_made_is_an_error_of_its_own(cluster: FakeCluster) -> None:
    def none() -> str:
        raise CleanerError("no credentials")

    with pytest.raises(
        ClusterError, match=r"no token could be made for it.*: no credentials"
    ) as it:
        names(api(cluster, token=none))
    assert it.value.obstacle is Obstacle.NOT_IDENTIFIED
    assert cluster.requests == []


def test_token_is_not_sent_to_where_an_answer_redirects(cluster: FakeCluster) -> None:
    with running() as other:
        cluster.faults["/api/v1/pods.*"] = status(302, Location=f"{other.url}/api/v1/pods")

        assert obstacle_of(api(cluster)) is Obstacle.REDIRECTED
        assert other.requests == []


# -- TLS -----------------------------------------------------------------------------------------


def test_another_authority_is_refused(cluster: FakeCluster) -> None:
    other = Endpoint(cluster.url, authority(number=1).pem)

    assert obstacle_of(api_of(other)) is Obstacle.NOT_TRUSTED
    assert cluster.requests == []


def test_certificate_for_another_host_is_refused() -> None:
    with running(FakeCluster(authority=authority("127.0.0.2"))) as cluster:
        assert obstacle_of(api(cluster)) is Obstacle.NOT_TRUSTED
        assert cluster.requests == []


@pytest.mark.parametrize("pem", ["", "not a certificate", "ä"])
def test_without_an_authority_nothing_is_sent(cluster: FakeCluster, pem: str) -> None:
    with pytest.raises(ClusterError, match="the CA cannot be read"):
        names(api_of(Endpoint(cluster.url, pem)))
    assert cluster.requests == []


@pytest.mark.parametrize("scheme", ["http", "ftp", ""])
def test_without_tls_nothing_is_sent(cluster: FakeCluster, scheme: str) -> None:
    plain = Endpoint(cluster.url.replace("https", scheme), cluster.authority.pem)

    assert obstacle_of(api_of(plain)) is Obstacle.NOT_ACTIVE
    assert cluster.requests == []


def test_server_without_tls_is_an_error() -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        address = f"https://127.0.0.1:{listener.getsockname()[1]}"

        assert obstacle_of(api_of(Endpoint(address, authority().pem))) is Obstacle.NOT_REACHED


@pytest.mark.parametrize("failure", [TimeoutError, ConnectionRefusedError, socket.gaierror])
def test_host_that_cannot_be_connected_to_is_tried_once(
    cluster: FakeCluster, monkeypatch: pytest.MonkeyPatch, failure: type[OSError]
) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise failure

    monkeypatch.setattr("urllib3.util.connection.create_connection", fail)
    pauses: list[float] = []

    assert obstacle_of(api(cluster, pauses=pauses)) is Obstacle.NOT_REACHED
    assert pauses == []


def test_unknown_host_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*_: Any, **__: Any) -> None:
        raise socket.gaierror

    monkeypatch.setattr("urllib3.util.connection.create_connection", unknown)
    endpoint = Endpoint("https://0123456789.gr7.eu-west-1.eks.amazonaws.com", authority().pem)

    with pytest.raises(ClusterError, match=r"0123456789\.gr7") as failure:
        names(api_of(endpoint))
    assert failure.value.obstacle is Obstacle.NOT_REACHED
