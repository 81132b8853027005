"""The sweep's copy of sensors, their thresholds and open incidents."""

from collections.abc import Iterable

from monitor.state.incidents import Incident
from monitor.state.sensors import Sensor


class SensorCache:
    """Sensors and open incidents of the state as of `version`."""

    def __init__(self, default_threshold: int) -> None:
        self._default = default_threshold
        self.version = 0
        self.sensors: dict[int, Sensor] = {}
        self.open_incidents: dict[int, Incident] = {}
        self.longest_threshold = default_threshold

    def merge(
        self, sensors: Iterable[Sensor], incidents: Iterable[Incident], version: int
    ) -> tuple[list[int], bool]:
        """Merges changed rows. Returns the new sensors, and whether deadlines of known ones may
        have changed."""
        new, changed = [], False
        for row in sensors:
            before = self.sensors.get(row.mac)
            if before is None:
                new.append(row.mac)
            else:
                changed |= _deadline_inputs(before) != _deadline_inputs(row)
            self.sensors[row.mac] = row
            self.longest_threshold = max(self.longest_threshold, row.threshold or 0)
        for incident in incidents:
            if incident.closed_at is None:
                self.open_incidents[incident.mac] = incident
            elif incident.id == getattr(self.open_incidents.get(incident.mac), "id", None):
                del self.open_incidents[incident.mac]
        self.version = version
        return new, changed

    def threshold(self, mac: int) -> int:
        """The sensor's threshold in ms, or the default."""
        return self.sensors[mac].threshold or self._default

    def silent_since(self, mac: int, seen: int) -> int:
        """Since when the silence of a sensor last seen at `seen` counts: a sensor that was paused
        or removed then, and is monitored again, has its whole threshold."""
        return max(seen, self.sensors[mac].monitored_since or 0)

    def deadline(self, mac: int, seen: int) -> int:
        """When a sensor last seen at `seen` is down if it stays silent and all time is observed."""
        return self.silent_since(mac, seen) + self.threshold(mac)

    def may_open(self, sensor: Sensor) -> bool:
        """Whether silence of this sensor may open an incident: it has reported live, is neither
        paused nor deleted, and has no open incident."""
        return (
            sensor.live
            and not sensor.paused
            and sensor.forgotten_at is None
            and sensor.mac not in self.open_incidents
        )

    def must_register(self, mac: int, time: int, live: bool) -> bool:
        """Whether this heartbeat must be registered: it is a new sensor's, or the first live one
        of a known sensor."""
        known = self.sensors.get(mac)
        if known is None:
            return True
        if known.forgotten_at is not None:
            return time > known.forgotten_at
        return live and not known.live


def _deadline_inputs(row: Sensor) -> tuple[object, ...]:
    return row.threshold, row.live, row.paused, row.forgotten_at, row.monitored_since
