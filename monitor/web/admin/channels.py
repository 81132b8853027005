"""The administration page of channels."""

from collections.abc import Mapping
from typing import Any

from flask import Blueprint, g, render_template, request, url_for
from werkzeug.wrappers import Response

from monitor.channels import kinds
from monitor.errors import Conflict, Invalid
from monitor.state import channels, routes
from monitor.state.channels import BROWSER, Stored
from monitor.state.database import reading
from monitor.web import forms
from monitor.web.admin import channel_forms
from monitor.web.auth.access import requires
from monitor.web.context import context
from monitor.web.responses import done, html

blueprint = Blueprint("admin_channels", __name__)


def _page(status: int = 200, problem: str = "", wrong: str = "", field: str = "") -> Response:
    """With a problem, the form of the channel `wrong` (by default the form for a new channel) shows
    what was entered; `field` is the field at fault."""
    kind = request.values.get("kind", "")
    with reading(context().engine) as connection:
        health = channels.health(connection)
        rows = channels.load(connection, context().vault)
        leading = routes.leading(connection)
    text = render_template(
        "admin/channels.html",
        own=list(context().channels.of_settings),
        rows=rows,
        health=health,
        leading=leading,
        forms={row.name: channel_forms.of(row, wrong == row.name) for row in rows},
        kinds=sorted(kinds.KINDS.keys() - {BROWSER}),
        kind=kind if kind in kinds.KINDS and kind != BROWSER else "",
        new=channel_forms.empty(kind) if kind in kinds.KINDS else None,
        typed_name=request.form.get("name", "") if not wrong else "",
        problem=problem,
        wrong=wrong,
        field=field,
        shown=wrong or request.args.get("shown", ""),
    )
    return html(text, status)


def _refused(error: Invalid | Conflict, name: str = "", status: int = 400) -> Response:
    titles = {error.field: channel_forms.title(error.field)} if error.field else {}
    mistake = forms.mistake(error, titles)
    return _page(status, mistake["problem"], name, mistake["wrong"])


@blueprint.get("/admin/channels")
@requires("administrator")
def listed() -> Response:
    return _page()


@blueprint.post("/admin/channels")
@requires("administrator")
def add() -> Response:
    kind, name = forms.typed("kind"), forms.typed("name").strip()
    try:
        settings, secrets = channel_forms.read(kind)
        new = Stored(
            name=name,
            kind=kind,
            settings=_without_none(settings),
            secrets=_without_none(secrets),
            created_at=context().clock.now(),
            **channel_forms.read_use(),
        )
        context().channels.add(g.principal, new)
    except (Invalid, Conflict) as error:
        return _refused(error)
    return _done(name, f"{name} created. Send a test message to check that it works.")


@blueprint.post("/admin/channels/<name>")
@requires("administrator")
def change(name: str) -> Response:
    try:
        with reading(context().engine) as connection:
            kind = context().channels.found(connection, name).kind
        settings, secrets = ({}, {}) if kind == BROWSER else channel_forms.read(kind)
        use = channel_forms.read_use()
        context().channels.change(g.principal, name, settings, secrets, **use)
    except Invalid as error:
        return _refused(error, name)
    return _done(name, f"{name} saved.")


@blueprint.post("/admin/channels/<name>/test")
@requires("administrator")
def test(name: str) -> Response:
    error = context().channels.test(name)
    if error is not None:
        return _page(200, f"The test message to {name} was not sent: {error}", name)
    return _done(name, f"{name} accepted the test message.")


@blueprint.post("/admin/channels/<name>/remove")
@requires("administrator")
def remove(name: str) -> Response:
    if request.form.get("sure") != "yes":
        return _page(400, "Select the checkbox to remove it.", name)
    try:
        context().channels.remove(g.principal, name)
    except Conflict as error:
        return _refused(error, name, 409)
    return _done("", f"{name} removed.")


def _without_none(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}


def _done(name: str, message: str) -> Response:
    return done(message, url_for("admin_channels.listed", shown=name or None))
