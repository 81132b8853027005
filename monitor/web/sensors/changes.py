"""Changes to a sensor: name, site, labels and threshold; pause, resume and remove it."""

from collections.abc import Mapping
from typing import Any

from flask import g, redirect, render_template, request, url_for
from werkzeug.wrappers import Response

from monitor.errors import Invalid
from monitor.incidents import sensor_fields
from monitor.model import format_mac
from monitor.outbox.wording import duration
from monitor.services import sensors
from monitor.web.auth.access import requires
from monitor.web.context import context
from monitor.web.forms import mistake
from monitor.web.grid import cells
from monitor.web.responses import done, html
from monitor.web.sensors.page import blueprint, look


def _page(mac: str, status: int = 200, **shown: Any) -> Response:
    number, view = look(mac)
    row = sensors.find(context().engine, number)
    given = shown.pop("given", None) or {
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
        **shown,
    )
    return html(text, status)


@blueprint.get("/sensors/<mac>/edit")
@requires("operator")
def edit(mac: str) -> Response:
    return _page(mac)


@blueprint.post("/sensors/<mac>/edit")
@requires("operator")
def change(mac: str) -> Response:
    try:
        values = read(request.form)
    except Invalid as error:
        return _page(mac, 400, **mistake(error), given=request.form)
    return _change(mac, values, "saved")


@blueprint.post("/sensors/<mac>/<any(pause, resume):what>")
@requires("operator")
def pause(mac: str, what: str) -> Response:
    return _change(mac, {"paused": what == "pause"}, f"{what}d")


@blueprint.post("/sensors/<mac>/forget")
@requires("operator")
def forget(mac: str) -> Response:
    if request.form.get("sure") != "yes":
        return _page(mac, 400, problem="Select the checkbox to remove the sensor.")
    number, _view = look(mac)
    sensors.forget(context().engine, g.principal, number)
    return redirect("/", 303)


def _change(mac: str, values: Mapping[str, Any], what: str) -> Response:
    number, _view = look(mac)
    sensors.change(context().engine, g.principal, number, values)
    return done(f"Sensor {what}.", url_for("sensor.page", mac=format_mac(number)))


def read(form: Mapping[str, str]) -> dict[str, Any]:
    """Name, site, labels and threshold in a form; empty ones are None, {} for labels.

    Raises Invalid.
    """
    return {
        "name": sensor_fields.words("name", form.get("name", "")),
        "site": sensor_fields.words("site", form.get("site", "")),
        "threshold": sensor_fields.threshold(form.get("threshold", "")),
        "labels": sensor_fields.labels(form.get("labels", "").splitlines()),
    }
