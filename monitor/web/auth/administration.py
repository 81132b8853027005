"""Administering people, and the trail of who changed what."""

from typing import Any

from flask import Blueprint, flash, g, redirect, render_template, request, url_for
from sqlalchemy import Connection
from werkzeug.wrappers import Response as AnyResponse

from monitor.state import audit, users
from monitor.state.database import reading, writing
from monitor.state.users import InvalidUser, LastAdministrator, User
from monitor.web import forms
from monitor.web.auth.access import requires
from monitor.web.auth.login import html, password_link
from monitor.web.auth.people import People
from monitor.web.errors import RequestRefused

PAGE = 100
"""Entries of the trail on one page."""


def add_to(pages: Blueprint, people: People) -> None:
    """`/admin/users` and `/admin/audit`."""

    def page(status: int = 200, **told: Any) -> AnyResponse:
        with reading(people.engine) as connection:
            listed = users.listed(connection)
        return html(
            render_template("auth/users.html", people=listed, roles=users.ROLES, **told), status
        )

    @pages.get("/admin/users")
    @requires("administrator")
    def users_page() -> AnyResponse:
        return page()

    @pages.post("/admin/users")
    @requires("administrator")
    def add() -> AnyResponse:
        name, email = (request.form.get(field, "").strip() for field in ("name", "email"))
        role = request.form.get("role", "")
        try:
            with writing(people.engine) as connection:
                number = users.add(connection, name, role, people.clock.now(), email=email)
                person = _found(connection, number)
                detail = {"role": person.role, "email": person.email}
                audit.record(connection, g.principal, "user added", person.name, detail)
        except InvalidUser as error:
            return page(400, problem=f"{error.field.capitalize()}: {error}.")
        return page(link=password_link(people, person), person=person)

    @pages.post("/admin/users/<int:number>")
    @requires("administrator")
    def change(number: int) -> AnyResponse:
        given = {"role": request.form.get("role", ""), "email": request.form.get("email", "")}
        return changed(number, {**given, "email": given["email"].strip()})

    @pages.post("/admin/users/<int:number>/<any(deactivate, activate):what>")
    @requires("administrator")
    def switch(number: int, what: str) -> AnyResponse:
        return changed(number, {"active": what == "activate"})

    @pages.post("/admin/users/<int:number>/link")
    @requires("administrator")
    def link(number: int) -> AnyResponse:
        with writing(people.engine) as connection:
            person = _found(connection, number)
            audit.record(connection, g.principal, "password link made", person.name)
        return page(link=password_link(people, person), person=person)

    @pages.get("/admin/audit")
    @requires("administrator")
    def trail() -> AnyResponse:
        before = forms.row_number(request.args.get("before", ""))
        with reading(people.engine) as connection:
            entries = audit.listed(connection, PAGE + 1, before)
        rows = [(entry, words(entry.detail)) for entry in entries[:PAGE]]
        more = entries[PAGE - 1].id if len(entries) > PAGE else None
        return html(render_template("auth/audit.html", rows=rows, before=before, more=more))

    def changed(number: int, values: dict[str, Any]) -> AnyResponse:
        try:
            with writing(people.engine) as connection:
                old = _found(connection, number)
                users.change(connection, number, **values)
                new = _found(connection, number)
                detail = audit.differences(_shown(old), _shown(new))
                what = "user changed" if new.active == old.active else _SWITCHED[new.active]
                audit.record(connection, g.principal, what, new.name, detail)
        except InvalidUser as error:
            return page(400, problem=f"{error.field.capitalize()}: {error}.")
        except LastAdministrator:
            return page(409, problem=f"{old.name} is the last administrator.")
        flash(f"{new.name} is changed.")
        return redirect(url_for("people.users_page"), 303)


_SWITCHED = {True: "user activated", False: "user deactivated"}


def _shown(person: User) -> dict[str, Any]:
    return {name: getattr(person, name) for name in ("name", "email", "role", "active")}


def _found(connection: Connection, number: int) -> User:
    person = users.get(connection, number, to_change=True)
    if person is None:
        raise RequestRefused(404, f"There is no user {number}.")
    return person


def words(detail: dict[str, Any]) -> list[tuple[str, str]]:
    """(name, value) as text: "from → to" of what changed."""
    return [
        (
            name,
            f"{_word(value['from'])} → {_word(value['to'])}" if _changed(value) else _word(value),
        )
        for name, value in detail.items()
    ]


def _changed(value: Any) -> bool:
    return isinstance(value, dict) and value.keys() == {"from", "to"}


def _word(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(_word, value)) or "none"
    if isinstance(value, dict):
        return ", ".join(f"{name} {_word(part)}" for name, part in value.items()) or "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "none" if value is None else str(value)
