"""/api/v1/incidents: list, show and acknowledge incidents."""

from typing import Annotated, Literal

import msgspec
from flask import Blueprint, Response, g
from msgspec import Meta

from monitor.model import parse_mac
from monitor.services import incidents
from monitor.state import ledger
from monitor.state.database import reading
from monitor.web.api import body
from monitor.web.api.shapes import case_shape, ledger_shape, next_before
from monitor.web.auth.access import requires
from monitor.web.context import context
from monitor.web.errors import RequestRefused

MOST = 1_000
"""The maximum number of incidents in one response, or acknowledged by one request."""


class IncidentQuery(msgspec.Struct, forbid_unknown_fields=True):
    """Which incidents, the newest first."""

    state: Literal["open", "closed"] | None = None
    site: str | None = None
    mac: str | None = None
    before: body.Id | None = None
    limit: Annotated[int, Meta(ge=1, le=MOST)] = 100


class Numbers(msgspec.Struct, forbid_unknown_fields=True):
    """Incidents to acknowledge."""

    ids: Annotated[list[body.Id], Meta(min_length=1, max_length=MOST)]


blueprint = Blueprint("api_incidents", __name__, url_prefix="/api/v1/incidents")


@blueprint.get("")
@requires("viewer")
def listed() -> Response:
    query = body.query(IncidentQuery)
    with reading(context().engine) as connection:
        found = ledger.cases(
            connection,
            query.limit,
            mac=mac_in("mac", query.mac),
            site=query.site,
            still_open=None if query.state is None else query.state == "open",
            before=query.before,
        )
    return body.reply(
        {
            "incidents": [case_shape(case) for case in found],
            "next_before": next_before(found, query.limit),
        }
    )


@blueprint.get("/<int:number>")
@requires("viewer")
def one(number: int) -> Response:
    with reading(context().engine) as connection:
        case = ledger.find(connection, number)
        found = [] if case is None else ledger.facts(connection, [case])
    if not found:
        raise RequestRefused(404, f"there is no incident {number}")
    return body.reply(ledger_shape(found[0], context().clock.now()))


@blueprint.post("/<int:number>/acknowledge")
@requires("operator")
def acknowledge_one(number: int) -> Response:
    outcome = incidents.acknowledge(context().engine, g.principal, [number], context().clock.now())
    with reading(context().engine) as connection:
        case = ledger.find(connection, number)
    if case is None:
        raise RequestRefused(404, f"there is no incident {number}")
    if outcome.closed:
        raise RequestRefused(409, f"incident {number} is closed")
    return body.reply(case_shape(case))


@blueprint.post("/acknowledge")
@requires("operator")
def acknowledge_many() -> Response:
    ids = body.read(Numbers).ids
    outcome = incidents.acknowledge(context().engine, g.principal, ids, context().clock.now())
    return body.reply(
        {
            "acknowledged": outcome.done,
            "acknowledged_before": outcome.earlier,
            "closed": outcome.closed,
            "unknown": outcome.unknown,
        }
    )


def mac_in(field: str, text: str | None) -> int | None:
    """A MAC address in a parameter, in any usual notation. Raises RequestRefused."""
    try:
        return None if text is None else parse_mac(text)
    except ValueError as error:
        raise RequestRefused(400, str(error), field) from error
