"""Links with which a user chooses a password, once."""

import hashlib

from flask import flash, redirect, render_template, request, session, url_for
from werkzeug.wrappers import Response as AnyResponse

from monitor.errors import Invalid
from monitor.model import DAY
from monitor.services import users as users_service
from monitor.state import users
from monitor.state.database import reading
from monitor.state.users import User
from monitor.web.auth import csrf, devices
from monitor.web.auth.access import public
from monitor.web.auth.login import blueprint
from monitor.web.context import Context, context
from monitor.web.errors import RequestRefused
from monitor.web.forms import mistake
from monitor.web.responses import html

LIFETIME = 2 * DAY
"""How long a link works (ms)."""

PASSWORD_FIELDS = {"password": "New password", "again": "Repeat the new password"}
"""The titles of the fields for a new password."""

_PURPOSE = "password"


@blueprint.get("/password/<token>")
@public
def choose(token: str) -> AnyResponse:
    return html(render_template("auth/choose.html", person=_user(token)))


@blueprint.post("/password/<token>")
@public
def chosen(token: str) -> AnyResponse:
    csrf.check()
    user = _user(token)
    try:
        if not users_service.choose_password(context().engine, user, new_password()):
            raise _invalid()
    except Invalid as error:
        page = render_template("auth/choose.html", person=user, **mistake(error, PASSWORD_FIELDS))
        return html(page, 400)
    devices.remember(user)
    session.clear()
    flash("Password set. Log in with your new password.")
    return redirect(url_for("people.login"), 303)


def new_password() -> str:
    """The new password in the form. Raises Invalid if it was not repeated exactly."""
    password = request.form.get("new", "")
    if password != request.form.get("again"):
        raise Invalid("again", "must be the same as the new password")
    return password


def password_link(context: Context, user: User) -> str:
    """The address of a link for this user."""
    payload = {"u": user.id, "e": context.clock.now() + LIFETIME, "p": _mark(user)}
    token = context.vault.sign(_PURPOSE, payload)
    return f"{context.base_url.rstrip('/')}/password/{token}"


def _user(token: str) -> User:
    """The user whose link this is. Raises RequestRefused."""
    payload = context().vault.verify(_PURPOSE, token)
    if payload is None or payload["e"] <= context().clock.now():
        raise _invalid()
    with reading(context().engine) as connection:
        user = users.get(connection, payload["u"])
    if user is None or not user.active or _mark(user) != payload["p"]:
        raise _invalid()
    return user


def _mark(user: User) -> str:
    """Changes with the password, so that a link works once."""
    return hashlib.sha256((user.password or "").encode()).hexdigest()[:16]


def _invalid() -> RequestRefused:
    return RequestRefused(
        410, "This link has expired or was used. Ask an administrator for a new one."
    )
