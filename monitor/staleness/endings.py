"""Finds the open incidents that end, and those whose last seen changes."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence

from monitor.incidents.machine import Event
from monitor.incidents.service import Closing
from monitor.model import Seen
from monitor.staleness.blindness import ObservedTime
from monitor.staleness.sensor_cache import SensorCache

Returns = Mapping[int, Collection[int]]
"""mac -> times (ms) of the live heartbeats that this sweep read."""


def returns(arrivals: Iterable[Seen], registry: SensorCache) -> Returns:
    """The live heartbeats among these of sensors with an open incident."""
    found: dict[int, list[int]] = defaultdict(list)
    if registry.open_incidents:
        for mac, time, live in arrivals:
            if live and mac in registry.open_incidents:
                found[mac].append(time)
    return found


def closings(
    registry: SensorCache,
    times: dict[int, int],
    horizon: int,
    observed: ObservedTime,
    returned: Returns,
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
                first = _first_proof(returned.get(mac, ()), row.last_seen, seen, row.threshold)
                found.append(Closing(row, Event.RECOVER, recovered_at=first))
            elif registry.threshold(mac) > row.threshold:
                found.append(Closing(row, Event.CHANGE_THRESHOLD))
    return found


def _first_proof(times: Collection[int], last_seen: int, seen: int, threshold: int) -> int:
    """When the sensor was first alive again: the first of the heartbeats up to `seen` that are not
    further apart than the threshold. One that arrived late, from within the silence, may be far
    apart from them."""
    first = seen
    for time in sorted(times, reverse=True):
        if time <= last_seen or first - time > threshold:
            break
        first = min(first, time)
    return first


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
