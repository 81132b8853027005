"""When people are told that monitoring itself was blind, or is behind."""

from collections.abc import Iterable
from datetime import tzinfo
from typing import NamedTuple

from monitor.outbox.wording import duration, local, short
from monitor.staleness.blindness import BlindWindow, merge

_BEHIND = 4
"""Times the shortest blindness worth a notice: a longer standstill of judging is worth one, too."""
_SWEEPS = 3
"""So many that could have been made must be missing in any case."""

NO_SWEEP = "No sweep has completed since then."


class Told(NamedTuple):
    """What was told so far; moments in ms, 0 for never."""

    behind_since: int = 0
    """While judging is behind: since when."""
    blind_until: int = 0
    """Blindness up to here was told."""
    blind_at: int = 0
    """When that was."""


class NoticeConfig(NamedTuple):
    """Durations in ms."""

    shortest: int
    """Less blindness than this is not told."""
    interval: int
    """Between two notices of blindness."""
    sweeps: int = 0
    """Between two sweeps."""

    @property
    def behind_after(self) -> int:
        """How long judging may stand still before it is behind."""
        return max(_BEHIND * self.shortest, _SWEEPS * self.sweeps)


class Behind(NamedTuple):
    """Judging has stood still for too long."""

    since: int
    reason: str
    """A sentence."""


class Notices(NamedTuple):
    """What is to be told now."""

    told: Told
    behind: bool
    """Judging is behind, since `told.behind_since`, and no notice has been enqueued."""
    blind: list[BlindWindow]
    """Blindness that is over and nobody knows of; empty: nothing to tell."""
    heard: bool = False
    """Sensors were heard in all of `blind`: judging was behind."""


_REST = 16
"""Part of the interval in which a standstill after a notice is not told again."""


def behind(
    reached: int, hindrance: str, unmoved_since: int, now: int, behind_after: int
) -> Behind | None:
    """Whether judging is behind. The notice, the banner, `/readyz` and the metric agree by it.

    `reached`: up to when sensors were judged; 0 for never. `hindrance`: what the schedulers state
    as the cause, or "". `unmoved_since`: since when the caller has watched it stand still.
    """
    if now - unmoved_since <= behind_after:
        return None
    return Behind(reached or unmoved_since, hindrance or NO_SWEEP)


def is_due(told: Told, now: int, manners: NoticeConfig) -> bool:
    """Whether a notice that judging is behind may be enqueued."""
    return not told.behind_since and now - told.blind_at >= manners.interval // _REST


def decide(
    told: Told,
    horizon: int,
    windows: Iterable[BlindWindow],
    now: int,
    watched_since: int,
    manners: NoticeConfig,
) -> Notices:
    """Whether to tell now.

    `windows`: the blind ones on record. `watched_since`: since when this process has looked
    without a break; a standstill before that was its own.
    """
    stood_since = max(horizon, watched_since)
    found = behind(horizon, "", stood_since, now, manners.behind_after)
    is_news = found is not None and horizon > 0 and is_due(told, now, manners)
    if is_news:
        told = told._replace(behind_since=horizon)
    caught_up = not horizon or now - horizon <= manners.behind_after
    was_behind = bool(told.behind_since) and caught_up
    late = [BlindWindow(told.behind_since, horizon)] if was_behind else []
    blind = _untold(windows, told, horizon)
    untold = merge([*blind, *_untold(late, told, horizon)])
    long = sum(window.stop - window.start for window in untold) >= manners.shortest
    over = caught_up and long and (was_behind or untold[-1].stop < horizon)
    if not over or not (was_behind or now - told.blind_at >= manners.interval):
        return Notices(told._replace(behind_since=0) if was_behind else told, is_news, [])
    return Notices(Told(0, untold[-1].stop, now), is_news, untold, heard=not blind)


def _untold(windows: Iterable[BlindWindow], told: Told, horizon: int) -> list[BlindWindow]:
    """What of these is over and in no notice yet."""
    return merge(
        BlindWindow(max(start, told.blind_until), stop)
        for start, stop in windows
        if start > 0 and stop <= horizon  # what was before the first pulse is nobody's news
    )


def behind_text(found: Behind, zone: tzinfo, now: int) -> tuple[str, list[str]]:
    """(subject, sentences) of the notice that judging is behind."""
    return (
        f"Monitoring has been behind since {short(found.since, now, zone)}",
        [
            f"{found.reason} Heartbeats since then are not judged yet, so silent "
            "sensors can't be detected. A message follows when monitoring has caught up."
        ],
    )


def over_text(found: Notices, zone: tzinfo, now: int) -> tuple[str, list[str]]:
    """(subject, sentences) of the notice that there was blindness, or that judging was behind."""
    windows = found.blind
    start, stop = windows[0].start, windows[-1].stop
    between = f"{_clock(start, stop, now, zone)} and {short(stop, now, zone)}"
    whole = duration(sum(window.stop - window.start for window in windows))
    if found.heard:
        return f"Monitoring was behind between {between}", [
            f"Heartbeats from these {whole} are stored and have been judged now. A sensor "
            "that went silent and recovered in that time caused no alert."
        ]
    if len(windows) == 1:
        subject = f"Monitoring was blind between {between}"
        first = f"For {whole}, heartbeats were not received or not judged."
    else:
        subject = f"Monitoring was blind {len(windows)} times between {between}, {whole} in all"
        first = "In that time, heartbeats were not received or not judged."
    return subject, [
        f"{first} A sensor that was silent only then caused no alert. All heartbeats that were "
        "received have been judged now."
    ]


def _clock(start: int, stop: int, now: int, zone: tzinfo) -> str:
    """The beginning, without the zone when the end names it."""
    same_day = local(start, zone).date() == local(stop, zone).date() == local(now, zone).date()
    return f"{local(start, zone):%H:%M}" if same_day else short(start, now, zone)
