"""/api/v1/routes: which channels are told of which sensors. The first route that matches counts."""

from collections.abc import Collection
from typing import Annotated

import msgspec
from flask import Blueprint, Response, g
from msgspec import Meta
from sqlalchemy import Connection, Engine

from monitor.incidents.routes import LONGEST_WAIT, check
from monitor.model import SECOND
from monitor.state import audit, routes, routing
from monitor.state.database import reading, writing
from monitor.state.routing import RouteRow
from monitor.web.api import body
from monitor.web.api.access import requires
from monitor.web.api.refusing import refusing
from monitor.web.errors import RequestRefused

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
        with reading(engine) as connection:
            return body.reply({"routes": _shapes(connection)})

    @api.post("")
    @requires("administrator")
    def add() -> Response:
        wanted = body.read(NewRoute)
        with refusing(), writing(engine) as connection:
            row = _row(wanted.name, wanted)
            check(connection, row, of_settings)
            routes.add(connection, row, wanted.position)
            audit.record(connection, g.principal, "route added", row.name, row._asdict())
            return body.reply(_shape(connection, row.name), 201)

    @api.put("")
    @requires("administrator")
    def arrange() -> Response:
        wanted = body.read(Order)
        with writing(engine) as connection:
            try:
                routes.arrange(connection, wanted.order)
            except ValueError as error:
                raise RequestRefused(400, str(error), "order") from error
            audit.record(
                connection, g.principal, "routes arranged", "routes", {"order": wanted.order}
            )
            return body.reply({"routes": _shapes(connection)})

    @api.put("/<name>")
    @requires("administrator")
    def change(name: str) -> Response:
        row = _row(name, body.read(RouteChanges))
        with refusing(), writing(engine) as connection:
            check(connection, row, of_settings)
            if not routes.replace(connection, row):
                raise _unknown(name)
            audit.record(connection, g.principal, "route changed", name, row._asdict())
            return body.reply(_shape(connection, name))

    @api.delete("/<name>")
    @requires("administrator")
    def remove(name: str) -> Response:
        with writing(engine) as connection:
            if not routes.remove(connection, name):
                raise _unknown(name)
            audit.record(connection, g.principal, "route removed", name)
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


def _shapes(connection: Connection) -> list[RouteShape]:
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
        for position, row in enumerate(routing.routes(connection), 1)
    ]


def _shape(connection: Connection, name: str) -> RouteShape:
    return next(shape for shape in _shapes(connection) if shape.name == name)


def _unknown(name: str) -> RequestRefused:
    return RequestRefused(404, f"there is no route {name!r}")
