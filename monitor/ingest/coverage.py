"""Over which spans it may be said that every valid heartbeat was taken in."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from monitor.model import SECOND

LONGEST_PAUSE = 30 * SECOND
"""Between two observations further apart the machine was asleep, or this process was stopped."""


class Refusal(NamedTuple):
    """Valid heartbeats were refused from `start` on; `stop`: the next good append (ms)."""

    start: int
    stop: int | None


class CoveredTime(NamedTuple):
    """Listened without a break over [start, until]; ms."""

    start: int
    until: int


class CoverageTracker:
    """Gathers observations into unbroken spans and keeps those the store was not told of yet."""

    def __init__(self) -> None:
        self._over: list[CoveredTime] = []
        self._start: int | None = None
        self._reached = 0
        self._last: CoveredTime | None = None

    def observe(
        self, now: int, settled: int, alive: bool, broken: bool, refusals: Sequence[Refusal]
    ) -> None:
        """One look at the workers, begun at `now`.

        `settled` <= now: all received up to then can be seen. `alive`: some worker listens.
        `broken`: a worker died or the clock was stepped since the last look. `refusals`: spans of
        refusing, from those that are over since the last look to those that go on.
        """
        if settled < self._reached:
            # The clock went back: what is not told yet would say something about the future.
            self._over.clear()
            self._start = None
            broken = True
        if broken or not alive or settled - self._reached > LONGEST_PAUSE:
            self._stop(self._reached)
            if alive and all(refusal.stop is not None for refusal in refusals):
                self._start = now
        else:
            for refusal in _merge(refusals):
                # It may have begun after the moment up to which all can be seen.
                self._stop(min(refusal.start - 1, settled))
                self._start = refusal.stop
            if self._start is None and not any(refusal.stop is None for refusal in refusals):
                self._start = now
        self._reached = settled

    def _stop(self, until: int) -> None:
        if self._start is not None and until >= self._start:
            self._over.append(CoveredTime(self._start, until))
        self._start = None

    def spans(self, stored: int) -> list[CoveredTime]:
        """What the store may be told when all received up to `stored` is in it, oldest first."""
        open_now = [] if self._start is None else [CoveredTime(self._start, self._reached)]
        told = (
            CoveredTime(span.start, min(span.until, stored)) for span in [*self._over, *open_now]
        )
        return [span for span in told if span.until >= span.start]

    def told(self, spans: Iterable[CoveredTime], stored: int) -> None:
        """The store knows these; what is over and stored is done with."""
        self._last = max([*spans, *([self._last] if self._last else [])], default=None)
        self._over = [span for span in self._over if span.until > stored]

    @property
    def last_told(self) -> CoveredTime | None:
        """The newest span the store knows of: the one to say farewell with."""
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
