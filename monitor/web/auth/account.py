"""A user's own page: the password, and logins in other browsers."""

from flask import flash, g, redirect, render_template, request, session, url_for
from werkzeug.wrappers import Response as AnyResponse

from monitor.errors import Invalid, NotFound
from monitor.services import users
from monitor.state.users import User
from monitor.web.auth.access import requires
from monitor.web.auth.attempts import confirm_password, seconds
from monitor.web.auth.login import blueprint, log_in
from monitor.web.auth.password_links import PASSWORD_FIELDS, new_password
from monitor.web.auth.principal import current
from monitor.web.context import context
from monitor.web.forms import mistake
from monitor.web.responses import html


@blueprint.get("/account")
@requires("viewer")
def account() -> AnyResponse:
    return _page()


@blueprint.post("/account/password")
@requires("viewer")
def change_password() -> AnyResponse:
    user = _user()
    confirmed, wait = confirm_password(user, request.form.get("old", ""))
    if wait:
        return _page(f"Too many attempts. Try again in {seconds(wait)} s.", 429)
    if confirmed is None:
        return _page("Current password is incorrect.", 403)
    try:
        users.set_password(context().engine, g.principal, user, new_password())
    except Invalid as error:
        return _page(mistake(error, PASSWORD_FIELDS)["problem"], 400)
    log_in(user)
    flash("Password changed. You are logged out in all other browsers.")
    return redirect(url_for("people.account"), 303)


@blueprint.post("/account/logout")
@requires("viewer")
def logout_everywhere() -> AnyResponse:
    users.log_out_everywhere(context().engine, g.principal, _user())
    session.clear()
    return redirect(url_for("people.login"), 303)


def _user() -> User:
    """The user who is logged in. Raises NotFound for a token."""
    number = current().user_id
    if number is None:
        raise NotFound("a token has no account")
    return users.get(context().engine, number)


def _page(problem: str = "", status: int = 200) -> AnyResponse:
    return html(render_template("auth/account.html", person=_user(), problem=problem), status)
