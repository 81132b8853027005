"""Administering maintenance windows."""

from collections.abc import Sequence
from datetime import tzinfo
from functools import cache
from typing import NamedTuple, Self
from zoneinfo import available_timezones

from flask import Blueprint, flash, g, redirect, render_template, request, url_for
from sqlalchemy import Engine
from werkzeug.wrappers import Response

from monitor.clock import Clock
from monitor.errors import Conflict, Invalid
from monitor.incidents.maintenance import LONGEST_NAME, LONGEST_RECURRENCE
from monitor.services import maintenance
from monitor.services.covered import Covered
from monitor.state.silences import MaintenanceRow
from monitor.web import forms
from monitor.web.admin import phases, recurrence_text
from monitor.web.auth.access import requires
from monitor.web.auth.login import html

REPEATS = {
    "once": "once",
    "DAILY": "every day",
    "WEEKLY": "every week",
    "MONTHLY": "every month",
    "rule": "by a rule",
}
_NEXT = 3
"""So many of the windows that follow are told."""

_TITLES = {
    "name": "Name",
    "matchers": "Sensors",
    "zone": "Time zone",
    "start": "Start",
    "stop": "End",
    "recurrence": "Repeats",
}


class MaintenanceForm(NamedTuple):
    """What the form holds, as it was typed."""

    zone: str
    name: str = ""
    matchers: str = ""
    start: str = ""
    stop: str = ""
    repeats: str = "once"
    """One of REPEATS."""
    days: Sequence[str] = ()
    """Of the week, as RFC 5545 names them; none: that of the start."""
    rule: str = ""

    @classmethod
    def read(cls) -> Self:
        """As it was sent."""
        texts = {name: forms.typed(name) for name in cls._fields if name != "days"}
        return cls(
            **texts,
            days=[day for day in recurrence_text.DAYS if day in request.form.getlist("day")],
        )

    def recurrence(self) -> str | None:
        """By RFC 5545. Raises Invalid."""
        if self.repeats not in REPEATS:
            raise Invalid("recurrence", "must be one of the options")
        if self.repeats == "once":
            return None
        if self.repeats == "rule":
            return self.rule
        on = f";BYDAY={','.join(self.days)}" if self.repeats == "WEEKLY" and self.days else ""
        return f"FREQ={self.repeats}{on}"


class Shown(NamedTuple):
    """One maintenance as the page lists it."""

    row: MaintenanceRow
    often: str
    windows: Sequence[tuple[int, int]]
    """(start, stop) in ms of those that end from now on; of the first if none does."""


def blueprint(engine: Engine, clock: Clock, zone: tzinfo, covered: Covered) -> Blueprint:
    """`/admin/maintenance`; moments by the clocks of `zone`."""
    administration = Blueprint("admin_maintenance", __name__)

    def page(status: int = 200, given: MaintenanceForm | None = None, **told: str) -> Response:
        phase, now = phases.asked(), clock.now()
        rows = maintenance.listed(engine, phase, now)
        text = render_template(
            "admin/maintenance.html",
            phase=phase,
            phases=phases.PHASES,
            plans=[_shown(row, now) for row in rows],
            covered={} if phase == "past" else covered(rows),
            repeats=REPEATS,
            days=recurrence_text.DAYS,
            zones=_zones(),
            longest=LONGEST_NAME,
            longest_rule=LONGEST_RECURRENCE,
            given=given or MaintenanceForm(phases.clocks(zone)),
            **told,
        )
        return html(text, status)

    @administration.get("/admin/maintenance")
    @requires("operator")
    def listed() -> Response:
        return page()

    @administration.post("/admin/maintenance")
    @requires("operator")
    def schedule() -> Response:
        given, now = MaintenanceForm.read(), clock.now()
        try:
            row = maintenance.schedule(
                engine,
                g.principal,
                given.name,
                forms.lines(given.matchers),
                given.zone.strip(),
                given.start,
                given.stop,
                given.recurrence(),
                now,
            )
        except Invalid as error:
            return page(400, given, **forms.mistake(error, _TITLES))
        flash(f"{row.name} scheduled. {phases.coverage(covered([row])[row.id])}")
        phase = maintenance.phase_of(row, now)
        return redirect(url_for("admin_maintenance.listed", state=phase), 303)

    @administration.post("/admin/maintenance/<int:number>/end")
    @requires("operator")
    def end(number: int) -> Response:
        now = clock.now()
        old = maintenance.find(engine, number)
        try:
            maintenance.end(engine, g.principal, number, now)
            flash(f"{old.name} ended. It has no more windows.")
        except Conflict:
            flash(f"{old.name} had already ended.")
        phase = maintenance.phase_of(old, now)
        return redirect(url_for("admin_maintenance.listed", state=phase), 303)

    return administration


def _shown(row: MaintenanceRow, now: int) -> Shown:
    windows = maintenance.next_windows(row, now, _NEXT) or maintenance.next_windows(row, 0, 1)
    return Shown(row, recurrence_text.often(row.recurrence, row.start), windows)


@cache
def _zones() -> list[str]:
    """Those that have a place in their name, and UTC."""
    return ["UTC", *sorted(name for name in available_timezones() if "/" in name)]
