"""Errors as people and programs want them: a calm page, or problem+json. Never a traceback."""

from http import HTTPStatus

import msgspec
from flask import Flask, Response, render_template, request
from werkzeug.exceptions import HTTPException

_FOR_PROGRAMS = ("/sensors", "/healthz", "/readyz", "/heartbeat", "/api/")


class Problem(msgspec.Struct):
    """RFC 9457."""

    title: str
    status: int
    detail: str
    type: str = "about:blank"
    reasons: list[str] | msgspec.UnsetType = msgspec.UNSET


def problem(status: int, detail: str, reasons: list[str] | None = None) -> Response:
    """A problem+json response."""
    body = msgspec.json.encode(
        Problem(HTTPStatus(status).phrase, status, detail, reasons=reasons or msgspec.UNSET)
    )
    response = Response(body, status, content_type="application/problem+json")
    response.cache_control.no_store = True
    return response


def handle_errors(app: Flask) -> None:
    """Let every error of this app be told in that way."""
    app.register_error_handler(HTTPException, _told)


def explained(status: int, detail: str) -> Response:
    """The error as whoever asks understands it."""
    if (
        request.path.startswith(_FOR_PROGRAMS)
        or "text/html" not in request.accept_mimetypes.values()
    ):
        return problem(status, detail)
    page = render_template("error.html", title=HTTPStatus(status).phrase, detail=detail)
    response = Response(page, status, content_type="text/html; charset=utf-8")
    response.cache_control.no_store = True
    return response


def _told(error: HTTPException) -> Response:
    status = error.code or 500
    response = explained(status, error.description or HTTPStatus(status).description)
    for name, value in error.get_headers():
        if name.lower() not in ("content-type", "content-length"):
            response.headers.add(name, value)
    return response
