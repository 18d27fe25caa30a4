"""The certificates of CAs that the clients trust: read once, not for each connection.

urllib3 reads the file of certificates again for each connection that it opens, which takes up to
30 ms of processor time, and each client of the SDK keeps its own copy, which takes 0.7 MB. An
empty region needs about 30 clients and as many connections.
"""

from __future__ import annotations

import ssl
from collections.abc import Sequence
from contextlib import suppress
from threading import Lock

from botocore.awsrequest import AWSHTTPSConnection, AWSHTTPSConnectionPool
from botocore.httpsession import create_urllib3_context
from urllib3.util.ssl_ import ALPN_PROTOCOLS, resolve_cert_reqs

_contexts: dict[str, ssl.SSLContext] = {}
_reading = Lock()


def share_certificates() -> None:
    """Let all connections that clients of the SDK open from now on share what they trust."""
    AWSHTTPSConnectionPool.ConnectionCls = _Connection


class _Connection(AWSHTTPSConnection):
    """A connection of the SDK that verifies as before, with certificates that are in memory.

    If a later SDK ignores this class, its own class reads the file for each connection: slower,
    equally safe.
    """

    def connect(self) -> None:
        # A certificate of our own would become that of all connections, and a TLS connection to a
        # proxy is verified with the same file but another context.
        is_plain = not self.cert_file and not (self.proxy and self.proxy.scheme == "https")
        is_verified = resolve_cert_reqs(self.cert_reqs) is ssl.CERT_REQUIRED
        if self.ca_certs and is_plain and is_verified:
            # If the file cannot be read, the SDK says so as it always does.
            with suppress(OSError):
                self.ssl_context, self.ca_certs = _trusting(self.ca_certs), None
        super().connect()


def _trusting(path: str) -> ssl.SSLContext:
    """Return the context of all connections that trust the CAs in this file."""
    with _reading:
        if path not in _contexts:
            context = create_urllib3_context()
            context.load_verify_locations(path)
            # urllib3 sets them for each connection, which is not safe while another thread
            # connects: https://github.com/python/cpython/issues/141012
            context.set_alpn_protocols(ALPN_PROTOCOLS)
            context.set_alpn_protocols = _are_set
            _contexts[path] = context
        return _contexts[path]


def _are_set(_: Sequence[str]) -> None: ...
