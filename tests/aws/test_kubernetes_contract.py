"""What holds for any API server: the fake one, and a real one if KUBE_APISERVER names it.

The real one is named by KUBE_APISERVER (https://...), KUBE_CA (a file), KUBE_TOKEN (of somebody who
may do everything) and KUBE_TOKEN_NOBODY (of somebody who may do nothing but discover).
"""

from __future__ import annotations

import json
import os
import ssl
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest

from ecr_cleaner.aws import kubernetes
from ecr_cleaner.aws.kubernetes import Endpoint, KubernetesApi
from ecr_cleaner.core.kubernetes import REQUIRED, ClusterError, Kind, Obstacle
from ecr_cleaner.deadline import Deadline
from ecr_cleaner.usage.shared.cluster import read_cluster
from fakes.kubernetes import TOKEN, Resource, running
from fakes.scripted import HOST

REAL = os.environ.get("KUBE_APISERVER", "")
NAMESPACE = "default"
WIDGETS = Kind("example.com", "v1", "widgets", "Widget")


@dataclass(frozen=True)
class Server:
    """An API server that tests fill."""

    endpoint: Endpoint
    token: str
    nobody: str

    def api(self, token: str | None = None) -> KubernetesApi:
        return KubernetesApi("c", self.endpoint, lambda: token or self.token, Deadline())


def pod_spec(tag: str) -> dict[str, Any]:
    return {
        "restartPolicy": "Never",
        "containers": [{"name": "main", "image": f"{HOST}/app:{tag}"}],
    }


def template(tag: str) -> dict[str, Any]:
    return {"metadata": {"labels": {"app": "x"}}, "spec": pod_spec(tag)}


SELECTED = {"selector": {"matchLabels": {"app": "x"}}}
ALWAYS = {"restartPolicy": "Always"}


def running_forever(tag: str) -> dict[str, Any]:
    made = template(tag)
    made["spec"] |= ALWAYS
    return made


# A valid object of each required kind, with a tag of its own.
OBJECTS: Mapping[str, dict[str, Any]] = {
    "replicationcontrollers": {
        "spec": {"replicas": 0, "selector": {"app": "x"}, "template": running_forever("rc")}
    },
    "podtemplates": {"template": template("podtemplate")},
    "deployments.apps": {
        "spec": {"replicas": 0, **SELECTED, "template": running_forever("deploy")}
    },
    "replicasets.apps": {"spec": {"replicas": 0, **SELECTED, "template": running_forever("rs")}},
    "statefulsets.apps": {
        "spec": {"replicas": 0, "serviceName": "x", **SELECTED, "template": running_forever("sts")}
    },
    "daemonsets.apps": {"spec": {**SELECTED, "template": running_forever("ds")}},
    "controllerrevisions.apps": {"revision": 1, "data": {"spec": {"template": template("cr")}}},
    "cronjobs.batch": {
        "spec": {
            "schedule": "0 0 * * *",
            "suspend": True,
            "jobTemplate": {"spec": {"template": {"spec": pod_spec("cronjob")}}},
        }
    },
    "jobs.batch": {"spec": {"template": {"spec": pod_spec("job")}}},
    "configmaps": {"data": {"image": f"{HOST}/app:configmap"}},
    "pods": {"spec": pod_spec("pod")},
}
TAGS = {
    *("rc", "podtemplate", "deploy", "rs", "sts", "ds", "cr", "cronjob", "job", "configmap", "pod"),
}


@pytest.fixture(scope="module", params=["fake", *(["real"] if REAL else [])])
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    if request.param == "real":
        yield real_server()
        return
    with running() as cluster:
        cluster.user_of = {TOKEN: "admin", "nobody": "nobody"}.get
        cluster.nobodies.add("nobody")
        cluster.resources.append(Resource(WIDGETS.group, "v1", "widgets", "Widget"))
        for name, content in OBJECTS.items():
            cluster.create(name, "contract", **content)
        for number in range(5):
            cluster.create("configmaps", f"contract-{number}", data={})
        cluster.create(WIDGETS.name, "contract", spec={"image": f"{HOST}/app:widget"})
        yield Server(cluster.endpoint, TOKEN, "nobody")


def real_server() -> Server:
    """Fill a real API server; what is there already stays."""
    authority = Path(os.environ["KUBE_CA"]).read_text()
    token = os.environ["KUBE_TOKEN"]
    made = Server(Endpoint(REAL, authority), token, os.environ["KUBE_TOKEN_NOBODY"])
    by_name = {kind.name: kind for kind in made.api().kinds()}
    _post(made, "/apis/apiextensions.k8s.io/v1/customresourcedefinitions", _definition())
    contents = [*OBJECTS.items(), *(("configmaps", {"data": {}}) for _ in range(5))]
    for number, (name, content) in enumerate(contents):
        kind = by_name[name]
        path = kind.path.replace(f"/{kind.resource}", f"/namespaces/{NAMESPACE}/{kind.resource}")
        _post(made, path, {"metadata": {"name": f"contract-{number}"}, **content})
    widget = {"apiVersion": "example.com/v1", "kind": "Widget", "metadata": {"name": "contract"}}
    path = f"/apis/example.com/v1/namespaces/{NAMESPACE}/widgets"
    # A definition is served a moment after it was made.
    for _ in range(200):
        if _post(made, path, {**widget, "spec": {"image": f"{HOST}/app:widget"}}) != 404:
            break
    return made


def _post(server: Server, path: str, content: Mapping[str, Any]) -> int:
    """Create an object, or leave the one of this name; return the status."""
    request = Request(  # noqa: S310 - the server that the environment names
        server.endpoint.url + path,
        json.dumps(content).encode(),
        {"Content-Type": "application/json", "Authorization": f"Bearer {server.token}"},
    )
    context = ssl.create_default_context(cadata=server.endpoint.authority)
    try:
        with urlopen(request, context=context, timeout=30) as answer:  # noqa: S310 - as above
            return int(answer.status)
    except HTTPError as error:
        if error.code in {HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT}:
            return error.code
        raise AssertionError(error.read()) from error


def _definition() -> dict[str, Any]:
    schema = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": "widgets.example.com"},
        "spec": {
            "group": "example.com",
            "scope": "Namespaced",
            "names": {"plural": "widgets", "singular": "widget", "kind": "Widget"},
            "versions": [
                {
                    "name": "v1",
                    "served": True,
                    "storage": True,
                    "schema": {"openAPIV3Schema": schema},
                }
            ],
        },
    }


def test_every_required_kind_is_discovered_and_pods_come_last(server: Server) -> None:
    names = [kind.name for kind in server.api().kinds()]

    assert names[-len(REQUIRED) :] == [kind.name for kind in REQUIRED]
    assert WIDGETS.name in names
    assert not {"secrets", "events", "nodes"} & set(names)


def test_every_kind_is_read_in_full(server: Server) -> None:
    document = read_cluster("c", server.api(), Deadline())

    assert document.problem == ""
    found = {reference.tag for reference, _ in document.held}
    assert found >= (TAGS - {"configmap"}) | {"widget"}
    # In a text, the tag may be what is found, or the repository as a whole.
    assert found & {"configmap", None}


def test_pages_hold_every_object_once(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kubernetes, "FIRST_LIMIT", 2)
    monkeypatch.setattr(kubernetes, "MOST_ITEMS", 2)
    pages: list[list[str]] = []

    def take(items: list[Any]) -> None:
        pages.append([item["metadata"]["uid"] for item in items])

    server.api().each_page(Kind("", "v1", "configmaps", "ConfigMap"), take)

    names = [name for page in pages for name in page]
    assert len(pages) >= 3
    assert all(len(page) <= 2 for page in pages)
    assert len(set(names)) == len(names) >= 6


def failure(server: Server, token: str | None = None, kind: Kind = REQUIRED[-1]) -> Obstacle:
    with pytest.raises(ClusterError) as raised:
        server.api(token).each_page(kind, lambda _: None)
    return raised.value.obstacle


def test_unknown_token_is_told_apart(server: Server) -> None:
    assert failure(server, "unknown") is Obstacle.NOT_AUTHENTICATED


def test_missing_right_is_told_apart(server: Server) -> None:
    assert failure(server, server.nobody) is Obstacle.FORBIDDEN


def test_anybody_may_discover(server: Server) -> None:
    assert server.api(server.nobody).kinds()


def test_kind_that_is_not_served_is_told_apart(server: Server) -> None:
    gone = Kind("example.com", "v1", "gadgets", "Gadget")
    assert failure(server, kind=gone) is Obstacle.VANISHED
