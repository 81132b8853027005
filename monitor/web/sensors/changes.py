"""Changing one sensor: name, site, labels, threshold; pausing it; forgetting it."""

from collections.abc import Callable, Mapping
from typing import Any

from flask import Blueprint, flash, g, redirect, render_template, request, url_for
from sqlalchemy import Engine
from werkzeug.wrappers import Response

from monitor.errors import Invalid
from monitor.incidents import sensor_fields
from monitor.model import format_mac
from monitor.outbox.wording import duration
from monitor.services import sensors
from monitor.web.auth.access import requires
from monitor.web.auth.login import html
from monitor.web.forms import mistake
from monitor.web.grid import cells
from monitor.web.grid.fleet import FleetChanges


def add_to(
    sensor_pages: Blueprint, engine: Engine, look: Callable[[str], tuple[int, FleetChanges]]
) -> None:
    """`/sensors/<mac>/edit` and what its forms send; `look` finds the sensor or raises Refused."""

    def page(mac: str, status: int = 200, **told: Any) -> Response:
        number, view = look(mac)
        row = sensors.find(engine, number)
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
        except Invalid as error:
            return page(mac, 400, **mistake(error), given=request.form)
        return _set(mac, values, "saved")

    @sensor_pages.post("/sensors/<mac>/<any(pause, resume):what>")
    @requires("operator")
    def pause(mac: str, what: str) -> Response:
        return _set(mac, {"paused": what == "pause"}, f"{what}d")

    @sensor_pages.post("/sensors/<mac>/forget")
    @requires("operator")
    def forget(mac: str) -> Response:
        if request.form.get("sure") != "yes":
            return page(mac, 400, problem="Select the checkbox to remove the sensor.")
        number, _view = look(mac)
        sensors.forget(engine, g.principal, number)
        return redirect("/", 303)

    def _set(mac: str, values: Mapping[str, Any], said: str) -> Response:
        number, _view = look(mac)
        sensors.change(engine, g.principal, number, values)
        flash(f"Sensor {said}.")
        return redirect(url_for("sensor.page", mac=format_mac(number)), 303)


def read(form: Mapping[str, str]) -> dict[str, Any]:
    """Name, site, labels and threshold as a form has them; empty ones are None, {} for labels.

    Raises Invalid.
    """
    return {
        "name": sensor_fields.words("name", form.get("name", "")),
        "site": sensor_fields.words("site", form.get("site", "")),
        "threshold": sensor_fields.threshold(form.get("threshold", "")),
        "labels": sensor_fields.labels(form.get("labels", "").splitlines()),
    }
