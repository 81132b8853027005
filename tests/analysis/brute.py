"""A slow reference implementation: uptime counted millisecond by millisecond."""

from collections import Counter
from collections.abc import Sequence
from itertools import groupby, pairwise

from monitor.analysis.uptime import Uptime
from monitor.staleness.blindness import BlindWindow

Windows = Sequence[BlindWindow]


def gaps(
    beats: Sequence[int], start: int, stop: int, longer_than: int
) -> list[tuple[int | None, int | None]]:
    """The same gaps that `Store.gaps` returns."""
    times = sorted(beat for beat in beats if beat < stop)
    found: list[tuple[int | None, int | None]] = []
    for before, after in pairwise([None, *times, None]):
        if before is None:
            if after is None or after >= start:
                found.append((before, after))
        elif after is None:
            if stop - before > longer_than:
                found.append((before, None))
        elif after > start and after - before > longer_than:
            found.append((before, after))
    return found


def uptime(
    beats: Sequence[int],
    start: int,
    stop: int,
    threshold: int,
    blind: Windows = (),
    maintenance: Windows = (),
    paused: Windows = (),
    first_seen: int | None = None,
    last_seen: int | None = None,
) -> Uptime:
    """The number of milliseconds of each kind in [start, stop)."""
    kinds = Counter(
        _kind(
            moment,
            sorted(beat for beat in beats if beat < stop),
            stop,
            threshold,
            (blind, maintenance, paused),
            first_seen,
            last_seen,
        )
        for moment in range(start, stop)
    )
    return Uptime(**{kind: kinds[kind] for kind in Uptime._fields})


def _kind(
    moment: int,
    beats: list[int],
    stop: int,
    threshold: int,
    windows: tuple[Windows, Windows, Windows],
    first_seen: int | None,
    last_seen: int | None,
) -> str:
    blind, maintenance, paused = windows
    known = list(beats)
    if first_seen is not None and first_seen < min(beats, default=stop):
        known.append(first_seen)
    before = [beat for beat in known if beat <= moment]
    if not before:
        return "does not count"
    after = [beat for beat in beats if beat > moment]
    silent_from, silent_to = max(before), min(after, default=stop)
    if not after and last_seen is not None:
        silent_from = max(silent_from, last_seen)
    if moment < silent_from or silent_to - silent_from <= threshold:
        return "up"
    if _in(moment, paused):
        return "paused"
    if _in(moment, maintenance):
        return "maintenance"
    if _in(moment, blind):
        return "unknown"
    observed = [
        not (_in(at, blind) or _in(at, maintenance) or _in(at, paused))
        for at in range(silent_from, silent_to)
    ]
    longest = max(
        (len(list(run)) for is_observed, run in groupby(observed) if is_observed), default=0
    )
    down = longest > threshold or sum(observed) > 5 * threshold
    return "down" if down else "unknown"


def _in(moment: int, windows: Windows) -> bool:
    return any(window.start <= moment < window.stop for window in windows)
