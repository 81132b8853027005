"""/api/v1/maintenance: windows by the clocks of a zone in which messages are held back."""

from typing import Literal

import msgspec
from flask import Blueprint, Response, g
from sqlalchemy import Connection, Engine

from monitor.clock import Clock
from monitor.incidents import planning
from monitor.incidents.planning import described
from monitor.incidents.silence import Unusable
from monitor.model import format_time
from monitor.state import audit, silences
from monitor.state.database import reading, writing
from monitor.state.silences import MaintenanceRow
from monitor.web.api import body
from monitor.web.api.access import requires
from monitor.web.errors import RequestRefused

_NEXT = 3
"""So many of the windows that follow are told."""


class MaintenanceQuery(msgspec.Struct, forbid_unknown_fields=True):
    """Which maintenance; current and upcoming unless it says."""

    state: Literal["current", "upcoming", "past"] | None = None


class Planned(msgspec.Struct, forbid_unknown_fields=True):
    """Maintenance to plan: the first window by the zone's clocks, like 2026-03-29T01:30."""

    name: str
    matchers: list[str]
    zone: str
    start: str
    stop: str
    recurrence: str | None = None
    """RFC 5545, like FREQ=WEEKLY;BYDAY=SU; None: once."""


class WindowShape(msgspec.Struct):
    """One time it is done; RFC 3339 in UTC."""

    starts_at: str
    ends_at: str


class MaintenanceShape(msgspec.Struct):
    """`windows` are those that end from now on, the first few."""

    id: int
    state: planning.Phase
    name: str
    matchers: list[str]
    zone: str
    start: str
    stop: str
    recurrence: str | None
    windows: list[WindowShape]
    created_by: str
    created_at: str
    ended_at: str | None


def blueprint(engine: Engine, clock: Clock) -> Blueprint:
    """Lists, plans and ends maintenance."""
    api = Blueprint("api_maintenance", __name__, url_prefix="/api/v1/maintenance")

    @api.get("")
    @requires("viewer")
    def listed() -> Response:
        asked, now = body.query(MaintenanceQuery), clock.now()
        rows = planning.listed_maintenance(engine, asked.state, now)
        return body.reply({"maintenance": [_shape(row, now) for row in rows]})

    @api.get("/<int:number>")
    @requires("viewer")
    def one(number: int) -> Response:
        with reading(engine) as connection:
            row = _found(connection, number)
        return body.reply(_shape(row, clock.now()))

    @api.post("")
    @requires("operator")
    def plan() -> Response:
        planned, now = body.read(Planned), clock.now()
        with writing(engine) as connection:
            try:
                number = planning.plan_maintenance(
                    connection,
                    planned.name,
                    planned.matchers,
                    planned.zone,
                    planned.start,
                    planned.stop,
                    planned.recurrence,
                    g.principal,
                    now,
                )
            except Unusable as error:
                raise RequestRefused(400, str(error), error.field) from error
            row = _found(connection, number)
            audit.record(connection, g.principal, "maintenance planned", row.name, described(row))
        return body.reply(_shape(row, now), 201)

    @api.post("/<int:number>/end")
    @requires("operator")
    def end(number: int) -> Response:
        now = clock.now()
        with writing(engine) as connection:
            _found(connection, number)
            ended = silences.end_maintenance(connection, number, now)
            row = _found(connection, number)
            if ended:
                audit.record(connection, g.principal, "maintenance ended", row.name)
        if not ended:
            raise RequestRefused(409, f"maintenance {number} was ended before")
        return body.reply(_shape(row, now))

    return api


def _found(connection: Connection, number: int) -> MaintenanceRow:
    row = silences.find_maintenance(connection, number) if number <= body.GREATEST_ID else None
    if row is None:
        raise RequestRefused(404, f"there is no maintenance {number}")
    return row


def _shape(row: MaintenanceRow, now: int) -> MaintenanceShape:
    windows = planning.next_windows(row, now, _NEXT)
    return MaintenanceShape(
        id=row.id,
        state=planning.phase_of_maintenance(row, now),
        name=row.name,
        matchers=list(row.matchers),
        zone=row.zone,
        start=row.start,
        stop=row.stop,
        recurrence=row.recurrence,
        windows=[WindowShape(format_time(start), format_time(stop)) for start, stop in windows],
        created_by=row.created_by,
        created_at=format_time(row.created_at),
        ended_at=None if row.ended_at is None else format_time(row.ended_at),
    )
