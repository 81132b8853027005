"""Which sensor of a made-up fleet reports when: pure, and the same for the same seed."""

import heapq
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from random import Random
from typing import NamedTuple

from monitor.model import DAY, MINUTE


class PlannedHeartbeat(NamedTuple):
    """One heartbeat to send."""

    moment: int
    """Milliseconds after the beginning."""
    mac: int
    metrics: Mapping[str, float]


@dataclass(frozen=True)
class SimulatedFleet:
    """A made-up fleet; shares are 0 to 1, durations milliseconds. ValueError if impossible."""

    sensors: int = 100
    first_mac: int = 0x020000000000
    interval: int = MINUTE
    jitter: float = 0.1
    """Each gap differs from the interval by up to this share of it."""
    die: float = 0.0
    die_after: int = MINUTE
    return_after: int | None = None
    """How long after their death the dead come back; None: never."""
    flap: float = 0.0
    """This share alternates between silence and life. It is apart from the share that dies."""
    flap_silence: int = 15 * MINUTE
    """Length of each silence, and of the life between two."""
    seed: int = 1

    def __post_init__(self) -> None:
        if self.die + self.flap > 1:
            raise ValueError("the shares that die and that flap are more than the whole fleet")
        if self.first_mac + self.sensors > 1 << 48:
            raise ValueError(f"there are no {self.sensors} addresses from the first one on")

    def dying(self) -> frozenset[int]:
        """The addresses of those that die."""
        return frozenset(self._drawn()[: self._deaths])

    def flapping(self) -> frozenset[int]:
        """The addresses of those that flap."""
        return frozenset(self._drawn()[self._deaths :])

    @property
    def _deaths(self) -> int:
        return round(self.die * self.sensors)

    def _drawn(self) -> list[int]:
        flaps = min(round(self.flap * self.sensors), self.sensors - self._deaths)
        macs = range(self.first_mac, self.first_mac + self.sensors)
        return Random(f"{self.seed} roles").sample(macs, self._deaths + flaps)  # noqa: S311


def plan(fleet: SimulatedFleet) -> Iterator[PlannedHeartbeat]:
    """All reports in the order of their moments; ends only if every sensor is dead for good."""
    random = Random(f"{fleet.seed} reports")  # noqa: S311 a game, not a secret
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
        away = mac in phases and (moment + phases[mac]) // fleet.flap_silence % 2 == 1
        if not dead and not away:
            yield PlannedHeartbeat(moment, mac, _metrics(moment, random))
        gap = fleet.interval * (1 + fleet.jitter * random.uniform(-1, 1))
        heapq.heapreplace(due, (moment + max(1, round(gap)), mac))


def _metrics(moment: int, random: Random) -> dict[str, float]:
    return {
        "battery": round(100 - 50 * (moment % (60 * DAY)) / (60 * DAY), 2),
        "rssi": random.randint(-90, -40),
    }
