"""The table of all sensors, in which operators change many at once."""

from collections.abc import Mapping, Sequence
from typing import Any

from flask import Blueprint, g, render_template, request, url_for
from werkzeug.wrappers import Response

from monitor.errors import Invalid
from monitor.model import format_mac, parse_mac
from monitor.outbox.wording import counted, duration, number
from monitor.services import sensor_csv, sensors
from monitor.state import sensor_list
from monitor.state.database import reading
from monitor.state.sensors import Sensor
from monitor.web import forms
from monitor.web.auth.access import requires
from monitor.web.context import context
from monitor.web.responses import done, html

PAGE = 100
"""The number of sensors on one page."""

_FIELDS = {"mac": "Sensors"}
"""Titles of fields in error messages."""


blueprint = Blueprint("admin_sensors", __name__)


def _page(
    status: int = 200,
    problem: str = "",
    wrong: str = "",
    given: Mapping[str, str] | None = None,
    ticked: Sequence[str] = (),
) -> Response:
    text, asked = request.values.get("q", "").strip(), request.values.get("page", "")
    with reading(context().engine) as connection:
        found = sensor_list.count(connection, text)
    pages = max(1, -(-found // PAGE))
    current = min(int(asked), pages) if asked.isdecimal() and len(asked) < 9 else 1
    current = max(current, 1)
    first = (current - 1) * PAGE
    # In another transaction, because each query scans all sensors.
    with reading(context().engine) as connection:
        rows = sensor_list.page(connection, text, PAGE, first)
    shown = render_template(
        "sensors/table.html",
        rows=[_shown(row) for row in rows],
        query=text,
        found=found,
        first=first + 1,
        page=current,
        pages=pages,
        actions=sensors.ACTIONS,
        problem=problem,
        wrong=wrong,
        given=given or {},
        ticked=ticked,
    )
    return html(shown, status)


@blueprint.get("/admin/sensors")
@requires("operator")
def listed() -> Response:
    return _page()


@blueprint.post("/admin/sensors")
@requires("operator")
def change() -> Response:
    action, text = forms.typed("action"), forms.typed("value")
    ticked = request.form.getlist("mac")
    macs = None if forms.typed("all") == "yes" else _macs(ticked)
    try:
        result = sensors.change_many(
            context().engine, g.principal, action, text, macs, forms.typed("q")
        )
    except Invalid as error:
        field = error.field if error.field == "mac" else "value"
        problem = forms.mistake(error, _FIELDS)["problem"]
        return _page(400, problem, field, request.form, ticked)
    others = f", {number(result.unchanged)} unchanged" if result.unchanged else ""
    query, current = forms.typed("q") or None, forms.typed("page") or None
    return done(
        f"{counted(result.changed, 'sensor')} changed{others}.",
        url_for("admin_sensors.listed", q=query, page=current),
    )


@blueprint.get("/admin/sensors.csv")
@requires("operator")
def export() -> Response:
    lines = (line.encode() for line in sensor_csv.write(sensor_list.every(context().engine)))
    response = Response(lines, content_type="text/csv; charset=utf-8")
    response.headers["Content-Disposition"] = 'attachment; filename="sensors.csv"'
    response.cache_control.no_store = True
    return response


def _shown(row: Sensor) -> dict[str, Any]:
    return {
        "mac": format_mac(row.mac),
        "name": row.name,
        "site": row.site,
        "threshold": duration(row.threshold) if row.threshold is not None else None,
        "labels": [f"{name}={value}" for name, value in sorted(row.labels.items())],
        "paused": row.paused,
    }


def _macs(texts: Sequence[str]) -> set[int]:
    """Those of the texts that are MAC addresses."""
    found = set()
    for text in texts:
        try:
            found.add(parse_mac(text))
        except ValueError:
            continue
    return found
