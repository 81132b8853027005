"""Error responses: a page for browsers, problem+json for programs, without tracebacks."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

import msgspec
from flask import Flask, Response, render_template, request
from werkzeug.exceptions import HTTPException

from monitor.errors import Conflict, Invalid, NotFound, StateUnavailable

RETRY_AFTER = 2
"""When clients should retry (s)."""

_FOR_PROGRAMS = ("/sensors", "/healthz", "/readyz", "/metrics")
_FOR_PROGRAMS_BELOW = ("/heartbeat", "/api/", "/static/")
"""Paths whose errors are never pages: a page reads the current user from the state."""


class ProblemDetails(msgspec.Struct):
    """RFC 9457."""

    title: str
    status: int
    detail: str
    type: str = "about:blank"
    field: str | msgspec.UnsetType = msgspec.UNSET
    reasons: list[str] | msgspec.UnsetType = msgspec.UNSET


class RequestRefused(HTTPException):
    """A request that is refused; `handle_errors` makes the response."""

    def __init__(
        self,
        status: int,
        detail: str,
        field: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        """`field` is the name of the part of the request at fault."""
        super().__init__(detail)
        self.code = status
        self.field = field
        self._headers = dict(headers or {})

    def get_headers(self, *arguments: Any, **named: Any) -> list[tuple[str, str]]:
        """The headers of Werkzeug, and those given."""
        return [*super().get_headers(*arguments, **named), *self._headers.items()]


def problem(
    status: int, detail: str, reasons: list[str] | None = None, field: str | None = None
) -> Response:
    """A problem+json response."""
    body = msgspec.json.encode(
        ProblemDetails(
            HTTPStatus(status).phrase,
            status,
            detail,
            field=field or msgspec.UNSET,
            reasons=reasons or msgspec.UNSET,
        )
    )
    response = Response(body, status, content_type="application/problem+json")
    response.cache_control.no_store = True
    return response


def handle_errors(app: Flask) -> None:
    """Handle all errors of the application in this way."""
    app.register_error_handler(HTTPException, _http_error)
    app.register_error_handler(StateUnavailable, _state_away)
    app.register_error_handler(Invalid, lambda error: explained(400, str(error), error.field))
    app.register_error_handler(NotFound, lambda error: explained(404, str(error), error.field))
    app.register_error_handler(Conflict, lambda error: explained(409, str(error), error.field))


def explained(status: int, detail: str, field: str | None = None) -> Response:
    """The error as problem+json or as a page, as the request prefers."""
    if for_program():
        return problem(status, detail, field=field)
    page = render_template("error.html", title=HTTPStatus(status).phrase, detail=detail)
    response = Response(page, status, content_type="text/html; charset=utf-8")
    response.cache_control.no_store = True
    return response


def unavailable(detail: str) -> Response:
    """A 503 response; browsers retry by themselves."""
    response = explained(503, detail)
    response.retry_after = RETRY_AFTER
    response.headers["Refresh"] = str(RETRY_AFTER)  # browsers ignore Retry-After
    return response


def for_program() -> bool:
    """Whether the response should be JSON instead of a page."""
    path = request.path
    return (
        path in _FOR_PROGRAMS
        or path.startswith(_FOR_PROGRAMS_BELOW)
        or "text/html" not in request.accept_mimetypes.values()
    )


def _state_away(_error: StateUnavailable) -> Response:
    return unavailable("The state database is not available right now. Try again soon.")


def _http_error(error: HTTPException) -> Response:
    status = error.code or 500
    detail = error.description or HTTPStatus(status).description
    response = explained(status, detail, getattr(error, "field", None))
    for name, value in error.get_headers():
        if name.lower() not in ("content-type", "content-length"):
            response.headers.add(name, value)
    return response
