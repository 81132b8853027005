"""/api/v1/routes: which channels receive which alerts. The first route that matches applies."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

import msgspec
from flask import Blueprint, Response, g
from msgspec import Meta

from monitor.errors import Invalid, NotFound
from monitor.model import GREATEST_ID, SECOND
from monitor.services import routes
from monitor.services.routes import LONGEST_WAIT
from monitor.state import routing
from monitor.state.database import reading
from monitor.state.routing import RouteRow
from monitor.web.api import body
from monitor.web.api.shapes import RouteShape, route_shape
from monitor.web.auth.access import requires
from monitor.web.context import context

Seconds = Annotated[float, Meta(ge=1, le=LONGEST_WAIT / SECOND)]


class RouteChanges(msgspec.Struct, forbid_unknown_fields=True):
    """A route without name and position. Without matchers it matches every sensor."""

    channels: list[str]
    matchers: list[str] = []
    escalate_to: list[str] = []
    escalate_after_seconds: Seconds | None = None


class NewRoute(RouteChanges, forbid_unknown_fields=True, kw_only=True):
    """A new route. `position` 1 is the first; without a position it becomes the last."""

    name: str
    position: Annotated[int, Meta(ge=1, le=GREATEST_ID)] | None = None


class Order(msgspec.Struct, forbid_unknown_fields=True):
    """The names of all routes, in their new order."""

    order: list[str]


blueprint = Blueprint("api_routes", __name__, url_prefix="/api/v1/routes")


@blueprint.get("")
@requires("administrator")
def listed() -> Response:
    return body.reply({"routes": _shapes()})


@blueprint.post("")
@requires("administrator")
def add() -> Response:
    sent = body.read(NewRoute)
    with _seconds_named():
        routes.add(
            context().engine,
            g.principal,
            _row(sent.name, sent),
            context().channels.of_settings,
            sent.position,
        )
    return body.reply(_shape(sent.name), 201)


@blueprint.put("")
@requires("administrator")
def arrange() -> Response:
    sent = body.read(Order)
    routes.arrange(context().engine, g.principal, sent.order)
    return body.reply({"routes": _shapes()})


@blueprint.put("/<name>")
@requires("administrator")
def change(name: str) -> Response:
    row = _row(name, body.read(RouteChanges))
    with _seconds_named():
        routes.change(context().engine, g.principal, row, context().channels.of_settings)
    return body.reply(_shape(name))


@blueprint.delete("/<name>")
@requires("administrator")
def remove(name: str) -> Response:
    routes.remove(context().engine, g.principal, name)
    return Response(status=204)


def _row(name: str, given: RouteChanges) -> RouteRow:
    after = given.escalate_after_seconds
    return RouteRow(
        name=name,
        matchers=given.matchers,
        channels=given.channels,
        escalate_to=given.escalate_to,
        escalate_after=None if after is None else round(after * SECOND),
    )


def _shapes() -> list[RouteShape]:
    with reading(context().engine) as connection:
        rows = routing.routes(connection)
    return [route_shape(position, row) for position, row in enumerate(rows, 1)]


def _shape(name: str) -> RouteShape:
    """Raises NotFound."""
    shape = next((shape for shape in _shapes() if shape.name == name), None)
    if shape is None:
        raise NotFound(f"there is no route {name!r}")
    return shape


@contextmanager
def _seconds_named() -> Iterator[None]:
    """Name the field in errors as requests do, with its unit."""
    try:
        yield
    except Invalid as error:
        if error.field != "escalate_after":
            raise
        raise Invalid("escalate_after_seconds", str(error)) from error
