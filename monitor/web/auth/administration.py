"""Administering people, and the trail of who changed what."""

from typing import Any

from flask import Blueprint, flash, g, redirect, render_template, request, url_for
from werkzeug.wrappers import Response as AnyResponse

from monitor.errors import Conflict, Invalid
from monitor.services import users
from monitor.state import audit
from monitor.state.database import reading
from monitor.state.users import ROLES
from monitor.web import forms
from monitor.web.auth.access import requires
from monitor.web.auth.login import password_link
from monitor.web.auth.people import People
from monitor.web.responses import html

PAGE = 100
"""Entries of the trail on one page."""


def add_to(pages: Blueprint, people: People) -> None:
    """`/admin/users` and `/admin/audit`."""

    def page(status: int = 200, **told: Any) -> AnyResponse:
        listed = users.listed(people.engine)
        return html(render_template("auth/users.html", people=listed, roles=ROLES, **told), status)

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
            now = people.clock.now()
            person = users.add(people.engine, g.principal, name, role, email, now)
        except Invalid as error:
            return page(400, **forms.mistake(error))
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
        person = users.record_password_link(people.engine, g.principal, number)
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
            person = users.change(people.engine, g.principal, number, **values)
        except Invalid as error:
            return page(400, **forms.mistake(error))
        except Conflict as error:
            return page(409, **forms.mistake(error))
        flash(f"{person.name} saved.")
        return redirect(url_for("people.users_page"), 303)


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
