"""A small Kubernetes API server on loopback: discovery and lists, over TLS with a CA of its own."""

from __future__ import annotations

import json
import ssl
import tempfile
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address
from pathlib import Path
from threading import Thread
from typing import Any, ClassVar
from urllib.parse import urlsplit

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID
from typing_extensions import override

Object = dict[str, Any]

_LOOPBACK = "127.0.0.1"
_TOKEN = "Bearer k8s-aws-v1."  # noqa: S105 - what tokens of EKS begin with

_KINDS = {
    "/api/v1": {
        "configmaps": "ConfigMap",
        "pods": "Pod",
        "podtemplates": "PodTemplate",
        "replicationcontrollers": "ReplicationController",
    },
    "/apis/apps/v1": {
        "controllerrevisions": "ControllerRevision",
        "daemonsets": "DaemonSet",
        "deployments": "Deployment",
        "replicasets": "ReplicaSet",
        "statefulsets": "StatefulSet",
    },
    "/apis/batch/v1": {"cronjobs": "CronJob", "jobs": "Job"},
}


@dataclass
class KubernetesCluster:
    """A cluster: its address, its CA in PEM, and its objects by the path of their list."""

    url: str
    authority: str
    objects: dict[str, list[Object]] = field(default_factory=lambda: defaultdict(list))

    def create_deployment(self, namespace: str, name: str, image: str, replicas: int) -> None:
        """Create a deployment with one container."""
        pod = {"containers": [{"name": name, "image": image}]}
        self.objects["/apis/apps/v1/deployments"].append(
            {
                "metadata": {"namespace": namespace, "name": name},
                "spec": {"replicas": replicas, "template": {"spec": pod}},
            }
        )

    def answer(self, path: str) -> Object | None:
        """Return what the API server answers; None if it does not know the path."""
        version, _, resource = path.rpartition("/")
        if path == "/api":
            return {"kind": "APIVersions", "versions": ["v1"]}
        if path == "/apis":
            groups = [{"name": name, "versions": [{"version": "v1"}]} for name in ("apps", "batch")]
            return {"kind": "APIGroupList", "groups": groups}
        if path in _KINDS:
            resources = [
                {"name": name, "kind": kind, "verbs": ["list"]}
                for name, kind in _KINDS[path].items()
            ]
            return {"kind": "APIResourceList", "resources": resources}
        if resource in _KINDS.get(version, {}):
            kind = _KINDS[version][resource]
            return {"kind": f"{kind}List", "metadata": {}, "items": self.objects[path]}
        return None


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # Headers and body in one packet: otherwise each answer waits for an acknowledgement.
    wbufsize = -1
    cluster: ClassVar[KubernetesCluster]

    @override
    def log_message(self, format: str, *args: Any) -> None:
        """Write no log."""

    def do_GET(self) -> None:
        known = self.headers.get("Authorization", "").startswith(_TOKEN)
        answer = self.cluster.answer(urlsplit(self.path).path) if known else None
        status = 401 if not known else 404 if answer is None else 200
        body = json.dumps(answer or {"kind": "Status", "code": status}).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


class _Server(ThreadingHTTPServer):
    daemon_threads = True


@contextmanager
def kubernetes_cluster() -> Iterator[KubernetesCluster]:
    """Serve an empty cluster until the end of the block."""
    authority, chain = _certificates()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with tempfile.TemporaryDirectory() as directory:
        file = Path(directory) / "server.pem"
        file.write_bytes(chain)
        context.load_cert_chain(file)
    server = _Server((_LOOPBACK, 0), _Handler)
    server.socket = context.wrap_socket(
        server.socket, server_side=True, do_handshake_on_connect=False
    )
    cluster = KubernetesCluster(f"https://{_LOOPBACK}:{server.server_address[1]}", authority)
    server.RequestHandlerClass = type("Handler", (_Handler,), {"cluster": cluster})
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield cluster
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def _certificates() -> tuple[str, bytes]:
    """Return a new CA, and a key with a certificate that it signed for loopback."""
    ca_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    now = datetime.now(UTC)

    def builder(name: str, public: ec.EllipticCurvePublicKey) -> x509.CertificateBuilder:
        return (
            x509.CertificateBuilder()
            .subject_name(_name(name))
            .issuer_name(_name("kubernetes"))
            .public_key(public)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(days=1))
            .not_valid_after(now + timedelta(days=1))
        )

    is_ca = x509.BasicConstraints(ca=True, path_length=None)
    names = x509.SubjectAlternativeName([x509.IPAddress(ip_address(_LOOPBACK))])
    ca = builder("kubernetes", ca_key.public_key()).add_extension(is_ca, critical=True)
    server = builder("kube-apiserver", key.public_key()).add_extension(names, critical=False)
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return (
        ca.sign(ca_key, SHA256()).public_bytes(Encoding.PEM).decode(),
        private + server.sign(ca_key, SHA256()).public_bytes(Encoding.PEM),
    )


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])
