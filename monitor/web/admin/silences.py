"""Administering silences."""

from datetime import tzinfo
from typing import NamedTuple, Self

from flask import Blueprint, flash, g, redirect, render_template, url_for
from sqlalchemy import Engine
from werkzeug.wrappers import Response

from monitor.clock import Clock
from monitor.errors import Conflict, Invalid
from monitor.incidents import maintenance
from monitor.incidents.silence import LONGEST_COMMENT
from monitor.model import DAY, HOUR, MINUTE
from monitor.outbox.wording import duration
from monitor.services import silences
from monitor.services.covered import Covered
from monitor.web import forms
from monitor.web.admin import phases
from monitor.web.auth.access import requires
from monitor.web.auth.login import html

DURATIONS = (30 * MINUTE, HOUR, 2 * HOUR, 4 * HOUR, 8 * HOUR, DAY, 3 * DAY, 7 * DAY)
UNTIL = "until"
_TITLES = {"matchers": "Sensors", "starts_at": "Start", "ends_at": "Duration", "comment": "Reason"}


class SilenceForm(NamedTuple):
    """What the form holds, as it was typed."""

    matchers: str = ""
    comment: str = ""
    starts: str = ""
    """By the service's clocks, like 2026-03-29T01:30; empty: now."""
    lasts: str = str(2 * HOUR)
    """ms, one of DURATIONS; or UNTIL."""
    until: str = ""

    @classmethod
    def read(cls) -> Self:
        """As it was sent."""
        return cls(**{name: forms.typed(name) for name in cls._fields})

    def times(self, now: int, zone: tzinfo) -> tuple[int, int]:
        """(start, end) in ms. Raises Invalid."""
        start = maintenance.moment("starts_at", self.starts, zone) if self.starts else now
        if self.lasts == UNTIL:
            return start, maintenance.moment("ends_at", self.until, zone)
        if self.lasts not in map(str, DURATIONS):
            raise Invalid("ends_at", "must be one of the options")
        return start, start + int(self.lasts)


def blueprint(engine: Engine, clock: Clock, zone: tzinfo, covered: Covered) -> Blueprint:
    """`/admin/silences`; moments by the clocks of `zone`."""
    administration = Blueprint("admin_silences", __name__)

    def page(status: int = 200, given: SilenceForm | None = None, **told: str) -> Response:
        phase, now = phases.asked(), clock.now()
        rows = silences.listed(engine, phase, now)
        text = render_template(
            "admin/silences.html",
            phase=phase,
            phases=phases.PHASES,
            rows=rows,
            covered={} if phase == "past" else covered(rows),
            durations={str(each): duration(each) for each in DURATIONS},
            longest=LONGEST_COMMENT,
            clocks=phases.clocks(zone),
            given=given or SilenceForm(),
            **told,
        )
        return html(text, status)

    @administration.get("/admin/silences")
    @requires("operator")
    def listed() -> Response:
        return page()

    @administration.post("/admin/silences")
    @requires("operator")
    def start() -> Response:
        given, now = SilenceForm.read(), clock.now()
        try:
            start, end = given.times(now, zone)
            row = silences.start(
                engine, g.principal, forms.lines(given.matchers), start, end, given.comment, now
            )
        except Invalid as error:
            return page(400, given, **forms.mistake(error, _TITLES))
        phase = silences.phase_of(row, now)
        what = "starts later" if phase == "upcoming" else "has started"
        flash(f"Silence {row.id} {what}. {phases.coverage(covered([row])[row.id])}")
        return redirect(url_for("admin_silences.listed", state=phase), 303)

    @administration.post("/admin/silences/<int:number>/end")
    @requires("operator")
    def end(number: int) -> Response:
        now = clock.now()
        phase = silences.phase_of(silences.find(engine, number), now)
        try:
            silences.end(engine, g.principal, number, now)
            flash(f"Silence {number} ended.")
        except Conflict:
            flash(f"Silence {number} had already ended.")
        return redirect(url_for("admin_silences.listed", state=phase), 303)

    return administration
