"""Silences and maintenance as people ask for them: checked, written, listed."""

import threading
from collections.abc import Iterable, Sequence
from typing import Any, Literal

from sqlalchemy import Connection, Engine

from monitor.incidents import maintenance, matching, silence
from monitor.incidents.coverage import Coverage
from monitor.incidents.matching import Matchers
from monitor.incidents.muting import read_maintenance, read_silence
from monitor.incidents.silence import Unusable
from monitor.model import format_mac, format_time
from monitor.state import sensor_list, sensors, silences
from monitor.state.database import reading
from monitor.state.silences import MaintenanceRow, SilenceRow

Phase = Literal["current", "upcoming", "past"]

_LONGEST_CREATOR = 200
_COUNTS_KEPT = 2_000


def silence_sensors(
    connection: Connection,
    matchers: Iterable[str],
    starts_at: int,
    ends_at: int,
    comment: str,
    by: str,
    now: int,
) -> int:
    """Silence all sensors that match, from a moment on (now at the earliest) until another, in ms;
    the silence's id.

    `by` is who wants it, in words. Raises Unusable.
    """
    meant = silence.meant(matchers)
    silence.check(starts_at, ends_at, comment, now)
    starts_at = max(starts_at, now)
    return silences.add_silence(
        connection, meant.texts(), starts_at, ends_at, comment, by[:_LONGEST_CREATOR], now
    )


def silence_members(
    connection: Connection, macs: Iterable[int], until: int, comment: str, by: str, now: int
) -> int:
    """Silence these sensors (at least one) from now on; otherwise as `silence_sensors`."""
    matcher = "mac=" + "|".join(format_mac(mac) for mac in sorted(macs))
    return silence_sensors(connection, [matcher], now, until, comment, by, now)


def plan_maintenance(
    connection: Connection,
    name: str,
    matchers: Iterable[str],
    zone: str,
    start: str,
    stop: str,
    recurrence: str | None,
    by: str,
    now: int,
) -> int:
    """Hold messages of all sensors that match inside a window; the maintenance's id.

    The texts are those of `maintenance.parse`. Raises Unusable.
    """
    maintenance.check_name(name)
    meant = silence.meant(matchers)
    window = maintenance.parse(zone, start, stop, recurrence)
    if not maintenance.upcoming(window, now, 1):
        raise Unusable("stop", "lies in the past, and no later window follows")
    return silences.add_maintenance(
        connection,
        name,
        meant.texts(),
        zone,
        maintenance.text(window.start),
        maintenance.text(window.stop),
        window.recurrence.text if window.recurrence else None,
        by[:_LONGEST_CREATOR],
        now,
    )


def described(row: SilenceRow | MaintenanceRow) -> dict[str, Any]:
    """For the audit trail."""
    if isinstance(row, SilenceRow):
        until = format_time(row.ends_at)
        return {"matchers": list(row.matchers), "until": until, "comment": row.comment}
    window = {"start": row.start, "stop": row.stop, "zone": row.zone}
    return {"matchers": list(row.matchers), **window, "recurrence": row.recurrence}


def listed_silences(engine: Engine, phase: Phase | None, now: int) -> list[SilenceRow]:
    """Those in a phase, of the past the newest; None: current and upcoming ones.

    Raises StateUnavailable.
    """
    with reading(engine) as connection:
        if phase == "past":
            return silences.past_silences(connection, now)
        lasting, _ = silences.in_force(connection, now, now)
    return [row for row in lasting if phase in (None, phase_of_silence(row, now))]


def listed_maintenance(engine: Engine, phase: Phase | None, now: int) -> list[MaintenanceRow]:
    """As `listed_silences`."""
    with reading(engine) as connection:
        if phase == "past":
            rows = silences.newest_maintenance(connection)
        else:
            _, rows = silences.in_force(connection, now, now)
    # Outside of the transaction: windows that recur take long to work out.
    wanted = ("current", "upcoming") if phase is None else (phase,)
    return [row for row in rows if phase_of_maintenance(row, now) in wanted]


def phase_of_silence(row: SilenceRow, now: int) -> Phase:
    """Where it stands."""
    if row.ends_at <= now:
        return "past"
    return "current" if row.starts_at <= now else "upcoming"


def phase_of_maintenance(row: MaintenanceRow, now: int) -> Phase:
    """Where it stands: `current` inside a window, `upcoming` while another one will come."""
    windows = next_windows(row, now, 1)
    if not windows:
        return "past"
    return "current" if windows[0][0] <= now else "upcoming"


def next_windows(row: MaintenanceRow, now: int, most: int) -> list[tuple[int, int]]:
    """(start, stop) in ms of those that end after `now`."""
    planned = read_maintenance(row)
    return [] if planned is None else maintenance.upcoming(planned.window, now, most)


class Covered:
    """How many registered sensors silences and maintenance are about.

    Counts are kept until a sensor changes. Threads may share it: one of them counts, the others
    wait for it, and no transaction is held meanwhile.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._lock = threading.Lock()
        self._version = 0
        self._counts: dict[tuple[str, ...], int] = {}

    def __call__(self, rows: Sequence[SilenceRow | MaintenanceRow]) -> dict[int, int]:
        """By id; what can't be read is left out. Raises StateUnavailable."""
        read = [read_silence(r) if isinstance(r, SilenceRow) else read_maintenance(r) for r in rows]
        wanted = {one.id: one.matchers for one in read if one is not None}
        with self._lock:
            counts = self._counted(wanted.values())
        return {number: counts[tuple(meant.texts())] for number, meant in wanted.items()}

    def _counted(self, wanted: Iterable[Matchers]) -> dict[tuple[str, ...], int]:
        with reading(self._engine) as connection:
            version = sensors.newest_change(connection)
        if version != self._version or len(self._counts) > _COUNTS_KEPT:
            # A new dictionary: another thread may still read the old one.
            self._version, self._counts = version, {}
        missing = {tuple(meant.texts()): meant for meant in wanted}
        for texts in self._counts.keys() & missing.keys():
            del missing[texts]
        if missing:
            fleet = Coverage(
                matching.attributes(one.mac, one.name, one.site, one.labels)
                for one in sensor_list.every(self._engine)
            )
            for texts, meant in missing.items():
                self._counts[texts] = fleet.count(meant)
        return self._counts
