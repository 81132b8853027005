"""Checks of a request's origin: its host name, its site (CSRF), and tokens in the URL."""

from collections.abc import Mapping
from http import HTTPStatus

from monitor.ingest.problem import Problem
from monitor.refusal import OTHER_SITE, UNSAFE_URL
from monitor.server.hosts import TrustedHosts

_SAME_SITE = ("none", "same-origin")
_TOKEN_NAMES = ("token", "access_token", "authorization")


def check_host(headers: Mapping[str, str], hosts: TrustedHosts) -> None:
    """Raises Problem for a Host header with another name."""
    if not hosts.trusts(headers.get("host", "")):
        raise Problem(
            HTTPStatus.MISDIRECTED_REQUEST, "the Host header does not name this server", "Host"
        )


def check_site(headers: Mapping[str, str]) -> None:
    """Refuses requests from pages of other sites (CSRF), such as forms, images or scripts. Browsers
    send the origin in these headers. Raises Problem."""
    site = headers.get("sec-fetch-site")
    if site is not None:
        if site not in _SAME_SITE:
            raise _other_site()
        return
    # Over plain HTTP, browsers send only this header.
    origin = headers.get("origin")
    if origin is not None and origin.partition("://")[2] != headers.get("host"):
        raise _other_site("Origin")


def _other_site(field: str | None = None) -> Problem:
    return Problem(
        HTTPStatus.FORBIDDEN,
        "requests from pages of other sites are refused",
        field,
        reason=OTHER_SITE,
    )


def check_query(query: str) -> None:
    """Raises Problem for a token in the query string."""
    lowered = "&" + query.lower()
    for name in _TOKEN_NAMES:
        if f"&{name}=" in lowered:
            raise Problem(
                HTTPStatus.BAD_REQUEST,
                "a token in a URL ends up in logs; send the header Authorization: Bearer TOKEN",
                name,
                reason=UNSAFE_URL,
            )


def unauthorized() -> Problem:
    """The response to a sensor without a valid token."""
    return Problem(
        HTTPStatus.UNAUTHORIZED,
        "a valid token is required: send the header Authorization: Bearer TOKEN; create a token "
        "with `monitor token create NAME`",
        "Authorization",
        {"WWW-Authenticate": 'Bearer realm="heartbeat-monitor"'},
    )
