"""Connections to a server, through the proxy that the environment names for HTTPS, if any.

The SDK reads the environment in the same way for the calls of AWS.
"""

from __future__ import annotations

import ssl

from botocore.httpsession import ProxyConfiguration
from botocore.utils import get_environ_proxies
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool, ProxyManager, Timeout
from urllib3.exceptions import HTTPError, ProxyError


def connections(
    kind: type[HTTPSConnectionPool],
    host: str,
    port: int,
    *,
    timeout: Timeout,
    ssl_context: ssl.SSLContext,
) -> HTTPConnectionPool:
    """Return a pool of connections to a server; a proxy only tunnels them, and TLS ends there.

    ``kind`` is the class of the pool. ``HTTPS_PROXY`` names the proxy, and ``NO_PROXY`` the hosts
    to connect to directly. Raise ProxyError if ``HTTPS_PROXY`` is not the address of a proxy.
    """
    url = f"https://[{host}]:{port}" if ":" in host else f"https://{host}:{port}"
    configuration = ProxyConfiguration(get_environ_proxies(url))
    proxy = configuration.proxy_url_for(url)
    if not proxy:
        return kind(host, port, timeout=timeout, ssl_context=ssl_context)
    try:
        manager = ProxyManager(
            proxy,
            proxy_headers=configuration.proxy_headers_for(proxy),
            proxy_ssl_context=ssl.create_default_context(),
            timeout=timeout,
            ssl_context=ssl_context,
        )
    except (HTTPError, ValueError) as error:
        # The address may hold a password, and so may the error.
        problem = ValueError(type(error).__name__)
        raise ProxyError("HTTPS_PROXY is not the address of a proxy", problem) from None
    manager.pool_classes_by_scheme = {"https": kind}
    return manager.connection_from_host(host, port, "https")
