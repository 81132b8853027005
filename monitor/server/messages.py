"""Requests and responses as the server passes them to the applications."""

import logging
import time
import traceback
from collections.abc import Callable, Iterable, Mapping
from email.utils import formatdate
from functools import lru_cache
from http import HTTPStatus
from typing import NamedTuple, Protocol

import msgspec

PROBLEM = "application/problem+json"
"""Media type of errors (RFC 9457)."""

_STATUS_LINES = {
    status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n".encode() for status in HTTPStatus
}

log = logging.getLogger(__name__)


class Request:
    """One complete request. Text is decoded as latin-1, as in WSGI."""

    __slots__ = ("body", "headers", "method", "path", "peer", "query", "target", "version")

    def __init__(
        self,
        method: str,
        target: str,
        path: str,
        query: str,
        version: str,
        headers: Mapping[str, str],
        peer: tuple[str, int],
    ) -> None:
        """`path`: without percent-encoding. `headers`: lower-case names; repeated headers are
        joined. `peer`: address and port of the client; ("", 0) for a UNIX socket."""
        self.method, self.target, self.path, self.query = method, target, path, query
        self.version, self.headers, self.peer = version, headers, peer
        self.body: bytes | None = b""
        """None: longer than the application's limit, so it was not read."""


class Response(NamedTuple):
    """One complete response. `headers` without Content-Length, Date and Connection."""

    status: int
    headers: Iterable[tuple[str, str]]
    body: bytes


Send = Callable[[Response], None]
"""Sends the response to a request. Called once, on the event loop."""


class Handler(Protocol):
    """An application on the event loop. It must not block."""

    body_limit: int
    """Bytes. Longer bodies are refused."""

    def handle(self, request: Request, send: Send) -> None:
        """Answers the request, now or later."""

    def refused(self) -> None:
        """Called when the server itself refused a request for lack of resources (503)."""


class RequestError(Exception):
    """The server refuses a request; the connection is closed after the response."""

    def __init__(self, status: HTTPStatus, detail: str) -> None:
        super().__init__(detail)
        self.status, self.detail = status, detail

    def response(self) -> Response:
        """The error as a problem document."""
        return problem(self.status, self.detail)


def problem(status: HTTPStatus, detail: str, *headers: tuple[str, str]) -> Response:
    """An error response."""
    body = {
        "type": "about:blank",
        "title": status.phrase,
        "status": status.value,
        "detail": detail,
    }
    given = [("Content-Type", PROBLEM), ("Cache-Control", "no-store"), *headers]
    return Response(status.value, given, msgspec.json.encode(body))


def log_failure(error: Exception) -> None:
    """Logs an error of an application, without its text, which may contain a token."""
    calls = "".join(traceback.format_tb(error.__traceback__))
    log.error("a request failed: %s\n%s", type(error).__name__, calls)


class Dates:
    """The Date header, formatted once a second."""

    def __init__(self) -> None:
        self._second, self._line = 0, b""

    def line(self) -> bytes:
        """The header with its line end."""
        second = int(time.time())
        if second != self._second:
            self._second = second
            self._line = f"Date: {formatdate(second, usegmt=True)}\r\n".encode()
        return self._line


_dates = Dates()


def head(status: int, headers: Iterable[tuple[str, str]], *more: bytes) -> bytes:
    """The status line and headers of a response, with Date. `more`: header lines. A tuple of
    headers is kept encoded: pass one if the headers are often the same."""
    start = _start(status, headers) if type(headers) is tuple else _encoded(status, headers)
    return b"".join((start, _dates.line(), *more, b"\r\n"))


def _encoded(status: int, headers: Iterable[tuple[str, str]]) -> bytes:
    line = _STATUS_LINES.get(status) or f"HTTP/1.1 {status} \r\n".encode()
    return line + "".join([f"{name}: {value}\r\n" for name, value in headers]).encode("latin-1")


_start = lru_cache(maxsize=100)(_encoded)


def has_body(status: int) -> bool:
    """Whether a response with this status may have a body."""
    return status >= 200 and status not in (204, 304)
