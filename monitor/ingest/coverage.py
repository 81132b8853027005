"""Time for which every valid heartbeat was accepted (pure)."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from monitor.model import SECOND

LONGEST_PAUSE = 30 * SECOND
"""A longer pause between two observations: the machine slept, or this process was stopped."""


class Refusal(NamedTuple):
    """Valid heartbeats were refused from `start` on; `stop`: the next good append (ms)."""

    start: int
    stop: int | None


class CoveredTime(NamedTuple):
    """Heartbeats were accepted without a break over [start, until]; ms."""

    start: int
    until: int


class CoverageTracker:
    """Joins observations into unbroken spans, and keeps those that the store does not have yet."""

    def __init__(self) -> None:
        self._ended: list[CoveredTime] = []
        self._start: int | None = None
        """Where the span that goes on started; None while heartbeats are not accepted."""
        self._reached = 0
        self._last: CoveredTime | None = None

    def observe(
        self, now: int, settled: int, alive: bool, broken: bool, refusals: Sequence[Refusal]
    ) -> None:
        """One look at the workers, started at `now`.

        `settled` <= now: all received up to then can be seen. `alive`: some worker accepts
        heartbeats. `broken`: a worker died or the clock was stepped since the last look.
        `refusals`: first those that ended since the last look, then those that go on.
        """
        if settled < self._reached:
            # The clock went back: a span that is not stored yet would lie in the future.
            self._ended.clear()
            self._start = None
            broken = True
        refusing = any(refusal.stop is None for refusal in refusals)
        if broken or not alive or settled - self._reached > LONGEST_PAUSE:
            # What happened since the last look is unknown: the span ends there.
            self._end(self._reached)
            may_start = alive and not refusing
        else:
            for refusal in _merge(refusals):
                # It may have started after `settled`, the last moment of which all is known.
                self._end(min(refusal.start - 1, settled))
                self._start = refusal.stop
            may_start = self._start is None and not refusing
        if may_start:
            self._start = now
        self._reached = settled

    def _end(self, until: int) -> None:
        if self._start is not None and until >= self._start:
            self._ended.append(CoveredTime(self._start, until))
        self._start = None

    def to_store(self, stored: int) -> list[CoveredTime]:
        """What may be stored once all received up to `stored` is in the store; oldest first."""
        open_now = [] if self._start is None else [CoveredTime(self._start, self._reached)]
        spans = (
            CoveredTime(span.start, min(span.until, stored)) for span in [*self._ended, *open_now]
        )
        return [span for span in spans if span.until >= span.start]

    def mark_stored(self, spans: Iterable[CoveredTime], stored: int) -> None:
        """The store has these; spans that ended up to `stored` are complete there."""
        self._last = max([*spans, *([self._last] if self._last else [])], default=None)
        self._ended = [span for span in self._ended if span.until > stored]

    @property
    def newest_stored(self) -> CoveredTime | None:
        """The newest span that the store has: the one to repeat as closing."""
        return self._last


def _merge(refusals: Iterable[Refusal]) -> list[Refusal]:
    """The same moments without overlap, in order."""
    merged: list[Refusal] = []
    for start, stop in sorted(refusals, key=lambda refusal: refusal.start):
        last = merged[-1] if merged else None
        if last is not None and (last.stop is None or start <= last.stop):
            whole = None if last.stop is None or stop is None else max(last.stop, stop)
            merged[-1] = Refusal(last.start, whole)
        else:
            merged.append(Refusal(start, stop))
    return merged
