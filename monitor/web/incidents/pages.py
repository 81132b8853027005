"""The list of incidents, and the page of one incident."""

from collections.abc import Collection
from typing import Any

from flask import Blueprint, render_template, request
from sqlalchemy import Connection
from werkzeug.wrappers import Response

from monitor.incidents.muting import Rules, covering
from monitor.incidents.timeline import ending
from monitor.model import IncidentView, format_mac
from monitor.outbox.wording import duration
from monitor.state import ledger, sensor_list, silences
from monitor.state.database import reading
from monitor.state.sensors import Sensor
from monitor.web import forms
from monitor.web.auth.access import requires
from monitor.web.auth.principal import shown
from monitor.web.context import context
from monitor.web.errors import RequestRefused
from monitor.web.incidents import summary
from monitor.web.incidents.filters import KNOWN, SINCE, STATES, IncidentFilters
from monitor.web.responses import html

PAGE = 100
"""The number of incidents on one page."""

_NEIGHBOURS = 20


blueprint = Blueprint("incidents", __name__)


def list_page(status: int = 200, problem: str = "", wrong: str = "") -> Response:
    """The list; with a problem of its form, and the field at fault."""
    filters, now = IncidentFilters.read(), context().clock.now()
    before = forms.row_number(request.args.get("before", ""))
    with reading(context().engine) as connection:
        found = filters.cases(connection, PAGE + 1, now, before)
        cases = found[:PAGE]
        rules, silent = _quiet(connection, cases, now)
        total, known = ledger.open_ones(connection)
    held = covering(rules, silent, now)
    text = render_template(
        "incidents/incidents.html",
        rows=[(case, summary.lasted(case, now), held.get(case.mac)) for case in cases],
        filters=filters,
        states=STATES,
        sinces=SINCE,
        knowns=KNOWN,
        total=total,
        unknown=total - known,
        before=before,
        more=cases[-1].id if len(found) > PAGE else None,
        chosen_from=shown().may("operator") and filters.state != "past",
        **_shared(problem, wrong),
    )
    return html(text, status)


def incident_page(number: int, status: int = 200, problem: str = "", wrong: str = "") -> Response:
    """The page of an incident; with a problem of its form, and the field at fault."""
    now = context().clock.now()
    with reading(context().engine) as connection:
        case = ledger.find(connection, number)
        if case is None:
            raise RequestRefused(404, f"There is no incident {number}.")
        (facts,) = ledger.facts(connection, [case])
        count, others = ledger.neighbours(connection, number, _NEIGHBOURS)
        rules, silent = _quiet(connection, [case], now)
    held = covering(rules, silent, now)
    text = render_template(
        "incidents/incident.html",
        story=summary.story(facts, now),
        lasted=summary.lasted(case, now),
        held=held.get(case.mac),
        others=[(other, summary.lasted(other, now)) for other in others],
        count=count,
        threshold=duration(case.threshold),
        may_change=shown().may("operator"),
        **_shared(problem, wrong),
    )
    return html(text, status)


@blueprint.get("/incidents")
@requires("viewer")
def listed() -> Response:
    return list_page()


@blueprint.get("/incidents/<int:number>")
@requires("viewer")
def page(number: int) -> Response:
    return incident_page(number)


def _shared(problem: str, wrong: str) -> dict[str, Any]:
    """The values that both templates need."""
    return {"mac": format_mac, "ending": ending, "problem": problem, **summary.answering(wrong)}


def _quiet(
    connection: Connection, cases: list[IncidentView], now: int
) -> tuple[Rules, Collection[Sensor]]:
    """The arguments of `covering` for those of the incidents that are open."""
    silent = [case.mac for case in cases if case.closed_at is None]
    rules = silences.in_force(connection, now, now)
    return rules, sensor_list.of(connection, silent).values()
