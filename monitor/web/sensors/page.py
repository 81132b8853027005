"""The page of a sensor: its status, uptime, history and incidents."""

from flask import Blueprint, Response, render_template, request

from monitor.analysis.evidence import UnknownSensor
from monitor.incidents.muting import covering
from monitor.model import SECOND, format_mac, parse_mac
from monitor.outbox.wording import duration, long
from monitor.refusal import REASONS
from monitor.state import ledger, refusals, sensors, silences
from monitor.state.database import reading
from monitor.store.interface import StoreUnavailable
from monitor.web.auth.principal import shown
from monitor.web.context import context
from monitor.web.errors import RequestRefused
from monitor.web.grid import cells, sensors_json
from monitor.web.grid.fleet import FleetChanges
from monitor.web.incidents.summary import answering, story
from monitor.web.responses import HTML, fresh
from monitor.web.sensors import uptime_bars

_INCIDENTS = 10
_MOST_INCIDENTS = 200


blueprint = Blueprint("sensor", __name__)


def look(mac: str) -> tuple[int, FleetChanges]:
    """(MAC address, the sensor as the fleet has it). Raises RequestRefused."""
    number = _address(mac)
    view = context().fleet().one(number)
    if not view.entries:
        raise RequestRefused(404, f"{format_mac(number)} {_absence(number)}.")
    return number, view


def sensor_page(mac: str, status: int = 200, mistake: str = "", wrong: str = "") -> Response:
    """The page; with a mistake in its form, and the field at fault."""
    number, view = look(mac)
    (entry,) = view.entries
    most = min(request.args.get("outages", _INCIDENTS, int), _MOST_INCIDENTS)
    with reading(context().engine) as connection:
        row = sensors.find(connection, number)
        if row is not None:  # the fleet's copy may be older than what was just changed
            threshold = row.threshold or entry.threshold
            entry = entry._replace(name=row.name, site=row.site, threshold=threshold)
        last_refused = refusals.last(connection, number)
        cases = ledger.cases(connection, max(most, 1) + 1, mac=number)
        facts = ledger.facts(connection, cases[:-1] if len(cases) > most else cases)
        rules = silences.in_force(connection, view.now, view.now)
    held = covering(rules, [row], view.now).get(number) if row else None
    stories = [story(fact, view.now) for fact in facts]
    uptime = _uptime(number)
    text = render_template(
        "sensors/sensor.html",
        cell=cells.cell(entry, view.now),
        meanings=cells.WORST_FIRST,
        problem=cells.explained(view),
        now=view.now,
        last_seen=entry.last_seen,
        refused=last_refused,
        refused_for=REASONS[last_refused.reason] if last_refused else None,
        threshold=duration(entry.threshold),
        threshold_seconds=entry.threshold / SECOND,
        labels=sorted((row.labels if row else {}).items()),
        uptime=uptime,
        is_new=uptime == [],
        stories=stories,
        down=next((one for one in stories if one.case.closed_at is None), None),
        held=held,
        may_change=shown().may("operator"),
        more=min(most * 4, _MOST_INCIDENTS) if len(cases) > most else None,
        mistake=mistake,
        **answering(wrong),
    )
    response = fresh(text, HTML)
    response.status_code = status
    return response


@blueprint.get("/sensors/<mac>")
def page(mac: str) -> Response:
    return sensor_page(mac)


@blueprint.get("/sensors/<mac>/now")
def now(mac: str) -> Response:
    _number, view = look(mac)
    return fresh(sensors_json.encode(view), "application/json")


def _absence(mac: int) -> str:
    """Why the fleet does not have this sensor."""
    with reading(context().engine) as connection:
        row = sensors.find(connection, mac)
    if row is None or row.forgotten_at is None:
        return "has never reported here"
    removed = long(row.forgotten_at, context().zone)
    return f"was removed on {removed} and has not reported since"


def _address(text: str) -> int:
    try:
        return parse_mac(text)
    except ValueError as error:
        raise RequestRefused(404, f"{error}.") from error


def _uptime(mac: int) -> list[uptime_bars.UptimeLine] | None:
    """None while the store can't be read; empty for a sensor without any history."""
    try:
        return uptime_bars.lines(context().history.uptimes(mac))
    except UnknownSensor:
        return []
    except StoreUnavailable:
        return None
