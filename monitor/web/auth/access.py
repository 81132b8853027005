"""Access to views: each view names the role that it requires; the default is viewer."""

from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar

from flask import Flask, abort, current_app, g, redirect, request, url_for
from flask_wtf.csrf import generate_csrf
from werkzeug.middleware.proxy_fix import ProxyFix

from monitor.state import logins
from monitor.web.auth import csrf, places
from monitor.web.auth.principal import ANYBODY, SAFE, Principal, current, shown
from monitor.web.context import Context, context
from monitor.web.errors import RequestRefused, for_program

View = TypeVar("View", bound=Callable[..., Any])

_RULE = "monitor_access"
_REALM = 'Bearer realm="heartbeat-monitor"'


def public(view: View) -> View:
    """Anyone may open the view."""
    return _marked(view, "public")


def public_on_loopback(view: View) -> View:
    """Anyone may open the view while only this machine can connect."""
    return _marked(view, "local")


def requires(role: str) -> Callable[[View], View]:
    """Only users and tokens with this role or a higher one may open the view.

    Place it below the route's decorator. `g.principal` is the name of the user or token. Without
    a login, a browser is redirected to the login page and a program gets 401; with too low a role
    both get 403. Changes with a login need the page's CSRF token (else 403). 503 while the state
    can't be read.
    """

    def decorate(view: View) -> View:
        @wraps(view)
        def guarded(*arguments: Any, **named: Any) -> Any:
            admit(role)
            return view(*arguments, **named)

        return _marked(guarded, "guarded")  # type: ignore[return-value]

    return decorate


def admit(role: str) -> Principal:
    """The sender of the request, who has this role. Raises RequestRefused, or redirects."""
    sender = current()
    if not sender.may(role):
        _refuse(sender, role)
    if sender.user_id is not None and request.method not in SAFE:
        csrf.check()
    g.principal = sender.name
    return sender


def guard(app: Flask, context: Context) -> None:
    """Apply these rules to all views of the application, and configure its session cookies."""
    app.config.update(
        SECRET_KEY=context.vault.derive("session cookies"),
        # Browsers accept a cookie with the prefix __Host- from this host only, by HTTPS.
        SESSION_COOKIE_NAME="__Host-monitor" if context.https else "monitor",
        SESSION_COOKIE_SECURE=context.https,
        SESSION_COOKIE_HTTPONLY=True,
        SESSION_COOKIE_SAMESITE="Lax",
        SESSION_REFRESH_EACH_REQUEST=False,
        PERMANENT_SESSION_LIFETIME=logins.LONGEST // 1_000,
        WTF_CSRF_TIME_LIMIT=None,
    )
    if context.proxies:
        app.wsgi_app = ProxyFix(  # type: ignore[method-assign]
            app.wsgi_app, x_for=context.proxies, x_proto=context.proxies
        )
    app.before_request(_admit_to_unmarked)


def add_to_templates(app: Flask) -> None:
    """Give templates `current_user`, `csrf_token()` and the links of the navigation."""
    app.jinja_env.globals["csrf_token"] = generate_csrf
    app.context_processor(_navigation)


def _admit_to_unmarked() -> None:
    """Views without any mark require the role viewer."""
    view = current_app.view_functions.get(request.endpoint or "")
    rule = getattr(view, _RULE, "")
    if view is None or rule in ("public", "guarded"):
        return
    if rule == "local" and context().local:
        return
    admit("viewer")


def _navigation() -> dict[str, Any]:
    sender = shown()
    return {
        "current_user": sender,
        "without_people": sender is ANYBODY,
        **places.open_to(current_app, sender),
    }


def _refuse(sender: Principal, role: str) -> None:
    if sender.role:
        what = "user" if sender.user_id is not None else "token"
        raise RequestRefused(
            403,
            f"the {what} {sender.name!r} has the role {sender.role}, "
            f"but this requires the role {role}",
            headers={"WWW-Authenticate": f'{_REALM}, error="insufficient_scope", scope="{role}"'},
        )
    if not for_program():
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
