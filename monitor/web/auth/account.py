"""What people change about themselves: their password, and where they are logged in."""

from flask import Blueprint, flash, g, redirect, render_template, request, session, url_for
from werkzeug.wrappers import Response as AnyResponse

from monitor.errors import Invalid, NotFound
from monitor.services import users
from monitor.state.users import User
from monitor.web.auth.access import requires
from monitor.web.auth.login import PASSWORD_FIELDS, confirmed, enter, new_password, seconds
from monitor.web.auth.people import People
from monitor.web.auth.principal import current
from monitor.web.forms import mistake
from monitor.web.responses import html


def add_to(pages: Blueprint, people: People) -> None:
    """`/account` and what its forms do."""

    def asks() -> User:
        number = current().user_id
        if number is None:
            raise NotFound("a token has no account")
        return users.get(people.engine, number)

    def page(problem: str = "", status: int = 200) -> AnyResponse:
        person = asks()
        return html(render_template("auth/account.html", person=person, problem=problem), status)

    @pages.get("/account")
    @requires("viewer")
    def account() -> AnyResponse:
        return page()

    @pages.post("/account/password")
    @requires("viewer")
    def change_password() -> AnyResponse:
        person = asks()
        found, wait = confirmed(people, person, request.form.get("old", ""))
        if wait:
            return page(f"Too many attempts. Try again in {seconds(wait)} s.", 429)
        if found is None:
            return page("Current password is incorrect.", 403)
        try:
            users.set_password(people.engine, g.principal, person, new_password())
        except Invalid as error:
            return page(mistake(error, PASSWORD_FIELDS)["problem"], 400)
        enter(people, person)
        flash("Password changed. You are logged out in all other browsers.")
        return redirect(url_for("people.account"), 303)

    @pages.post("/account/logout")
    @requires("viewer")
    def logout_everywhere() -> AnyResponse:
        person = asks()
        users.log_out_everywhere(people.engine, g.principal, person)
        session.clear()
        return redirect(url_for("people.login"), 303)
