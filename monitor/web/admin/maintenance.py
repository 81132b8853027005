"""The administration page of maintenance."""

from collections.abc import Sequence
from functools import cache
from typing import NamedTuple, Self
from zoneinfo import available_timezones

from flask import Blueprint, flash, g, redirect, render_template, request, url_for
from werkzeug.wrappers import Response

from monitor.errors import Conflict, Invalid
from monitor.incidents.maintenance import LONGEST_NAME, LONGEST_RECURRENCE
from monitor.services import maintenance
from monitor.state.silences import MaintenanceRow
from monitor.web import forms
from monitor.web.admin import phases, recurrence_text
from monitor.web.auth.access import requires
from monitor.web.context import context
from monitor.web.responses import html

REPEATS = {
    "once": "once",
    "DAILY": "every day",
    "WEEKLY": "every week",
    "MONTHLY": "every month",
    "MONTHLY;BYMONTHDAY=-1": "every month on the last day",
    "rule": "by a rule",
}
_NEXT = 3
"""The number of current and future windows on the page."""

_TITLES = {
    "name": "Name",
    "matchers": "Sensors",
    "zone": "Time zone",
    "start": "Start",
    "stop": "End",
    "recurrence": "Repeats",
}


class MaintenanceForm(NamedTuple):
    """The form, with its values as they were entered."""

    zone: str
    name: str = ""
    matchers: str = ""
    start: str = ""
    stop: str = ""
    repeats: str = "once"
    """One of REPEATS."""
    days: Sequence[str] = ()
    """Days of the week, as in RFC 5545. Empty: the day of the start."""
    rule: str = ""

    @classmethod
    def read(cls) -> Self:
        """The form in this request."""
        texts = {name: forms.typed(name) for name in cls._fields if name != "days"}
        return cls(
            **texts,
            days=[day for day in recurrence_text.DAYS if day in request.form.getlist("day")],
        )

    def recurrence(self) -> str | None:
        """The rule in RFC 5545; None for once. Raises Invalid."""
        if self.repeats not in REPEATS:
            raise Invalid("recurrence", "must be one of the options")
        if self.repeats == "once":
            return None
        if self.repeats == "rule":
            return self.rule
        on = f";BYDAY={','.join(self.days)}" if self.repeats == "WEEKLY" and self.days else ""
        return f"FREQ={self.repeats}{on}"


class Shown(NamedTuple):
    """Maintenance as the page lists it."""

    row: MaintenanceRow
    often: str
    windows: Sequence[tuple[int, int]]
    """(start, stop) in ms of current and future windows; of the first window if there are none."""
    skipped: str
    """Which months are skipped, as a sentence."""


blueprint = Blueprint("admin_maintenance", __name__)


def _page(status: int = 200, given: MaintenanceForm | None = None, **shown: str) -> Response:
    phase, now = phases.selected(), context().clock.now()
    rows = maintenance.listed(context().engine, phase, now)
    text = render_template(
        "admin/maintenance.html",
        phase=phase,
        phases=phases.PHASES,
        plans=[_shown(row, now) for row in rows],
        covered={} if phase == "past" else context().covered(rows),
        repeats=REPEATS,
        days=recurrence_text.DAYS,
        zones=_zones(),
        longest=LONGEST_NAME,
        longest_rule=LONGEST_RECURRENCE,
        given=given
        or MaintenanceForm(
            phases.zone_name(context().zone), matchers=request.args.get("matchers", "")
        ),
        **shown,
    )
    return html(text, status)


@blueprint.get("/admin/maintenance")
@requires("operator")
def listed() -> Response:
    return _page()


@blueprint.post("/admin/maintenance")
@requires("operator")
def schedule() -> Response:
    given, now = MaintenanceForm.read(), context().clock.now()
    try:
        row = maintenance.schedule(
            context().engine,
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
        return _page(400, given, **forms.mistake(error, _TITLES))
    covers = phases.coverage(context().covered([row])[row.id])
    flash(f"{row.name} scheduled. {covers} {_skipped(row, now)}".rstrip())
    phase = maintenance.phase_of(row, now)
    return redirect(url_for("admin_maintenance.listed", state=phase), 303)


@blueprint.post("/admin/maintenance/<int:number>/end")
@requires("operator")
def end(number: int) -> Response:
    now = context().clock.now()
    old = maintenance.find(context().engine, number)
    try:
        maintenance.end(context().engine, g.principal, number, now)
        flash(f"{old.name} ended. It has no more windows.")
    except Conflict:
        flash(f"{old.name} had already ended.")
    phase = maintenance.phase_of(old, now)
    return redirect(url_for("admin_maintenance.listed", state=phase), 303)


def _shown(row: MaintenanceRow, now: int) -> Shown:
    windows = maintenance.next_windows(row, now, _NEXT) or maintenance.next_windows(row, 0, 1)
    often = recurrence_text.often(row.recurrence, row.start)
    return Shown(row, often, windows, _skipped(row, now))


def _skipped(row: MaintenanceRow, now: int) -> str:
    return recurrence_text.skipped(maintenance.skipped_months(row, now, _NEXT))


@cache
def _zones() -> list[str]:
    """Time zones with a place in their name, and UTC."""
    return ["UTC", *sorted(name for name in available_timezones() if "/" in name)]
