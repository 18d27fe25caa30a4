"""Connections of the SDK verify with certificates that were read once."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any
from unittest import mock

import pytest
from botocore.awsrequest import AWSHTTPSConnection, AWSHTTPSConnectionPool
from botocore.config import Config
from botocore.exceptions import SSLError
from urllib3.util import parse_url

from ecr_cleaner.aws import certificates
from ecr_cleaner.aws.sdk import core_session
from fakes.certificates import LOOPBACK, authority

ONCE = Config(retries={"total_max_attempts": 1})
PATH = "/etc/ssl/some.pem"


class Answer(BaseHTTPRequestHandler):
    """ECR, as far as DescribeRepositories goes."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        body = b'{"repositories": []}'
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def url(tmp_path: Path) -> Iterator[str]:
    """Return the address of a server with a certificate of the first authority."""
    server = ThreadingHTTPServer((LOOPBACK, 0), Answer)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(*authority(LOOPBACK, 0).files(tmp_path))
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = Thread(target=server.serve_forever)
    thread.start()
    yield f"https://{LOOPBACK}:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def trusting(number: int, directory: Path) -> str:
    """Return the path of a file with the CA of this number."""
    path = directory / f"{number}.pem"
    path.write_text(authority(LOOPBACK, number).pem)
    return str(path)


def client(url: str, trusted: str) -> Any:
    return core_session().create_client(
        "ecr",
        "eu-west-1",
        endpoint_url=url,
        verify=trusted,
        config=ONCE,
    )


def test_file_is_read_once_for_all_clients(url: str, tmp_path: Path) -> None:
    trusted = trusting(0, tmp_path)
    read: list[Any] = []
    load = ssl.SSLContext.load_verify_locations

    def counted(context: ssl.SSLContext, *arguments: Any, **named: Any) -> None:
        read.append(arguments)
        load(context, *arguments, **named)

    with mock.patch.object(ssl.SSLContext, "load_verify_locations", counted):
        for _ in range(3):
            made = client(url, trusted)
            assert made.describe_repositories()["repositories"] == []
            made.close()

    assert read == [(trusted,)]


def test_connections_do_not_change_what_they_share(url: str, tmp_path: Path) -> None:
    """Not even to the value that it has: another thread may connect at this moment."""
    trusted = trusting(0, tmp_path)
    with mock.patch.object(ssl.SSLContext, "set_alpn_protocols", autospec=True) as protocols:
        for _ in range(3):
            client(url, trusted).describe_repositories()

    assert protocols.call_count == 1


def test_file_that_does_not_exist_is_said_to_be_the_problem(url: str, tmp_path: Path) -> None:
    with pytest.raises(SSLError, match="No such file"):
        client(url, str(tmp_path / "absent.pem")).describe_repositories()


def test_server_of_another_authority_is_refused_whatever_was_trusted_before(
    url: str, tmp_path: Path
) -> None:
    right, wrong = trusting(0, tmp_path), trusting(1, tmp_path)

    for _ in range(2):
        client(url, right).describe_repositories()
        with pytest.raises(SSLError, match="certificate verify failed"):
            client(url, wrong).describe_repositories()


def test_address_that_is_not_in_the_certificate_is_refused(url: str, tmp_path: Path) -> None:
    named = url.replace(LOOPBACK, "localhost")

    with pytest.raises(SSLError, match="doesn't match"):
        client(named, trusting(0, tmp_path)).describe_repositories()


@pytest.mark.parametrize(
    ("options", "is_shared"),
    [
        ({}, True),
        ({"proxy": parse_url("http://proxy:3128")}, True),
        ({"proxy": parse_url("https://proxy:3128")}, False),
        ({"cert_file": "own.pem"}, False),
        ({"ca_certs": None}, False),
        ({"cert_reqs": "CERT_NONE"}, False),
    ],
)
def test_only_plain_connections_share_what_they_trust(
    options: dict[str, Any], is_shared: bool
) -> None:
    context = ssl.create_default_context()
    connection = AWSHTTPSConnectionPool.ConnectionCls(LOOPBACK, **{"ca_certs": PATH, **options})
    with (
        mock.patch.dict(certificates._contexts, {PATH: context}),  # noqa: SLF001
        mock.patch.object(AWSHTTPSConnection, "connect") as connect,
    ):
        connection.connect()

    connect.assert_called_once_with()
    assert (connection.ssl_context is context) == is_shared
    assert connection.ca_certs == (None if is_shared else options.get("ca_certs", PATH))
