"""The rule of ``tests/conftest.py``: a test connects to this machine only."""

from __future__ import annotations

import socket
from collections.abc import Callable
from contextlib import closing
from urllib.request import urlopen

import pytest

ELSEWHERE = "192.0.2.1"  # https://www.rfc-editor.org/rfc/rfc5737: documentation only


def send_datagram() -> None:
    with closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as sender:
        sender.sendto(b"", (ELSEWHERE, 9))


def try_to_connect() -> None:
    with closing(socket.socket()) as client:
        client.connect_ex((ELSEWHERE, 80))


def fetch_by_name() -> None:
    urlopen("http://host.example")


def fetch_by_address() -> None:
    urlopen(f"http://{ELSEWHERE}")


def look_up() -> None:
    socket.gethostbyname("host.example")


ATTEMPTS = [fetch_by_name, fetch_by_address, look_up, send_datagram, try_to_connect]


@pytest.mark.parametrize("attempt", ATTEMPTS, ids=lambda attempt: attempt.__name__)
def test_connecting_to_another_host_fails_the_test(attempt: Callable[[], None]) -> None:
    with pytest.raises(pytest.fail.Exception, match="a test may connect to loopback only"):
        attempt()


def test_this_machine_is_reached() -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        socket.create_connection(("localhost", server.getsockname()[1])).close()
