"""When silences and maintenance must hold messages."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from tests.stateful.rows import Incident


@dataclass(eq=False)
class Hold:
    """A silence or maintenance that holds messages about some sensors in [start, stop)."""

    number: int
    covers: Callable[[int], bool]
    """Whether it covers the sensor with this MAC address."""
    asked_at: int
    start: int
    stop: int
    maintenance: bool

    def until(self, row: Incident, kind: str) -> int:
        """The time until which it holds messages of this kind about this incident."""
        excused = self.start <= row.opened_at < self.stop + row.threshold
        if self.maintenance and excused and kind != "recovered" and self.start < self.stop:
            # Maintenance may be the cause: the sensor gets its full threshold after the end.
            return self.stop + row.threshold
        return self.stop

    def holds(self, row: Incident, kind: str, now: int) -> bool:
        """Whether a message of this kind about this incident must not be sent."""
        return self.covers(row.mac) and self.start <= now < self.until(row, kind)

    def is_newer_than(self, moment: int) -> bool:
        """Whether it did not exist, or had not started, at this time."""
        return moment < self.start or moment <= self.asked_at


def covering(holds: Iterable[Hold], row: Incident, kind: str, now: int) -> list[Hold]:
    """The holds that apply to a message of this kind."""
    return [each for each in holds if each.holds(row, kind, now)]


def released_since(holds: Iterable[Hold], row: Incident, kind: str, now: int) -> int | None:
    """The time since which nothing holds the message; None while something does."""
    if covering(holds, row, kind, now):
        return None
    ends = (each.until(row, kind) for each in holds if each.covers(row.mac))
    return max((end for end in ends if end <= now), default=0)
