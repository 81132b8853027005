"""The fleet in the screenshots: 230 sensors at five sites."""

from typing import NamedTuple

from monitor.model import HOUR, MINUTE

FIRST_MAC = 0x02_00_00_00_00_01
SITES = {
    "North plant": {"Boiler": 4, "Compressor": 9, "Pump": 7},
    "Harbour": {"Berth": 16, "Crane": 8, "Fuel tank": 12, "Gate": 8, "Light mast": 26},
    "Cold store": {"Chamber": 30, "Door": 12, "Evaporator": 8},
    "Greenhouse": {"Bed": 48, "Tank": 8, "Vent": 18},
    "Head office": {"Air": 3, "Meeting room": 7, "Rack": 6},
}

SHOWN = "Crane 4"
"""The sensor whose page is shown."""

OUT = "Compressor"
"""The kind of sensor behind the failed switch."""

ALONE = {"Chamber 7": 47 * MINUTE, "Bed 19": 3 * HOUR + 12 * MINUTE, "Rack 5": 26 * MINUTE}
"""Sensors that are down for separate reasons -> how long."""

SILENCED, PAUSED, NEVER_LIVE, NEVER_HEARD = "Chamber 7", "Gate 6", "Meeting room 6", "Vent 12"


class Sensor(NamedTuple):
    """One sensor of the fleet."""

    mac: int
    name: str
    site: str

    @property
    def is_out(self) -> bool:
        """Whether it is behind the failed switch."""
        return self.name.rpartition(" ")[0] == OUT

    @property
    def goes_on(self) -> bool:
        """Whether it reports while pictures are taken."""
        return not self.is_out and self.name not in {*ALONE, PAUSED, NEVER_LIVE, NEVER_HEARD}


def fleet() -> list[Sensor]:
    """The sensors; reporting ones come first, since the simulation uses the first addresses."""
    named = [
        Sensor(0, f"{kind} {number}", site)
        for site, kinds in SITES.items()
        for kind, count in kinds.items()
        for number in range(1, count + 1)
    ]
    named.sort(key=lambda sensor: not sensor.goes_on)
    return [sensor._replace(mac=FIRST_MAC + place) for place, sensor in enumerate(named)]
