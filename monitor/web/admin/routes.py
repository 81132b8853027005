"""The administration page of routes."""

from collections.abc import Collection, Sequence
from typing import NamedTuple, Self

from flask import Blueprint, g, render_template, request, url_for
from sqlalchemy import Connection
from werkzeug.wrappers import Response

from monitor.errors import Conflict, Invalid
from monitor.incidents.matching import attributes
from monitor.incidents.routing import BROWSERS, read
from monitor.model import MINUTE, format_mac, parse_duration, parse_mac
from monitor.outbox.wording import duration
from monitor.services import routes
from monitor.state import channels, routing, sensors
from monitor.state.database import reading
from monitor.state.routing import RouteRow
from monitor.web import forms
from monitor.web.auth.access import requires
from monitor.web.context import context
from monitor.web.responses import done, html

_TITLES = {
    "name": "Name",
    "matchers": "Sensors",
    "channels": "Notify",
    "escalate_to": "Escalate to",
    "escalate_after": "If not acknowledged after",
}


class RouteForm(NamedTuple):
    """A form, with its values as they were entered."""

    name: str = ""
    matchers: str = ""
    channels: Sequence[str] = ()
    escalate_to: Sequence[str] = ()
    after: str = ""
    """Minutes."""

    @classmethod
    def read(cls) -> Self:
        """The form in this request."""
        form = request.form
        return cls(
            forms.typed("name").strip(),
            forms.typed("matchers"),
            form.getlist("channel"),
            form.getlist("escalate"),
            forms.typed("after").strip(),
        )

    @classmethod
    def of(cls, row: RouteRow) -> Self:
        """The form with the values of a route."""
        after = "" if row.escalate_after is None else f"{row.escalate_after / MINUTE:.10g}"
        return cls(row.name, "\n".join(row.matchers), row.channels, row.escalate_to, after)

    def row(self, name: str) -> RouteRow:
        """The route `name` with the form's values. Raises Invalid."""
        after = None
        if self.after:
            try:
                after = parse_duration(self.after, MINUTE)
            except ValueError as error:
                raise Invalid(
                    "escalate_after", "must be minutes, or a duration such as 90s or 4h"
                ) from error
        matchers = forms.lines(self.matchers)
        return RouteRow(name, matchers, list(self.channels), list(self.escalate_to), after)


blueprint = Blueprint("admin_routes", __name__)


def _page(
    status: int = 200,
    problem: str = "",
    wrong: str = "",
    given: RouteForm | None = None,
    field: str = "",
) -> Response:
    """With a problem, the form of the route `wrong` (by default the form for a new route) shows
    what was `given`; `field` is the field at fault."""
    asked = request.args.get("mac", "").strip()
    own = context().channels.of_settings
    with reading(context().engine) as connection:
        rows = routing.routes(connection)
        added = channels.added(connection)
        default = routing.default_channels(connection, tuple(own))
        tried = _tried(connection, asked, own) if asked else None
    forms = {row.name: RouteForm.of(row) for row in rows}
    if given is not None and wrong:
        forms[wrong] = given
    text = render_template(
        "admin/routes.html",
        rows=rows,
        forms=forms,
        new=given if given is not None and not wrong else RouteForm(),
        channels=[*own, *added, BROWSERS],
        disabled={name for name, enabled in added.items() if not enabled},
        default=default,
        waits={row.name: duration(row.escalate_after) for row in rows if row.escalate_after},
        problem=problem,
        wrong=wrong,
        field=field,
        asked=asked,
        tried=tried,
    )
    return html(text, status)


def _refused(error: Invalid | Conflict, given: RouteForm, name: str = "") -> Response:
    mistake = forms.mistake(error, _TITLES)
    return _page(400, mistake["problem"], name, given, mistake["wrong"])


@blueprint.get("/admin/routes")
@requires("administrator")
def listed() -> Response:
    return _page()


@blueprint.post("/admin/routes")
@requires("administrator")
def add() -> Response:
    given = RouteForm.read()
    try:
        routes.add(
            context().engine, g.principal, given.row(given.name), context().channels.of_settings
        )
    except (Invalid, Conflict) as error:
        return _refused(error, given)
    return _done(f"Route {given.name} created, as the last one.")


@blueprint.post("/admin/routes/<name>")
@requires("administrator")
def change(name: str) -> Response:
    given = RouteForm.read()
    try:
        routes.change(
            context().engine, g.principal, given.row(name), context().channels.of_settings
        )
    except Invalid as error:
        return _refused(error, given, name)
    return _done(f"Route {name} saved.")


@blueprint.post("/admin/routes/<name>/<any(up, down):where>")
@requires("administrator")
def move(name: str, where: str) -> Response:
    place = routes.move(context().engine, g.principal, name, 1 if where == "down" else -1)
    return _done(f"Route {name} is number {place} now.")


@blueprint.post("/admin/routes/<name>/remove")
@requires("administrator")
def remove(name: str) -> Response:
    if request.form.get("sure") != "yes":
        return _page(400, "Select the checkbox to remove it.", name)
    routes.remove(context().engine, g.principal, name)
    return _done(f"Route {name} removed.")


class Tried(NamedTuple):
    """Where messages about a sensor would be sent."""

    problem: str = ""
    sensor: str = ""
    route: str = ""
    """Empty if no route matches."""
    recipients: Sequence[tuple[str, str]] = ()
    """(recipient, delay as text; empty without a delay)."""


def _tried(connection: Connection, asked: str, own: Collection[str]) -> Tried:
    try:
        mac = parse_mac(asked)
    except ValueError as error:
        return Tried(problem=f"{error}.")
    row = sensors.find(connection, mac)
    name, site, labels = (row.name, row.site, row.labels) if row else (None, None, {})
    found = read(connection, tuple(own), ())
    route = found.route_of(attributes(mac, name, site, labels))
    recipients = [(to, duration(wait) if wait else "") for to, wait in found.recipients(route)]
    return Tried("", name or format_mac(mac), route, recipients)


def _done(message: str) -> Response:
    return done(message, url_for("admin_routes.listed"))
