"""The administration page of silences."""

from datetime import tzinfo
from typing import NamedTuple, Self

from flask import Blueprint, flash, g, redirect, render_template, request, url_for
from werkzeug.wrappers import Response

from monitor.errors import Conflict, Invalid
from monitor.incidents import maintenance
from monitor.incidents.silence import LONGEST_COMMENT
from monitor.model import DAY, HOUR, MINUTE
from monitor.outbox.wording import duration
from monitor.services import silences
from monitor.web import forms
from monitor.web.admin import phases
from monitor.web.auth.access import requires
from monitor.web.context import context
from monitor.web.responses import html

DURATIONS = (30 * MINUTE, HOUR, 2 * HOUR, 4 * HOUR, 8 * HOUR, DAY, 3 * DAY, 7 * DAY)
UNTIL = "until"
_TITLES = {"matchers": "Sensors", "starts_at": "Start", "ends_at": "Duration", "comment": "Reason"}


class SilenceForm(NamedTuple):
    """The form, with its values as they were entered."""

    matchers: str = ""
    comment: str = ""
    starts: str = ""
    """In the time zone of the service, like 2026-03-29T01:30. Empty: now."""
    lasts: str = str(2 * HOUR)
    """ms, one of DURATIONS; or UNTIL."""
    until: str = ""

    @classmethod
    def read(cls) -> Self:
        """The form in this request."""
        return cls(**{name: forms.typed(name) for name in cls._fields})

    def times(self, now: int, zone: tzinfo) -> tuple[int, int]:
        """(start, end) in ms. Raises Invalid."""
        start = maintenance.moment("starts_at", self.starts, zone) if self.starts else now
        if self.lasts == UNTIL:
            return start, maintenance.moment("ends_at", self.until, zone)
        if self.lasts not in map(str, DURATIONS):
            raise Invalid("ends_at", "must be one of the options")
        return start, start + int(self.lasts)


blueprint = Blueprint("admin_silences", __name__)


def _page(status: int = 200, given: SilenceForm | None = None, **shown: str) -> Response:
    phase, now = phases.selected(), context().clock.now()
    rows = silences.listed(context().engine, phase, now)
    text = render_template(
        "admin/silences.html",
        phase=phase,
        phases=phases.PHASES,
        rows=rows,
        covered={} if phase == "past" else context().covered(rows),
        durations={str(each): duration(each) for each in DURATIONS},
        longest=LONGEST_COMMENT,
        clocks=phases.zone_name(context().zone),
        given=given or SilenceForm(matchers=request.args.get("matchers", "")),
        **shown,
    )
    return html(text, status)


@blueprint.get("/admin/silences")
@requires("operator")
def listed() -> Response:
    return _page()


@blueprint.post("/admin/silences")
@requires("operator")
def start() -> Response:
    given, now = SilenceForm.read(), context().clock.now()
    try:
        starts_at, ends_at = given.times(now, context().zone)
        row = silences.start(
            context().engine,
            g.principal,
            forms.lines(given.matchers),
            starts_at,
            ends_at,
            given.comment,
            now,
        )
    except Invalid as error:
        return _page(400, given, **forms.mistake(error, _TITLES))
    phase = silences.phase_of(row, now)
    what = "starts later" if phase == "upcoming" else "has started"
    flash(f"Silence {row.id} {what}. {phases.coverage(context().covered([row])[row.id])}")
    return redirect(url_for("admin_silences.listed", state=phase), 303)


@blueprint.post("/admin/silences/<int:number>/end")
@requires("operator")
def end(number: int) -> Response:
    now = context().clock.now()
    phase = silences.phase_of(silences.find(context().engine, number), now)
    try:
        silences.end(context().engine, g.principal, number, now)
        flash(f"Silence {number} ended.")
    except Conflict:
        flash(f"Silence {number} had already ended.")
    return redirect(url_for("admin_silences.listed", state=phase), 303)
