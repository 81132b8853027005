"""Administering tokens."""

from flask import Blueprint, flash, g, redirect, render_template, request, url_for
from sqlalchemy import Engine
from werkzeug.wrappers import Response

from monitor.clock import Clock
from monitor.state import audit, tokens
from monitor.state.database import reading, writing
from monitor.state.tokens import TokenNameTaken
from monitor.web import forms
from monitor.web.auth.access import requires
from monitor.web.auth.login import html
from monitor.web.errors import RequestRefused


def blueprint(engine: Engine, clock: Clock) -> Blueprint:
    """`/admin/tokens`."""
    administration = Blueprint("admin_tokens", __name__)

    def page(status: int = 200, **told: str) -> Response:
        with reading(engine) as connection:
            rows = tokens.listed(connection)
        text = render_template(
            "admin/tokens.html",
            rows=sorted(rows, key=lambda row: (row.revoked_at is not None, row.name)),
            roles=tokens.ROLES,
            any_ingest=any(row.role == tokens.INGEST for row in rows),
            given=request.form,
            **told,
        )
        return html(text, status)

    @administration.get("/admin/tokens")
    @requires("administrator")
    def listed() -> Response:
        return page()

    @administration.post("/admin/tokens")
    @requires("administrator")
    def make() -> Response:
        name, role = forms.typed("name").strip(), forms.typed("role")
        if role not in tokens.ROLES:
            return page(400, problem="Role: choose one of those offered.", wrong="role")
        try:
            tokens.check_name(name)
            with writing(engine) as connection:
                secret = tokens.create(connection, name, clock.now(), role)
                audit.record(connection, g.principal, "token made", name, {"role": role})
        except (ValueError, TokenNameTaken) as error:
            return page(400, problem=f"Name: {error}.", wrong="name")
        return page(secret=secret, made=name)

    @administration.post("/admin/tokens/revoke")
    @requires("administrator")
    def revoke() -> Response:
        name = forms.typed("name")  # not in the path: it may hold a slash
        if request.form.get("sure") != "yes":
            return page(400, problem="It is revoked only when you say that you are sure.")
        with writing(engine) as connection:
            if not tokens.revoke(connection, name, clock.now()):
                raise RequestRefused(404, f"There is no token {name!r} in force.")
            audit.record(connection, g.principal, "token revoked", name)
        flash(f"{name} is revoked.")
        return redirect(url_for("admin_tokens.listed"), 303)

    return administration
