"""Who may open what: views name the role they require; those that say nothing, a viewer's."""

from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar

from flask import Flask, abort, current_app, g, redirect, request, url_for
from flask_wtf.csrf import generate_csrf
from werkzeug.middleware.proxy_fix import ProxyFix

from monitor.state import logins
from monitor.web.auth import csrf, places
from monitor.web.auth.people import (
    ANYBODY,
    PEOPLE,
    SAFE,
    People,
    Principal,
    current,
    people,
    shown,
)
from monitor.web.errors import RequestRefused, for_program

View = TypeVar("View", bound=Callable[..., Any])

_RULE = "monitor_access"
_REALM = 'Bearer realm="heartbeat-monitor"'


def public(view: View) -> View:
    """Let a view be opened by everybody."""
    return _marked(view, "public")


def public_on_loopback(view: View) -> View:
    """Let a view be opened by everybody while only this machine can connect."""
    return _marked(view, "local")


def requires(role: str) -> Callable[[View], View]:
    """Let a view be opened only with this role or a higher one, by a login or a token.

    Goes below the route's own decorator. The view finds the name of who asks in `g.principal`.
    Otherwise a browser is asked to log in, or shown that the role is too low; a program gets 401
    or 403. What changes something with a login needs our page's token too (403). 503 while the
    state can't be read.
    """

    def decorate(view: View) -> View:
        @wraps(view)
        def guarded(*arguments: Any, **named: Any) -> Any:
            admit(role)
            return view(*arguments, **named)

        return _marked(guarded, "guarded")  # type: ignore[return-value]

    return decorate


def admit(role: str) -> Principal:
    """Who asks, if they may; else raises what tells them."""
    asks = current()
    if not asks.may(role):
        _refuse(asks, role)
    known = people()
    if asks.user_id is not None and known is not None and request.method not in SAFE:
        csrf.check(known)
    g.principal = asks.name
    return asks


def guard(app: Flask, known: People) -> None:
    """Let this app know people: it admits by these rules, and its templates may ask who looks."""
    app.extensions[PEOPLE] = known
    app.config.update(
        SECRET_KEY=known.vault.derive("session cookies"),
        # A browser takes a cookie of this name only from this very host, and by https.
        SESSION_COOKIE_NAME="__Host-monitor" if known.https else "monitor",
        SESSION_COOKIE_SECURE=known.https,
        SESSION_COOKIE_HTTPONLY=True,
        SESSION_COOKIE_SAMESITE="Lax",
        SESSION_REFRESH_EACH_REQUEST=False,
        PERMANENT_SESSION_LIFETIME=logins.LONGEST // 1_000,
        WTF_CSRF_TIME_LIMIT=None,
    )
    if known.proxies:
        app.wsgi_app = ProxyFix(  # type: ignore[method-assign]
            app.wsgi_app, x_for=known.proxies, x_proto=known.proxies
        )

    @app.before_request
    def admitted() -> None:
        view = current_app.view_functions.get(request.endpoint or "")
        rule = getattr(view, _RULE, "")
        if view is None or rule in ("public", "guarded") or (rule == "local" and known.local):
            return
        admit("viewer")


def offer(app: Flask) -> None:
    """Give templates `current_user`, `csrf_token()` and the places to go."""
    app.jinja_env.globals["csrf_token"] = lambda: generate_csrf() if app.secret_key else ""

    @app.context_processor
    def told() -> dict[str, Any]:
        asks = shown()
        return {
            "current_user": asks,
            "without_people": asks is ANYBODY,
            **places.open_to(app, asks),
        }


def _refuse(asks: Principal, role: str) -> None:
    if asks.role:
        what = "user" if asks.user_id is not None else "token"
        raise RequestRefused(
            403,
            f"the {what} {asks.name!r} has the role {asks.role}; this needs {role}",
            headers={"WWW-Authenticate": f'{_REALM}, error="insufficient_scope", scope="{role}"'},
        )
    if people() is not None and not for_program():
        back = request.full_path.rstrip("?") if request.method in SAFE else None
        abort(redirect(url_for("people.login", next=back), 303))
    raise RequestRefused(
        401,
        "log in, or send the header Authorization: Bearer TOKEN; "
        f"create a token with `monitor token create NAME --role {role}`",
        "Authorization",
        {"WWW-Authenticate": _REALM},
    )


def _marked(view: View, rule: str) -> View:
    setattr(view, _RULE, rule)
    return view
