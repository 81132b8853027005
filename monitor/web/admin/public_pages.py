"""The administration page of public status pages, and of badges of sites."""

from collections.abc import Sequence
from typing import NamedTuple, Self

from flask import Blueprint, g, render_template, request, url_for
from werkzeug.wrappers import Response

from monitor.errors import Invalid
from monitor.services import public_pages as services
from monitor.state import public_pages
from monitor.state.database import reading
from monitor.web import forms
from monitor.web.auth.access import requires
from monitor.web.context import context
from monitor.web.grid.search import natural
from monitor.web.responses import done, html


class PublicPageForm(NamedTuple):
    """A form, with its values as they were entered."""

    title: str = ""
    sites: Sequence[str] | None = None
    """None for all sensors."""
    names: bool = False

    @classmethod
    def read(cls) -> Self:
        """The form in this request."""
        form = request.form
        some = form.get("all", "") != "yes"
        return cls(
            form.get("title", ""),
            form.getlist("site") if some else None,
            form.get("names", "") == "yes",
        )


blueprint = Blueprint("admin_public", __name__)


def _page(
    status: int = 200,
    error: Invalid | None = None,
    given: PublicPageForm | None = None,
    number: int | None = None,
) -> Response:
    """With an error, the form of the page `number` (by default the form for a new page) shows what
    was `given`."""
    with reading(context().engine) as connection:
        rows = public_pages.listed(connection)
        there = public_pages.sites_to_choose(connection)
    values = {row.id: PublicPageForm(row.title, row.sites, row.names) for row in rows}
    if given is not None and number is not None:
        values[number] = given
    text = render_template(
        "admin/public_pages.html",
        rows=rows,
        values=values,
        new=given if given is not None and number is None else PublicPageForm(),
        sites=sorted({*there, *(s for row in rows for s in row.sites or ())}, key=natural),
        base_url=context().base_url.rstrip("/"),
        problem=forms.mistake(error)["problem"] if error else "",
        wrong=number,
    )
    return html(text, status)


@blueprint.get("/admin/public")
@requires("administrator")
def public() -> Response:
    return _page()


@blueprint.post("/admin/public")
@requires("administrator")
def add() -> Response:
    given = PublicPageForm.read()
    try:
        made = services.add(context().engine, g.principal, *given, context().clock.now())
    except Invalid as error:
        return _page(400, error, given)
    return _done(f"{made.title} created. Anyone with its link can see it.")


@blueprint.post("/admin/public/<int:number>")
@requires("administrator")
def change(number: int) -> Response:
    given = PublicPageForm.read()
    try:
        changed = services.change(context().engine, g.principal, number, *given)
    except Invalid as error:
        return _page(400, error, given, number)
    return _done(f"{changed.title} saved.")


@blueprint.post("/admin/public/<int:number>/link")
@requires("administrator")
def renew(number: int) -> Response:
    renewed = services.renew_link(context().engine, g.principal, number)
    return _done(f"{renewed.title} has a new link. The old link no longer works.")


@blueprint.post("/admin/public/<int:number>/remove")
@requires("administrator")
def remove(number: int) -> Response:
    removed = services.remove(context().engine, g.principal, number)
    return _done(f"{removed.title} removed.")


def _done(message: str) -> Response:
    return done(message, url_for("admin_public.public"))
