"""When people are told that monitoring itself was blind, or is behind."""

from collections.abc import Iterable, Sequence
from datetime import tzinfo
from typing import NamedTuple

from monitor.outbox.wording import duration, local, short
from monitor.staleness.blindness import Window, merge

BEHIND = 4
"""Times the shortest blindness worth telling: so far behind is judging told to be so."""


class Told(NamedTuple):
    """What was told so far; moments in ms, 0 for never."""

    behind_since: int = 0
    """While judging is behind: since when."""
    blind_until: int = 0
    """Blindness up to here was told."""
    blind_at: int = 0
    """When that was."""


class Manners(NamedTuple):
    """Durations in ms."""

    shortest: int
    """Less blindness than this is not told."""
    interval: int
    """Between two notices of blindness."""


class Notices(NamedTuple):
    """What is to be told now."""

    told: Told
    behind: int | None
    """Judging is behind since then, and nobody knows."""
    blind: list[Window]
    """Blindness that is over and nobody knows of; empty: nothing to tell."""


_REST = 16
"""Part of the interval in which a standstill after a notice is not told again."""


def decide(
    told: Told,
    horizon: int,
    windows: Iterable[Window],
    now: int,
    watched_since: int,
    manners: Manners,
) -> Notices:
    """Whether to tell now.

    `windows`: the blind ones on record. `watched_since`: since when this process has looked
    without a break; a standstill before that was its own.
    """
    far = BEHIND * manners.shortest
    rested = now - told.blind_at >= manners.interval // _REST
    behind = None
    if not told.behind_since and horizon and rested and now - max(horizon, watched_since) > far:
        behind = horizon
        told = told._replace(behind_since=horizon)
    caught_up = now - horizon <= far
    was_behind = bool(told.behind_since) and caught_up
    blind = [*windows, *([Window(told.behind_since, horizon)] if was_behind else [])]
    untold = merge(
        Window(max(start, told.blind_until), stop)
        for start, stop in blind
        if start > 0 and stop <= horizon  # what was before the first pulse is nobody's news
    )
    long = sum(window.stop - window.start for window in untold) >= manners.shortest
    over = caught_up and long and (was_behind or untold[-1].stop < horizon)
    if not over or not (was_behind or now - told.blind_at >= manners.interval):
        return Notices(told, behind, [])
    return Notices(Told(0, untold[-1].stop, now), behind, untold)


def behind_text(since: int, reason: str, zone: tzinfo, now: int) -> tuple[str, list[str]]:
    """(subject, sentences) of the notice that judging is behind."""
    return (
        f"Monitoring has been behind since {short(since, now, zone)}",
        [
            f"{reason} What sensors sent since then is not judged yet, and nobody can know who is "
            "silent. A message follows when that is over."
        ],
    )


def blind_text(windows: Sequence[Window], zone: tzinfo, now: int) -> tuple[str, list[str]]:
    """(subject, sentences) of the notice that there was blindness."""
    start, stop = windows[0].start, windows[-1].stop
    between = f"{_clock(start, stop, now, zone)} and {short(stop, now, zone)}"
    whole = duration(sum(window.stop - window.start for window in windows))
    if len(windows) == 1:
        subject = f"Monitoring was blind between {between}"
        first = f"For {whole} sensors were not heard, or what they sent was not judged."
    else:
        subject = f"Monitoring was blind {len(windows)} times between {between}, {whole} in all"
        first = "Then sensors were not heard, or what they sent was not judged."
    return subject, [
        f"{first} Silence in that time raised no alarm by itself; everything that was received "
        "has been judged since."
    ]


def _clock(start: int, stop: int, now: int, zone: tzinfo) -> str:
    """The beginning, without the zone when the end names it."""
    same_day = local(start, zone).date() == local(stop, zone).date() == local(now, zone).date()
    return f"{local(start, zone):%H:%M}" if same_day else short(start, now, zone)
