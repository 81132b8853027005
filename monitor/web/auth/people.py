"""Who sends a request: a person who logged in, whoever has a token, or anybody on this machine."""

import ipaddress
from contextlib import suppress
from dataclasses import dataclass, field
from typing import NamedTuple

from flask import current_app, g, request, session
from sqlalchemy import Engine

from monitor.clock import Clock
from monitor.errors import StateUnavailable
from monitor.state import logins, tokens, users
from monitor.state.database import reading, writing
from monitor.vault import Vault
from monitor.web.auth.provider import Provider
from monitor.web.errors import RequestRefused

SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
"""Methods that change nothing."""

STATE = "monitor.state"
"""Where an app's extensions hold the engine with its tokens."""

PEOPLE = "monitor.people"
"""Where they hold its `People`."""

LOGIN = "login"
"""Where a browser's session holds the secret of its login."""

_REALM = 'Bearer realm="heartbeat-monitor"'


class Principal(NamedTuple):
    """Who asks; the role is empty for who may do nothing."""

    name: str
    role: str
    user_id: int | None = None
    """Of a person who logged in: then what changes something needs our own form's token."""

    def may(self, role: str) -> bool:
        """Whether this is their role or one below it."""
        return bool(self.role) and tokens.ROLES.index(self.role) >= tokens.ROLES.index(role)


NOBODY = Principal("", "")
ANYBODY = Principal("", "viewer")
"""Looks on while there are no people yet, on the machine itself."""


@dataclass
class People:
    """Where people are kept, and how they reach us."""

    engine: Engine
    vault: Vault
    clock: Clock
    base_url: str
    local: bool
    """Only this machine can connect, without a proxy that serves others."""
    proxies: int = 0
    """How many reverse proxies are in front, each of which adds to X-Forwarded-For."""
    provider: Provider | None = None
    """Who vouches for people besides their passwords."""
    _exist: bool = field(default=False, init=False)

    def exist(self) -> bool:
        """Whether there is anybody who could log in. Raises StateUnavailable."""
        if not self._exist:  # people are never removed
            with reading(self.engine) as connection:
                self._exist = users.exist(connection)
        return self._exist

    @property
    def https(self) -> bool:
        """Whether browsers reach us so."""
        return self.base_url.startswith("https://")


def people() -> People | None:
    """Those of the app that answers; None: it knows only tokens."""
    found: People | None = current_app.extensions.get(PEOPLE)
    return found


def current() -> Principal:
    """Who sends this request. Raises RequestRefused for an invalid token, StateUnavailable."""
    if "principal_found" not in g:
        g.principal_found = _by_token() or _by_login() or _by_place() or NOBODY
    found: Principal = g.principal_found
    return found


def shown() -> Principal:
    """As far as that can be told: for pages that are shown in any case."""
    try:
        return current()
    except (StateUnavailable, RequestRefused):
        return NOBODY


def address() -> str:
    """Where the request comes from: one IPv4 address, or the network of an IPv6 one."""
    try:
        given = ipaddress.ip_address(request.remote_addr or "")
    except ValueError:
        return request.remote_addr or ""
    if isinstance(given, ipaddress.IPv4Address):
        return str(given)
    return str(given.ipv4_mapped or ipaddress.ip_network((given, 64), strict=False))


def _by_token() -> Principal | None:
    scheme, _, secret = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() != "bearer" or STATE not in current_app.extensions:
        return None
    with reading(current_app.extensions[STATE]) as connection:
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
    known = people()
    secret = session.get(LOGIN) if known else None
    if known is None or not isinstance(secret, str):
        return None
    now = known.clock.now()
    with reading(known.engine) as connection:
        found = logins.find(connection, secret, now)
    if found is None:
        return None
    if found.to_note:
        # A page must not fail because another process is writing.
        with suppress(StateUnavailable), writing(known.engine) as connection:
            logins.note(connection, secret, now)
    return Principal(found.name, found.role, found.user_id)


def _by_place() -> Principal | None:
    known = people()
    if known is None or not known.local or request.method not in SAFE or known.exist():
        return None
    return ANYBODY
