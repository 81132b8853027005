"""Changes with a login are accepted from this service's own pages only."""

from urllib.parse import urlsplit

from flask import request
from flask_wtf.csrf import validate_csrf
from wtforms import ValidationError

from monitor.web.context import context
from monitor.web.errors import RequestRefused

FIELD = "csrf_token"
HEADER = "X-CSRF-Token"


def check() -> None:
    """Raises RequestRefused unless a page of this service sent the request, with its token."""
    check_origin()
    try:
        validate_csrf(request.headers.get(HEADER) or request.form.get(FIELD))
    except ValidationError as error:
        problem = _over_http() or "This page has expired. Reload it and try again."
        raise RequestRefused(403, problem, HEADER) from error


def check_origin() -> None:
    """Raises RequestRefused if, by the browser's headers, a page of another site sent it."""
    if request.headers.get("Sec-Fetch-Site", "same-origin") not in ("same-origin", "none"):
        raise RequestRefused(
            403, "This request came from a page of another site.", "Sec-Fetch-Site"
        )
    origin = request.headers.get("Origin")
    own = (_origin(context().base_url), f"{request.scheme}://{request.host}")
    if origin is None or origin in own:
        return
    problem = _over_http() if origin.replace("http:", "https:", 1) == own[0] else None
    raise RequestRefused(
        403,
        problem
        or f"This request came from a page of {origin}. If that is the address of "
        f"heartbeat-monitor, set server.base_url to it. It is {context().base_url} now.",
        "Origin",
    )


def _over_http() -> str | None:
    """What to tell the user of a page that was opened over http where only https works: the browser
    sends no cookie of the session, so the request seems to belong to no page."""
    opened = request.headers.get("Origin", f"{request.scheme}:")
    if not context().https or opened.startswith("https:"):
        return None
    return (
        "You opened this page over http, but logins work over https only. "
        f"Open {context().base_url} instead."
    )


def _origin(address: str) -> str:
    parts = urlsplit(address)
    return f"{parts.scheme}://{parts.netloc}"
