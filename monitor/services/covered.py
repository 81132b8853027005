"""How many sensors silences and maintenance cover."""

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
    """How many registered sensors silences and maintenance cover.

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
