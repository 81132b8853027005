"""Gaps in a sensor's heartbeats, and which of them were outages.

A gap is the time between two consecutive heartbeats, by their own times, that are further apart
than the current threshold. It is judged as a whole, from the last heartbeat before it to the first
one after it, or to the end of the evidence:

- It was an outage if it contains more than one threshold of uninterrupted observed time (proven),
  or more than five thresholds in total (presumed). Incidents open by the same two rules. Time in
  maintenance or in a pause does not count here, because it explains a gap.
- The outage began at the last heartbeat, not one threshold later. An incident's "silent since" is
  the same moment, and its duration is counted from there.
- In any other gap the sensor's status is unknown.
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
    """What a gap was."""

    PROVEN = "proven"
    PRESUMED = "presumed"
    UNKNOWN = "unknown"


class Gap(NamedTuple):
    """No heartbeat came between `start`, a heartbeat, and `stop`."""

    start: int
    stop: int
    over: bool
    """Whether a heartbeat ended it at `stop`; otherwise the evidence ends there."""
    verdict: GapVerdict

    @property
    def outage(self) -> bool:
        """Whether the sensor was down."""
        return self.verdict is not GapVerdict.UNKNOWN


@dataclass(frozen=True)
class Evidence:
    """What is known about one sensor up to `stop`; moments and durations in ms.

    The windows go back to the start of the first gap.
    """

    start: int
    stop: int
    threshold: int
    gaps: Sequence[tuple[int | None, int | None]]
    """(last heartbeat before, first one after) of each gap longer than the threshold that overlaps
    [start, stop), as Store.gaps returns them."""
    first_seen: int | None = None
    """The first time the sensor reported, even if that heartbeat is no longer stored."""
    last_seen: int | None = None
    """When the last heartbeat before `stop` was received. The sensor was up then, even if the
    heartbeat's own time is earlier because the sensor's clock is slow."""
    blind: Sequence[BlindWindow] = ()
    maintenance: Sequence[BlindWindow] = ()
    paused: Sequence[BlindWindow] = ()

    @property
    def begin(self) -> int:
        """When the sensor's time starts to count: its first heartbeat, or `stop` without one."""
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
    def observed(self) -> ObservedTime:
        """Time outside pauses, maintenance and blind windows."""
        return ObservedTime(self._unjudged)

    @cached_property
    def _unjudged(self) -> list[BlindWindow]:
        return merge([*self.paused, *self.maintenance, *self.blind])

    @cached_property
    def judged_gaps(self) -> list[Gap]:
        """The judged gaps, in order. The first may begin before `start`; none ends after `stop`."""
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
        if self.observed.between(start, stop) > PRESUMED_AFTER * self.threshold:
            return GapVerdict.PRESUMED
        return GapVerdict.UNKNOWN

    def _runs(self, start: int, stop: int) -> list[BlindWindow]:
        first = bisect_right(self._unjudged, start, key=lambda window: window.stop)
        last = bisect_left(self._unjudged, stop, key=lambda window: window.start)
        return subtract(BlindWindow(start, stop), self._unjudged[first:last])


def outages(gaps: Iterable[Gap]) -> list[Gap]:
    """The gaps in which the sensor was down."""
    return [gap for gap in gaps if gap.outage]


def _longest(windows: Iterable[BlindWindow]) -> int:
    return max((window.stop - window.start for window in windows), default=0)
