"""/api/v1/maintenance: planned windows, in a time zone, in which messages are held."""

from typing import Literal

import msgspec
from flask import Blueprint, Response, g

from monitor.model import format_time
from monitor.services import maintenance
from monitor.services.silences import Phase
from monitor.state.silences import MaintenanceRow
from monitor.web.api import body
from monitor.web.api.shapes import time
from monitor.web.auth.access import requires
from monitor.web.context import context

_NEXT = 3
"""The number of current and future windows in a response."""


class MaintenanceQuery(msgspec.Struct, forbid_unknown_fields=True):
    """Which maintenance; without a state, current and upcoming ones."""

    state: Literal["current", "upcoming", "past"] | None = None


class NewMaintenance(msgspec.Struct, forbid_unknown_fields=True):
    """Maintenance to schedule: its first window in local time, like 2026-03-29T01:30."""

    name: str
    matchers: list[str]
    zone: str
    start: str
    stop: str
    recurrence: str | None = None
    """RFC 5545, like FREQ=WEEKLY;BYDAY=SU. None for maintenance that does not recur."""


class WindowShape(msgspec.Struct):
    """One window. Times are RFC 3339 in UTC."""

    starts_at: str
    ends_at: str


class MaintenanceShape(msgspec.Struct):
    """Maintenance with its next windows, which may include a current one."""

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


blueprint = Blueprint("api_maintenance", __name__, url_prefix="/api/v1/maintenance")


@blueprint.get("")
@requires("viewer")
def listed() -> Response:
    query, now = body.query(MaintenanceQuery), context().clock.now()
    rows = maintenance.listed(context().engine, query.state, now)
    return body.reply({"maintenance": [shape(row, now) for row in rows]})


@blueprint.get("/<int:number>")
@requires("viewer")
def one(number: int) -> Response:
    return body.reply(shape(maintenance.find(context().engine, number), context().clock.now()))


@blueprint.post("")
@requires("operator")
def schedule() -> Response:
    planned, now = body.read(NewMaintenance), context().clock.now()
    row = maintenance.schedule(
        context().engine,
        g.principal,
        planned.name,
        planned.matchers,
        planned.zone,
        planned.start,
        planned.stop,
        planned.recurrence,
        now,
    )
    return body.reply(shape(row, now), 201)


@blueprint.post("/<int:number>/end")
@requires("operator")
def end(number: int) -> Response:
    now = context().clock.now()
    return body.reply(shape(maintenance.end(context().engine, g.principal, number, now), now))


def shape(row: MaintenanceRow, now: int) -> MaintenanceShape:
    """A maintenance as JSON, with its next windows."""
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
        ended_at=time(row.ended_at),
    )
