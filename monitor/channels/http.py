"""Calls to receivers: one request each, to an address that was looked at, and nowhere else.

A name is resolved once. Every address it has must be public unless internal ones are allowed, and
the connection is made to just those: whoever may write a setting, or the DNS, must not reach the
inside of the network through us. No redirects, no proxies, no .netrc; TLS is verified against the
name. What goes wrong is told without URLs, since their paths are often the receiver's secret.
"""

import ipaddress
import json
import logging
import re
import socket
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import requests
import urllib3
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import NameResolutionError, NewConnectionError

from monitor.channels.interface import SendFailed
from monitor.model import SECOND

TIMEOUTS = (4, 10)
"""Seconds to connect, and between two pieces of the answer."""

LARGEST = 64 * 1024
"""Bytes of an answer that are read."""

_SECONDS = re.compile(r"[0-9]{1,9}(\.[0-9]{1,9})?")
_AGAIN = frozenset({408, 425, 429})
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")

# Its debug lines name the URL.
logging.getLogger("urllib3.connectionpool").setLevel(logging.INFO)


class Answer(NamedTuple):
    """What a receiver said."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    """At most LARGEST bytes of it."""


class Refused(SendFailed):
    """It answered, and not with success."""

    def __init__(self, answer: Answer) -> None:
        passing = answer.status in _AGAIN or answer.status >= 500
        detail = f"answer {answer.status}"
        if 300 <= answer.status < 400:
            detail += ": redirects are not followed"
        super().__init__(
            detail,
            permanent=not passing,
            retry_after=_retry_after(answer.headers) if passing else None,
            gone=answer.status == 410,
        )
        self.answer = answer

    @property
    def status(self) -> int:
        """The answer's."""
        return self.answer.status


def checked_url(setting: str, url: str) -> str:
    """The URL without a slash at its end. Raises ValueError for what a person mistyped."""
    try:
        parts = urlsplit(url.strip())
        usual = parts.scheme in ("http", "https") and parts.hostname and not parts.username
    except ValueError:
        usual = False
    if not usual or parts.query or parts.fragment:
        raise ValueError(f"{setting}: must look like https://example.org")
    return parts.geturl().rstrip("/")


def post(url: str, body: bytes, headers: Mapping[str, str], allow_internal: bool = False) -> Answer:
    """Accepted by a 2xx answer. Raises Refused, SendFailed."""
    return _call("POST", url, body, headers, allow_internal)


def post_json(
    url: str, content: Any, headers: Mapping[str, str], allow_internal: bool = False
) -> Answer:
    """As `post`. A login that is refused (401) is passing: a person can mend it meanwhile."""
    body = json.dumps(content, ensure_ascii=False).encode()
    try:
        return post(url, body, {"Content-Type": "application/json", **headers}, allow_internal)
    except Refused as refused:
        if refused.status == 401:
            raise SendFailed("answer 401: the login was refused", permanent=False) from None
        raise


def get(url: str, headers: Mapping[str, str], allow_internal: bool = False) -> Answer:
    """A 2xx answer. Raises Refused, SendFailed."""
    return _call("GET", url, None, headers, allow_internal)


def _call(
    method: str, url: str, body: bytes | None, headers: Mapping[str, str], allow_internal: bool
) -> Answer:
    with requests.Session() as session:
        session.trust_env = False
        for scheme in ("http://", "https://"):
            session.mount(scheme, _Transport(allow_internal))
        try:
            with session.request(
                method,
                url,
                data=body,
                headers={"User-Agent": "heartbeat-monitor", **headers},
                timeout=TIMEOUTS,
                allow_redirects=False,
                stream=True,
            ) as response:
                answer = Answer(response.status_code, response.headers, _read(response))
        except _Internal:
            detail = "the address is internal; set allow_internal to send there"
            raise SendFailed(detail, permanent=False) from None
        except requests.RequestException as error:
            raise _failure(error) from None
    if not 200 <= answer.status < 300:
        raise Refused(answer)
    return answer


def _read(response: requests.Response) -> bytes:
    """The beginning of the body; success is success, whatever becomes of the rest."""
    found = b""
    try:
        for piece in response.iter_content(8192):
            found += piece
            if len(found) >= LARGEST:
                break
    except requests.RequestException:
        pass
    return found[:LARGEST]


def _retry_after(headers: Mapping[str, str]) -> int | None:
    """In ms; a date is taken relative to the answer's own Date, so no two clocks are compared."""
    wish = headers.get("Retry-After", "").strip()
    if _SECONDS.fullmatch(wish):
        return round(float(wish) * SECOND)
    try:
        until = parsedate_to_datetime(wish)
        answered = parsedate_to_datetime(headers.get("Date", ""))
        return max(int((until - answered).total_seconds()) * SECOND, 0)
    except (TypeError, ValueError):
        return None


def _failure(error: requests.RequestException) -> SendFailed:
    if isinstance(error, requests.exceptions.SSLError):
        return SendFailed("no trusted TLS connection", permanent=False)
    if isinstance(error, requests.Timeout):
        return SendFailed("no answer in time", permanent=False)
    if isinstance(error, requests.ConnectionError):
        return SendFailed("no connection, or it was lost", permanent=False)
    return SendFailed(f"could not be sent ({type(error).__name__})", permanent=False)


# --- Connections to addresses that were looked at ------------------------------------------------


class _Internal(Exception):
    """The name leads to an address that is not public."""


def is_public(text: str) -> bool:
    """Whether an IP address belongs to the public network, whatever form it is wrapped in."""
    address = ipaddress.ip_address(text.partition("%")[0])
    inner: ipaddress.IPv4Address | None = None
    if isinstance(address, ipaddress.IPv6Address):
        inner = address.ipv4_mapped or address.sixtofour
        if address in _NAT64:
            inner = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    meant = inner or address
    return meant.is_global and not meant.is_multicast


def _connected(connection: Any, allow_internal: bool) -> socket.socket:
    """A socket to the first address that answers, of those the name has just now."""
    try:
        found = socket.getaddrinfo(connection._dns_host, connection.port, type=socket.SOCK_STREAM)
    except socket.gaierror as error:
        raise NameResolutionError(connection.host, connection, error) from error
    places = [str(place[4][0]) for place in found]
    if not allow_internal and not all(is_public(place) for place in places):
        raise _Internal
    trouble: OSError | None = None
    for place in places:
        try:
            return urllib3.util.connection.create_connection(
                (place, connection.port),
                connection.timeout,
                source_address=connection.source_address,
                socket_options=connection.socket_options,
            )
        except OSError as error:
            trouble = error
    raise NewConnectionError(connection, "no address answers") from trouble


def _pools(allow_internal: bool) -> dict[str, type[urllib3.HTTPConnectionPool]]:
    class Plain(HTTPConnection):
        def _new_conn(self) -> socket.socket:
            return _connected(self, allow_internal)

    class Secure(HTTPSConnection):
        def _new_conn(self) -> socket.socket:
            return _connected(self, allow_internal)

    class PlainPool(urllib3.HTTPConnectionPool):
        ConnectionCls = Plain

    class SecurePool(urllib3.HTTPSConnectionPool):
        ConnectionCls = Secure

    return {"http": PlainPool, "https": SecurePool}


_POOLS = {allowed: _pools(allowed) for allowed in (False, True)}


class _Transport(HTTPAdapter):
    """Requests' transport over such connections."""

    def __init__(self, allow_internal: bool) -> None:
        self._pools = _POOLS[allow_internal]
        super().__init__()

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = self._pools
