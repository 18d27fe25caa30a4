"""One Kubernetes API server: whole lists, or an error that says what is missing.

Every call to a Kubernetes API is made here, and each is a GET. A token is sent only to the cluster
that it was made for, over TLS that is verified with the CA of that cluster.
"""

from __future__ import annotations

import json
import re
import ssl
import time
import zlib
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from http import HTTPStatus
from threading import Lock
from typing import Any, cast
from urllib.parse import urlencode, urlsplit

from urllib3 import HTTPConnectionPool, HTTPSConnectionPool, Timeout
from urllib3.connection import HTTPSConnection
from urllib3.exceptions import (
    ConnectTimeoutError,
    HTTPError,
    NameResolutionError,
    NewConnectionError,
    ProxyError,
    SSLError,
)
from urllib3.response import BaseHTTPResponse

from ecr_cleaner.aws import proxy
from ecr_cleaner.core.errors import CleanerError, OutOfTimeError
from ecr_cleaner.core.kubernetes import (
    EVERY,
    REQUIRED_GROUPS,
    SKIPPED_GROUPS,
    ClusterError,
    Kind,
    Obstacle,
    in_order,
)
from ecr_cleaner.deadline import CONNECT_TIMEOUT, READ_TIMEOUT, Deadline

# Pages are kept near this size: parsed, one takes several times as much memory.
PAGE_BYTES = 1_500_000
FIRST_LIMIT = 100
MOST_ITEMS = 500
# A larger page is asked for again in smaller parts: an object has at most a few MB.
MOST_BYTES = 64 * 1024 * 1024
_SMALLER = 10

RESTARTS = 3
_ATTEMPTS = 4
_PAUSE = 0.5
_LONGEST_PAUSE = 10.0
_CHUNK = 64 * 1024
_RETRIED = frozenset(
    {
        HTTPStatus.TOO_MANY_REQUESTS,
        HTTPStatus.INTERNAL_SERVER_ERROR,
        HTTPStatus.BAD_GATEWAY,
        HTTPStatus.SERVICE_UNAVAILABLE,
        HTTPStatus.GATEWAY_TIMEOUT,
    }
)
_OBSTACLES: Mapping[int, Obstacle] = {
    HTTPStatus.UNAUTHORIZED: Obstacle.NOT_AUTHENTICATED,
    HTTPStatus.FORBIDDEN: Obstacle.FORBIDDEN,
    HTTPStatus.NOT_FOUND: Obstacle.VANISHED,
    HTTPStatus.GONE: Obstacle.EXPIRED,
}
_NAME = re.compile(r"[a-z0-9]([a-z0-9.-]*[a-z0-9])?")

# Parsing and walking a page is work for the processor: one page at a time takes no longer, and
# however many clusters are read side by side, the memory of one page.
_ONE_PAGE = Lock()

Items = list[Any]


@dataclass(frozen=True, slots=True)
class Endpoint:
    """The address of an API server, and its CA in PEM."""

    url: str
    authority: str


class _Connection(HTTPSConnection):
    """A connection whose timeout may be changed while an answer is read.

    urllib3 drops its reference to the socket if the server closes the connection after the answer.
    """

    def connect(self) -> None:
        super().connect()
        self._opened = self.sock

    def wait_at_most(self, seconds: float) -> None:
        """Let no single wait for bytes of the answer take longer."""
        if self._opened.fileno() >= 0:  # otherwise closed: the answer was received in full
            self._opened.settimeout(seconds)


class _Pool(HTTPSConnectionPool):
    ConnectionCls = _Connection


class _TooLargeError(ClusterError):
    """An answer has more than ``MOST_BYTES``."""


class KubernetesApi:
    """The API of one cluster. ``token`` returns a new bearer token whenever it is called."""

    def __init__(
        self,
        cluster: str,
        endpoint: Endpoint,
        token: Callable[[], str],
        deadline: Deadline,
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        self._cluster = cluster
        self._endpoint = endpoint
        self._new_token = token
        self._token: str | None = None
        self._deadline = deadline
        self._sleep = pause

    @property
    def url(self) -> str:
        """The address of the API server."""
        return self._endpoint.url

    def kinds(self, waived_groups: Collection[str] = ()) -> list[Kind]:
        """Return every kind that can be listed, in the order in which they are to be listed."""
        ignored = SKIPPED_GROUPS | set(waived_groups)
        core = self._get("/api", "APIVersions")
        versions = [("", version) for version in self._strings(core, "versions")]
        groups = self._get("/apis", "APIGroupList")
        for group in self._objects(groups, "groups"):
            name = self._name_in(group, "name")
            if name not in ignored:
                versions += [(name, version) for version in self._versions(group)]
        return in_order(kind for version in versions for kind in self._resources(*version))

    def each_page(self, kind: Kind, take: Callable[[Items], None]) -> None:
        """Hand out every page of a list. After an expired list, pages are handed out again."""
        for last in (False,) * (RESTARTS - 1) + (True,):
            try:
                self._each_page(kind, take)
            except ClusterError as error:
                if error.obstacle is not Obstacle.EXPIRED or last:
                    raise
            else:
                return

    def _each_page(self, kind: Kind, take: Callable[[Items], None]) -> None:
        limit, token, seen = FIRST_LIMIT, "", set[str]()
        while True:
            following = {"continue": token} if token else {}
            query = urlencode({"limit": limit, **following})
            try:
                size, token = self._page(f"{kind.path}?{query}", kind, take)
            except _TooLargeError:
                if limit == 1:
                    raise
                limit = max(1, limit // _SMALLER)
                continue
            if not token:
                return
            if token in seen:
                raise self._garbled("a list repeats the token of a page", kind)
            seen.add(token)
            limit = max(1, min(MOST_ITEMS, limit * PAGE_BYTES // max(size, 1)))

    def _page(self, path: str, kind: Kind, take: Callable[[Items], None]) -> tuple[int, str]:
        """Hand out one page; return its size and the token of the next one."""
        answer = self._fetch(path, kind)
        with _ONE_PAGE:
            body = self._unpacked(answer, kind)
            page = self._list(body, kind)
            token = self._continue(page, kind)
            take(page["items"])
            return len(body), token

    # -- Answers ---------------------------------------------------------------------------------

    def _list(self, body: bytes, kind: Kind) -> dict[str, Any]:
        page = self._object(body, kind)
        # Encoders in Go may write an empty list as null; those of the API server itself do not.
        if kind.group not in REQUIRED_GROUPS and page.get("items", ()) is None:
            page["items"] = []
        name = page.get("kind")
        expected = f"{kind.kind}List"
        # A custom resource may name its list otherwise.
        if not isinstance(name, str) or not (name == expected or name.endswith("List")):
            raise self._garbled(f"it holds {name!r} instead of {expected}", kind)
        if not isinstance(page.get("items"), list):
            raise self._garbled("a list holds no items", kind)
        if not all(isinstance(item, dict) for item in page["items"]):
            raise self._garbled("a list holds an item that is not an object", kind)
        return page

    def _continue(self, page: Mapping[str, Any], kind: Kind) -> str:
        metadata = page.get("metadata")
        token = metadata.get("continue", "") if isinstance(metadata, dict) else None
        if not isinstance(token, str):
            raise self._garbled("a list does not say whether it is complete", kind)
        return token

    def _get(self, path: str, expected: str) -> dict[str, Any]:
        """Return an answer of the discovery."""
        found = self._object(self._unpacked(self._fetch(path)))
        if found.get("kind") != expected:
            raise self._garbled(f"{path} holds {found.get('kind')!r} instead of {expected}")
        return found

    def _resources(self, group: str, version: str) -> Iterator[Kind]:
        path = f"/apis/{group}/{version}" if group else f"/api/{version}"
        try:
            yield from self._listable(self._get(path, "APIResourceList"), group, version)
        except ClusterError as error:
            kind = Kind(group, version, EVERY)
            raise self._error(error.obstacle, error.detail, kind) from error

    def _listable(self, answer: Mapping[str, Any], group: str, version: str) -> Iterator[Kind]:
        # KubeVirt's aggregated API writes null for no resources, and for no verbs
        # (https://github.com/kube-rs/kube/issues/1376). What must be there is checked later.
        if answer.get("resources", ()) is None:
            return
        for resource in self._objects(answer, "resources"):
            verbs = [] if resource.get("verbs", ()) is None else resource.get("verbs")
            if not isinstance(verbs, list) or not isinstance(resource.get("name"), str):
                raise self._garbled("it holds a resource without name and verbs")
            # A name with a slash is a part of another resource, such as its status.
            if "list" in verbs and "/" not in resource["name"]:
                name = self._name_in(resource, "name")
                yield Kind(group, version, name, str(resource.get("kind")))

    def _versions(self, group: Mapping[str, Any]) -> list[str]:
        """Return the versions of a group, the preferred one first."""
        versions = [self._name_in(one, "version") for one in self._objects(group, "versions")]
        preferred = group.get("preferredVersion")
        first = preferred.get("version") if isinstance(preferred, dict) else None
        return sorted(versions, key=lambda version: version != first)

    def _objects(self, answer: Mapping[str, Any], key: str) -> Iterable[Mapping[str, Any]]:
        found = answer.get(key)
        if not isinstance(found, list) or not all(isinstance(one, dict) for one in found):
            raise self._garbled(f"it holds no list of objects under {key}")
        return found

    def _strings(self, answer: Mapping[str, Any], key: str) -> Iterable[str]:
        found = answer.get(key)
        if not isinstance(found, list):
            raise self._garbled(f"it holds no list under {key}")
        return [self._name_in({key: one}, key) for one in found]

    def _name_in(self, answer: Mapping[str, Any], key: str) -> str:
        """Return a name that is to be part of a path."""
        name = answer.get(key)
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            raise self._garbled(f"it holds {name!r} as {key}")
        return name

    def _object(self, body: bytes, kind: Kind | None = None) -> dict[str, Any]:
        try:
            answer = json.loads(body)
        except (ValueError, RecursionError):
            answer = None
        if not isinstance(answer, dict):
            raise self._garbled("it is not a JSON object", kind)
        return answer

    def _unpacked(self, answer: tuple[str, bytes], kind: Kind | None = None) -> bytes:
        encoding, body = answer
        if encoding in {"", "identity"}:
            return body
        if encoding != "gzip":
            raise self._garbled(f"it is encoded as {encoding}", kind)
        reader = zlib.decompressobj(zlib.MAX_WBITS | 16)
        try:
            unpacked = reader.decompress(body, MOST_BYTES)
        except zlib.error as error:
            raise self._garbled(f"it cannot be unpacked: {error}", kind) from error
        if reader.unconsumed_tail:
            raise self._too_large(kind)
        if not reader.eof:
            raise self._garbled("it is cut off", kind)
        return unpacked

    # -- Requests --------------------------------------------------------------------------------

    def _fetch(self, path: str, kind: Kind | None = None) -> tuple[str, bytes]:
        """Return the encoding and the body of a successful answer; retry what may pass."""
        renewed = False
        for attempt in range(_ATTEMPTS):
            is_last = attempt == _ATTEMPTS - 1
            try:
                response, body = self._send(path, kind)
            except HTTPError as error:
                if is_last or not _may_pass(error):
                    raise self._failed(error, kind) from error
                self._pause(_PAUSE * 2**attempt)
                continue
            status = response.status
            if status == HTTPStatus.UNAUTHORIZED and not (renewed or is_last):
                self._token, renewed = None, True
            elif status in _RETRIED and not is_last:
                self._pause(_wait_of(response) or _PAUSE * 2**attempt)
            elif status != HTTPStatus.OK:
                raise self._refused(response, body, kind)
            else:
                return str(response.headers.get("Content-Encoding", "")).lower(), body
        raise AssertionError  # pragma: no cover - the last attempt returns or raises

    def _pause(self, seconds: float) -> None:
        self._check_time()
        self._sleep(seconds)

    def _check_time(self) -> None:
        if not self._deadline.allows_call():
            raise OutOfTimeError(
                f"there was no time left to read Kubernetes cluster {self._cluster}"
            )

    def _send(self, path: str, kind: Kind | None) -> tuple[BaseHTTPResponse, bytes]:
        self._check_time()
        if self._token is None:
            self._token = self._made_token(kind)
        # No call takes longer than the deadline allows for one.
        end = self._deadline.now() + CONNECT_TIMEOUT + READ_TIMEOUT
        response = self._pool.urlopen(
            "GET",
            self._prefix + path,
            headers={
                "Accept": "application/json",
                "Accept-Encoding": "gzip",
                "Authorization": f"Bearer {self._token}",
                "User-Agent": "ecr-cleaner",
            },
            retries=False,
            redirect=False,
            preload_content=False,
            decode_content=False,
        )
        try:
            return response, self._read(response, end, kind)
        except BaseException:
            # What is left of the answer must not be read as the next one.
            response.close()
            raise
        finally:
            response.release_conn()

    def _made_token(self, kind: Kind | None) -> str:
        try:
            return self._new_token()
        except OutOfTimeError:
            raise
        except CleanerError as error:
            raise self._error(Obstacle.NOT_IDENTIFIED, str(error), kind) from error

    def _read(self, response: BaseHTTPResponse, end: datetime, kind: Kind | None) -> bytes:
        connection, body = cast("_Connection", response.connection), bytearray()
        while True:
            left = (end - self._deadline.now()).total_seconds()
            if left <= 0:
                raise self._error(Obstacle.FAILED, "an answer took too long", kind)
            connection.wait_at_most(left)
            chunk = response.read1(_CHUNK, decode_content=False)
            if not chunk:
                return bytes(body)
            body += chunk
            if len(body) > MOST_BYTES:
                raise self._too_large(kind)

    @cached_property
    def _pool(self) -> HTTPConnectionPool:
        address = urlsplit(self._endpoint.url)
        if address.scheme != "https" or not address.hostname:
            raise self._error(Obstacle.NOT_ACTIVE, f"its address is {self._endpoint.url!r}")
        timeout = Timeout(
            connect=CONNECT_TIMEOUT.total_seconds(), read=READ_TIMEOUT.total_seconds()
        )
        port = address.port or 443
        return proxy.connections(
            _Pool, address.hostname, port, timeout=timeout, ssl_context=self._trust()
        )

    @property
    def _prefix(self) -> str:
        return urlsplit(self._endpoint.url).path.rstrip("/")

    def _trust(self) -> ssl.SSLContext:
        """Return a context that trusts the CA of the cluster and no other.

        ssl.create_default_context trusts those of the system if no CA is given. From Python 3.13
        on, it also refuses a CA without key identifiers, which is what EKS has.
        """
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        try:
            context.load_verify_locations(cadata=self._endpoint.authority)
        except (ssl.SSLError, ValueError, TypeError) as error:
            raise self._error(Obstacle.NOT_TRUSTED, f"the CA cannot be read: {error}") from error
        return context

    # -- Errors ----------------------------------------------------------------------------------

    def _failed(self, error: HTTPError, kind: Kind | None) -> ClusterError:
        if isinstance(error, SSLError):
            return self._error(Obstacle.NOT_TRUSTED, str(error), kind)
        if isinstance(error, ProxyError):
            host = urlsplit(self._endpoint.url).netloc
            detail = f"{host}: {error.args[0]}: {error.original_error}"
            return self._error(Obstacle.NOT_FORWARDED, detail, kind)
        if isinstance(error, ConnectTimeoutError | NewConnectionError | NameResolutionError):
            host = urlsplit(self._endpoint.url).netloc
            return self._error(Obstacle.NOT_REACHED, f"{host}: {_brief(error)}", kind)
        return self._error(Obstacle.FAILED, _brief(error), kind)

    def _refused(self, response: BaseHTTPResponse, body: bytes, kind: Kind | None) -> ClusterError:
        if response.get_redirect_location():
            return self._error(Obstacle.REDIRECTED, f"HTTP {response.status}", kind)
        obstacle = _OBSTACLES.get(response.status, Obstacle.FAILED)
        message = _message(body)
        return self._error(obstacle, f"HTTP {response.status}{message}", kind)

    def _garbled(self, problem: str, kind: Kind | None = None) -> ClusterError:
        return self._error(Obstacle.GARBLED, problem, kind)

    def _too_large(self, kind: Kind | None) -> _TooLargeError:
        problem = f"it has more than {MOST_BYTES} bytes"
        return _TooLargeError(self._cluster, Obstacle.GARBLED, problem, kind)

    def _error(self, obstacle: Obstacle, detail: str, kind: Kind | None = None) -> ClusterError:
        return ClusterError(self._cluster, obstacle, detail, kind)


def _may_pass(error: HTTPError) -> bool:
    """Return whether another attempt makes sense.

    Not if the certificate is not trusted, and not for a host that cannot be connected to: urllib3's
    errors for a refused connection and an unknown name are ConnectTimeoutError too.
    """
    cause = error.original_error if isinstance(error, ProxyError) else error
    return not isinstance(cause, SSLError | ConnectTimeoutError)


def _brief(error: HTTPError) -> str:
    return f"{type(error).__name__}: {str(error).rpartition('>: ')[2]}"


def _wait_of(response: BaseHTTPResponse) -> float | None:
    seconds = response.headers.get("Retry-After", "")
    return min(float(seconds), _LONGEST_PAUSE) if re.fullmatch(r"[0-9]{1,9}", seconds) else None


def _message(body: bytes) -> str:
    """Return the message of a Status object."""
    try:
        status = json.loads(body)
    except (ValueError, RecursionError):
        return ""
    message = status.get("message") if isinstance(status, dict) else None
    return f", {message}" if isinstance(message, str) else ""
