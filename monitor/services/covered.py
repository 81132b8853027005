"""Counts the sensors that silences and maintenance cover."""

import threading
from collections.abc import Iterable, Sequence

from sqlalchemy import Engine

from monitor.incidents import matching
from monitor.incidents.coverage import Coverage
from monitor.incidents.matching import Matchers
from monitor.incidents.muting import read_maintenance, read_silence
from monitor.state import sensor_list, sensors
from monitor.state.database import reading
from monitor.state.silences import MaintenanceRow, SilenceRow

_COUNTS_KEPT = 2_000


class Covered:
    """Counts the registered sensors that silences and maintenance cover. Thread-safe.

    It keeps the counts until a sensor changes. While one thread counts, the others wait for the
    result; no transaction is open during that time.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._lock = threading.Lock()
        self._version = 0
        self._counts: dict[tuple[str, ...], int] = {}

    def __call__(self, rows: Sequence[SilenceRow | MaintenanceRow]) -> dict[int, int]:
        """id -> count. Leaves out rows that can't be read. Raises StateUnavailable."""
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
