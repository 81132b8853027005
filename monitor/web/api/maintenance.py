"""/api/v1/maintenance: windows by the clocks of a zone in which messages are held back."""

from typing import Literal

import msgspec
from flask import Blueprint, Response, g
from sqlalchemy import Engine

from monitor.clock import Clock
from monitor.model import format_time
from monitor.services import maintenance
from monitor.services.silences import Phase
from monitor.state.silences import MaintenanceRow
from monitor.web.api import body
from monitor.web.api.access import requires

_NEXT = 3
"""So many of the windows that follow are told."""


class MaintenanceQuery(msgspec.Struct, forbid_unknown_fields=True):
    """Which maintenance; current and upcoming without a state."""

    state: Literal["current", "upcoming", "past"] | None = None


class NewMaintenance(msgspec.Struct, forbid_unknown_fields=True):
    """Maintenance to schedule: the first window by the zone's clocks, like 2026-03-29T01:30."""

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
    state: Phase
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
    """Lists, schedules and ends maintenance."""
    api = Blueprint("api_maintenance", __name__, url_prefix="/api/v1/maintenance")

    @api.get("")
    @requires("viewer")
    def listed() -> Response:
        asked, now = body.query(MaintenanceQuery), clock.now()
        rows = maintenance.listed(engine, asked.state, now)
        return body.reply({"maintenance": [_shape(row, now) for row in rows]})

    @api.get("/<int:number>")
    @requires("viewer")
    def one(number: int) -> Response:
        return body.reply(_shape(maintenance.find(engine, number), clock.now()))

    @api.post("")
    @requires("operator")
    def schedule() -> Response:
        planned, now = body.read(NewMaintenance), clock.now()
        row = maintenance.schedule(
            engine,
            g.principal,
            planned.name,
            planned.matchers,
            planned.zone,
            planned.start,
            planned.stop,
            planned.recurrence,
            now,
        )
        return body.reply(_shape(row, now), 201)

    @api.post("/<int:number>/end")
    @requires("operator")
    def end(number: int) -> Response:
        now = clock.now()
        return body.reply(_shape(maintenance.end(engine, g.principal, number, now), now))

    return api


def _shape(row: MaintenanceRow, now: int) -> MaintenanceShape:
    windows = maintenance.next_windows(row, now, _NEXT)
    return MaintenanceShape(
        id=row.id,
        state=maintenance.phase_of(row, now),
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
