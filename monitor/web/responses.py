"""Responses of the kinds that several pages send."""

from flask import Response, flash, redirect
from werkzeug.wrappers import Response as AnyResponse

HTML = "text/html; charset=utf-8"


def html(page: str, status: int = 200) -> Response:
    """A page for one user: caches don't keep it, and search engines don't list it."""
    response = Response(page, status, content_type=HTML)
    response.cache_control.no_store = True
    response.headers["X-Robots-Tag"] = "noindex, nofollow"
    return response


def fresh(body: str | bytes, content_type: str) -> Response:
    """A response that caches revalidate before each use."""
    response = Response(body, content_type=content_type)
    response.cache_control.no_cache = True
    return response


def done(message: str, location: str) -> AnyResponse:
    """Redirect to the page at `location`, which shows the message."""
    flash(message)
    return redirect(location, 303)
