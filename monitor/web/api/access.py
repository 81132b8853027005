"""Who may call the API: tokens with roles, in the Authorization header and nowhere else."""

from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar

from flask import Flask, current_app, g, request
from sqlalchemy import Engine

from monitor.state import tokens
from monitor.state.database import reading
from monitor.web.errors import Refused

View = TypeVar("View", bound=Callable[..., Any])

_STATE = "monitor.state"
_REALM = 'Bearer realm="heartbeat-monitor"'


def check_tokens_in(app: Flask, engine: Engine) -> None:
    """Let the views of this app that `requires` guards look up tokens here."""
    app.extensions[_STATE] = engine


def requires(role: str) -> Callable[[View], View]:
    """Let a view be called only with a token of this role or a higher one.

    Goes below the route's own decorator. The view finds the token's name in `g.principal`.
    Refusals: 401 without a token in force, 403 for one of a lower role, 503 while the state
    can't be read.
    """
    least = tokens.ROLES.index(role)

    def decorate(view: View) -> View:
        @wraps(view)
        def guarded(*arguments: Any, **named: Any) -> Any:
            held = _held(role)
            if tokens.ROLES.index(held.role) < least:
                raise Refused(
                    403,
                    f"the token {held.name!r} has the role {held.role}; this needs {role}",
                    headers={
                        "WWW-Authenticate": f'{_REALM}, error="insufficient_scope", scope="{role}"'
                    },
                )
            g.principal = held.name
            return view(*arguments, **named)

        return guarded  # type: ignore[return-value]

    return decorate


def _held(role: str) -> tokens.Token:
    scheme, _, secret = request.headers.get("Authorization", "").partition(" ")
    how = f"`monitor token create NAME --role {role}` makes one"
    if scheme.lower() != "bearer":
        raise Refused(
            401,
            f"needs a header Authorization: Bearer TOKEN; {how}",
            "Authorization",
            {"WWW-Authenticate": _REALM},
        )
    with reading(current_app.extensions[_STATE]) as connection:
        found = tokens.find(connection, secret.strip())
    if found is None:
        raise Refused(
            401,
            f"this token is not, or no longer, in force; {how}",
            "Authorization",
            {"WWW-Authenticate": f'{_REALM}, error="invalid_token"'},
        )
    return found
