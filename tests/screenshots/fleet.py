"""Who is in the fleet of the pictures: 230 sensors at five sites."""

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
"""The one whose page is shown."""

OUT = "Compressor"
"""The kind behind a switch that is out."""

ALONE = {"Chamber 7": 47 * MINUTE, "Bed 19": 3 * HOUR + 12 * MINUTE, "Rack 5": 26 * MINUTE}
"""Silent for so long, each for a reason of its own."""

SILENCED, PAUSED, NEVER_LIVE, NEVER_HEARD = "Chamber 7", "Gate 6", "Meeting room 6", "Vent 12"


class Sensor(NamedTuple):
    """One of them."""

    mac: int
    name: str
    site: str

    @property
    def is_out(self) -> bool:
        """It is among those behind the switch."""
        return self.name.rpartition(" ")[0] == OUT

    @property
    def goes_on(self) -> bool:
        """It reports while pictures are taken."""
        return not self.is_out and self.name not in {*ALONE, PAUSED, NEVER_LIVE, NEVER_HEARD}


def fleet() -> list[Sensor]:
    """Those that go on come first, so that a simulation of the first addresses is of them."""
    named = [
        Sensor(0, f"{kind} {number}", site)
        for site, kinds in SITES.items()
        for kind, count in kinds.items()
        for number in range(1, count + 1)
    ]
    named.sort(key=lambda sensor: not sensor.goes_on)
    return [sensor._replace(mac=FIRST_MAC + place) for place, sensor in enumerate(named)]
