"""Logging in and out."""

from urllib.parse import urlsplit

from flask import Blueprint, Response, redirect, render_template, request, session, url_for
from werkzeug.wrappers import Response as AnyResponse

from monitor.state import logins, users
from monitor.state.database import writing
from monitor.state.users import User
from monitor.web.auth import csrf, devices
from monitor.web.auth.access import public
from monitor.web.auth.attempts import check_password, seconds
from monitor.web.auth.principal import LOGIN, current
from monitor.web.context import context
from monitor.web.errors import RequestRefused
from monitor.web.responses import html

blueprint = Blueprint("people", __name__)


@blueprint.get("/login")
@public
def login() -> AnyResponse:
    if current().user_id is not None:
        return redirect(same_site(request.args.get("next")), 303)
    return login_page()


@blueprint.post("/login")
@public
def answer() -> AnyResponse:
    try:
        csrf.check()
    except RequestRefused as error:
        return login_page(error.description or "", 403)
    user, wait = check_password(request.form.get("name", ""), request.form.get("password", ""))
    if wait:
        response = login_page(f"Too many attempts. Try again in {seconds(wait)} s.", 429)
        response.retry_after = seconds(wait)
        return response
    if user is None:
        return login_page("Incorrect name or password.", 403)
    log_in(user)
    return redirect(same_site(request.form.get("next")), 303)


@blueprint.post("/logout")
@public
def logout() -> AnyResponse:
    if current().user_id is not None:
        csrf.check()
        with writing(context().engine) as connection:
            logins.end(connection, session[LOGIN])
    session.clear()
    return redirect(url_for("people.login"), 303)


def login_page(problem: str = "", status: int = 200) -> Response:
    """The login page, with what was wrong."""
    provider = context().provider
    page = render_template(
        "auth/login.html",
        problem=problem,
        name=request.form.get("name", ""),
        next=same_site(request.values.get("next")),
        no_users=not context().users_exist(),
        provider=provider.name if provider else None,
    )
    return html(page, status)


def log_in(user: User) -> None:
    """Log the user in, in this browser; its session keeps nothing from before."""
    devices.remember(user)
    now = context().clock.now()
    with writing(context().engine) as connection:
        if isinstance(old := session.get(LOGIN), str):
            logins.end(connection, old)
        secret = logins.start(connection, user.id, now)
        users.logged_in(connection, user.id, now)
    session.clear()
    session.permanent = True
    session[LOGIN] = secret


def same_site(path: str | None) -> str:
    """The path, if it leads to a page of this service, or else the grid's."""
    # Browsers read \\ as /, and ignore tabs.
    if not path or not path.startswith("/") or "\\" in path or not path.isprintable():
        return "/"
    parts = urlsplit(path)
    return "/" if parts.scheme or parts.netloc or path.startswith("//") else path
