"""API servers behind the proxy that the environment names: TLS ends at the API server."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from ecr_cleaner.aws.kubernetes import Endpoint, KubernetesApi
from ecr_cleaner.core.kubernetes import REQUIRED, ClusterError, Obstacle
from ecr_cleaner.deadline import Deadline
from fakes.certificates import LOOPBACK, authority
from fakes.kubernetes import TOKEN, FakeCluster, running
from fakes.proxy import FakeProxy, proxy_to

PODS = REQUIRED[-1]
# Nothing listens there: only the proxy knows the way.
BEHIND = "127.0.0.2"
TARGET = f"{BEHIND}:6443"
CONNECT = f"CONNECT {TARGET}"


@pytest.fixture
def cluster() -> Iterator[FakeCluster]:
    with running(FakeCluster(authority=authority(BEHIND))) as made:
        made.create("pods", "pod")
        yield made


@pytest.fixture
def proxy(cluster: FakeCluster, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeProxy]:
    with proxy_to({TARGET: address_of(cluster)}) as made:
        through(monkeypatch, f"http://{made.address}")
        yield made


def through(monkeypatch: pytest.MonkeyPatch, proxy: str, *, no_proxy: str = "") -> None:
    for name in ("https_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HTTPS_PROXY", proxy)
    monkeypatch.setenv("NO_PROXY", no_proxy)


def address_of(cluster: FakeCluster) -> tuple[str, int]:
    return LOOPBACK, urlsplit(cluster.url).port or 0


def api(cluster: FakeCluster, url: str = f"https://{TARGET}") -> KubernetesApi:
    endpoint = Endpoint(url, cluster.authority.pem)
    return KubernetesApi("prod", endpoint, lambda: TOKEN, Deadline(), lambda _: None)


def names(one: KubernetesApi) -> list[str]:
    found: list[str] = []
    one.each_page(PODS, lambda items: found.extend(item["metadata"]["name"] for item in items))
    return found


def failure(one: KubernetesApi) -> ClusterError:
    with pytest.raises(ClusterError) as raised:
        names(one)
    return raised.value


def test_api_server_is_read_through_the_proxy(cluster: FakeCluster, proxy: FakeProxy) -> None:
    one = api(cluster)

    assert one.kinds()
    assert names(one) == ["pod"]
    # One connection for all calls, and in it nothing for the proxy to read.
    assert proxy.asked == [CONNECT]
    assert TOKEN.encode() not in proxy.heads[0]
    assert b"Authorization" not in proxy.heads[0]


def test_proxy_may_be_named_without_a_scheme(
    cluster: FakeCluster, proxy: FakeProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    through(monkeypatch, proxy.address)

    assert names(api(cluster)) == ["pod"]
    assert proxy.asked == [CONNECT]


def test_credentials_of_the_proxy_are_for_the_proxy_only(
    cluster: FakeCluster, proxy: FakeProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    through(monkeypatch, f"http://me:pass%20word@{proxy.address}")

    assert names(api(cluster)) == ["pod"]
    assert b"Proxy-Authorization: Basic bWU6cGFzcyB3b3Jk\r\n" in proxy.heads[0]
    assert cluster.tokens == [TOKEN]


def test_proxy_may_be_reached_over_tls(
    cluster: FakeCluster, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    trusted = authority(number=2)
    (tmp_path / "proxy.pem").write_text(trusted.pem)
    with proxy_to({TARGET: address_of(cluster)}, trusted) as proxy:
        through(monkeypatch, f"https://{proxy.address}")

        assert failure(api(cluster)).obstacle is Obstacle.NOT_FORWARDED
        assert proxy.asked == []

        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "proxy.pem"))
        assert names(api(cluster)) == ["pod"]
        assert proxy.asked == [CONNECT]


@pytest.mark.parametrize("no_proxy", [LOOPBACK, f"example.com,{LOOPBACK}", "*"])
def test_hosts_of_no_proxy_are_reached_directly(
    proxy: FakeProxy, monkeypatch: pytest.MonkeyPatch, no_proxy: str
) -> None:
    through(monkeypatch, f"http://{proxy.address}", no_proxy=no_proxy)
    with running() as direct:
        assert names(api(direct, direct.url)) == []

    assert proxy.asked == []


def test_without_the_proxy_there_is_no_way(
    cluster: FakeCluster, proxy: FakeProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    through(monkeypatch, f"http://{proxy.address}", no_proxy=BEHIND)

    assert failure(api(cluster)).obstacle is Obstacle.NOT_REACHED
    assert proxy.asked == []


# -- TLS -----------------------------------------------------------------------------------------


def test_proxy_that_answers_in_place_of_the_api_server_is_not_trusted(
    cluster: FakeCluster, proxy: FakeProxy
) -> None:
    with running(FakeCluster(authority=authority(BEHIND, number=1))) as other:
        proxy.routes = {TARGET: address_of(other)}

        assert failure(api(cluster)).obstacle is Obstacle.NOT_TRUSTED
        assert other.requests == cluster.requests == []


def test_certificate_for_another_host_behind_the_proxy_is_not_trusted(proxy: FakeProxy) -> None:
    with running() as other:
        proxy.routes = {TARGET: address_of(other)}

        assert failure(api(other)).obstacle is Obstacle.NOT_TRUSTED
        assert other.requests == []


# -- Faults --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "answer", ["403 Forbidden", "407 Proxy Authentication Required", "502 Bad Gateway", "302 Found"]
)
def test_proxy_that_refuses_is_named_with_its_status(
    cluster: FakeCluster, proxy: FakeProxy, answer: str
) -> None:
    proxy.answer = answer

    error = failure(api(cluster))

    assert error.obstacle is Obstacle.NOT_FORWARDED
    assert answer[:3] in error.detail
    assert TARGET in error.detail
    assert cluster.requests == []


def test_proxy_that_is_not_there_is_an_error_without_its_password(
    cluster: FakeCluster, proxy: FakeProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    with running() as gone:
        pass
    through(monkeypatch, f"http://me:pass-word@{urlsplit(gone.url).netloc}")

    error = failure(api(cluster))

    assert error.obstacle is Obstacle.NOT_FORWARDED
    assert "pass-word" not in str(error)
    assert proxy.asked == []


@pytest.mark.parametrize(
    "address", ["http://me:pass-word@[", "http://me:pass-word@h:port", "http://me:pass-wörd@h"]
)
def test_address_that_is_not_one_of_a_proxy_is_an_error(
    cluster: FakeCluster, monkeypatch: pytest.MonkeyPatch, address: str
) -> None:
    through(monkeypatch, address)

    error = failure(api(cluster))

    assert error.obstacle is Obstacle.NOT_FORWARDED
    assert "pass-w" not in str(error)
    assert cluster.requests == []
