"""/api/v1/routes: which channels receive whose alerts. The first route that matches counts."""

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from typing import Annotated

import msgspec
from flask import Blueprint, Response, g
from msgspec import Meta
from sqlalchemy import Engine

from monitor.errors import Invalid, NotFound
from monitor.model import SECOND
from monitor.services import routes
from monitor.services.routes import LONGEST_WAIT
from monitor.state import routing
from monitor.state.database import reading
from monitor.state.routing import RouteRow
from monitor.web.api import body
from monitor.web.api.access import requires

Seconds = Annotated[float, Meta(ge=1, le=LONGEST_WAIT / SECOND)]


class RouteChanges(msgspec.Struct, forbid_unknown_fields=True):
    """A route but for its name and place. No matchers: it matches every sensor."""

    channels: list[str]
    matchers: list[str] = []
    escalate_to: list[str] = []
    escalate_after_seconds: Seconds | None = None


class NewRoute(RouteChanges, forbid_unknown_fields=True, kw_only=True):
    """A new route; `position` 1 is the first, none the last."""

    name: str
    position: Annotated[int, Meta(ge=1, le=body.GREATEST_ID)] | None = None


class Order(msgspec.Struct, forbid_unknown_fields=True):
    """Names of all routes, in the order wanted."""

    order: list[str]


class RouteShape(msgspec.Struct):
    """One route as it is."""

    name: str
    position: int
    matchers: list[str]
    channels: list[str]
    escalate_to: list[str]
    escalate_after_seconds: float | None


def blueprint(engine: Engine, of_settings: Collection[str]) -> Blueprint:
    """Lists, adds, changes, arranges and removes routes. `of_settings`: names of the channels that
    the settings switch on."""
    api = Blueprint("api_routes", __name__, url_prefix="/api/v1/routes")

    @api.get("")
    @requires("administrator")
    def listed() -> Response:
        return body.reply({"routes": _shapes(engine)})

    @api.post("")
    @requires("administrator")
    def add() -> Response:
        wanted = body.read(NewRoute)
        with _seconds_named():
            routes.add(engine, g.principal, _row(wanted.name, wanted), of_settings, wanted.position)
        return body.reply(_shape(engine, wanted.name), 201)

    @api.put("")
    @requires("administrator")
    def arrange() -> Response:
        wanted = body.read(Order)
        routes.arrange(engine, g.principal, wanted.order)
        return body.reply({"routes": _shapes(engine)})

    @api.put("/<name>")
    @requires("administrator")
    def change(name: str) -> Response:
        row = _row(name, body.read(RouteChanges))
        with _seconds_named():
            routes.change(engine, g.principal, row, of_settings)
        return body.reply(_shape(engine, name))

    @api.delete("/<name>")
    @requires("administrator")
    def remove(name: str) -> Response:
        routes.remove(engine, g.principal, name)
        return Response(status=204)

    return api


def _row(name: str, given: RouteChanges) -> RouteRow:
    after = given.escalate_after_seconds
    return RouteRow(
        name=name,
        matchers=given.matchers,
        channels=given.channels,
        escalate_to=given.escalate_to,
        escalate_after=None if after is None else round(after * SECOND),
    )


def _shapes(engine: Engine) -> list[RouteShape]:
    with reading(engine) as connection:
        rows = routing.routes(connection)
    return [
        RouteShape(
            name=row.name,
            position=position,
            matchers=row.matchers,
            channels=row.channels,
            escalate_to=row.escalate_to,
            escalate_after_seconds=(
                None if row.escalate_after is None else row.escalate_after / SECOND
            ),
        )
        for position, row in enumerate(rows, 1)
    ]


def _shape(engine: Engine, name: str) -> RouteShape:
    """Raises NotFound when someone has removed the route since."""
    shape = next((shape for shape in _shapes(engine) if shape.name == name), None)
    if shape is None:
        raise NotFound(f"there is no route {name!r}")
    return shape


@contextmanager
def _seconds_named() -> Iterator[None]:
    """The field's name in a request says its unit."""
    try:
        yield
    except Invalid as error:
        if error.field != "escalate_after":
            raise
        raise Invalid("escalate_after_seconds", str(error)) from error
