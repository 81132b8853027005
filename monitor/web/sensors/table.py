"""Administering sensors in bulk."""

from collections.abc import Mapping, Sequence
from typing import Any

from flask import Blueprint, flash, g, redirect, render_template, request, url_for
from sqlalchemy import Engine
from werkzeug.wrappers import Response

from monitor.model import format_mac, parse_mac
from monitor.outbox.wording import duration, number
from monitor.state import sensor_list, sensors
from monitor.state.database import reading, writing
from monitor.state.sensors import Sensor
from monitor.web import forms
from monitor.web.auth.access import requires
from monitor.web.auth.login import html
from monitor.web.sensors import bulk, csv_format, csv_import

PAGE = 100
"""Sensors on one page."""


def blueprint(engine: Engine) -> Blueprint:
    """`/admin/sensors`, `/admin/sensors.csv` and `/admin/sensors/import`."""
    administration = Blueprint("admin_sensors", __name__)
    csv_import.add_to(administration, engine)

    def page(
        status: int = 200,
        problem: str = "",
        wrong: str = "",
        given: Mapping[str, str] | None = None,
        ticked: Sequence[str] = (),
    ) -> Response:
        text, asked = request.values.get("q", "").strip(), request.values.get("page", "")
        with reading(engine) as connection:
            found = sensor_list.count(connection, text)
        pages = max(1, -(-found // PAGE))
        current = min(int(asked), pages) if asked.isdecimal() and len(asked) < 9 else 1
        current = max(current, 1)
        first = (current - 1) * PAGE
        with reading(engine) as connection:  # another transaction: each of them scans the sensors
            rows = sensor_list.page(connection, text, PAGE, first)
        shown = render_template(
            "sensors/table.html",
            rows=[_shown(row) for row in rows],
            query=text,
            found=found,
            first=first + 1,
            page=current,
            pages=pages,
            actions=bulk.ACTIONS,
            problem=problem,
            wrong=wrong,
            given=given or {},
            ticked=ticked,
        )
        return html(shown, status)

    @administration.get("/admin/sensors")
    @requires("operator")
    def listed() -> Response:
        return page()

    @administration.post("/admin/sensors")
    @requires("operator")
    def change() -> Response:
        action, text = forms.typed("action"), forms.typed("value")
        ticked, everything = request.form.getlist("mac"), forms.typed("all") == "yes"
        try:
            wanted = bulk.wanted(action, text)
        except ValueError as error:
            return page(400, f"{error}.", "value", request.form, ticked)
        macs = _macs(ticked)
        if not (macs or everything):
            return page(400, "Select at least one sensor.", "mac", request.form)
        with writing(engine) as connection:
            version = sensors.next_version(connection)
            if everything:
                known = {r.mac: r for r in sensor_list.found(connection, forms.typed("q"))}
            else:
                known = sensor_list.of(connection, macs)
            there = [row for row in known.values() if row.forgotten_at is None]
            changes = bulk.differing(there, wanted)
            if changes:
                told = {"done": bulk.ACTIONS[action], "to": text.strip()}
                detail = {name: value for name, value in told.items() if value}
                bulk.apply(
                    connection, g.principal, "sensors changed", known, changes, version, detail
                )
        same = len(there) - len(changes)
        others = f", {number(same)} unchanged" if same else ""
        flash(f"{bulk.counted(len(changes))} changed{others}.")
        query, current = forms.typed("q") or None, forms.typed("page") or None
        return redirect(url_for("admin_sensors.listed", q=query, page=current), 303)

    @administration.get("/admin/sensors.csv")
    @requires("operator")
    def export() -> Response:
        lines = (line.encode() for line in csv_format.write(sensor_list.every(engine)))
        answer = Response(lines, content_type="text/csv; charset=utf-8")
        answer.headers["Content-Disposition"] = 'attachment; filename="sensors.csv"'
        answer.cache_control.no_store = True
        return answer

    return administration


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
    """Of those that are addresses."""
    found = set()
    for text in texts:
        try:
            found.add(parse_mac(text))
        except ValueError:
            continue
    return found
