"""The page of one sensor: where the links in messages lead."""

from collections.abc import Callable

from flask import Blueprint, Response, render_template, request
from sqlalchemy import Engine

from monitor.analysis.evidence import UnknownSensor
from monitor.analysis.history import History
from monitor.model import SECOND, format_mac, parse_mac
from monitor.outbox.wording import duration
from monitor.state import ledger, sensors
from monitor.state.database import reading
from monitor.store.interface import StoreUnavailable
from monitor.web.auth.people import shown
from monitor.web.errors import RequestRefused
from monitor.web.grid import cells, sensors_json
from monitor.web.grid.fleet import Fleet, FleetChanges
from monitor.web.incidents.summary import story
from monitor.web.sensors import changes, uptime_bars

_INCIDENTS = 10
_MOST_INCIDENTS = 200


def blueprint(engine: Engine, open_fleet: Callable[[], Fleet], past: History) -> Blueprint:
    """`GET /sensors/<mac>`, what keeps it fresh, `/sensors/<mac>/now`, and its changes."""
    sensor_pages = Blueprint("sensor", __name__)

    def look(mac: str) -> tuple[int, FleetChanges]:
        number = _address(mac)
        view = open_fleet().one(number)
        if not view.entries:
            raise RequestRefused(404, f"{format_mac(number)} has never reported here.")
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
                "sensors/sensor.html",
                cell=cells.cell(entry, view.now),
                meanings=cells.WORST_FIRST,
                problem=cells.explained(view),
                now=view.now,
                last_seen=entry.last_seen,
                threshold=duration(entry.threshold),
                threshold_seconds=entry.threshold / SECOND,
                labels=sorted((row.labels if row else {}).items()),
                uptime=uptime,
                is_new=uptime == [],
                stories=[story(fact, view.now) for fact in facts],
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
        response = Response(sensors_json.encode(view), content_type="application/json")
        response.cache_control.no_cache = True
        return response

    changes.add_to(sensor_pages, engine, look)
    return sensor_pages


def _address(text: str) -> int:
    try:
        return parse_mac(text)
    except ValueError as error:
        raise RequestRefused(404, f"{error}.") from error


def _uptime(past: History, mac: int) -> list[uptime_bars.UptimeLine] | None:
    """None while the past can't be read; empty for a sensor too new to have one."""
    try:
        return uptime_bars.lines(past.uptimes(mac))
    except UnknownSensor:
        return []
    except StoreUnavailable:
        return None
