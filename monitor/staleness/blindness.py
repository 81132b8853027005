"""What was listened to: the horizon, blind windows and listened time.

A source (a data directory with its shipper) says by pulses over which spans it listened without
a break and that all it received then is stored. The horizon is the moment up to which that holds
for every open source: watermarks, as in stream processing (Akidau et al., The Dataflow Model,
2015). Up to the horizon each moment was listened to or is blind, and that verdict is kept.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from itertools import accumulate
from typing import NamedTuple

from monitor.model import DAY, MINUTE, SECOND

FAREWELL_GRACE = 2 * MINUTE
"""How long the horizon waits for a source that stopped cleanly before going on without it."""

_LONGEST_STEP = 15 * SECOND
"""The most that one observation adds to a standstill: longer pauses are the observer's own."""


class BlindWindow(NamedTuple):
    """The blind span (start, stop]; moments in ms."""

    start: int
    stop: int


class SourceSpan(NamedTuple):
    """`source` listened over [start, until]; `closing` when it then said farewell."""

    source: str
    start: int
    until: int
    closing: bool


@dataclass(frozen=True, slots=True)
class Source:
    """What is remembered of one source."""

    open: bool
    until: int
    stalled_for: int = 0
    farewell: bool = False


@dataclass(frozen=True, slots=True)
class Advance:
    """The outcome of one observation."""

    horizon: int
    sources: Mapping[str, Source]
    blind: list[BlindWindow]
    """New blind windows; one may lie before the old horizon, when a source came back."""
    lost: list[str]
    """Sources written off now."""


class ObservedTime:
    """Listened time on top of a list of blind windows."""

    def __init__(self, windows: Iterable[BlindWindow]) -> None:
        self._windows = merge(windows)
        self._starts = [window.start for window in self._windows]
        lengths = (window.stop - window.start for window in self._windows)
        self._blind_before = [0, *accumulate(lengths)]

    def _axis(self, moment: int) -> int:
        index = bisect_right(self._starts, moment)
        blind = self._blind_before[index]
        if index:
            blind -= max(0, self._windows[index - 1].stop - moment)
        return moment - blind

    def between(self, start: int, stop: int) -> int:
        """Listened milliseconds in (start, stop]."""
        return self._axis(stop) - self._axis(start)

    def last_blind(self, moment: int) -> int:
        """The end of the last blind window that began before `moment`, at most `moment`; or 0."""
        index = bisect_left(self._starts, moment)
        return min(moment, self._windows[index - 1].stop) if index else 0

    def interruptions(self, start: int, stop: int) -> int:
        """How many blind windows touch (start, stop]."""
        return sum(1 for window in self._windows if window.start < stop and window.stop > start)


def merge(windows: Iterable[BlindWindow]) -> list[BlindWindow]:
    """The same moments as disjoint windows in order; empty ones are dropped."""
    merged: list[BlindWindow] = []
    for window in sorted(window for window in windows if window.stop > window.start):
        if merged and window.start <= merged[-1].stop:
            merged[-1] = BlindWindow(merged[-1].start, max(merged[-1].stop, window.stop))
        else:
            merged.append(window)
    return merged


def subtract(window: BlindWindow, covered: Iterable[BlindWindow]) -> list[BlindWindow]:
    """What of `window` no member of `covered` holds."""
    left, position = [], window.start
    for piece in merge(covered):
        if piece.start >= window.stop:
            break
        if piece.start > position:
            left.append(BlindWindow(position, piece.start))
        position = max(position, piece.stop)
    if position < window.stop:
        left.append(BlindWindow(position, window.stop))
    return left


def advance(
    horizon: int,
    sources: Mapping[str, Source],
    spans: Iterable[SourceSpan],
    elapsed: int,
    lost_after: int,
    now: int,
) -> Advance:
    """Move the horizon as far as the spans allow and find what was blind on the way.

    `spans`: all that end after `horizon`, neighbouring pieces of one pulse included. `elapsed`:
    ms since the previous observation. `lost_after`: ms of standing still after which a source is
    written off. `horizon` is 0 before the first pulse: nothing before it counts as listened.
    """
    heard: dict[str, list[SourceSpan]] = {}
    for span in spans:
        heard.setdefault(span.source, []).append(span)
    after = dict(sources)
    required_from: dict[str, int] = {
        name: horizon for name, source in sources.items() if source.open
    }
    blind: list[BlindWindow] = []
    for name, pieces in heard.items():
        newest = max(pieces, key=lambda span: span.until)
        known = sources.get(name)
        if known is not None and known.open:
            continue
        fresh = known is None or newest.until > known.until
        if fresh and newest.until >= horizon:
            start = min(span.start for span in pieces if known is None or span.until > known.until)
            after[name] = Source(open=True, until=newest.until, farewell=newest.closing)
            required_from[name] = start
            if known is not None and start - known.until <= lost_after:
                blind.append(BlindWindow(known.until, start))
    lost: list[str] = []
    for name, source in sources.items():
        if source.open:
            after[name] = _observed(source, heard.get(name, []), elapsed)
            if after[name].stalled_for >= lost_after:
                after[name] = replace(after[name], open=False)
                blind.append(BlindWindow(source.until, max(source.until, now)))
                lost.append(name)
            elif after[name].farewell and after[name].stalled_for >= FAREWELL_GRACE:
                after[name] = replace(after[name], open=False)
    open_now = [name for name, source in after.items() if source.open]
    if not open_now:
        return Advance(horizon, after, merge(blind), lost)
    reached = max(horizon, min(after[name].until for name in open_now))
    passed = BlindWindow(horizon, reached)
    covered = {
        name: [BlindWindow(s.start, s.until) for s in heard.get(name, [])] for name in open_now
    }
    blind += subtract(passed, [piece for pieces in covered.values() for piece in pieces])
    for name in open_now:
        required = BlindWindow(max(horizon, required_from[name]), reached)
        blind += subtract(required, covered[name])
    return Advance(reached, after, merge(blind), lost)


def stored_later(judged: int, sources: Mapping[str, Source], now: int) -> int:
    """The earliest moment of a heartbeat that may have been stored only after the observation that
    `judged` up to there: a source that was out of reach kept it, for a day at most."""
    late = (source.until for source in sources.values() if source.until > now - DAY)
    return min([judged, *late])


def _observed(source: Source, pieces: list[SourceSpan], elapsed: int) -> Source:
    newest = max(pieces, key=lambda span: span.until, default=None)
    if newest is None or newest.until <= source.until:
        farewell = source.farewell or (newest is not None and newest.closing)
        stalled_for = source.stalled_for + min(max(elapsed, 0), _LONGEST_STEP)
        return replace(source, stalled_for=stalled_for, farewell=farewell)
    return Source(open=True, until=newest.until, farewell=newest.closing)
