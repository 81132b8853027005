"""Changing one sensor: name, site, labels, threshold; pausing it; forgetting it."""

from collections.abc import Callable, Mapping
from typing import Any

from flask import Blueprint, flash, g, redirect, render_template, request, url_for
from sqlalchemy import Connection, Engine
from werkzeug.wrappers import Response

from monitor.incidents import sensor_fields
from monitor.model import format_mac
from monitor.outbox.wording import duration
from monitor.state import audit, sensors
from monitor.state.database import reading, writing
from monitor.state.sensors import Sensor
from monitor.web.auth.access import requires
from monitor.web.auth.login import html
from monitor.web.grid import cells
from monitor.web.grid.fleet import FleetChanges

_CHANGED = ("name", "site", "labels", "threshold", "paused")


def add_to(
    sensor_pages: Blueprint, engine: Engine, look: Callable[[str], tuple[int, FleetChanges]]
) -> None:
    """`/sensors/<mac>/edit` and what its forms send; `look` finds the sensor or raises Refused."""

    def page(mac: str, status: int = 200, **told: Any) -> Response:
        number, view = look(mac)
        with reading(engine) as connection:
            row = sensors.find(connection, number)
        given = told.pop("given", None) or {
            "name": (row and row.name) or "",
            "site": (row and row.site) or "",
            "threshold": sensor_fields.written(row.threshold) if row else "",
            "labels": "\n".join(
                f"{name}={value}" for name, value in sorted((row.labels if row else {}).items())
            ),
        }
        text = render_template(
            "sensors/edit.html",
            cell=cells.cell(view.entries[0], view.now),
            threshold=duration(view.entries[0].threshold),
            paused=bool(row and row.paused),
            given=given,
            **told,
        )
        return html(text, status)

    @sensor_pages.get("/sensors/<mac>/edit")
    @requires("operator")
    def edit(mac: str) -> Response:
        return page(mac)

    @sensor_pages.post("/sensors/<mac>/edit")
    @requires("operator")
    def change(mac: str) -> Response:
        try:
            values = read(request.form)
        except ValueError as error:
            return page(mac, 400, problem=f"{error}.", given=request.form)
        return _set(mac, values, "is changed")

    @sensor_pages.post("/sensors/<mac>/<any(pause, resume):what>")
    @requires("operator")
    def pause(mac: str, what: str) -> Response:
        return _set(mac, {"paused": what == "pause"}, f"is {what}d")

    @sensor_pages.post("/sensors/<mac>/forget")
    @requires("operator")
    def forget(mac: str) -> Response:
        if request.form.get("sure") != "yes":
            return page(mac, 400, problem="Select the checkbox to remove the sensor.")
        number, view = look(mac)
        with writing(engine) as connection:
            sensors.forget(connection, number, sensors.next_version(connection))
            detail = {"name": view.entries[0].name, "site": view.entries[0].site}
            audit.record(connection, g.principal, "sensor forgotten", format_mac(number), detail)
        return redirect("/", 303)

    def _set(mac: str, values: Mapping[str, Any], said: str) -> Response:
        number, _view = look(mac)
        with writing(engine) as connection:
            version = sensors.next_version(connection)
            old = _shown(connection, number)
            sensors.configure(connection, number, version, **values)
            detail = audit.differences(old, _shown(connection, number))
            if detail:
                audit.record(connection, g.principal, "sensor changed", format_mac(number), detail)
        flash(f"This sensor {said}.")
        return redirect(url_for("sensor.page", mac=format_mac(number)), 303)


def _shown(connection: Connection, mac: int) -> dict[str, Any]:
    row: Sensor | None = sensors.find(connection, mac)
    return {name: getattr(row, name) for name in _CHANGED} if row else {}


def read(form: Mapping[str, str]) -> dict[str, Any]:
    """Name, site, labels and threshold as a form has them; empty ones are None, {} for labels.

    Raises ValueError with a sentence.
    """
    return {
        "name": sensor_fields.words("name", form.get("name", "")),
        "site": sensor_fields.words("site", form.get("site", "")),
        "threshold": sensor_fields.threshold(form.get("threshold", "")),
        "labels": sensor_fields.labels(form.get("labels", "").splitlines()),
    }
