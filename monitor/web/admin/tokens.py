"""The administration page of API tokens."""

from flask import Blueprint, g, render_template, request, url_for
from werkzeug.wrappers import Response

from monitor.errors import Conflict, Invalid
from monitor.services import tokens
from monitor.state.tokens import INGEST, ROLES
from monitor.web import forms
from monitor.web.auth.access import requires
from monitor.web.context import context
from monitor.web.responses import done, html

blueprint = Blueprint("admin_tokens", __name__, url_prefix="/admin/tokens")


@blueprint.get("")
@requires("administrator")
def listed() -> Response:
    return _page()


@blueprint.post("")
@requires("administrator")
def make() -> Response:
    name, role = forms.typed("name").strip(), forms.typed("role")
    try:
        secret = tokens.create(context().engine, g.principal, name, role, context().clock.now())
    except (Invalid, Conflict) as error:
        return _page(400, **forms.mistake(error))
    return _page(secret=secret, made=name)


@blueprint.post("/revoke")
@requires("administrator")
def revoke() -> Response:
    name = forms.typed("name")  # not in the path: it may contain a slash
    if request.form.get("sure") != "yes":
        return _page(400, problem="Select the checkbox to revoke the token.")
    tokens.revoke(context().engine, g.principal, name, context().clock.now())
    return done(f"Token {name} revoked.", url_for("admin_tokens.listed"))


def _page(status: int = 200, **shown: str) -> Response:
    rows = tokens.listed(context().engine)
    page = render_template(
        "admin/tokens.html",
        rows=sorted(rows, key=lambda row: (row.revoked_at is not None, row.name)),
        roles=ROLES,
        any_ingest=any(row.role == INGEST for row in rows),
        given=request.form,
        **shown,
    )
    return html(page, status)
