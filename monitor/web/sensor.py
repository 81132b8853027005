"""The page of one sensor: where the links in messages lead."""

from collections.abc import Callable
from datetime import tzinfo
from typing import NamedTuple

from flask import Blueprint, Response, render_template
from sqlalchemy import Engine

from monitor.incidents.account import ending, tell
from monitor.model import format_mac, parse_mac
from monitor.outbox.wording import duration, long
from monitor.state import ledger, sensors
from monitor.state.database import reading
from monitor.state.ledger import Facts
from monitor.web import pages
from monitor.web.errors import Refused
from monitor.web.fleet import Fleet

_INCIDENTS = 10


class _Line(NamedTuple):
    """One line of a ledger."""

    time: str
    channel: str
    text: str


class _Incident(NamedTuple):
    """One outage with its ledger, as text."""

    open: bool
    summary: str
    ledger: list[_Line]


def blueprint(engine: Engine, open_fleet: Callable[[], Fleet], zone: tzinfo) -> Blueprint:
    """`GET /sensors/<mac>`; moments by the clocks of `zone`."""
    sensor_pages = Blueprint("sensor", __name__)

    @sensor_pages.get("/sensors/<mac>")
    def page(mac: str) -> Response:
        number = _address(mac)
        view = open_fleet().one(number)
        if not view.entries:
            raise Refused(404, f"{format_mac(number)} has never reported here.")
        (entry,) = view.entries
        with reading(engine) as connection:
            row = sensors.find(connection, number)
            cases = ledger.cases(connection, _INCIDENTS, mac=number)
            facts = ledger.facts(connection, cases)
        response = Response(
            render_template(
                "sensor.html",
                cell=pages.cell(entry, view.now),
                meaning=pages.WORST_FIRST[entry.status],
                problem=pages.problem(view),
                now=long(view.now, zone),
                last_seen=None if entry.last_seen is None else long(entry.last_seen, zone),
                threshold=duration(entry.threshold),
                labels=sorted((row.labels if row else {}).items()),
                incidents=[_incident(fact, view.now, zone) for fact in facts],
            ),
            content_type="text/html; charset=utf-8",
        )
        response.cache_control.no_cache = True
        return response

    return sensor_pages


def _address(text: str) -> int:
    try:
        return parse_mac(text)
    except ValueError as error:
        raise Refused(404, f"{error}.") from error


def _incident(facts: Facts, now: int, zone: tzinfo) -> _Incident:
    case = facts.case
    silent = f"Silent since {long(case.last_seen, zone)}"
    if case.closed_at is None:
        by = f", acknowledged by {case.acknowledged_by or 'somebody'}"
        summary = silent + (by if case.acknowledged_at is not None else "")
    else:
        lasted = duration(max((case.recovered_at or case.closed_at) - case.last_seen, 0))
        summary = f"{silent}, for {lasted}; {ending(case)}"
    lines = [
        _Line(long(entry.at, zone), entry.channel or "", entry.text)
        for entry in tell(facts, now, zone)
    ]
    return _Incident(case.closed_at is None, summary, lines)
