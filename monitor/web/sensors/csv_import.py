"""The pages on which sensors are imported from a CSV file."""

import base64
import binascii
import zlib
from functools import wraps
from typing import Any

from flask import g, render_template, request, url_for
from werkzeug.wrappers import Response

from monitor.model import format_mac
from monitor.outbox.wording import counted, duration
from monitor.services import sensor_csv, sensor_import
from monitor.services.sensor_import import Preview
from monitor.web.auth.access import View, requires
from monitor.web.auth.administration import words
from monitor.web.context import context
from monitor.web.errors import RequestRefused
from monitor.web.responses import done, html
from monitor.web.sensors.table import blueprint

LARGEST = 8 * 1024 * 1024
"""The maximum size of a file in bytes; 10,000 sensors with long names and labels have 2 MB."""

MOST_SHOWN = 1_000
"""The maximum number of changes, or problems, on the page."""

_CHANGED = "Sensors have been changed in the meantime. These are the remaining changes."


def _large(view: View) -> View:
    """Allow a larger body than other views do. Place it above `requires`, which reads the form."""

    @wraps(view)
    def larger(*arguments: Any, **named: Any) -> Any:
        request.max_content_length = request.max_form_memory_size = LARGEST + 64 * 1024
        return view(*arguments, **named)

    return larger  # type: ignore[return-value]


def _page(status: int = 200, problem: str = "", pasted: str = "", **values: Any) -> Response:
    given = {"columns": sensor_csv.COLUMNS, "problem": problem, "pasted": pasted, **values}
    return html(render_template("sensors/csv_import.html", **given), status)


def _preview(text: str, found: Preview, status: int = 200, problem: str = "") -> Response:
    """The changes. The page contains the text too: another worker may handle the next request."""
    plan = found.plan
    shown = [
        (format_mac(mac), row and row.name, row is None, _changes(found, mac))
        for mac in list(plan.changes)[:MOST_SHOWN]
        for row in [found.known.get(mac)]
    ]
    return _page(
        status,
        problem,
        changes=shown,
        more=len(plan.changes) - len(shown),
        counts=found.counts,
        packed=_packed(text),
        mark=found.mark,
    )


@blueprint.get("/admin/sensors/import")
@requires("operator")
def importing() -> Response:
    return _page()


@blueprint.post("/admin/sensors/import")
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
        return _page(400, "The file is not UTF-8: save it as “CSV UTF-8”.", pasted)
    if not text.strip():
        return _page(400, "Choose a file, or paste its text.", pasted)
    found = sensor_import.preview(context().engine, text)
    return _problems(found, pasted) if found.plan.problems else _preview(text, found)


def _problems(found: Preview, pasted: str = "") -> Response:
    problems = found.plan.problems
    return _page(
        400,
        f"{counted(len(problems), 'problem')}. Nothing was changed.",
        pasted,
        problems=problems[:MOST_SHOWN],
        more=max(0, len(problems) - MOST_SHOWN),
    )


@blueprint.post("/admin/sensors/import/confirm")
@_large
@requires("operator")
def confirm() -> Response:
    text, mark = _unpacked(request.form.get("packed", "")), request.form.get("mark", "")
    imported = sensor_import.apply_as_shown(context().engine, g.principal, text, mark)
    if imported is None:
        found = sensor_import.preview(context().engine, text)
        return _problems(found) if found.plan.problems else _preview(text, found, 409, _CHANGED)
    if imported.plan.problems:
        return _problems(imported)
    count = counted(len(imported.plan.changes), "sensor")
    return done(f"{count} imported.", url_for("admin_sensors.listed"))


def _changes(found: Preview, mac: int) -> list[tuple[str, str]]:
    """(name, old and new value) of each change, as text."""
    detail = found.differences(mac)
    if "threshold" in detail:
        changed = detail["threshold"]
        detail["threshold"] = {end: ms and duration(ms) for end, ms in changed.items()}
    return words(detail)


def _packed(text: str) -> str:
    """Compressed, and without line ends, which a browser would change."""
    return base64.b64encode(zlib.compress(text.encode())).decode()


def _unpacked(packed: str) -> str:
    unpacking = zlib.decompressobj()
    try:
        content = unpacking.decompress(base64.b64decode(packed), LARGEST)
        text = content.decode()
    except (zlib.error, binascii.Error, ValueError):
        raise RequestRefused(400, "The preview is damaged. Import the file again.") from None
    if not unpacking.eof:
        raise RequestRefused(413, "The file is too large to import at once. Split it.")
    return text
