"""Who is to be left alone when, as the person who asked for it means it."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from tests.stateful.rows import Incident


@dataclass(eq=False)
class Quiet:
    """A silence, or maintenance: messages about these sensors are held in [start, stop)."""

    number: int
    covers: Callable[[int], bool]
    """Whether it means the sensor of this mac."""
    asked_at: int
    start: int
    stop: int
    maintenance: bool

    def until(self, row: Incident, kind: str) -> int:
        """The moment up to which it holds messages of this kind about this incident."""
        excused = self.start <= row.opened_at < self.stop + row.threshold
        if self.maintenance and excused and kind != "recovered" and self.start < self.stop:
            # It may be the maintenance's doing: the sensor has its full threshold from the end.
            return self.stop + row.threshold
        return self.stop

    def holds(self, row: Incident, kind: str, now: int) -> bool:
        """Whether a message of this kind about this incident may not be sent."""
        return self.covers(row.mac) and self.start <= now < self.until(row, kind)

    def came_after(self, moment: int) -> bool:
        """Whether nobody could know of it then."""
        return moment < self.start or moment <= self.asked_at


def covering(quiet: Iterable[Quiet], row: Incident, kind: str, now: int) -> list[Quiet]:
    """Those that hold a message of this kind."""
    return [each for each in quiet if each.holds(row, kind, now)]


def over_since(quiet: Iterable[Quiet], row: Incident, kind: str, now: int) -> int | None:
    """Since when nothing holds it; None: something does."""
    if covering(quiet, row, kind, now):
        return None
    ends = (each.until(row, kind) for each in quiet if each.covers(row.mac))
    return max((end for end in ends if end <= now), default=0)
