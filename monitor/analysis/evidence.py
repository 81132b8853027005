"""Gathers what is known of a sensor's past from the store and the state."""

from collections.abc import Iterable

from sqlalchemy import Connection, Engine

from monitor.analysis.gaps import Evidence
from monitor.clock import Clock
from monitor.incidents import maintenance, matching, muting
from monitor.staleness.blindness import BlindWindow
from monitor.state import horizon, pauses, sensors, silences
from monitor.state.database import reading
from monitor.state.sensors import Sensor
from monitor.state.silences import MaintenanceRow
from monitor.store.interface import Gap, Store


class UnknownSensor(Exception):
    """It has never reported here, or was forgotten."""


class Archive:
    """Reads afresh each time; threads may share it. Everything raises StoreUnavailable,
    StateUnavailable and UnknownSensor."""

    def __init__(
        self, store: Store, engine: Engine, clock: Clock, threshold: int, retention: int
    ) -> None:
        """`threshold` (the default one) and `retention` in ms."""
        self.store, self.engine, self.clock = store, engine, clock
        self._threshold, self._retention = threshold, retention

    def evidence(self, mac: int, start: int, stop: int) -> Evidence:
        """What is known of [start, stop), which is cut to the time that is past and kept."""
        # The horizon first: all that was received up to it is then in the store.
        with reading(self.engine) as connection:
            sensor = self._find(connection, mac)
            first_seen = sensors.first_seen(connection, mac)
            judged = horizon.progress(connection).horizon
        now = self.clock.now()
        oldest = now - self._retention
        start, threshold = min(max(start, oldest), now), sensor.threshold or self._threshold
        span = start, max(min(stop, now), start)
        gaps = self.store.gaps([mac], *span, threshold)[mac]
        reached = min([start, *(gap.before or oldest for gap in gaps)])
        with reading(self.engine) as connection:
            planned = silences.in_force(connection, reached, span[1])[1]
            blind = horizon.blind_windows(connection, reached)
            paused = pauses.spans(connection, mac, reached)
        return Evidence(
            *span,
            threshold,
            gaps,
            # What was heard before is kept no longer, and its absence means nothing.
            first_seen=None if first_seen is None else max(first_seen, oldest),
            last_seen=self._last_seen(mac, gaps, span[1]),
            blind=[*(BlindWindow(*row) for row in blind), BlindWindow(judged, now)],
            maintenance=_maintenance(planned, sensor, reached, span[1]),
            paused=[
                BlindWindow(begun, span[1] if over is None else over) for begun, over in paused
            ],
        )

    def sensor(self, mac: int) -> Sensor:
        """As it is registered."""
        with reading(self.engine) as connection:
            return self._find(connection, mac)

    @staticmethod
    def _find(connection: Connection, mac: int) -> Sensor:
        sensor = sensors.find(connection, mac)
        if sensor is None or sensor.forgotten_at is not None:
            raise UnknownSensor
        return sensor

    def _last_seen(self, mac: int, gaps: list[Gap], stop: int) -> int | None:
        if not gaps or gaps[-1].after is not None:
            return None
        last = self.store.newest(mac, stop, 1)
        return last[0].seen if last else None


def _maintenance(
    planned: Iterable[MaintenanceRow], sensor: Sensor, since: int, until: int
) -> list[BlindWindow]:
    """Those that end after `since`; the sensor is meant by what it is called now."""
    known = matching.attributes(sensor.mac, sensor.name, sensor.site, sensor.labels)
    return [
        BlindWindow(*times)
        for each in map(muting.read_maintenance, planned)
        if each is not None and each.matchers.match(known)
        for times in maintenance.occurrences(each.window, since, until)
    ]
