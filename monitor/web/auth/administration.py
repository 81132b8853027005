"""The administration pages of users and of the audit trail."""

from typing import Any

from flask import g, render_template, request, url_for
from werkzeug.wrappers import Response as AnyResponse

from monitor.errors import Conflict, Invalid
from monitor.services import users
from monitor.state import audit
from monitor.state.database import reading
from monitor.state.users import ROLES
from monitor.web import forms
from monitor.web.auth.access import requires
from monitor.web.auth.login import blueprint
from monitor.web.auth.password_links import password_link
from monitor.web.context import context
from monitor.web.responses import done, html

PAGE = 100
"""The number of audit entries on one page."""


def _page(status: int = 200, **shown: Any) -> AnyResponse:
    listed = users.listed(context().engine)
    return html(render_template("auth/users.html", people=listed, roles=ROLES, **shown), status)


@blueprint.get("/admin/users")
@requires("administrator")
def users_page() -> AnyResponse:
    return _page()


@blueprint.post("/admin/users")
@requires("administrator")
def add() -> AnyResponse:
    name, email = (request.form.get(field, "").strip() for field in ("name", "email"))
    role = request.form.get("role", "")
    try:
        now = context().clock.now()
        user = users.add(context().engine, g.principal, name, role, email, now)
    except Invalid as error:
        return _page(400, **forms.mistake(error))
    return _page(link=password_link(context(), user), person=user)


@blueprint.post("/admin/users/<int:number>")
@requires("administrator")
def change(number: int) -> AnyResponse:
    given = {"role": request.form.get("role", ""), "email": request.form.get("email", "")}
    return _save(number, {**given, "email": given["email"].strip()})


@blueprint.post("/admin/users/<int:number>/<any(deactivate, activate):what>")
@requires("administrator")
def switch(number: int, what: str) -> AnyResponse:
    return _save(number, {"active": what == "activate"})


@blueprint.post("/admin/users/<int:number>/link")
@requires("administrator")
def link(number: int) -> AnyResponse:
    user = users.record_password_link(context().engine, g.principal, number)
    return _page(link=password_link(context(), user), person=user)


@blueprint.get("/admin/audit")
@requires("administrator")
def trail() -> AnyResponse:
    before = forms.row_number(request.args.get("before", ""))
    with reading(context().engine) as connection:
        entries = audit.listed(connection, PAGE + 1, before)
    rows = [(entry, words(entry.detail)) for entry in entries[:PAGE]]
    more = entries[PAGE - 1].id if len(entries) > PAGE else None
    return html(render_template("auth/audit.html", rows=rows, before=before, more=more))


def _save(number: int, values: dict[str, Any]) -> AnyResponse:
    try:
        user = users.change(context().engine, g.principal, number, **values)
    except Invalid as error:
        return _page(400, **forms.mistake(error))
    except Conflict as error:
        return _page(409, **forms.mistake(error))
    return done(f"{user.name} saved.", url_for("people.users_page"))


def words(detail: dict[str, Any]) -> list[tuple[str, str]]:
    """(name, value) of a detail as text; `old → new` for a change."""
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
