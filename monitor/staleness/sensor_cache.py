"""The sweep's copy of the registry: who is watched, and by which threshold."""

from collections.abc import Iterable

from monitor.state.incidents import Incident
from monitor.state.sensors import Sensor


class SensorCache:
    """Sensors and open incidents as the state had them at `version`."""

    def __init__(self, default_threshold: int) -> None:
        self._default = default_threshold
        self.version = 0
        self.sensors: dict[int, Sensor] = {}
        self.open_incidents: dict[int, Incident] = {}
        self.longest_threshold = default_threshold

    def merge(
        self, sensors: Iterable[Sensor], incidents: Iterable[Incident], version: int
    ) -> tuple[list[int], bool]:
        """Take over changed rows: (new macs, whether known ones are watched otherwise)."""
        new, rewatch = [], False
        for row in sensors:
            before = self.sensors.get(row.mac)
            if before is None:
                new.append(row.mac)
            else:
                rewatch |= _watching(before) != _watching(row)
            self.sensors[row.mac] = row
            self.longest_threshold = max(self.longest_threshold, row.threshold or 0)
        for incident in incidents:
            if incident.closed_at is None:
                self.open_incidents[incident.mac] = incident
            elif incident.id == getattr(self.open_incidents.get(incident.mac), "id", None):
                del self.open_incidents[incident.mac]
        self.version = version
        return new, rewatch

    def threshold(self, mac: int) -> int:
        """The threshold in force, in ms."""
        return self.sensors[mac].threshold or self._default

    def may_open(self, sensor: Sensor) -> bool:
        """Silence of this sensor may open an incident: heard live, wanted, and none open."""
        return (
            sensor.live
            and not sensor.paused
            and sensor.forgotten_at is None
            and sensor.mac not in self.open_incidents
        )

    def is_news(self, mac: int, time: int, live: bool) -> bool:
        """This proof of life must be registered: of a new sensor, or a known one's first live."""
        known = self.sensors.get(mac)
        if known is None:
            return True
        if known.forgotten_at is not None:
            return time > known.forgotten_at
        return live and not known.live


def _watching(row: Sensor) -> tuple[object, ...]:
    return row.threshold, row.live, row.paused, row.forgotten_at
