"""Maintenance: holds messages about matching sensors in planned windows."""

from collections.abc import Iterable
from datetime import datetime

from sqlalchemy import Connection, Engine

from monitor.errors import Conflict, Invalid, NotFound
from monitor.incidents import maintenance, silence
from monitor.incidents.muting import read_maintenance
from monitor.services.silences import LONGEST_CREATOR, Phase
from monitor.state import audit, silences
from monitor.state.database import GREATEST, reading, writing
from monitor.state.silences import MaintenanceRow


def schedule(
    engine: Engine,
    actor: str,
    name: str,
    matchers: Iterable[str],
    zone: str,
    start: str,
    stop: str,
    recurrence: str | None,
    now: int,
    created_by: str | None = None,
) -> MaintenanceRow:
    """Schedules maintenance for all sensors that match, once or recurring.

    For the format of the texts, see `incidents.maintenance.parse`. `created_by`: who schedules it,
    if not the `actor`.
    """
    name = name.strip()
    maintenance.check_name(name)
    checked = silence.parse_matchers(matchers)
    window = maintenance.parse(zone, start, stop, recurrence)
    if not maintenance.upcoming(window, now, 1):
        raise Invalid("stop", "must be in the future, unless a later window follows")
    with writing(engine) as connection:
        number = silences.add_maintenance(
            connection,
            name,
            checked.texts(),
            zone,
            maintenance.text(window.start),
            maintenance.text(window.stop),
            window.recurrence.text if window.recurrence else None,
            (created_by or actor)[:LONGEST_CREATOR],
            now,
        )
        row = _found(connection, number)
        detail = {
            "matchers": list(row.matchers),
            "start": row.start,
            "stop": row.stop,
            "zone": row.zone,
            "recurrence": row.recurrence,
        }
        audit.record(connection, actor, "maintenance scheduled", row.name, detail)
    return row


def end(engine: Engine, actor: str, number: int, now: int) -> MaintenanceRow:
    """Ends maintenance now, with all later windows."""
    with writing(engine) as connection:
        row = _found(connection, number)
        if not silences.end_maintenance(connection, number, now):
            raise Conflict(f"maintenance {number} has already ended")
        audit.record(connection, actor, "maintenance ended", row.name)
        return _found(connection, number)


def find(engine: Engine, number: int) -> MaintenanceRow:
    """Returns the maintenance with this number."""
    with reading(engine) as connection:
        return _found(connection, number)


def listed(engine: Engine, phase: Phase | None, now: int) -> list[MaintenanceRow]:
    """Returns the maintenance in a phase. None: current and upcoming."""
    with reading(engine) as connection:
        if phase == "past":
            rows = silences.newest_maintenance(connection)
        else:
            _, rows = silences.in_force(connection, now, now)
    # Outside the transaction: recurring windows take long to compute.
    wanted = ("current", "upcoming") if phase is None else (phase,)
    return [row for row in rows if phase_of(row, now) in wanted]


def phase_of(row: MaintenanceRow, now: int) -> Phase:
    """`current` in a window, `upcoming` before one, `past` after the last one."""
    windows = next_windows(row, now, 1)
    if not windows:
        return "past"
    return "current" if windows[0][0] <= now else "upcoming"


def next_windows(row: MaintenanceRow, now: int, most: int) -> list[tuple[int, int]]:
    """(start, stop) in ms of the next windows, at most `most`. A current window is the first."""
    planned = read_maintenance(row)
    return [] if planned is None else maintenance.upcoming(planned.window, now, most)


def skipped_months(row: MaintenanceRow, now: int, most: int) -> list[datetime]:
    """The next months that have no day of this maintenance although it recurs in each, such as
    February for the 31st; at most `most`. Each is a month's first day."""
    planned = read_maintenance(row)
    return [] if planned is None else maintenance.skipped_months(planned.window, now, most)


def _found(connection: Connection, number: int) -> MaintenanceRow:
    row = silences.find_maintenance(connection, number) if number <= GREATEST else None
    if row is None:
        raise NotFound(f"there is no maintenance {number}")
    return row
