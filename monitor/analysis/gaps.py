"""Silences of a sensor, and which of them were outages.

A silence is the time between two neighbouring heartbeats, by their own times, that lie further
apart than the threshold in force now. It is looked at as a whole, from the last heartbeat before
to the first one after, or to the end of what is known:

- It was an outage when it holds more than one threshold of unbroken listening (that is proof), or
  more than five in all (a presumption): the two clauses by which incidents open. Listening counts
  only outside maintenance and pauses here, for those explain a silence.
- The outage began at the last heartbeat, not one threshold later: an incident says "silent since"
  that moment too, and its duration is counted from there.
- Any other silence tells nothing, so nobody knows how the sensor was.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from typing import NamedTuple

from monitor.staleness.blindness import BlindWindow, ObservedTime, merge, subtract
from monitor.staleness.rules import PRESUMED_AFTER


class GapVerdict(StrEnum):
    """What a silence was."""

    PROVEN = "proven"
    PRESUMED = "presumed"
    UNKNOWN = "unknown"


class Gap(NamedTuple):
    """Nothing was heard after `start`, a heartbeat, and before `stop`."""

    start: int
    stop: int
    over: bool
    """A heartbeat ended it at `stop`; otherwise nothing is known beyond."""
    verdict: GapVerdict

    @property
    def outage(self) -> bool:
        """The sensor was down."""
        return self.verdict is not GapVerdict.UNKNOWN


@dataclass(frozen=True)
class Evidence:
    """What is known of one sensor up to `stop`; moments and durations in ms.

    The windows reach back to the first gap's beginning.
    """

    start: int
    stop: int
    threshold: int
    gaps: Sequence[tuple[int | None, int | None]]
    """(last heartbeat before, first one after) of each silence longer than the threshold that
    reaches into [start, stop), as Store.gaps tells them."""
    first_seen: int | None = None
    """The sensor is known to have been heard then, even if that heartbeat is kept no longer."""
    last_seen: int | None = None
    """When the last heartbeat before `stop` was received: it proves life then, though its own time
    may be earlier, by a clock that is behind."""
    blind: Sequence[BlindWindow] = ()
    maintenance: Sequence[BlindWindow] = ()
    paused: Sequence[BlindWindow] = ()

    @property
    def begin(self) -> int:
        """From when on the sensor counts: its first heartbeat, `stop` if there was none."""
        if not self.gaps or self.gaps[0][0] is not None:
            return self.start
        known = [moment for moment in (self.gaps[0][1], self.first_seen) if moment is not None]
        return min(max(self.start, min(known, default=self.stop)), self.stop)

    @cached_property
    def unpaused(self) -> ObservedTime:
        """Time outside pauses."""
        return ObservedTime(self.paused)

    @cached_property
    def watched(self) -> ObservedTime:
        """Time outside pauses and maintenance."""
        return ObservedTime([*self.paused, *self.maintenance])

    @cached_property
    def listened(self) -> ObservedTime:
        """Time outside pauses, maintenance and blind windows."""
        return ObservedTime(self._excuses)

    @cached_property
    def _excuses(self) -> list[BlindWindow]:
        return merge([*self.paused, *self.maintenance, *self.blind])

    @cached_property
    def silences(self) -> list[Gap]:
        """In order; the first may begin before `start`, none ends after `stop`."""
        return [
            Gap(start, stop, over, self._judge(start, stop))
            for start, stop, over in self._bounded()
            if stop - start > self.threshold
        ]

    def _bounded(self) -> Iterator[tuple[int, int, bool]]:
        for before, after in self.gaps:
            start = self.first_seen if before is None else before
            if start is None:
                continue
            if after is None:
                seen = start if self.last_seen is None else max(start, self.last_seen)
                yield seen, self.stop, False
            else:
                yield start, after, True

    def _judge(self, start: int, stop: int) -> GapVerdict:
        if _longest(self._runs(start, stop)) > self.threshold:
            return GapVerdict.PROVEN
        if self.listened.between(start, stop) > PRESUMED_AFTER * self.threshold:
            return GapVerdict.PRESUMED
        return GapVerdict.UNKNOWN

    def _runs(self, start: int, stop: int) -> list[BlindWindow]:
        first = bisect_right(self._excuses, start, key=lambda window: window.stop)
        last = bisect_left(self._excuses, stop, key=lambda window: window.start)
        return subtract(BlindWindow(start, stop), self._excuses[first:last])


def outages(silences: Iterable[Gap]) -> list[Gap]:
    """Those silences in which the sensor was down."""
    return [silence for silence in silences if silence.outage]


def _longest(windows: Iterable[BlindWindow]) -> int:
    return max((window.stop - window.start for window in windows), default=0)
