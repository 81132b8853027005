"""A webhook: one POST of JSON for each message.

The body is the message's data: `key`, `kind` (down | recovered | test), `time`, `subject`, `text`
(plain text of several lines), `site` and `site_sensors` (null unless all members share a site),
`silent` (how many of the group are silent now), `count` and `members`: the first 1,000, each with
`mac`, `name`, `site`, `last_seen`, `threshold_seconds`, `proven` (false: presumed, since
monitoring was interrupted), `opened_at`, `recovered_at`. Moments are RFC 3339 in UTC.

A message may come more than once, then with the same bytes and the same `Idempotency-Key` header
(also `key` in the body). Any 2xx answer accepts it; its body is not read. 408, 425, 429 and 5xx
ask for a repetition, in time with `Retry-After`; all else refuses it for good.
"""

import ipaddress
import json
import logging
import socket
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urlsplit

import requests
import urllib3
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection

from monitor.channels.interface import Message, SendFailed
from monitor.model import SECOND

TIMEOUTS = (4, 10)
"""Seconds to connect, and between two pieces of the answer."""

_AGAIN = frozenset({408, 425, 429})
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")


# Its debug lines name the URL, whose path is often the receiver's secret.
logging.getLogger("urllib3.connectionpool").setLevel(logging.INFO)


class Webhook:
    """One URL that is told of every message. Raises ValueError for what is not an HTTP URL.

    Unless `allow_internal`, it sends nothing to addresses that are not public: whoever may write
    the setting, or the DNS, must not reach the inside of the network through it.
    """

    name = "webhook"

    def __init__(self, url: str, allow_internal: bool = False) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError("the webhook's URL must look like https://example.org/path")
        self._url = url
        self._allow_internal = allow_internal

    def send(self, message: Message) -> None:
        """Accepted by a 2xx answer, or SendFailed."""
        body = json.dumps(message.data, ensure_ascii=False, sort_keys=True).encode()
        headers = {
            "Content-Type": "application/json",
            "Idempotency-Key": message.key,
            "User-Agent": "heartbeat-monitor",
        }
        with requests.Session() as session:
            session.trust_env = False  # no proxy and no .netrc between us and the checked address
            if not self._allow_internal:
                for scheme in ("http://", "https://"):
                    session.mount(scheme, _PublicOnly())
            try:
                with session.post(
                    self._url,
                    data=body,
                    headers=headers,
                    timeout=TIMEOUTS,
                    allow_redirects=False,
                    stream=True,
                ) as response:
                    _judge(response)
            except _Internal:
                detail = "the address is internal; set webhook.allow_internal to send there"
                raise SendFailed(detail, permanent=False) from None
            except requests.RequestException as error:
                # Its own text names the URL too.
                raise _failure(error) from None


def _judge(response: requests.Response) -> None:
    status = response.status_code
    if 200 <= status < 300:
        return
    if response.is_redirect:
        raise SendFailed(f"answer {status}: redirects are not followed", permanent=True)
    passing = status in _AGAIN or status >= 500
    retry_after = _retry_after(response) if passing else None
    raise SendFailed(f"answer {status}", permanent=not passing, retry_after=retry_after)


def _retry_after(response: requests.Response) -> int | None:
    """In ms; a date is taken relative to the answer's own Date, so no two clocks are compared."""
    wish = response.headers.get("Retry-After", "").strip()
    if wish.isascii() and wish.isdigit():
        return int(wish[:9]) * SECOND
    try:
        until = parsedate_to_datetime(wish)
        answered = parsedate_to_datetime(response.headers.get("Date", ""))
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


class _Internal(Exception):
    """The connection leads to an address that is not public."""


def _public(connected: socket.socket) -> socket.socket:
    """Judges the address really connected to, before a byte is sent: DNS can't answer twice."""
    address = ipaddress.ip_address(connected.getpeername()[0].partition("%")[0])
    if _is_public(address):
        return connected
    connected.close()
    raise _Internal


def _is_public(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    inner: ipaddress.IPv4Address | None = None
    if isinstance(address, ipaddress.IPv6Address):
        inner = address.ipv4_mapped or address.sixtofour
        if address in _NAT64:
            inner = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    meant = inner or address
    return meant.is_global and not meant.is_multicast


class _PublicHTTPConnection(HTTPConnection):
    def _new_conn(self) -> socket.socket:
        return _public(super()._new_conn())


class _PublicHTTPSConnection(HTTPSConnection):
    def _new_conn(self) -> socket.socket:
        return _public(super()._new_conn())


class _PublicHTTPPool(urllib3.HTTPConnectionPool):
    ConnectionCls = _PublicHTTPConnection


class _PublicHTTPSPool(urllib3.HTTPSConnectionPool):
    ConnectionCls = _PublicHTTPSConnection


class _PublicOnly(HTTPAdapter):
    """Requests' transport, over connections that refuse internal addresses."""

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = {
            "http": _PublicHTTPPool,
            "https": _PublicHTTPSPool,
        }
