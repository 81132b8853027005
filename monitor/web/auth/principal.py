"""Who sends a request: a user with a login, a program with a token, or anyone on this machine."""

import ipaddress
from contextlib import suppress
from typing import NamedTuple

from flask import g, request, session

from monitor.errors import StateUnavailable
from monitor.state import logins, tokens
from monitor.state.database import reading, writing
from monitor.web.context import context
from monitor.web.errors import RequestRefused

SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
"""Methods that change nothing."""

LOGIN = "login"
"""The key in a browser's session under which the secret of its login is."""

_REALM = 'Bearer realm="heartbeat-monitor"'


class Principal(NamedTuple):
    """The sender of a request."""

    name: str
    role: str
    """Empty without any permission."""
    user_id: int | None = None
    """Set for a user with a login: changes then need a CSRF token."""

    def may(self, role: str) -> bool:
        """Whether they have this role or a higher one."""
        return bool(self.role) and tokens.ROLES.index(self.role) >= tokens.ROLES.index(role)


UNKNOWN = Principal("", "")
ANYBODY = Principal("", "viewer")
"""Anyone on this machine, while there are no users yet."""


def current() -> Principal:
    """The sender of this request. Raises RequestRefused for an invalid token, StateUnavailable."""
    if "principal_found" not in g:
        g.principal_found = _by_token() or _by_login() or _by_place() or UNKNOWN
    found: Principal = g.principal_found
    return found


def shown() -> Principal:
    """The sender of this request, or UNKNOWN: for the navigation of any page."""
    try:
        return current()
    except (StateUnavailable, RequestRefused):
        return UNKNOWN


def address() -> str:
    """The sender's IPv4 address, or the /64 network of the sender's IPv6 address."""
    try:
        given = ipaddress.ip_address(request.remote_addr or "")
    except ValueError:
        return request.remote_addr or ""
    if isinstance(given, ipaddress.IPv4Address):
        return str(given)
    return str(given.ipv4_mapped or ipaddress.ip_network((given, 64), strict=False))


def _by_token() -> Principal | None:
    scheme, _, secret = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() != "bearer":
        return None
    with reading(context().engine) as connection:
        found = tokens.find(connection, secret.strip())
    if found is None:
        raise RequestRefused(
            401,
            "the token is not valid; create one with `monitor token create NAME --role ROLE`",
            "Authorization",
            {"WWW-Authenticate": f'{_REALM}, error="invalid_token"'},
        )
    return Principal(found.name, found.role)


def _by_login() -> Principal | None:
    secret = session.get(LOGIN)
    if not isinstance(secret, str):
        return None
    engine, now = context().engine, context().clock.now()
    with reading(engine) as connection:
        found = logins.find(connection, secret, now)
    if found is None:
        return None
    if found.to_note:
        # A page must not fail because another process is writing.
        with suppress(StateUnavailable), writing(engine) as connection:
            logins.note(connection, secret, now)
    return Principal(found.name, found.role, found.user_id)


def _by_place() -> Principal | None:
    if not context().local or request.method not in SAFE or context().users_exist():
        return None
    return ANYBODY
