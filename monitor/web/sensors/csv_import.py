"""Importing sensors: a file is read, what it would change is shown, and then it is done."""

import base64
import binascii
import hashlib
import zlib
from collections.abc import Mapping, Sequence
from functools import wraps
from typing import Any, NamedTuple

from flask import Blueprint, flash, g, redirect, render_template, request, url_for
from sqlalchemy import Connection, Engine
from werkzeug.wrappers import Response

from monitor.model import format_mac
from monitor.outbox.wording import duration, number
from monitor.state import sensor_list, sensors
from monitor.state.database import reading, writing
from monitor.state.sensors import Sensor
from monitor.web.auth.access import View, requires
from monitor.web.auth.administration import words
from monitor.web.auth.login import html
from monitor.web.errors import RequestRefused
from monitor.web.sensors import bulk, csv_format
from monitor.web.sensors.csv_format import CsvLine, LineProblem, Plan

LARGEST = 8 * 1024 * 1024
"""Bytes of a file; 10,000 sensors with long names and labels are some 2 MB."""

MOST_SHOWN = 1_000
"""Changes, and problems, on the page; the rest is counted."""


class Checked(NamedTuple):
    """What a file would change, and of which sensors as they are."""

    plan: Plan
    known: Mapping[int, Sensor]

    @property
    def new(self) -> int:
        """How many are registered by it, or come back."""
        rows = map(self.known.get, self.plan.changes)
        return sum(row is None or row.forgotten_at is not None for row in rows)

    @property
    def counts(self) -> dict[str, int]:
        """For the audit trail."""
        changed = len(self.plan.changes)
        return {
            "lines": self.plan.lines,
            "changed": changed - self.new,
            "new": self.new,
            "unchanged": self.plan.lines - changed,
        }

    @property
    def mark(self) -> str:
        """Another one whenever anything else would be done."""
        told = [(mac, _differences(self, mac)) for mac in sorted(self.plan.changes)]
        return hashlib.sha256(repr(told).encode()).hexdigest()


def add_to(administration: Blueprint, engine: Engine) -> None:
    """`/admin/sensors/import`."""

    def page(status: int = 200, problem: str = "", pasted: str = "", **told: Any) -> Response:
        given = {"columns": csv_format.COLUMNS, "problem": problem, "pasted": pasted, **told}
        return html(render_template("sensors/csv_import.html", **given), status)

    def preview(text: str, checked: Checked, status: int = 200, problem: str = "") -> Response:
        """What it would change; the page itself keeps the text, for whichever worker is next."""
        plan = checked.plan
        shown = [
            (format_mac(mac), row and row.name, row is None, _told(checked, mac))
            for mac in list(plan.changes)[:MOST_SHOWN]
            for row in [checked.known.get(mac)]
        ]
        return page(
            status,
            problem,
            changes=shown,
            more=len(plan.changes) - len(shown),
            counts=checked.counts,
            packed=_packed(text),
            mark=checked.mark,
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
        lines, problems = csv_format.read(text)
        checked, _newest = _checked(engine, lines, problems)
        if checked.plan.problems:
            return bad(checked, pasted)
        return preview(text, checked)

    def bad(checked: Checked, pasted: str = "") -> Response:
        problems = checked.plan.problems
        some = f"{number(len(problems))} thing{' is' if len(problems) == 1 else 's are'} wrong"
        return page(
            400,
            f"{some}, and nothing was changed.",
            pasted,
            problems=problems[:MOST_SHOWN],
            more=max(0, len(problems) - MOST_SHOWN),
        )

    @administration.post("/admin/sensors/import/confirm")
    @_large
    @requires("operator")
    def confirm() -> Response:
        text, mark = _unpacked(request.form.get("packed", "")), request.form.get("mark")
        lines, problems = csv_format.read(text)
        checked, newest = _checked(engine, lines, problems)
        as_shown = checked.mark == mark
        with writing(engine) as connection:
            version = sensors.next_version(connection)
            if sensors.newest_change(connection) != newest:  # another changed sensors meanwhile
                checked = _compared(lines, problems, _known(connection, lines))
                as_shown = checked.mark == mark
            if as_shown and not checked.plan.problems and checked.plan.changes:
                bulk.apply(
                    connection,
                    g.principal,
                    "sensors imported",
                    checked.known,
                    checked.plan.changes,
                    version,
                    checked.counts,
                )
        if checked.plan.problems:
            return bad(checked)
        if not as_shown:
            return preview(
                text,
                checked,
                409,
                "Sensors have been changed in the meantime. These are the remaining changes.",
            )
        flash(f"{bulk.counted(len(checked.plan.changes))} imported.")
        return redirect(url_for("admin_sensors.listed"), 303)


def _checked(
    engine: Engine, lines: Sequence[CsvLine], problems: Sequence[LineProblem]
) -> tuple[Checked, int]:
    """What a file would change, and the version of the sensors that it was compared with."""
    with reading(engine) as connection:
        newest, known = sensors.newest_change(connection), _known(connection, lines)
    return _compared(lines, problems, known), newest


def _known(connection: Connection, lines: Sequence[CsvLine]) -> dict[int, Sensor]:
    return sensor_list.of(connection, [line.mac for line in lines])


def _compared(
    lines: Sequence[CsvLine], problems: Sequence[LineProblem], known: Mapping[int, Sensor]
) -> Checked:
    return Checked(csv_format.plan(lines, problems, known), known)


def _differences(checked: Checked, mac: int) -> dict[str, Any]:
    return bulk.differences(checked.known.get(mac), checked.plan.changes[mac])


def _told(checked: Checked, mac: int) -> list[tuple[str, str]]:
    """(what, from what to what) for people."""
    detail = _differences(checked, mac)
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
