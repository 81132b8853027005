"""Imports sensors: reads a file, previews the changes, then makes them."""

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from sqlalchemy import Connection, Engine

from monitor.services import sensor_csv
from monitor.services.sensor_csv import CsvLine, LineProblem, Plan
from monitor.services.sensors import apply, differences
from monitor.state import sensor_list, sensors
from monitor.state.database import reading, writing
from monitor.state.sensors import Sensor


class Preview(NamedTuple):
    """What a file would change, and the current sensors."""

    plan: Plan
    known: Mapping[int, Sensor]

    @property
    def new(self) -> int:
        """The number of sensors that the import registers or restores."""
        rows = map(self.known.get, self.plan.changes)
        return sum(row is None or row.forgotten_at is not None for row in rows)

    @property
    def counts(self) -> dict[str, int]:
        """Numbers of sensors for the page and the audit trail."""
        changed = len(self.plan.changes)
        return {
            "lines": self.plan.lines,
            "changed": changed - self.new,
            "new": self.new,
            "unchanged": self.plan.lines - changed,
        }

    @property
    def mark(self) -> str:
        """A hash of the changes: it differs if the import would make other changes."""
        changes = [(mac, self.differences(mac)) for mac in sorted(self.plan.changes)]
        return hashlib.sha256(repr(changes).encode()).hexdigest()

    def differences(self, mac: int) -> dict[str, Any]:
        """The changes of one sensor: field -> {"from", "to"}."""
        return differences(self.known.get(mac), self.plan.changes[mac])


def preview(engine: Engine, text: str) -> Preview:
    """What a CSV text would change. Its plan has the problems that prevent the import."""
    return _preview(engine, *sensor_csv.read(text))[0]


def apply_as_shown(engine: Engine, actor: str, text: str, mark: str) -> Preview | None:
    """Imports a CSV text if it still makes the changes that the preview with this `mark` showed.

    Imports everything or nothing. Returns what was imported; if the preview has problems, nothing
    was. None: the text would make other changes now.
    """
    lines, problems = sensor_csv.read(text)
    found, newest = _preview(engine, lines, problems)
    as_shown = found.mark == mark
    with writing(engine) as connection:
        version = sensors.next_version(connection)
        if sensors.newest_change(connection) != newest:  # sensors changed since they were read
            found = _compared(lines, problems, _known(connection, lines))
            as_shown = found.mark == mark
        if found.plan.problems:
            return found
        if not as_shown:
            return None
        if found.plan.changes:
            changes, counts = found.plan.changes, found.counts
            apply(connection, actor, "sensors imported", found.known, changes, version, counts)
    return found


def _preview(
    engine: Engine, lines: Sequence[CsvLine], problems: Sequence[LineProblem]
) -> tuple[Preview, int]:
    """Also returns the version of the sensors that it read."""
    with reading(engine) as connection:
        newest, known = sensors.newest_change(connection), _known(connection, lines)
    return _compared(lines, problems, known), newest


def _known(connection: Connection, lines: Sequence[CsvLine]) -> dict[int, Sensor]:
    return sensor_list.of(connection, [line.mac for line in lines])


def _compared(
    lines: Sequence[CsvLine], problems: Sequence[LineProblem], known: Mapping[int, Sensor]
) -> Preview:
    return Preview(sensor_csv.plan(lines, problems, known), known)
