"""Plans when each sensor of a simulated fleet reports. Deterministic for a given seed; no I/O."""

import heapq
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from random import Random
from typing import NamedTuple

from monitor.model import DAY, MINUTE


class PlannedHeartbeat(NamedTuple):
    """One heartbeat to send."""

    moment: int
    """Milliseconds after the start."""
    mac: int
    metrics: Mapping[str, float]


@dataclass(frozen=True)
class SimulatedFleet:
    """The parameters of a fleet. Shares are 0 to 1, durations in ms. Raises ValueError."""

    sensors: int = 100
    first_mac: int = 0x020000000000
    interval: int = MINUTE
    jitter: float = 0.1
    """Each gap differs from the interval by up to this share of it."""
    die: float = 0.0
    die_after: int = MINUTE
    return_after: int | None = None
    """How long dead sensors stay silent; None: until the end."""
    flap: float = 0.0
    """Share of the sensors that alternate between silence and reports; other sensors than `die`."""
    flap_silence: int = 15 * MINUTE
    """Length of each silence, and of the time between two."""
    seed: int = 1

    def __post_init__(self) -> None:
        if self.die + self.flap > 1:
            raise ValueError("the shares that die and that flap are more than the whole fleet")
        if self.first_mac + self.sensors > 1 << 48:
            raise ValueError(f"there are no {self.sensors} addresses from the first one on")

    def dying(self) -> frozenset[int]:
        """The addresses of the sensors that die."""
        return frozenset(self._drawn()[: self._deaths])

    def flapping(self) -> frozenset[int]:
        """The addresses of the sensors that flap."""
        return frozenset(self._drawn()[self._deaths :])

    @property
    def _deaths(self) -> int:
        return round(self.die * self.sensors)

    def _drawn(self) -> list[int]:
        flaps = min(round(self.flap * self.sensors), self.sensors - self._deaths)
        macs = range(self.first_mac, self.first_mac + self.sensors)
        return Random(f"{self.seed} roles").sample(macs, self._deaths + flaps)  # noqa: S311


def plan(fleet: SimulatedFleet) -> Iterator[PlannedHeartbeat]:
    """All reports ordered by moment. Ends only if every sensor dies and none returns."""
    random = Random(f"{fleet.seed} reports")  # noqa: S311 a simulation, not a secret
    dying = fleet.dying()
    phases = {mac: random.randrange(2 * fleet.flap_silence) for mac in sorted(fleet.flapping())}
    due = [
        (random.randrange(fleet.interval), mac)
        for mac in range(fleet.first_mac, fleet.first_mac + fleet.sensors)
    ]
    heapq.heapify(due)
    while due:
        moment, mac = due[0]
        dead = mac in dying and moment >= fleet.die_after
        if dead and fleet.return_after is None:
            heapq.heappop(due)
            continue
        if dead and fleet.return_after is not None:
            dead = moment < fleet.die_after + fleet.return_after
        silent = mac in phases and (moment + phases[mac]) // fleet.flap_silence % 2 == 1
        if not dead and not silent:
            yield PlannedHeartbeat(moment, mac, _metrics(moment, random))
        gap = fleet.interval * (1 + fleet.jitter * random.uniform(-1, 1))
        heapq.heapreplace(due, (moment + max(1, round(gap)), mac))


def _metrics(moment: int, random: Random) -> dict[str, float]:
    return {
        "battery": round(100 - 50 * (moment % (60 * DAY)) / (60 * DAY), 2),
        "rssi": random.randint(-90, -40),
    }
