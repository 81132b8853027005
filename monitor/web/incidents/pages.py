"""The pages of incidents: what is out, what was, and what became of it."""

from collections.abc import Collection
from typing import Any

from flask import Blueprint, render_template, request
from sqlalchemy import Connection, Engine
from werkzeug.wrappers import Response

from monitor.clock import Clock
from monitor.incidents.muting import Rules, covering
from monitor.incidents.timeline import answered_by, ending
from monitor.model import IncidentView, format_mac
from monitor.outbox.wording import duration
from monitor.state import ledger, sensor_list, silences
from monitor.state.database import reading
from monitor.state.sensors import Sensor
from monitor.web import forms
from monitor.web.auth.access import requires
from monitor.web.auth.login import html
from monitor.web.auth.people import shown
from monitor.web.errors import RequestRefused
from monitor.web.incidents import changes, summary
from monitor.web.incidents.filters import KNOWN, SINCE, STATES, IncidentFilters

PAGE = 100
"""Incidents on one page."""

_NEIGHBOURS = 20


def blueprint(engine: Engine, clock: Clock) -> Blueprint:
    """`/incidents`, `/incidents/<number>`, and what their forms do."""
    pages = Blueprint("incidents", __name__)

    def listing(status: int = 200, problem: str = "", wrong: str = "") -> Response:
        filters, now = IncidentFilters.read(), clock.now()
        before = forms.row_number(request.args.get("before", ""))
        with reading(engine) as connection:
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

    def one(number: int, status: int = 200, problem: str = "", wrong: str = "") -> Response:
        now = clock.now()
        with reading(engine) as connection:
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

    @pages.get("/incidents")
    @requires("viewer")
    def listed() -> Response:
        return listing()

    @pages.get("/incidents/<int:number>")
    @requires("viewer")
    def page(number: int) -> Response:
        return one(number)

    changes.add_to(pages, engine, clock, listing, one)
    return pages


def _shared(problem: str, wrong: str) -> dict[str, Any]:
    """What both templates need."""
    return {
        "mac": format_mac,
        "answered_by": answered_by,
        "ending": ending,
        "durations": changes.DURATIONS,
        "problem": problem,
        "wrong": wrong,
        "given": request.form,
    }


def _quiet(
    connection: Connection, cases: list[IncidentView], now: int
) -> tuple[Rules, Collection[Sensor]]:
    """What `covering` needs to know which of those still silent are held back."""
    silent = [case.mac for case in cases if case.closed_at is None]
    rules = silences.in_force(connection, now, now)
    return rules, sensor_list.of(connection, silent).values()
