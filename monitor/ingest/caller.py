"""Who may send heartbeats: whatever is not a page of another site, calls this server by its name
and has a token where one is needed."""

from collections.abc import Sequence
from http import HTTPStatus
from typing import Any

from werkzeug.sansio.utils import host_is_trusted

from monitor.ingest.problem import Problem

_SAME_SITE = ("none", "same-origin")
_TOKEN_NAMES = ("token", "access_token", "authorization")


def check_host(environ: dict[str, Any], hosts: Sequence[str]) -> None:
    """`hosts`: names it answers to, as Flask's TRUSTED_HOSTS; none: to any. Raises Problem."""
    host = environ.get("HTTP_HOST", "")
    if hosts and host not in hosts and not host_is_trusted(host, hosts):
        raise Problem(
            HTTPStatus.MISDIRECTED_REQUEST, "the Host header does not name this server", "Host"
        )


def check_site(environ: dict[str, Any]) -> None:
    """A form, an image or a script of another site's page needs no more than the address of this
    server; browsers tell by these headers where it comes from. Raises Problem."""
    site = environ.get("HTTP_SEC_FETCH_SITE")
    if site is not None:
        if site not in _SAME_SITE:
            raise Problem(HTTPStatus.FORBIDDEN, "requests from pages of other sites are refused")
        return
    # Over plain HTTP browsers send only this one.
    origin = environ.get("HTTP_ORIGIN")
    if origin is not None and origin.partition("://")[2] != environ.get("HTTP_HOST"):
        raise Problem(
            HTTPStatus.FORBIDDEN, "requests from pages of other sites are refused", "Origin"
        )


def check_query(query: str) -> None:
    """Raises Problem for a token in the address."""
    lowered = "&" + query.lower()
    for name in _TOKEN_NAMES:
        if f"&{name}=" in lowered:
            raise Problem(
                HTTPStatus.BAD_REQUEST,
                "a token in a URL ends up in logs; send the header Authorization: Bearer TOKEN",
                name,
            )


def unauthorized() -> Problem:
    """The answer to a sensor without a valid token."""
    return Problem(
        HTTPStatus.UNAUTHORIZED,
        "send the header Authorization: Bearer TOKEN; create a token with `monitor token "
        "create NAME`",
        "Authorization",
        {"WWW-Authenticate": 'Bearer realm="heartbeat-monitor"'},
    )
