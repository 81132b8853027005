"""Which sensors are silenced or under maintenance, as the pages show it."""

from collections.abc import Iterable, Mapping

from monitor.incidents.muting import Rules, covering
from monitor.model import SECOND, Held
from monitor.state.sensors import Sensor

_EVERY = 30 * SECOND
"""Windows start and end by themselves; checking the whole fleet each time is too expensive."""

_REPEATED_FOR = 2 * _EVERY
"""A client may poll workers that noticed a change at different times."""


class Quiet:
    """mac -> why no one is notified about the sensor, and until when."""

    def __init__(self) -> None:
        self.holds: dict[int, Held] = {}
        self._rules: object = ([], [])
        self._read_at = self._repeat_until = 0
        self._repeated: set[int] = set()

    def update(
        self, rules: Rules, sensors: Mapping[int, Sensor], changed: Iterable[Sensor], now: int
    ) -> set[int]:
        """The macs to send to clients. `rules`: as `silences.in_force` reads them. For a large
        fleet this takes seconds, so no transaction may be held during the call."""
        if rules != self._rules or not 0 <= now - self._read_at < _EVERY:
            holds = covering(rules, sensors.values(), now)
            self._rules, self._read_at = rules, now
        else:
            rows = list(changed)
            fresh = covering(rules, rows, now) if rows else {}
            others = self.holds.keys() - {row.mac for row in rows}
            holds = {mac: self.holds[mac] for mac in others} | fresh
        return self._take(holds, now)

    def _take(self, holds: dict[int, Held], now: int) -> set[int]:
        before = self.holds
        moved = {mac for mac in before.keys() | holds.keys() if before.get(mac) != holds.get(mac)}
        self.holds = holds
        if now >= self._repeat_until:
            self._repeated = set()
        if moved:
            self._repeated |= moved
            self._repeat_until = now + _REPEATED_FOR
        return self._repeated
