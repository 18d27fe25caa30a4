"""A Kubernetes API server in this process: TLS, tokens, RBAC, discovery and lists in pages.

It answers as kube-apiserver does, as far as a client that only lists can see. Every path can be
made to fail.
"""

from __future__ import annotations

import gzip
import json
import re
import ssl
import tempfile
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Event, Thread
from typing import Any, ClassVar
from urllib.parse import parse_qs, urlsplit

from ecr_cleaner.aws.kubernetes import Endpoint
from fakes.certificates import LOOPBACK, Authority, authority

Object = dict[str, Any]

READ = ("create", "delete", "get", "list", "watch")
# kube-apiserver compresses what is larger, for clients that accept it.
COMPRESSED_FROM = 128 * 1024


@dataclass(frozen=True)
class Resource:
    """A resource as discovery has it."""

    group: str
    version: str
    name: str
    kind: str
    namespaced: bool = True
    verbs: tuple[str, ...] = READ

    @property
    def full_name(self) -> str:
        return f"{self.name}.{self.group}" if self.group else self.name

    @property
    def path(self) -> str:
        return f"{version_path(self.group, self.version)}/{self.name}"


def version_path(group: str, version: str) -> str:
    return f"/apis/{group}/{version}" if group else f"/api/{version}"


BUILT_IN = (
    Resource("", "v1", "pods", "Pod"),
    Resource("", "v1", "pods/status", "Pod", verbs=("get",)),
    Resource("", "v1", "bindings", "Binding", verbs=("create",)),
    Resource("", "v1", "configmaps", "ConfigMap"),
    Resource("", "v1", "events", "Event"),
    Resource("", "v1", "namespaces", "Namespace", namespaced=False),
    Resource("", "v1", "nodes", "Node", namespaced=False),
    Resource("", "v1", "podtemplates", "PodTemplate"),
    Resource("", "v1", "replicationcontrollers", "ReplicationController"),
    Resource("", "v1", "secrets", "Secret"),
    Resource("", "v1", "serviceaccounts", "ServiceAccount"),
    Resource("", "v1", "services", "Service"),
    Resource("apps", "v1", "controllerrevisions", "ControllerRevision"),
    Resource("apps", "v1", "daemonsets", "DaemonSet"),
    Resource("apps", "v1", "deployments", "Deployment"),
    Resource("apps", "v1", "deployments/scale", "Scale", verbs=("get",)),
    Resource("apps", "v1", "replicasets", "ReplicaSet"),
    Resource("apps", "v1", "statefulsets", "StatefulSet"),
    Resource("batch", "v1", "cronjobs", "CronJob"),
    Resource("batch", "v1", "jobs", "Job"),
    Resource("coordination.k8s.io", "v1", "leases", "Lease"),
    Resource("events.k8s.io", "v1", "events", "Event"),
    Resource("metrics.k8s.io", "v1beta1", "pods", "PodMetrics"),
)
WORKFLOWS = (
    Resource("argoproj.io", "v1alpha1", "workflowtemplates", "WorkflowTemplate"),
    Resource("argoproj.io", "v1alpha1", "rollouts", "Rollout"),
)

# What a fault does in place of an answer.
Fault = Callable[["Handler"], None]


@dataclass
class FakeCluster:
    """The state of the server.

    ``user_of`` returns the user that a token belongs to, or None; ``denied`` names resources that
    RBAC does not let anybody list. A user in ``roles`` may list only what the rules allow, as in a
    ClusterRole; all others may list everything else. ``faults`` maps a
    pattern of paths (with their query) to what happens instead of an answer. ``expired`` counts, by
    resource, how many further pages answer 410. ``list_kinds`` names lists that are not called as
    their kind.
    """

    resources: list[Resource] = field(default_factory=lambda: [*BUILT_IN])
    objects: dict[str, list[Object]] = field(default_factory=lambda: defaultdict(list))
    user_of: Callable[[str], str | None] = lambda token: "tester" if token == TOKEN else None
    denied: set[str] = field(default_factory=set)
    roles: dict[str, list[Object]] = field(default_factory=dict)
    faults: dict[str, Fault] = field(default_factory=dict)
    expired: dict[str, int] = field(default_factory=dict)
    list_kinds: dict[str, str] = field(default_factory=dict)
    requests: list[str] = field(default_factory=list)
    tokens: list[str] = field(default_factory=list)
    released: Event = field(default_factory=Event)
    url: str = ""
    authority: Authority = field(default_factory=authority)

    @property
    def endpoint(self) -> Endpoint:
        return Endpoint(self.url, self.authority.pem)

    def create(self, resource: str, name: str, namespace: str = "default", **content: Any) -> None:
        """Create an object; ``resource`` is its name with the group, as ``deployments.apps``."""
        known = next(one for one in self.resources if one.full_name == resource)
        metadata = {"name": name, "uid": name} | (
            {"namespace": namespace} if known.namespaced else {}
        )
        self.objects[resource].append({"metadata": metadata, **content})

    @property
    def listed(self) -> list[str]:
        """The paths of the lists that were asked for, in order, each page without its query."""
        lists = {one.path for one in self.resources}
        paths = [urlsplit(request).path for request in self.requests]
        return [path for path in paths if path in lists]

    def allows(self, user: str, path: str) -> bool:
        """Return whether a user may ask for this; everybody may discover."""
        resource = next((one for one in self.resources if one.path == path), None)
        if user not in self.roles or path in discovery(self.resources):
            return True
        return resource is not None and any(
            {resource.group, "*"} & set(rule["apiGroups"])
            and {resource.name, "*"} & set(rule["resources"])
            and "list" in rule["verbs"]
            for rule in self.roles[user]
        )

    def page(self, resource: Resource, limit: int, offset: int) -> Object:
        objects = self.objects[resource.full_name]
        end = min(len(objects), offset + limit) if limit else len(objects)
        metadata: Object = {"resourceVersion": "7"}
        if end < len(objects):
            metadata |= {"continue": f"after-{end}", "remainingItemCount": len(objects) - end}
        group = f"{resource.group}/" if resource.group else ""
        kind = self.list_kinds.get(resource.full_name, f"{resource.kind}List")
        return {
            "kind": kind,
            "apiVersion": group + resource.version,
            "metadata": metadata,
            "items": objects[offset:end],
        }


TOKEN = "not-a-secret"  # noqa: S105 - of a server that lives as long as a test


class Handler(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    # Headers and body in one packet: otherwise each answer waits for an acknowledgement.
    wbufsize = -1
    disable_nagle_algorithm = True
    cluster: ClassVar[FakeCluster]

    def log_message(self, *_: Any) -> None:
        """Write no log."""

    def do_GET(self) -> None:
        self.cluster.requests.append(self.path)
        token = self.headers.get("Authorization", "").removeprefix("Bearer ")
        self.cluster.tokens.append(token)
        for pattern, fault in self.cluster.faults.items():
            if re.fullmatch(pattern, self.path):
                fault(self)
                return
        user = self.cluster.user_of(token)
        path = urlsplit(self.path).path
        if user is None:
            self.refuse(HTTPStatus.UNAUTHORIZED, "Unauthorized")
        elif not self.cluster.allows(user, path):
            self._forbid(path, user)
        else:
            self._answer(path)

    def _answer(self, path: str) -> None:
        discovered = discovery(self.cluster.resources)
        resource = next((one for one in self.cluster.resources if one.path == path), None)
        if path in discovered:
            self.send(discovered[path])
        elif resource is None:
            self.refuse(HTTPStatus.NOT_FOUND, "the server could not find the requested resource")
        elif "list" not in resource.verbs:
            self.refuse(HTTPStatus.METHOD_NOT_ALLOWED, "the server does not allow this method")
        elif resource.full_name in self.cluster.denied:
            self._forbid(path)
        else:
            self._list(resource)

    def _forbid(self, path: str, user: str = "tester") -> None:
        known = (one for one in self.cluster.resources if one.path == path)
        name, group = next(((one.name, one.group) for one in known), (path, ""))
        what = f'cannot list resource "{name}" in API group "{group}" at the cluster scope'
        full = f"{name}.{group}" if group else name
        self.refuse(HTTPStatus.FORBIDDEN, f'{full} is forbidden: User "{user}" {what}')

    def _list(self, resource: Resource) -> None:
        query = parse_qs(urlsplit(self.path).query)
        offset = int(query.get("continue", ["after-0"])[0].removeprefix("after-"))
        if offset and self.cluster.expired.get(resource.full_name, 0):
            self.cluster.expired[resource.full_name] -= 1
            self.refuse(HTTPStatus.GONE, "The provided continue parameter is too old", "Expired")
        else:
            self.send(self.cluster.page(resource, int(query.get("limit", ["0"])[0]), offset))

    def refuse(self, status: HTTPStatus, message: str, reason: str = "") -> None:
        content: Object = {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": message,
            "reason": reason or status.phrase.replace(" ", ""),
            "code": status.value,
        }
        self.send(content, status)

    def send(self, content: Any, status: int = HTTPStatus.OK, **headers: str) -> None:
        self.send_bytes(json.dumps(content).encode(), status, **headers)

    def send_bytes(self, body: bytes, status: int = HTTPStatus.OK, **headers: str) -> None:
        if len(body) > COMPRESSED_FROM and "gzip" in self.headers.get("Accept-Encoding", ""):
            body = gzip.compress(body, 1)
            headers["Content-Encoding"] = "gzip"
        self.send_response(status)
        for name, value in {"Content-Type": "application/json", **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        if "Transfer_Encoding" not in headers and "Content_Length" not in headers:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def discovery(resources: list[Resource]) -> dict[str, Object]:
    """Return the answers of discovery by their path."""
    by_version: dict[tuple[str, str], list[Object]] = defaultdict(list)
    for one in resources:
        by_version[one.group, one.version].append(
            {
                "name": one.name,
                "singularName": "",
                "namespaced": one.namespaced,
                "kind": one.kind,
                "verbs": list(one.verbs),
            }
        )
    groups: dict[str, list[Object]] = defaultdict(list)
    for group, version in by_version:
        if group:
            groups[group].append({"groupVersion": f"{group}/{version}", "version": version})
    answers: dict[str, Object] = {
        "/api": {"kind": "APIVersions", "versions": ["v1"]},
        "/apis": {
            "kind": "APIGroupList",
            "apiVersion": "v1",
            "groups": [
                {"name": name, "versions": versions, "preferredVersion": versions[0]}
                for name, versions in groups.items()
            ],
        },
    }
    for (group, version), listed in by_version.items():
        answers[version_path(group, version)] = {
            "kind": "APIResourceList",
            "apiVersion": "v1",
            "groupVersion": f"{group}/{version}" if group else version,
            "resources": listed,
        }
    return answers


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing: clients break connections off on purpose."""


@contextmanager
def running(cluster: FakeCluster | None = None, path: str = "") -> Iterator[FakeCluster]:
    """Serve a cluster on loopback; ``path`` is the prefix that its address has."""
    cluster = cluster or FakeCluster()
    handler = type("ClusterHandler", (Handler,), {"cluster": cluster})
    server = _Server((LOOPBACK, 0), handler)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with tempfile.TemporaryDirectory() as directory:
        context.load_cert_chain(*cluster.authority.files(Path(directory)))
    server.socket = context.wrap_socket(
        server.socket, server_side=True, do_handshake_on_connect=False
    )
    cluster.url = f"https://{LOOPBACK}:{server.server_address[1]}{path}"
    # A daemon: Python waits for other threads before it calls what closes a server at exit.
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield cluster
    finally:
        cluster.released.set()
        server.shutdown()
        thread.join()
        server.server_close()


# -- Faults ------------------------------------------------------------------------------------


def status(code: int, **headers: str) -> Fault:
    """Refuse with a status."""

    def fault(handler: Handler) -> None:
        handler.send({"kind": "Status", "message": "as the test has it"}, code, **headers)

    return fault


def says(body: bytes | str, **headers: str) -> Fault:
    """Answer 200 with this body."""
    content = body.encode() if isinstance(body, str) else body
    return lambda handler: handler.send_bytes(content, HTTPStatus.OK, **headers)


def cut_off(handler: Handler) -> None:
    """Announce more than is sent."""
    handler.send_bytes(b'{"kind": "PodList", "items": [', Content_Length="5000")
    handler.close_connection = True


def cut_off_in_chunks(handler: Handler) -> None:
    """Send one chunk, and not the last one."""
    handler.send_bytes(
        b"1e\r\n" + b'{"kind": "PodList", "items": [' + b"\r\n", Transfer_Encoding="chunked"
    )
    handler.close_connection = True


def drops(handler: Handler) -> None:
    """Close the connection without an answer."""
    handler.close_connection = True


def hangs(handler: Handler) -> None:
    """Never answer."""
    handler.cluster.released.wait()
    handler.close_connection = True


def stalls(handler: Handler, connection: str = "keep-alive") -> None:
    """Send the headers, and never the body."""
    handler.send_bytes(b"", Content_Length="5000", Connection=connection)
    handler.wfile.flush()
    hangs(handler)


def in_turn(*faults: Fault) -> Fault:
    """Fail in each of these ways in turn; then answer as usual."""
    waiting = list(faults)

    def next_one(handler: Handler) -> None:
        if waiting:
            waiting.pop(0)(handler)
        else:
            handler._answer(urlsplit(handler.path).path)  # noqa: SLF001 - its own module

    return next_one
