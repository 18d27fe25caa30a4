"""An HTTP proxy on loopback that tunnels, and does nothing else."""

from __future__ import annotations

import socket
import ssl
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from socketserver import StreamRequestHandler, ThreadingTCPServer
from threading import Thread
from typing import Any, ClassVar

from fakes.certificates import LOOPBACK, Authority

Address = tuple[str, int]


@dataclass
class FakeProxy:
    """The state of the proxy.

    ``routes`` are the addresses behind the hosts that it knows; it refuses all others. ``answer``,
    if set, is the status line that it answers instead. ``heads`` are the requests as they came.
    """

    routes: Mapping[str, Address]
    answer: str = ""
    heads: list[bytes] = field(default_factory=list)
    address: str = ""

    @property
    def asked(self) -> list[str]:
        """The method and the target of each request."""
        return [" ".join(head.decode().split(" ", 2)[:2]) for head in self.heads]


class _Handler(StreamRequestHandler):
    proxy: ClassVar[FakeProxy]

    def handle(self) -> None:
        lines = list(iter(self.rfile.readline, b"\r\n"))
        head = b"".join(lines)
        self.proxy.heads.append(head)
        method, target, _ = head.decode().split(" ", 2)
        route = self.proxy.routes.get(target) if method == "CONNECT" else None
        if self.proxy.answer or route is None:
            self.wfile.write(f"HTTP/1.1 {self.proxy.answer or '403 Forbidden'}\r\n\r\n".encode())
            return
        with socket.create_connection(route) as behind:
            self.wfile.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
            back = Thread(target=_copy, args=(behind, self.connection))
            back.start()
            _copy(self.connection, behind)
            back.join()


def _copy(source: socket.socket, target: socket.socket) -> None:
    """Pass on what comes, until either side closes the connection; then close both ways."""
    with suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)
    for one in (source, target):
        with suppress(OSError):
            one.shutdown(socket.SHUT_RDWR)


class _Server(ThreadingTCPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing: clients break connections off on purpose."""


@contextmanager
def proxy_to(
    routes: Mapping[str, Address], authority: Authority | None = None
) -> Iterator[FakeProxy]:
    """Serve a proxy; with an authority, over TLS."""
    proxy = FakeProxy(routes)
    server = _Server((LOOPBACK, 0), type("ProxyHandler", (_Handler,), {"proxy": proxy}))
    if authority:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        with tempfile.TemporaryDirectory() as directory:
            context.load_cert_chain(*authority.files(Path(directory)))
        server.socket = context.wrap_socket(
            server.socket, server_side=True, do_handshake_on_connect=False
        )
    proxy.address = f"{LOOPBACK}:{server.server_address[1]}"
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield proxy
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
