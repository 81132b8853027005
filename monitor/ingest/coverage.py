"""Computes the time in which every valid heartbeat was accepted. No I/O."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from monitor.model import SECOND

LONGEST_PAUSE = 30 * SECOND
"""The longest pause (ms) between two observations of one span. After a longer pause the host was
suspended or this process was stopped."""


class Refusal(NamedTuple):
    """Valid heartbeats were refused from `start` to `stop`, the next successful append (ms).

    `stop` is None while they are still refused.
    """

    start: int
    stop: int | None


class CoveredTime(NamedTuple):
    """Heartbeats were accepted without interruption over [start, until]; ms."""

    start: int
    until: int


class CoverageTracker:
    """Joins observations into continuous spans, and keeps those that are not stored yet."""

    def __init__(self) -> None:
        self._ended: list[CoveredTime] = []
        self._start: int | None = None
        """Start of the open span; None while heartbeats are not accepted."""
        self._observed_until = 0
        self._last: CoveredTime | None = None

    def observe(
        self, now: int, settled: int, alive: bool, broken: bool, refusals: Sequence[Refusal]
    ) -> None:
        """Takes one observation of the workers, started at `now`.

        `settled` <= now: all heartbeats received up to then are visible. `alive`: some worker
        accepts heartbeats. `broken`: a worker died or the clock was stepped since the last
        observation. `refusals`: first those that ended since then, then those that continue.
        """
        if settled < self._observed_until:
            # The clock was set back: a span that is not stored yet would be in the future.
            self._ended.clear()
            self._start = None
            broken = True
        refusing = any(refusal.stop is None for refusal in refusals)
        if broken or not alive or settled - self._observed_until > LONGEST_PAUSE:
            # What happened since the last observation is unknown, so the span ends there.
            self._end(self._observed_until)
            may_start = alive and not refusing
        else:
            for refusal in _merge(refusals):
                # It may have started after `settled`, up to which everything is known.
                self._end(min(refusal.start - 1, settled))
                self._start = refusal.stop
            may_start = self._start is None and not refusing
        if may_start:
            self._start = now
        self._observed_until = settled

    def _end(self, until: int) -> None:
        if self._start is not None and until >= self._start:
            self._ended.append(CoveredTime(self._start, until))
        self._start = None

    def to_store(self, stored: int) -> list[CoveredTime]:
        """Spans to store when everything received up to `stored` is in the store; oldest first."""
        open_now = [] if self._start is None else [CoveredTime(self._start, self._observed_until)]
        spans = (
            CoveredTime(span.start, min(span.until, stored)) for span in [*self._ended, *open_now]
        )
        return [span for span in spans if span.until >= span.start]

    def mark_stored(self, spans: Iterable[CoveredTime], stored: int) -> None:
        """These spans are stored; spans that ended up to `stored` are complete in the store."""
        self._last = max([*spans, *([self._last] if self._last else [])], default=None)
        self._ended = [span for span in self._ended if span.until > stored]

    @property
    def newest_stored(self) -> CoveredTime | None:
        """The newest stored span: the one to store again as closing."""
        return self._last


def _merge(refusals: Iterable[Refusal]) -> list[Refusal]:
    """The refusals in order, with overlapping ones merged."""
    merged: list[Refusal] = []
    for start, stop in sorted(refusals, key=lambda refusal: refusal.start):
        last = merged[-1] if merged else None
        if last is not None and (last.stop is None or start <= last.stop):
            whole = None if last.stop is None or stop is None else max(last.stop, stop)
            merged[-1] = Refusal(last.start, whole)
        else:
            merged.append(Refusal(start, stop))
    return merged
