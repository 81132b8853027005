"""Requests and responses as the server passes them to the applications."""

import logging
import traceback
from collections.abc import Callable, Iterable, Mapping
from http import HTTPStatus
from typing import Any, NamedTuple, Protocol

import msgspec

PROBLEM = "application/problem+json"
"""Media type of errors (RFC 9457)."""

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
    ) -> None:
        """`path`: without percent-encoding. `headers`: lower-case names; repeated headers are
        joined."""
        self.method, self.target, self.path, self.query = method, target, path, query
        self.version, self.headers = version, headers
        self.peer = ("", 0)
        """Address and port of the client, ("", 0) for a UNIX socket. Known only to pages and to the
        access log: a look-up takes longer than most of the server's work for a heartbeat."""
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


def problem(status: HTTPStatus, detail: str, *headers: tuple[str, str], **more: Any) -> Response:
    """An error response. `more`: further members of its document; None: none."""
    body = {
        "type": "about:blank",
        "title": status.phrase,
        "status": status.value,
        "detail": detail,
        **{name: value for name, value in more.items() if value is not None},
    }
    given = [("Content-Type", PROBLEM), ("Cache-Control", "no-store"), *headers]
    return Response(status.value, given, msgspec.json.encode(body))


def log_failure(error: Exception) -> None:
    """Logs an error of an application, without its text, which may contain a token."""
    calls = "".join(traceback.format_tb(error.__traceback__))
    log.error("a request failed: %s\n%s", type(error).__name__, calls)


def has_body(status: int) -> bool:
    """Whether a response with this status may have a body."""
    return status >= 200 and status not in (204, 304)
