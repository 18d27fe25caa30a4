"""API servers for tests that hold for any of them: the fake one, and a real kube-apiserver.

KUBE_APISERVER names the program of a real one, and ETCD that of etcd if it is not on the path. Both
run on loopback as long as the tests, with a CA and tokens of their own. Without KUBE_APISERVER only
the fake one is tested.
"""

from __future__ import annotations

import csv
import json
import os
import shutil
import socket
import ssl
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from typing_extensions import override

from e2e.processes import service, wait_until
from ecr_cleaner.aws.kubernetes import Endpoint, KubernetesApi
from ecr_cleaner.core.kubernetes import READER, Kind
from ecr_cleaner.deadline import Deadline
from fakes.certificates import LOOPBACK, authority
from fakes.kubernetes import FakeCluster, Resource, running, status

BINARY = os.environ.get("KUBE_APISERVER", "")
ETCD = os.environ.get("ETCD") or shutil.which("etcd") or "etcd"

ADMIN = "admin"
# In the group that the access entry of the function names.
READER_USER = "reader"
NAMESPACE = "default"
ISSUER = "https://kubernetes.default.svc"

Object = dict[str, Any]
Rule = Mapping[str, Sequence[str]]


class Server(ABC):
    """An API server that tests fill. The token of a user is the name of the user."""

    endpoint: Endpoint

    def api(self, user: str = ADMIN) -> KubernetesApi:
        return KubernetesApi("c", self.endpoint, lambda: user, Deadline(), lambda _: None)

    @abstractmethod
    def define(self, kind: Kind) -> None:
        """Make a custom resource known."""

    @abstractmethod
    def create(self, kind: Kind, name: str, content: Object) -> None:
        """Create an object."""

    @abstractmethod
    def allow(self, user: str, rules: Sequence[Rule]) -> None:
        """Give a user the rights that the rules of a ClusterRole grant, and no others."""

    @abstractmethod
    def apply(self, manifests: Sequence[Object]) -> None:
        """Apply a ServiceAccount, a ClusterRole, its binding and what else is among them."""

    @abstractmethod
    def pod_token(self, namespace: str, account: str) -> str:
        """Return a token as a pod of this service account has it."""

    @abstractmethod
    def expire(self, kind: Kind) -> None:
        """Forget what the next page of a list under way would need."""

    @abstractmethod
    def add_group_without_backend(self, group: str) -> None:
        """Add an API group that another server should serve, which is not there."""

    @abstractmethod
    def remove_group(self, group: str) -> None:
        """Remove that group."""


class FakeServer(Server):
    """The fake in this process."""

    def __init__(self, cluster: FakeCluster) -> None:
        self._cluster = cluster
        self.endpoint = cluster.endpoint
        cluster.user_of = lambda token: None if token == "unknown" else token  # noqa: S105
        cluster.roles |= {"nobody": [], "newcomer": []}

    @override
    def define(self, kind: Kind) -> None:
        made = Resource(kind.group, kind.version, kind.resource, kind.kind)
        self._cluster.resources.append(made)

    @override
    def create(self, kind: Kind, name: str, content: Object) -> None:
        self._cluster.create(kind.name, name, **content)

    @override
    def allow(self, user: str, rules: Sequence[Rule]) -> None:
        self._cluster.roles[user] = [dict(rule) for rule in rules]

    @override
    def apply(self, manifests: Sequence[Object]) -> None:
        by_kind = {one["kind"]: one for one in manifests}
        for subject in by_kind["ClusterRoleBinding"]["subjects"]:
            user = READER_USER if subject["kind"] == "Group" else subject["name"]
            self.allow(user, by_kind["ClusterRole"]["rules"])

    @override
    def pod_token(self, namespace: str, account: str) -> str:
        return account

    @override
    def expire(self, kind: Kind) -> None:
        self._cluster.expired[kind.name] = 1

    @override
    def add_group_without_backend(self, group: str) -> None:
        self._cluster.resources.append(Resource(group, "v1", "things", "Thing"))
        self._cluster.faults[f"/apis/{group}/v1"] = status(503)

    @override
    def remove_group(self, group: str) -> None:
        self._cluster.resources.pop()
        self._cluster.faults.clear()


class RealServer(Server):
    """A kube-apiserver, by the address of it and of its etcd."""

    def __init__(self, endpoint: Endpoint, etcd: str) -> None:
        self.endpoint = endpoint
        self._etcd = etcd
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        self._context.load_verify_locations(cadata=endpoint.authority)

    def is_ready(self) -> bool:
        try:
            return self._send("GET", "/readyz")[0] == HTTPStatus.OK
        except URLError:
            return False

    @override
    def define(self, kind: Kind) -> None:
        schema = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
        version = {
            "name": kind.version,
            "served": True,
            "storage": True,
            "schema": {"openAPIV3Schema": schema},
        }
        names = {"plural": kind.resource, "kind": kind.kind}
        spec = {"group": kind.group, "scope": "Namespaced", "names": names, "versions": [version]}
        self._create(
            "/apis/apiextensions.k8s.io/v1/customresourcedefinitions",
            {"metadata": {"name": kind.name}, "spec": spec},
        )
        wait_until(lambda: kind in self.api().kinds(), kind.name)
        wait_until(lambda: self._send("GET", kind.path)[0] == HTTPStatus.OK, kind.name)

    @override
    def create(self, kind: Kind, name: str, content: Object) -> None:
        # The version may be older than the one that tests name.
        known = next(one for one in self.api().kinds() if one.name == kind.name)
        group = f"{known.group}/" if known.group else ""
        made = {"apiVersion": group + known.version, "kind": known.kind}
        path = known.path.replace(f"/{known.resource}", f"/namespaces/{NAMESPACE}/{known.resource}")
        self._create(path, {**made, "metadata": {"name": name}, **content})

    @override
    def allow(self, user: str, rules: Sequence[Rule]) -> None:
        api = "/apis/rbac.authorization.k8s.io/v1"
        named = {"metadata": {"name": f"test-{user}"}}
        reference = {
            "apiGroup": "rbac.authorization.k8s.io",
            "kind": "ClusterRole",
            "name": f"test-{user}",
        }
        subject = {"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": user}
        for kind in ("clusterrolebindings", "clusterroles"):
            self._send("DELETE", f"{api}/{kind}/test-{user}")
        self._create(f"{api}/clusterroles", {**named, "rules": rules})
        binding = {**named, "roleRef": reference, "subjects": [subject]}
        self._create(f"{api}/clusterrolebindings", binding)
        self._wait_for_rights(user, rules)

    def _wait_for_rights(self, user: str, rules: Sequence[Rule]) -> None:
        # The server learns of a role as a whole.
        last = rules[-1]
        asked = {
            "verb": "list",
            "group": last["apiGroups"][0],
            "resource": last["resources"][0],
        }
        path = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"

        def are_there() -> bool:
            answer = self._create(path, {"spec": {"resourceAttributes": asked}}, user)
            return bool(answer["status"]["allowed"])

        wait_until(are_there, f"the role of {user}")

    @override
    def apply(self, manifests: Sequence[Object]) -> None:
        kinds = {one.kind: one for one in self.api().kinds()}
        for manifest in manifests:
            kind = kinds[manifest["kind"]]
            namespace = manifest["metadata"].get("namespace")
            where = f"/namespaces/{namespace}/{kind.resource}" if namespace else f"/{kind.resource}"
            group = f"{kind.group}/" if kind.group else ""
            path = kind.path.replace(f"/{kind.resource}", where)
            self._create(path, {**manifest, "apiVersion": group + kind.version})
        role = next(one for one in manifests if one["kind"] == "ClusterRole")
        self._wait_for_rights(READER_USER, role["rules"])

    @override
    def pod_token(self, namespace: str, account: str) -> str:
        path = f"/api/v1/namespaces/{namespace}/serviceaccounts/{account}/token"
        request = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}}
        return str(self._create(path, request)["status"]["token"])

    @override
    def expire(self, kind: Kind) -> None:
        # Only revisions before the last one can be compacted.
        self._create(
            f"/api/v1/namespaces/{NAMESPACE}/services",
            {"metadata": {"generateName": "x-"}, "spec": {"ports": [{"port": 80}]}},
        )
        head = self._of_etcd("/v3/kv/range", {"key": "AA=="})["header"]
        self._of_etcd("/v3/kv/compaction", {"revision": head["revision"], "physical": True})

    @override
    def add_group_without_backend(self, group: str) -> None:
        spec = {
            "group": group,
            "version": "v1",
            "groupPriorityMinimum": 10,
            "versionPriority": 10,
            "insecureSkipTLSVerify": True,
            "service": {"namespace": NAMESPACE, "name": "nothing"},
        }
        self._create(
            "/apis/apiregistration.k8s.io/v1/apiservices",
            {"metadata": {"name": f"v1.{group}"}, "spec": spec},
        )
        # The group is listed a moment before its path is known.
        path, unavailable = f"/apis/{group}/v1", HTTPStatus.SERVICE_UNAVAILABLE
        wait_until(lambda: self._send("GET", path)[0] == unavailable, group)
        wait_until(lambda: self._lists_group(group), group)

    @override
    def remove_group(self, group: str) -> None:
        self._send("DELETE", f"/apis/apiregistration.k8s.io/v1/apiservices/v1.{group}")
        wait_until(lambda: not self._lists_group(group), group)

    def _lists_group(self, group: str) -> bool:
        listed = self._send("GET", "/apis")[1]["groups"]
        return group in {one["name"] for one in listed}

    def _create(self, path: str, content: Mapping[str, Any], user: str = ADMIN) -> Object:
        code, answer = self._send("POST", path, content, user)
        if code not in {HTTPStatus.OK, HTTPStatus.CREATED}:
            raise AssertionError(f"{path}: {answer}")
        return answer

    def _send(
        self, method: str, path: str, content: Mapping[str, Any] | None = None, user: str = ADMIN
    ) -> tuple[int, Object]:
        headers = {"Content-Type": "application/json", "Authorization": f"Bearer {user}"}
        data = None if content is None else json.dumps(content).encode()
        request = Request(  # noqa: S310 - on loopback
            self.endpoint.url + path, data, headers, method=method
        )
        try:
            with urlopen(request, context=self._context, timeout=30) as answer:  # noqa: S310 - as above
                code, body = answer.status, answer.read()
        except HTTPError as error:
            code, body = error.code, error.read()
        try:
            return code, json.loads(body)
        except ValueError:
            return code, {"text": body.decode(errors="replace")}

    def _of_etcd(self, path: str, content: Object) -> Object:
        request = Request(  # noqa: S310 - on loopback
            self._etcd + path, json.dumps(content).encode()
        )
        with urlopen(request, timeout=30) as answer:  # noqa: S310 - as above
            found: Object = json.load(answer)
            return found


@contextmanager
def fake_server() -> Iterator[Server]:
    """Serve the fake one."""
    with running() as cluster:
        yield FakeServer(cluster)


@contextmanager
def real_server(directory: Path, users: Sequence[str]) -> Iterator[Server]:
    """Run etcd and kube-apiserver, with the files of both in a directory.

    The admin may do everything; ``users`` are the others.
    """
    groups = {ADMIN: "system:masters", READER_USER: READER}
    with (directory / "tokens.csv").open("w") as file:
        rows = ([user, user, user, groups.get(user, "tester")] for user in (ADMIN, *users))
        csv.writer(file).writerows(rows)
    own = authority()
    certificate, key = own.files(directory)
    accounts = directory / "accounts.key"
    made = rsa.generate_private_key(65537, 2048)
    accounts.write_bytes(
        made.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption())
    )
    clients, peers, port = _free_ports(3)
    etcd = f"http://{LOOPBACK}:{clients}"
    server = RealServer(Endpoint(f"https://{LOOPBACK}:{port}", own.pem), etcd)
    with ExitStack() as stack:
        stack.enter_context(
            service(
                ETCD,
                f"--data-dir={directory / 'etcd'}",
                f"--listen-client-urls={etcd}",
                f"--advertise-client-urls={etcd}",
                f"--listen-peer-urls=http://{LOOPBACK}:{peers}",
                f"--initial-advertise-peer-urls=http://{LOOPBACK}:{peers}",
                f"--initial-cluster=default=http://{LOOPBACK}:{peers}",
                log=directory / "etcd.log",
                ready=lambda: _is_listening(clients),
            )
        )
        stack.enter_context(
            service(
                BINARY,
                f"--etcd-servers={etcd}",
                f"--bind-address={LOOPBACK}",
                f"--secure-port={port}",
                f"--tls-cert-file={certificate}",
                f"--tls-private-key-file={key}",
                f"--cert-dir={directory / 'certificates'}",
                f"--token-auth-file={directory / 'tokens.csv'}",
                "--authorization-mode=RBAC",
                f"--service-account-issuer={ISSUER}",
                f"--service-account-key-file={accounts}",
                f"--service-account-signing-key-file={accounts}",
                "--service-cluster-ip-range=10.96.0.0/16",
                # Its controllers would give each namespace a service account.
                "--disable-admission-plugins=ServiceAccount",
                # Loopback cannot be the address of a service.
                "--endpoint-reconciler-type=none",
                log=directory / "apiserver.log",
                ready=server.is_ready,
            )
        )
        yield server


def _free_ports(number: int) -> list[int]:
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(number)]
        for one in sockets:
            one.bind((LOOPBACK, 0))
        return [one.getsockname()[1] for one in sockets]


def _is_listening(port: int) -> bool:
    with socket.socket() as one:
        return one.connect_ex((LOOPBACK, port)) == 0
