"""Administering silences."""

from datetime import tzinfo
from typing import NamedTuple, Self

from flask import Blueprint, flash, g, redirect, render_template, url_for
from sqlalchemy import Connection, Engine
from werkzeug.wrappers import Response

from monitor.clock import Clock
from monitor.incidents import maintenance, planning
from monitor.incidents.planning import Covered, described, phase_of_silence
from monitor.incidents.silence import LONGEST_COMMENT, Unusable
from monitor.model import DAY, HOUR, MINUTE
from monitor.outbox.wording import duration
from monitor.state import audit, silences
from monitor.state.database import writing
from monitor.state.silences import SilenceRow
from monitor.web import forms
from monitor.web.admin import phases
from monitor.web.auth.access import requires
from monitor.web.auth.login import html
from monitor.web.errors import RequestRefused

DURATIONS = (30 * MINUTE, HOUR, 2 * HOUR, 4 * HOUR, 8 * HOUR, DAY, 3 * DAY, 7 * DAY)
UNTIL = "until"
_TITLES = {"matchers": "Sensors", "starts_at": "From", "ends_at": "Lasts", "comment": "Why"}


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
        """(start, end) in ms. Raises Unusable."""
        start = maintenance.moment("starts_at", self.starts, zone) if self.starts else now
        if self.lasts == UNTIL:
            return start, maintenance.moment("ends_at", self.until, zone)
        if self.lasts not in map(str, DURATIONS):
            raise Unusable("ends_at", "choose how long")
        return start, start + int(self.lasts)


def blueprint(engine: Engine, clock: Clock, zone: tzinfo, covered: Covered) -> Blueprint:
    """`/admin/silences`; moments by the clocks of `zone`."""
    administration = Blueprint("admin_silences", __name__)

    def page(status: int = 200, given: SilenceForm | None = None, **told: str) -> Response:
        phase, now = phases.asked(), clock.now()
        rows = planning.listed_silences(engine, phase, now)
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
    def begin() -> Response:
        given, now = SilenceForm.read(), clock.now()
        try:
            with writing(engine) as connection:
                made = planning.silence_sensors(
                    connection,
                    forms.lines(given.matchers),
                    *given.times(now, zone),
                    given.comment.strip(),
                    g.principal,
                    now,
                )
                row = _found(connection, made)
                audit.record(connection, g.principal, "silence begun", f"{made}", described(row))
        except Unusable as error:
            return page(400, given, problem=phases.sentence(error, _TITLES), wrong=error.field)
        phase = phase_of_silence(row, now)
        what = "begins later" if phase == "upcoming" else "has begun"
        flash(f"Silence {made} {what}. {phases.meant(covered([row])[made])}")
        return redirect(url_for("admin_silences.listed", state=phase), 303)

    @administration.post("/admin/silences/<int:number>/end")
    @requires("operator")
    def end(number: int) -> Response:
        now = clock.now()
        with writing(engine) as connection:
            old = _found(connection, number)
            ended = silences.end_silence(connection, number, now)
            if ended:
                audit.record(connection, g.principal, "silence ended", f"{number}")
        flash(f"Silence {number} {'is over' if ended else 'was over already'}.")
        phase = phase_of_silence(old, now)
        return redirect(url_for("admin_silences.listed", state=phase), 303)

    return administration


def _found(connection: Connection, made: int) -> SilenceRow:
    row = silences.find_silence(connection, made)
    if row is None:
        raise RequestRefused(404, f"There is no silence {made}.")
    return row
