"""The pages on which sensors are imported from a CSV file."""

import base64
import binascii
import zlib
from functools import wraps
from typing import Any

from flask import Blueprint, flash, g, redirect, render_template, request, url_for
from sqlalchemy import Engine
from werkzeug.wrappers import Response

from monitor.model import format_mac
from monitor.outbox.wording import counted, duration
from monitor.services import sensor_csv, sensor_import
from monitor.services.sensor_import import Preview
from monitor.web.auth.access import View, requires
from monitor.web.auth.administration import words
from monitor.web.auth.login import html
from monitor.web.errors import RequestRefused

LARGEST = 8 * 1024 * 1024
"""Bytes of a file; 10,000 sensors with long names and labels are some 2 MB."""

MOST_SHOWN = 1_000
"""Changes, and problems, on the page; the rest is counted."""

_CHANGED = "Sensors have been changed in the meantime. These are the remaining changes."


def add_to(administration: Blueprint, engine: Engine) -> None:
    """`/admin/sensors/import`."""

    def page(status: int = 200, problem: str = "", pasted: str = "", **told: Any) -> Response:
        given = {"columns": sensor_csv.COLUMNS, "problem": problem, "pasted": pasted, **told}
        return html(render_template("sensors/csv_import.html", **given), status)

    def preview(text: str, found: Preview, status: int = 200, problem: str = "") -> Response:
        """What it would change; the page itself keeps the text, for whichever worker is next."""
        plan = found.plan
        shown = [
            (format_mac(mac), row and row.name, row is None, _told(found, mac))
            for mac in list(plan.changes)[:MOST_SHOWN]
            for row in [found.known.get(mac)]
        ]
        return page(
            status,
            problem,
            changes=shown,
            more=len(plan.changes) - len(shown),
            counts=found.counts,
            packed=_packed(text),
            mark=found.mark,
        )

    @administration.get("/admin/sensors/import")
    @requires("operator")
    def importing() -> Response:
        return page()

    @administration.post("/admin/sensors/import")
    @_large
    @requires("operator")
    def look() -> Response:
        pasted, content = request.form.get("text", ""), b""
        if sent := request.files.get("file"):
            with sent.stream as stream:
                content = stream.read()
        try:
            text = content.decode("utf-8-sig") if content else pasted
        except UnicodeDecodeError:
            return page(400, "The file is not UTF-8: save it as “CSV UTF-8”.", pasted)
        if not text.strip():
            return page(400, "Choose a file, or paste its text.", pasted)
        found = sensor_import.preview(engine, text)
        return bad(found, pasted) if found.plan.problems else preview(text, found)

    def bad(found: Preview, pasted: str = "") -> Response:
        problems = found.plan.problems
        return page(
            400,
            f"{counted(len(problems), 'problem')}. Nothing was changed.",
            pasted,
            problems=problems[:MOST_SHOWN],
            more=max(0, len(problems) - MOST_SHOWN),
        )

    @administration.post("/admin/sensors/import/confirm")
    @_large
    @requires("operator")
    def confirm() -> Response:
        text, mark = _unpacked(request.form.get("packed", "")), request.form.get("mark", "")
        imported = sensor_import.apply_as_shown(engine, g.principal, text, mark)
        if imported is None:
            found = sensor_import.preview(engine, text)
            return bad(found) if found.plan.problems else preview(text, found, 409, _CHANGED)
        if imported.plan.problems:
            return bad(imported)
        flash(f"{counted(len(imported.plan.changes), 'sensor')} imported.")
        return redirect(url_for("admin_sensors.listed"), 303)


def _told(found: Preview, mac: int) -> list[tuple[str, str]]:
    """(what, from what to what) for people."""
    detail = found.differences(mac)
    if "threshold" in detail:
        changed = detail["threshold"]
        detail["threshold"] = {end: ms and duration(ms) for end, ms in changed.items()}
    return words(detail)


def _large(view: View) -> View:
    """Let the view be sent more than others: before anybody reads its form."""

    @wraps(view)
    def larger(*arguments: Any, **named: Any) -> Any:
        request.max_content_length = request.max_form_memory_size = LARGEST + 64 * 1024
        return view(*arguments, **named)

    return larger  # type: ignore[return-value]


def _packed(text: str) -> str:
    """Small, and without line ends, which a browser would change."""
    return base64.b64encode(zlib.compress(text.encode())).decode()


def _unpacked(packed: str) -> str:
    unpacking = zlib.decompressobj()
    try:
        content = unpacking.decompress(base64.b64decode(packed), LARGEST)
        text = content.decode()
    except (zlib.error, binascii.Error, ValueError):
        raise RequestRefused(400, "The preview has changed. Import the file again.") from None
    if not unpacking.eof:
        raise RequestRefused(413, "The file is too large to import at once.")
    return text
