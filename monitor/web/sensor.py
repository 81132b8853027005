"""The page of one sensor: where the links in messages lead."""

from collections.abc import Callable
from datetime import tzinfo
from typing import NamedTuple

from flask import Blueprint, Response, render_template, request
from sqlalchemy import Engine

from monitor.analysis.evidence import UnknownSensor
from monitor.analysis.history import History
from monitor.incidents.account import ending, tell
from monitor.model import SECOND, format_mac, format_time, parse_mac
from monitor.outbox.wording import duration, long
from monitor.state import ledger, sensors
from monitor.state.database import reading
from monitor.state.ledger import Facts
from monitor.store.interface import StoreUnavailable
from monitor.web import pages, sensor_changes, shares, wire
from monitor.web.auth.people import shown
from monitor.web.errors import Refused
from monitor.web.fleet import Changes, Fleet

_INCIDENTS = 10
_MOST_INCIDENTS = 200


class _Moment(NamedTuple):
    """A moment for machines and for people."""

    iso: str
    text: str


class _Line(NamedTuple):
    """One line of a ledger."""

    time: _Moment
    channel: str
    text: str


class _Incident(NamedTuple):
    """One outage with its ledger, as text."""

    id: int
    open: bool
    since: _Moment
    summary: str
    """What follows the moment since when it was silent."""
    ledger: list[_Line]


def blueprint(
    engine: Engine, open_fleet: Callable[[], Fleet], past: History, zone: tzinfo
) -> Blueprint:
    """`GET /sensors/<mac>`, what keeps it fresh, `/sensors/<mac>/now`, and its changes; moments by
    the clocks of `zone`."""
    sensor_pages = Blueprint("sensor", __name__)

    def look(mac: str) -> tuple[int, Changes]:
        number = _address(mac)
        view = open_fleet().one(number)
        if not view.entries:
            raise Refused(404, f"{format_mac(number)} has never reported here.")
        return number, view

    @sensor_pages.get("/sensors/<mac>")
    def page(mac: str) -> Response:
        number, view = look(mac)
        (entry,) = view.entries
        most = min(request.args.get("outages", _INCIDENTS, int), _MOST_INCIDENTS)
        with reading(engine) as connection:
            row = sensors.find(connection, number)
            if row is not None:  # the fleet's copy may be older than what was just changed
                threshold = row.threshold or entry.threshold
                entry = entry._replace(name=row.name, site=row.site, threshold=threshold)
            cases = ledger.cases(connection, max(most, 1) + 1, mac=number)
            facts = ledger.facts(connection, cases[:-1] if len(cases) > most else cases)
        uptime = _uptime(past, number)
        response = Response(
            render_template(
                "sensor.html",
                cell=pages.cell(entry, view.now),
                meanings=pages.WORST_FIRST,
                problem=pages.problem(view),
                now=_moment(view.now, zone),
                last_seen=None if entry.last_seen is None else _moment(entry.last_seen, zone),
                threshold=duration(entry.threshold),
                threshold_seconds=entry.threshold / SECOND,
                labels=sorted((row.labels if row else {}).items()),
                uptime=uptime,
                is_new=uptime == [],
                incidents=[_incident(fact, view.now, zone) for fact in facts],
                may_change=shown().may("operator"),
                more=min(most * 4, _MOST_INCIDENTS) if len(cases) > most else None,
            ),
            content_type="text/html; charset=utf-8",
        )
        response.cache_control.no_cache = True
        return response

    @sensor_pages.get("/sensors/<mac>/now")
    def now(mac: str) -> Response:
        _number, view = look(mac)
        response = Response(wire.encode(view), content_type="application/json")
        response.cache_control.no_cache = True
        return response

    sensor_changes.add_to(sensor_pages, engine, look)
    return sensor_pages


def _address(text: str) -> int:
    try:
        return parse_mac(text)
    except ValueError as error:
        raise Refused(404, f"{error}.") from error


def _uptime(past: History, mac: int) -> list[shares.Line] | None:
    """None while the past can't be read; empty for a sensor too new to have one."""
    try:
        return shares.lines(past.uptimes(mac))
    except UnknownSensor:
        return []
    except StoreUnavailable:
        return None


def _moment(moment: int, zone: tzinfo) -> _Moment:
    return _Moment(format_time(moment), long(moment, zone))


def _incident(facts: Facts, now: int, zone: tzinfo) -> _Incident:
    case = facts.case
    if case.closed_at is None:
        lasted = f", for {duration(max(now - case.last_seen, 0))} so far"
        by = f", acknowledged by {case.acknowledged_by or 'somebody'}"
        summary = lasted + (by if case.acknowledged_at is not None else "")
    else:
        lasted = duration(max((case.recovered_at or case.closed_at) - case.last_seen, 0))
        summary = f", for {lasted}; {ending(case)}"
    lines = [
        _Line(_moment(entry.at, zone), entry.channel or "", entry.text)
        for entry in tell(facts, now, zone)
    ]
    return _Incident(case.id, case.closed_at is None, _moment(case.last_seen, zone), summary, lines)
