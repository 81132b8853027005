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
    """The blind span (start, stop]; times in ms."""

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

    1. A source that is new or reports again is open from the start of its coverage.
    2. An open source without progress closes, if it stopped cleanly, or is lost.
    3. The horizon moves to the moment that all open sources have reached. Up to there, time is
       blind if no open source covers it, or if one that was open does not.
    """
    reported = _by_source(spans)
    opened_at = _opened(horizon, sources, reported)
    after = dict(sources)
    for name in opened_at:
        after[name] = _reporting(_newest(reported[name]))
    blind = _short_pauses(sources, opened_at, lost_after)
    lost: list[str] = []
    for name, before in sources.items():
        if not before.open:
            continue
        source = after[name] = _observed(before, reported.get(name, []), elapsed)
        if source.stalled_for >= lost_after:
            lost.append(name)
            blind.append(BlindWindow(before.until, max(before.until, now)))
        if source.stalled_for >= lost_after or _has_stopped(source):
            after[name] = replace(source, open=False)
    open_sources = {name: source for name, source in after.items() if source.open}
    if not open_sources:
        return Advance(horizon, after, merge(blind), lost)
    reached = max(horizon, min(source.until for source in open_sources.values()))
    required = {
        name: BlindWindow(max(horizon, opened_at.get(name, horizon)), reached)
        for name in open_sources
    }
    blind += _uncovered(BlindWindow(horizon, reached), required, reported)
    return Advance(reached, after, merge(blind), lost)


def stored_later(judged: int, sources: Mapping[str, Source], now: int) -> int:
    """The earliest time of a heartbeat that may have been stored after the observation that judged
    up to `judged`: a source that can't reach the store keeps heartbeats, for up to a day."""
    late = (source.until for source in sources.values() if source.until > now - DAY)
    return min([judged, *late])


def _by_source(spans: Iterable[SourceSpan]) -> dict[str, list[SourceSpan]]:
    found: dict[str, list[SourceSpan]] = {}
    for span in spans:
        found.setdefault(span.source, []).append(span)
    return found


def _opened(
    horizon: int, sources: Mapping[str, Source], reported: Mapping[str, list[SourceSpan]]
) -> dict[str, int]:
    """source -> start of its coverage, for those that are not open and report after the horizon."""
    found = {}
    for name, spans in reported.items():
        known = sources.get(name)
        if known is not None and known.open:
            continue
        new = [span for span in spans if known is None or span.until > known.until]
        if new and _newest(new).until >= horizon:
            found[name] = min(span.start for span in new)
    return found


def _short_pauses(
    sources: Mapping[str, Source], opened_at: Mapping[str, int], lost_after: int
) -> list[BlindWindow]:
    """The pauses of sources that report again, without those long enough to be lost."""
    pauses = [
        BlindWindow(sources[name].until, start)
        for name, start in opened_at.items()
        if name in sources
    ]
    return [pause for pause in pauses if pause.stop - pause.start <= lost_after]


def _observed(source: Source, spans: list[SourceSpan], elapsed: int) -> Source:
    """The state of an open source after its new spans, or after `elapsed` ms without progress."""
    newest = _newest(spans) if spans else None
    if newest is not None and newest.until > source.until:
        return _reporting(newest)
    return replace(
        source,
        stalled_for=source.stalled_for + min(max(elapsed, 0), _LONGEST_STEP),
        farewell=source.farewell or (newest is not None and newest.closing),
    )


def _newest(spans: list[SourceSpan]) -> SourceSpan:
    return max(spans, key=lambda span: span.until)


def _reporting(newest: SourceSpan) -> Source:
    return Source(open=True, until=newest.until, farewell=newest.closing)


def _has_stopped(source: Source) -> bool:
    return source.farewell and source.stalled_for >= FAREWELL_GRACE


def _uncovered(
    passed: BlindWindow,
    required: Mapping[str, BlindWindow],
    reported: Mapping[str, list[SourceSpan]],
) -> list[BlindWindow]:
    """The parts of `passed` that no source covers, and the parts of the window that is required
    of each source that it does not cover."""
    covered = {
        name: [BlindWindow(span.start, span.until) for span in reported.get(name, [])]
        for name in required
    }
    blind = subtract(passed, [piece for pieces in covered.values() for piece in pieces])
    for name, window in required.items():
        blind += subtract(window, covered[name])
    return blind
