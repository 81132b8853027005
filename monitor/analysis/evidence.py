"""Reads a sensor's history from the store and the state."""

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
    """The sensor never reported, or was deleted."""


class Archive:
    """Reads without a cache. Thread-safe.

    Every method raises StoreUnavailable, StateUnavailable and UnknownSensor.
    """

    def __init__(
        self, store: Store, engine: Engine, clock: Clock, threshold: int, retention: int
    ) -> None:
        """`threshold` (the default) and `retention` in ms."""
        self.store, self.engine, self.clock = store, engine, clock
        self._threshold, self._retention = threshold, retention

    def evidence(self, mac: int, start: int, stop: int) -> Evidence:
        """The evidence for [start, stop), limited to past time within the retention."""
        # Read the horizon first: everything received up to it is then in the store.
        with reading(self.engine) as connection:
            sensor = self._find(connection, mac)
            first_seen = sensors.first_seen(connection, mac)
            judged = horizon.progress(connection).horizon
        now = self.clock.now()
        oldest = now - self._retention
        start, threshold = min(max(start, oldest), now), sensor.threshold or self._threshold
        span = start, max(min(stop, now), start)
        gaps = self.store.gaps([mac], *span, threshold)[mac]
        earliest = min([start, *(gap.before or oldest for gap in gaps)])
        with reading(self.engine) as connection:
            planned = silences.in_force(connection, earliest, span[1])[1]
            blind = horizon.blind_windows(connection, earliest)
            paused = pauses.spans(connection, mac, earliest)
        return Evidence(
            *span,
            threshold,
            gaps,
            # Older heartbeats are deleted, so their absence proves nothing.
            first_seen=None if first_seen is None else max(first_seen, oldest),
            last_seen=self._last_seen(mac, gaps, span[1]),
            blind=[*(BlindWindow(*row) for row in blind), BlindWindow(judged, now)],
            maintenance=_maintenance(planned, sensor, earliest, span[1]),
            paused=[
                BlindWindow(since, span[1] if until is None else until) for since, until in paused
            ],
        )

    def sensor(self, mac: int) -> Sensor:
        """The registered sensor."""
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
    """Occurrences that end after `since`, matched by the sensor's current attributes."""
    known = matching.attributes(sensor.mac, sensor.name, sensor.site, sensor.labels)
    return [
        BlindWindow(*times)
        for each in map(muting.read_maintenance, planned)
        if each is not None and each.matchers.match(known)
        for times in maintenance.occurrences(each.window, since, until)
    ]
