"""Finds the open incidents that end, and those whose last seen changes."""

from collections.abc import Sequence

from monitor.incidents.machine import Event
from monitor.incidents.service import Closing
from monitor.staleness.blindness import ObservedTime
from monitor.staleness.sensor_cache import SensorCache


def closings(
    registry: SensorCache, times: dict[int, int], horizon: int, observed: ObservedTime
) -> list[Closing]:
    """The incidents that end at the horizon.

    `times`: mac -> last seen (ms). Sensors that are no longer in the store are added to it.
    """
    found = []
    for mac, row in registry.open_incidents.items():
        sensor = registry.sensors.get(mac)
        # The store may have deleted the heartbeats after the retention; the incident has last seen.
        seen = times.setdefault(mac, row.last_seen)
        if sensor is None or sensor.forgotten_at is not None:
            found.append(Closing(row, Event.FORGET))
        elif sensor.paused or (sensor.monitored_since or 0) > row.opened_at:
            # It may have been paused and resumed since the last sweep.
            found.append(Closing(row, Event.PAUSE))
        # A blind window is not proof that the sensor is up, so it does not close the incident.
        elif observed.between(seen, horizon) <= registry.threshold(mac):
            if seen > row.last_seen:
                found.append(Closing(row, Event.RECOVER, recovered_at=seen))
            elif registry.threshold(mac) > row.threshold:
                found.append(Closing(row, Event.CHANGE_THRESHOLD))
    return found


def moved(
    registry: SensorCache, times: dict[int, int], closings: Sequence[Closing]
) -> dict[int, int]:
    """Incident id -> newer last seen, for incidents that stay open."""
    closing = {each.incident.id for each in closings}
    return {
        row.id: times[mac]
        for mac, row in registry.open_incidents.items()
        if row.id not in closing and times.get(mac, 0) > row.last_seen
    }
