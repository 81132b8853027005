"""Administering public status pages, and badges of sites."""

from collections.abc import Sequence
from typing import NamedTuple, Self

from flask import Blueprint, flash, g, redirect, render_template, request, url_for
from sqlalchemy import Engine
from werkzeug.wrappers import Response

from monitor.clock import Clock
from monitor.errors import Invalid
from monitor.services import public_pages as services
from monitor.state import public_pages
from monitor.state.database import reading
from monitor.web import forms
from monitor.web.auth.access import requires
from monitor.web.auth.login import html
from monitor.web.grid.search import natural


class PublicPageForm(NamedTuple):
    """What a form holds."""

    title: str = ""
    sites: Sequence[str] | None = None
    """None: all sensors."""
    names: bool = False

    @classmethod
    def read(cls) -> Self:
        """As it was sent."""
        form = request.form
        some = form.get("all", "") != "yes"
        return cls(
            form.get("title", ""),
            form.getlist("site") if some else None,
            form.get("names", "") == "yes",
        )


def blueprint(engine: Engine, clock: Clock, base_url: str) -> Blueprint:
    """`/admin/public`; the links begin with `base_url`, which has no slash at its end."""
    administration = Blueprint("admin_public", __name__)

    def page(
        status: int = 200,
        error: Invalid | None = None,
        given: PublicPageForm | None = None,
        number: int | None = None,
    ) -> Response:
        """With an error: what was `given`, for the page of this number or for a new one."""
        with reading(engine) as connection:
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
            base_url=base_url,
            problem=forms.mistake(error)["problem"] if error else "",
            wrong=number,
        )
        return html(text, status)

    @administration.get("/admin/public")
    @requires("administrator")
    def public() -> Response:
        return page()

    @administration.post("/admin/public")
    @requires("administrator")
    def add() -> Response:
        given = PublicPageForm.read()
        try:
            made = services.add(engine, g.principal, *given, clock.now())
        except Invalid as error:
            return page(400, error, given)
        return _done(f"{made.title} created. Anyone with its link can see it.")

    @administration.post("/admin/public/<int:number>")
    @requires("administrator")
    def change(number: int) -> Response:
        given = PublicPageForm.read()
        try:
            changed = services.change(engine, g.principal, number, *given)
        except Invalid as error:
            return page(400, error, given, number)
        return _done(f"{changed.title} saved.")

    @administration.post("/admin/public/<int:number>/link")
    @requires("administrator")
    def renew(number: int) -> Response:
        renewed = services.renew_link(engine, g.principal, number)
        return _done(f"{renewed.title} has a new link. The old link no longer works.")

    @administration.post("/admin/public/<int:number>/remove")
    @requires("administrator")
    def remove(number: int) -> Response:
        removed = services.remove(engine, g.principal, number)
        return _done(f"{removed.title} removed.")

    return administration


def _done(said: str) -> Response:
    flash(said)
    return redirect(url_for("admin_public.public"), 303)
