"""Administering tokens."""

from flask import Blueprint, flash, g, redirect, render_template, request, url_for
from sqlalchemy import Engine
from werkzeug.wrappers import Response

from monitor.clock import Clock
from monitor.errors import Conflict, Invalid
from monitor.services import tokens
from monitor.state.tokens import INGEST, ROLES
from monitor.web import forms
from monitor.web.auth.access import requires
from monitor.web.auth.login import html


def blueprint(engine: Engine, clock: Clock) -> Blueprint:
    """`/admin/tokens`."""
    administration = Blueprint("admin_tokens", __name__)

    def page(status: int = 200, **told: str) -> Response:
        rows = tokens.listed(engine)
        text = render_template(
            "admin/tokens.html",
            rows=sorted(rows, key=lambda row: (row.revoked_at is not None, row.name)),
            roles=ROLES,
            any_ingest=any(row.role == INGEST for row in rows),
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
        name = forms.typed("name").strip()
        try:
            secret = tokens.create(engine, g.principal, name, forms.typed("role"), clock.now())
        except (Invalid, Conflict) as error:
            return page(400, **forms.mistake(error))
        return page(secret=secret, made=name)

    @administration.post("/admin/tokens/revoke")
    @requires("administrator")
    def revoke() -> Response:
        name = forms.typed("name")  # not in the path: it may hold a slash
        if request.form.get("sure") != "yes":
            return page(400, problem="Select the checkbox to revoke the token.")
        tokens.revoke(engine, g.principal, name, clock.now())
        flash(f"Token {name} revoked.")
        return redirect(url_for("admin_tokens.listed"), 303)

    return administration
