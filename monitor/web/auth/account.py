"""What people change about themselves: their password, and where they are logged in."""

from flask import Blueprint, flash, g, redirect, render_template, request, session, url_for
from werkzeug.wrappers import Response as AnyResponse

from monitor.state import audit, logins, users
from monitor.state.database import reading, writing
from monitor.state.users import User
from monitor.web.auth import passwords
from monitor.web.auth.access import requires
from monitor.web.auth.login import confirmed, enter, html, new_password, seconds
from monitor.web.auth.people import People, current
from monitor.web.errors import RequestRefused


def add_to(pages: Blueprint, people: People) -> None:
    """`/account` and what its forms do."""

    def asks() -> User:
        number = current().user_id
        with reading(people.engine) as connection:
            person = None if number is None else users.get(connection, number)
        if person is None:
            raise RequestRefused(404, "A token has no account.")
        return person

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
            hashed = passwords.hashed(new_password(person))
        except RequestRefused as error:
            return page(error.description or "", 400)
        with writing(people.engine) as connection:
            users.set_password(connection, person.id, hashed)
            audit.record(connection, g.principal, "password changed", person.name)
        enter(people, person)
        flash("Password changed. You are logged out in all other browsers.")
        return redirect(url_for("people.account"), 303)

    @pages.post("/account/logout")
    @requires("viewer")
    def logout_everywhere() -> AnyResponse:
        person = asks()
        with writing(people.engine) as connection:
            logins.end_all(connection, person.id)
            audit.record(connection, g.principal, "logged out everywhere", person.name)
        session.clear()
        return redirect(url_for("people.login"), 303)
