"""The certificates of CAs that the clients trust: read once, not for each connection.

urllib3 reads the file of certificates again for each connection that it opens, which takes up to
30 ms of processor time, and each client of the SDK keeps its own copy, which takes 0.7 MB. An
empty region needs about 30 clients and as many connections.
"""

from __future__ import annotations

import ssl
from threading import Lock

from botocore.awsrequest import AWSHTTPSConnection, AWSHTTPSConnectionPool
from botocore.httpsession import create_urllib3_context

_contexts: dict[str, ssl.SSLContext] = {}
_reading = Lock()


def share_certificates() -> None:
    """Let all connections that clients of the SDK open from now on share what they trust."""
    AWSHTTPSConnectionPool.ConnectionCls = _Connection


class _Connection(AWSHTTPSConnection):
    """A connection of the SDK that verifies as before, with certificates that are in memory.

    If the SDK stops using this class, its own reads the certificates again: slower, and as safe.
    """

    def connect(self) -> None:
        # A certificate of our own would become that of all connections, and a TLS connection to a
        # proxy is verified with the same file but another context.
        is_plain = not self.cert_file and not (self.proxy and self.proxy.scheme == "https")
        if self.ca_certs and is_plain:
            self.ssl_context, self.ca_certs = _trusting(self.ca_certs), None
        super().connect()


def _trusting(path: str) -> ssl.SSLContext:
    """Return the context of all connections that trust the CAs in this file."""
    with _reading:
        if path not in _contexts:
            context = create_urllib3_context()
            context.load_verify_locations(path)
            _contexts[path] = context
        return _contexts[path]
