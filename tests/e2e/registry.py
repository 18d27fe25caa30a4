"""The registry of ECR: a real registry behind a small proxy that follows the ECR of moto.

ECR consists of an API, which moto provides, and a registry that images are pushed to. The registry
here is Debian's. The proxy serves it over TLS with the host name of ECR, requires the token that
moto returned, accepts only repositories that exist in moto, and records each pushed manifest in
moto before the push returns.
"""

from __future__ import annotations

import datetime as dt
import json
import os
import re
import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPResponse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

from botocore.exceptions import ClientError
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from e2e.processes import service
from e2e.tools import Tools

TLS_PORT = 443  # the port of a registry host without a port
SECONDS_FOR_A_REQUEST = 60
CHUNK = 1 << 16

# https://distribution.github.io/distribution/spec/api/#detail
PATH = re.compile(r"/v2/(?P<repository>.+)/(?P<kind>blobs|manifests|tags)/(?P<reference>.*)")
HOP_BY_HOP = {"connection", "keep-alive", "transfer-encoding", "authorization"}

CONFIG = """\
version: 0.1
storage:
  filesystem:
    rootdirectory: {storage}
http:
  net: unix
  addr: {socket}
  relativeurls: true
"""


@dataclass(frozen=True)
class Registry:
    """The host name of a registry, and its address on this machine."""

    host: str
    address: str


def loopback_address() -> str:
    """Return a loopback address that no other run of these tests uses."""
    pid = os.getpid()
    return f"127.{1 + (pid >> 16) % 254}.{pid >> 8 & 255}.{pid & 255}"


# -- The registry ------------------------------------------------------------------------------


class UnixConnection(HTTPConnection):
    """HTTP over a Unix socket, so that no free port is needed."""

    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=SECONDS_FOR_A_REQUEST)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))


@contextmanager
def storage(tools: Tools, directory: Path) -> Iterator[Path]:
    """Run Debian's registry; yield the path of its socket."""
    listening = directory / "registry.socket"
    config = directory / "registry.yml"
    config.write_text(CONFIG.format(storage=directory / "storage", socket=listening))
    with service(
        *(tools.find("docker-registry"), "serve", config),
        log=directory / "registry.log",
        ready=listening.exists,
        environ=tools.environ,
    ):
        yield listening


# -- The proxy ---------------------------------------------------------------------------------


class RefusedError(Exception):
    """A request that ECR would refuse, with the status, code and message of the answer."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.body = json.dumps({"errors": [{"code": code, "message": message}]}).encode()


class Proxy(ThreadingHTTPServer):
    """Serves the registry over TLS."""

    daemon_threads = True

    def __init__(self, registry: Registry, upstream: Path, ecr: Any, certificate: Path) -> None:
        super().__init__((registry.address, TLS_PORT), Handler)
        self.upstream = upstream
        self.ecr = ecr
        self.host = registry.host
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(certificate)
        self.socket = context.wrap_socket(self.socket, server_side=True)

    def check_token(self, authorization: str | None) -> None:
        """Refuse requests without the token that the API returns."""
        (data,) = self.ecr.get_authorization_token()["authorizationData"]
        if authorization != f"Basic {data['authorizationToken']}":
            raise RefusedError(401, "UNAUTHORIZED", "authentication required")

    def check_repository(self, name: str) -> None:
        """Refuse repositories that do not exist in the API; a push does not create them."""
        try:
            self.ecr.describe_repositories(repositoryNames=[name])
        except ClientError as error:
            raise RefusedError(404, "NAME_UNKNOWN", str(error)) from error

    def enter(self, repository: str, reference: str, manifest: bytes, answer: HTTPResponse) -> None:
        """Record a pushed manifest in the API; refuse the push if the API refuses it."""
        tag = {} if reference.startswith("sha256:") else {"imageTag": reference}
        try:
            self.ecr.put_image(
                repositoryName=repository,
                imageManifest=manifest.decode(),
                imageManifestMediaType=json.loads(manifest)["mediaType"],
                imageDigest=answer.headers["Docker-Content-Digest"],
                **tag,
            )
        except ClientError as error:
            raise RefusedError(400, "TAG_INVALID", str(error)) from error


class Handler(BaseHTTPRequestHandler):
    """Handles one connection of a client."""

    protocol_version = "HTTP/1.1"
    server: Proxy

    def handle_request(self) -> None:
        """Answer one request of any method."""
        try:
            self.server.check_token(self.headers["Authorization"])
            path = PATH.match(self.path)
            if path:
                self.server.check_repository(path["repository"])
            self._pass_on(path)
        except RefusedError as refused:
            self._refuse(refused)

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = handle_request  # noqa: N815

    def log_message(self, *_: object) -> None:
        """Write nothing: errors are in the answer."""

    def _pass_on(self, path: re.Match[str] | None) -> None:
        upstream = UnixConnection(self.server.upstream)
        headers = {
            name: value for name, value in self.headers.items() if name.lower() not in HOP_BY_HOP
        }
        is_manifest = path is not None and path["kind"] == "manifests" and self.command == "PUT"
        manifest = b"".join(self._body()) if is_manifest else None
        body = self._body() if manifest is None else manifest
        chunked = "Content-Length" not in self.headers and "Transfer-Encoding" in self.headers
        if chunked:
            headers["Transfer-Encoding"] = "chunked"
        try:
            upstream.request(self.command, self.path, body, headers, encode_chunked=chunked)
            answer = upstream.getresponse()
            if path is not None and manifest is not None and answer.status == 201:
                self.server.enter(path["repository"], path["reference"], manifest, answer)
            self._answer(answer)
        finally:
            upstream.close()

    def _body(self) -> Iterator[bytes]:
        if self.headers["Transfer-Encoding"] == "chunked":
            while size := int(self.rfile.readline(), 16):
                yield self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
            return
        left = int(self.headers["Content-Length"] or 0)
        while left:
            part = self.rfile.read(min(left, CHUNK))
            left -= len(part)
            yield part

    def _answer(self, answer: HTTPResponse) -> None:
        self.send_response(answer.status)
        for name, value in answer.getheaders():
            if name.lower() not in HOP_BY_HOP:
                self.send_header(name, value)
        if "Content-Length" not in answer.headers:
            self.send_header("Content-Length", "0")
        self.end_headers()
        while part := answer.read(CHUNK):
            self.wfile.write(part)

    def _refuse(self, refused: RefusedError) -> None:
        # The rest of the body is not read, so the connection cannot be reused.
        self.close_connection = True
        self.send_response(refused.status)
        self.send_header("WWW-Authenticate", f'Basic realm="https://{self.server.host}/"')
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(refused.body)))
        self.send_header("Connection", "close")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(refused.body)


@contextmanager
def ecr_registry(tools: Tools, directory: Path, registry: Registry, ecr: Any) -> Iterator[Registry]:
    """Run the registry behind its proxy; ``ecr`` is a client of moto in the same region."""
    certificate = directory / "certificate.pem"
    certificate.write_bytes(_self_signed(registry.host))
    with (
        storage(tools, directory) as upstream,
        Proxy(registry, upstream, ecr, certificate) as proxy,
    ):
        thread = Thread(target=proxy.serve_forever)
        thread.start()
        try:
            yield registry
        finally:
            proxy.shutdown()
            thread.join()


def _self_signed(host: str) -> bytes:
    """Return a key and a certificate. The engine accepts any certificate on loopback."""
    key = ec.generate_private_key(ec.SECP256R1())
    # A common name is limited to 64 characters; the alternative name is not.
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "registry")])
    now = dt.datetime.now(dt.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(host)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    return certificate.public_bytes(serialization.Encoding.PEM) + key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
