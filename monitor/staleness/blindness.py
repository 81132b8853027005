"""The horizon, blind windows and observed time.

A source (a data directory with its shipper) reports coverage spans: in each it accepted heartbeats
without interruption, and stored all of them. The horizon is the moment up to which all open sources
have reported: a watermark, as in stream processing (Akidau et al., The Dataflow Model, 2015). Each
moment before the horizon is either observed or blind, and this is stored.
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
"""The most (ms) that one observation adds to `stalled_for`: in a longer pause the observer itself
was not running."""


class BlindWindow(NamedTuple):
    """The blind span (start, stop]; moments in ms."""

    start: int
    stop: int


class SourceSpan(NamedTuple):
    """`source` covered [start, until]; `closing` if it then stopped cleanly."""

    source: str
    start: int
    until: int
    closing: bool


@dataclass(frozen=True, slots=True)
class Source:
    """The state of one source."""

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
    """New blind windows. If a source returned, one may be before the old horizon."""
    lost: list[str]
    """Sources that are lost since this observation."""


class ObservedTime:
    """Observed time: all time outside a list of blind windows."""

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
        """Observed milliseconds in (start, stop]."""
        return self._axis(stop) - self._axis(start)

    def last_blind(self, moment: int) -> int:
        """The end of the last blind window that starts before `moment`, at most `moment`; or 0."""
        index = bisect_left(self._starts, moment)
        return min(moment, self._windows[index - 1].stop) if index else 0

    def interruptions(self, start: int, stop: int) -> int:
        """The number of blind windows that overlap (start, stop]."""
        return sum(1 for window in self._windows if window.start < stop and window.stop > start)


def merge(windows: Iterable[BlindWindow]) -> list[BlindWindow]:
    """The windows in order, with overlapping ones merged and empty ones removed."""
    merged: list[BlindWindow] = []
    for window in sorted(window for window in windows if window.stop > window.start):
        if merged and window.start <= merged[-1].stop:
            merged[-1] = BlindWindow(merged[-1].start, max(merged[-1].stop, window.stop))
        else:
            merged.append(window)
    return merged


def subtract(window: BlindWindow, covered: Iterable[BlindWindow]) -> list[BlindWindow]:
    """The parts of `window` that are not in `covered`."""
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
    """Moves the horizon as far as the spans allow, and finds new blind windows.

    `spans`: all that end after `horizon`, including adjacent pieces of one span. `elapsed`: ms
    since the previous observation. `lost_after`: ms without progress after which a source is lost.
    `horizon` is 0 before the first span: no time before it is observed.
    """
    reported: dict[str, list[SourceSpan]] = {}
    for span in spans:
        reported.setdefault(span.source, []).append(span)
    after = dict(sources)
    required_from: dict[str, int] = {
        name: horizon for name, source in sources.items() if source.open
    }
    blind: list[BlindWindow] = []
    for name, pieces in reported.items():
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
            after[name] = _observed(source, reported.get(name, []), elapsed)
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
        name: [BlindWindow(s.start, s.until) for s in reported.get(name, [])] for name in open_now
    }
    blind += subtract(passed, [piece for pieces in covered.values() for piece in pieces])
    for name in open_now:
        required = BlindWindow(max(horizon, required_from[name]), reached)
        blind += subtract(required, covered[name])
    return Advance(reached, after, merge(blind), lost)


def stored_later(judged: int, sources: Mapping[str, Source], now: int) -> int:
    """The earliest time of a heartbeat that may have been stored after the observation that judged
    up to `judged`: a source that can't reach the store keeps heartbeats, for up to a day."""
    late = (source.until for source in sources.values() if source.until > now - DAY)
    return min([judged, *late])


def _observed(source: Source, pieces: list[SourceSpan], elapsed: int) -> Source:
    newest = max(pieces, key=lambda span: span.until, default=None)
    if newest is None or newest.until <= source.until:
        farewell = source.farewell or (newest is not None and newest.closing)
        stalled_for = source.stalled_for + min(max(elapsed, 0), _LONGEST_STEP)
        return replace(source, stalled_for=stalled_for, farewell=farewell)
    return Source(open=True, until=newest.until, farewell=newest.closing)
