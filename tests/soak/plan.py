"""The sensors of a soak test, and when they fall silent."""

import random
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

FIRST = 0x02_00_00_00_00_00
THRESHOLD, SWEEP_INTERVAL = 12.0, 1.0
INTERVAL = 5.0
"""Seconds between two heartbeats of a sensor."""
GROUP_WAIT = 3.0

ALLOWED = 60.0
"""Seconds from a sensor's last heartbeat within which it must be down, whatever is killed: a blind
window until a killed process is back (18 s), the threshold (12 s), the lease of a killed leader
(15 s), and 15 s for a busy machine."""

SITE_SIZE = 30
_FIRST, _PAUSE, _FEWEST_SECONDS, _MORE_SECONDS, _SINGLES = 5.0, 20.0, 5.0, 10.0, 3


class Outage(NamedTuple):
    """Seconds since the start of the load; the sensor sends nothing in between."""

    start: float
    stop: float


@dataclass(frozen=True)
class Plan:
    """The planned outages of a fleet; the same arguments give the same plan."""

    seconds: float
    """From the first heartbeat to the last one."""
    macs: list[int]
    outages: Mapping[int, Outage]
    """Each sensor falls silent at most once: more would be flapping."""


def site_of(mac: int) -> int:
    """The number of a sensor's site, which is part of its MAC address."""
    return (mac - FIRST) >> 24


def site_rules(sensors: int) -> str:
    """The setting alerts.sites."""
    return ",".join(
        f"02:00:{number:02x}=Site {number}" for number in range(-(-sensors // SITE_SIZE))
    )


def planned(seconds: float, sensors: int, seed: int) -> Plan:
    """Every 20 s three single sensors, or about every third time a whole site, fall silent for
    longer than the allowed time."""
    chance = random.Random(f"{seed} outages")
    macs = [FIRST + (number // SITE_SIZE << 24) + number % SITE_SIZE for number in range(sensors)]
    left: dict[int, list[int]] = {}
    for mac in macs:
        left.setdefault(site_of(mac), []).append(mac)
    outages: dict[int, Outage] = {}
    start = _FIRST
    while start + ALLOWED + _FEWEST_SECONDS < seconds and len(left) > _SINGLES:
        length = ALLOWED + _FEWEST_SECONDS + chance.uniform(0, _MORE_SECONDS)
        outage = Outage(start, start + length)
        falling = []
        if not outages or chance.random() < 1 / 3:
            falling += left.pop(chance.choice(sorted(left)))
        for site in chance.sample(sorted(left), _SINGLES):
            falling.append(left[site].pop())
            if not left[site]:
                del left[site]
        outages.update((mac, outage) for mac in falling)
        start += _PAUSE
    last = max((outage.stop for outage in outages.values()), default=seconds)
    return Plan(max(seconds, last + INTERVAL), macs, outages)
