"""HTTP requests to receivers: one request per call, only to an address that was checked.

No redirects, no .netrc; TLS is verified against the host name. A proxy, if one is set, resolves
host names itself: then the address is checked as far as this host can resolve it. Errors don't
contain URLs, because their paths are often the receiver's secret.
"""

import json
import logging
import re
import socket
from collections.abc import Mapping
from contextlib import suppress
from email.utils import parsedate_to_datetime
from typing import Any, NamedTuple
from urllib.parse import urlencode, urlsplit

import requests
import urllib3
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import NameResolutionError, NewConnectionError

from monitor.channels import addresses
from monitor.channels.interface import SendFailed
from monitor.model import SECOND
from monitor.outgoing.http import Adapter, Session, proxy_for

TIMEOUTS = (4, 10)
"""Seconds to connect, and between two chunks of the response."""

LARGEST = 64 * 1024
"""How many bytes of a response are read."""

_SECONDS = re.compile(r"[0-9]+(\.[0-9]+)?")
_MAX_SECONDS = 999_999_999
_HEADERS = {"User-Agent": "heartbeat-monitor", "Accept-Encoding": "identity"}
_RETRIABLE = frozenset({408, 425, 429})

# Their debug messages contain the URL, and so does the warning about malformed response headers.
# Each logger is set by name, because other libraries reset the level of "urllib3".
for _name in ("urllib3.connection", "urllib3.connectionpool", "urllib3.util.retry"):
    logging.getLogger(_name).setLevel(logging.ERROR)


class Answer(NamedTuple):
    """A receiver's response."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    """At most LARGEST bytes of it."""


class Refused(SendFailed):
    """The receiver answered with a status other than 2xx."""

    def __init__(self, answer: Answer) -> None:
        temporary = answer.status in _RETRIABLE or answer.status >= 500
        detail = f"answer {answer.status}"
        if 300 <= answer.status < 400:
            detail += ": redirects are not followed"
        super().__init__(
            detail,
            permanent=not temporary,
            retry_after=_retry_after(answer.headers) if temporary else None,
            gone=answer.status == 410,
        )
        self.answer = answer

    @property
    def status(self) -> int:
        """The HTTP status of the response."""
        return self.answer.status


def checked_url(setting: str, url: str) -> str:
    """The URL without a slash at its end. Raises ValueError for an invalid one."""
    try:
        parts = urlsplit(url.strip())
        valid = parts.scheme in ("http", "https") and parts.hostname and not parts.username
    except ValueError:
        valid = False
    if not valid or parts.query or parts.fragment:
        raise ValueError(f"{setting}: must look like https://example.org")
    return parts.geturl().rstrip("/")


def post(url: str, body: bytes, headers: Mapping[str, str], allow_internal: bool = False) -> Answer:
    """Sends a POST request and returns the 2xx response. Raises Refused, SendFailed."""
    return _call("POST", url, body, headers, allow_internal)


def post_json(
    url: str, content: Any, headers: Mapping[str, str], allow_internal: bool = False
) -> Answer:
    """As `post`, with JSON. Status 401 is a temporary failure: an operator can fix the login."""
    body = json.dumps(content, ensure_ascii=False).encode()
    return _post_with_login(
        url, body, {"Content-Type": "application/json", **headers}, allow_internal
    )


def post_form(
    url: str, fields: Mapping[str, str], headers: Mapping[str, str], allow_internal: bool = False
) -> Answer:
    """As `post_json`, with form fields."""
    kind = "application/x-www-form-urlencoded"
    body = urlencode(fields).encode()
    return _post_with_login(url, body, {"Content-Type": kind, **headers}, allow_internal)


def get(url: str, headers: Mapping[str, str], allow_internal: bool = False) -> Answer:
    """Sends a GET request and returns the 2xx response. Raises Refused, SendFailed."""
    return _call("GET", url, None, headers, allow_internal)


def _post_with_login(
    url: str, body: bytes, headers: Mapping[str, str], allow_internal: bool
) -> Answer:
    try:
        return post(url, body, headers, allow_internal)
    except Refused as refused:
        if refused.status == 401:
            raise SendFailed("answer 401: the login was refused", permanent=False) from None
        raise


def _call(
    method: str, url: str, body: bytes | None, headers: Mapping[str, str], allow_internal: bool
) -> Answer:
    with Session() as session:
        for scheme in ("http://", "https://"):
            session.mount(scheme, _Transport(allow_internal))
        try:
            if proxy_for(url):
                _check_name(url, allow_internal)
            with session.request(
                method,
                url,
                data=body,
                headers={**_HEADERS, **headers},
                timeout=TIMEOUTS,
                allow_redirects=False,
                stream=True,
            ) as response:
                answer = Answer(response.status_code, response.headers, _read(response))
        except addresses.Internal as error:
            raise SendFailed(str(error), permanent=False) from None
        except requests.RequestException as error:
            raise _failure(error) from None
    if not 200 <= answer.status < 300:
        raise Refused(answer)
    return answer


def _check_name(url: str, allow_internal: bool) -> None:
    """Raises addresses.Internal. A name that only the proxy can resolve is left to the proxy."""
    parts = urlsplit(url)
    with suppress(socket.gaierror):
        addresses.resolve(parts.hostname or "", parts.port or 0, allow_internal)


def _read(response: requests.Response) -> bytes:
    """The start of the body. A lost connection is no error here: the status is known."""
    body = b""
    try:
        for piece in response.iter_content(8192):
            body += piece
            if len(body) >= LARGEST:
                break
    except requests.RequestException:
        pass
    return body[:LARGEST]


def _retry_after(headers: Mapping[str, str]) -> int | None:
    """In ms. A date is relative to the response's own Date, so that two clocks are not compared."""
    value = headers.get("Retry-After", "").strip()
    if _SECONDS.fullmatch(value):
        return round(min(float(value), _MAX_SECONDS) * SECOND)
    try:
        until = parsedate_to_datetime(value)
        answered = parsedate_to_datetime(headers.get("Date", ""))
        return max(int((until - answered).total_seconds()) * SECOND, 0)
    except (TypeError, ValueError):
        return None


def _failure(error: requests.RequestException) -> SendFailed:
    if isinstance(error, requests.exceptions.ProxyError):
        return SendFailed("no connection through the proxy", permanent=False)
    if isinstance(error, requests.exceptions.SSLError):
        return SendFailed("the TLS connection is not trusted", permanent=False)
    if isinstance(error, requests.Timeout):
        return SendFailed("no answer in time", permanent=False)
    if isinstance(error, requests.ConnectionError):
        return SendFailed("no connection, or the connection was lost", permanent=False)
    return SendFailed(f"could not be sent ({type(error).__name__})", permanent=False)


# --- Connections to checked addresses -------------------------------------------------------------


def _connected(connection: Any, allow_internal: bool) -> socket.socket:
    try:
        return addresses.connect(
            connection._dns_host,
            connection.port,
            allow_internal,
            connection.timeout,
            connection.socket_options,
        )
    except socket.gaierror as error:
        raise NameResolutionError(connection.host, connection, error) from error
    except OSError as error:
        raise NewConnectionError(connection, "no address answered") from error


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


class _Transport(Adapter):
    """A transport adapter for Requests that uses these connections."""

    def __init__(self, allow_internal: bool) -> None:
        self._pools = _POOLS[allow_internal]
        super().__init__()

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = self._pools
