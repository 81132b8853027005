"""Administering public status pages, and badges of sites."""

from collections.abc import Sequence
from typing import Any, NamedTuple, Self

from flask import Blueprint, flash, g, redirect, render_template, request, url_for
from sqlalchemy import Connection, Engine
from werkzeug.wrappers import Response

from monitor.clock import Clock
from monitor.state import audit, public_pages
from monitor.state.database import reading, writing
from monitor.state.public_pages import InvalidPublicPage, PublicPage
from monitor.web.auth.access import requires
from monitor.web.auth.login import html
from monitor.web.errors import RequestRefused
from monitor.web.grid.search import natural

_TOLD = ("title", "sites", "names")


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
        problem: str = "",
        given: PublicPageForm | None = None,
        number: int | None = None,
    ) -> Response:
        """With a problem: what was `given`, for the page of this number or for a new one."""
        with reading(engine) as connection:
            rows = public_pages.listed(connection)
            there = public_pages.sites_to_choose(connection)
        forms = {row.id: PublicPageForm(row.title, row.sites, row.names) for row in rows}
        if given is not None and number is not None:
            forms[number] = given
        text = render_template(
            "admin/public_pages.html",
            rows=rows,
            forms=forms,
            new=given if given is not None and number is None else PublicPageForm(),
            sites=sorted({*there, *(s for row in rows for s in row.sites or ())}, key=natural),
            base_url=base_url,
            problem=problem,
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
            with writing(engine) as connection:
                number = public_pages.add(connection, *given, clock.now())
                made = _found(connection, number)
                audit.record(connection, g.principal, "public page made", made.title, _told(made))
        except InvalidPublicPage as error:
            return page(400, str(error), given)
        return _done(f"{made.title} created. Anyone with its link can see it.")

    @administration.post("/admin/public/<int:number>")
    @requires("administrator")
    def change(number: int) -> Response:
        given = PublicPageForm.read()
        try:
            with writing(engine) as connection:
                old = _found(connection, number)
                public_pages.change(connection, number, *given)
                detail = audit.differences(_told(old), _told(_found(connection, number)))
                audit.record(connection, g.principal, "public page changed", old.title, detail)
        except InvalidPublicPage as error:
            return page(400, str(error), given, number)
        return _done(f"{given.title} is changed.")

    @administration.post("/admin/public/<int:number>/link")
    @requires("administrator")
    def renew(number: int) -> Response:
        with writing(engine) as connection:
            old = _found(connection, number)
            public_pages.renew_key(connection, number)
            audit.record(connection, g.principal, "public page's link renewed", old.title)
        return _done(f"{old.title} has a new link. The old link no longer works.")

    @administration.post("/admin/public/<int:number>/remove")
    @requires("administrator")
    def remove(number: int) -> Response:
        with writing(engine) as connection:
            old = _found(connection, number)
            public_pages.remove(connection, number)
            audit.record(connection, g.principal, "public page removed", old.title, _told(old))
        return _done(f"{old.title} is removed.")

    return administration


def _found(connection: Connection, number: int) -> PublicPage:
    page = public_pages.get(connection, number, to_change=True)
    if page is None:
        raise RequestRefused(404, f"There is no public page {number}.")
    return page


def _told(page: PublicPage) -> dict[str, Any]:
    """For the audit trail: all but the key."""
    return {name: getattr(page, name) for name in _TOLD}


def _done(said: str) -> Response:
    flash(said)
    return redirect(url_for("admin_public.public"), 303)
