"""Decides when to send notices that monitoring was blind, or is behind."""

from collections.abc import Iterable
from datetime import tzinfo
from typing import NamedTuple

from monitor.outbox.wording import duration, long
from monitor.staleness.blindness import BlindWindow, merge

_BEHIND = 4
"""Monitoring is behind after this many times the shortest blind time that causes a notice."""
_SWEEPS = 3
"""The minimum number of missed sweeps before monitoring is behind."""

NO_SWEEP = "No sweep has completed since then."


class SentNotices(NamedTuple):
    """What notices have reported so far; times in ms, 0 for never."""

    behind_since: int = 0
    """Since when monitoring is behind, if a notice has reported it."""
    blind_until: int = 0
    """Up to when blind windows have been reported."""
    blind_at: int = 0
    """When the last notice about blind windows was enqueued."""


class NoticeConfig(NamedTuple):
    """Durations in ms."""

    shortest: int
    """Shorter blind time in total is not reported."""
    interval: int
    """Between two notices about blind windows."""
    sweeps: int = 0
    """Between two sweeps."""

    @property
    def behind_after(self) -> int:
        """After how long without progress monitoring is behind."""
        return max(_BEHIND * self.shortest, _SWEEPS * self.sweeps)


class Behind(NamedTuple):
    """Monitoring is behind."""

    since: int
    reason: str
    """One sentence."""


class Notices(NamedTuple):
    """The notices to enqueue now."""

    sent: SentNotices
    """The state after these notices are enqueued."""
    behind: bool
    """Whether to enqueue a notice that monitoring is behind since `sent.behind_since`."""
    blind: list[BlindWindow]
    """Blind windows that have ended and are not reported yet; empty for no notice."""
    only_behind: bool = False
    """Whether heartbeats were received in all of `blind`: monitoring was only behind."""


_PAUSE_DIVISOR = 16
"""After a notice, none that monitoring is behind is sent for the interval divided by this."""


def behind(
    reached: int, hindrance: str, unmoved_since: int, now: int, behind_after: int
) -> Behind | None:
    """Whether monitoring is behind. The notice, the banner, `/readyz` and the metric all use it.

    `reached`: up to when sensors were judged; 0 for never. `hindrance`: the cause that the
    schedulers recorded, or "". `unmoved_since`: since when the caller has seen no progress.
    """
    if now - unmoved_since <= behind_after:
        return None
    return Behind(reached or unmoved_since, hindrance or NO_SWEEP)


def is_due(sent: SentNotices, now: int, config: NoticeConfig) -> bool:
    """Whether a notice that monitoring is behind may be enqueued."""
    return not sent.behind_since and now - sent.blind_at >= config.interval // _PAUSE_DIVISOR


def decide(
    sent: SentNotices,
    horizon: int,
    windows: Iterable[BlindWindow],
    now: int,
    watched_since: int,
    config: NoticeConfig,
) -> Notices:
    """Decides which notices to enqueue now.

    `windows`: the stored blind windows. `watched_since`: since when this process has run without
    interruption; missing progress before that was its own.
    """
    found = behind(horizon, "", max(horizon, watched_since), now, config.behind_after)
    if found is not None and horizon > 0 and is_due(sent, now, config):
        return Notices(sent._replace(behind_since=horizon), behind=True, blind=[])
    if horizon > 0 and now - horizon > config.behind_after:
        return Notices(sent, behind=False, blind=[])
    return _decide_blind(sent, horizon, windows, now, config)


def _decide_blind(
    sent: SentNotices,
    horizon: int,
    windows: Iterable[BlindWindow],
    now: int,
    config: NoticeConfig,
) -> Notices:
    """Decides whether to report blind windows, now that monitoring is not behind.

    If a notice has reported that monitoring is behind, the time since then is reported at once.
    """
    was_behind = bool(sent.behind_since)
    no_notice = Notices(sent._replace(behind_since=0), behind=False, blind=[])
    blind = _unreported(windows, sent, horizon)
    late = [BlindWindow(sent.behind_since, horizon)] if was_behind else []
    unreported = merge([*blind, *_unreported(late, sent, horizon)])
    if _total(unreported) < config.shortest:
        return no_notice
    still_blind = unreported[-1].stop >= horizon
    if not was_behind and (still_blind or now - sent.blind_at < config.interval):
        return no_notice
    after = SentNotices(0, unreported[-1].stop, now)
    return Notices(after, behind=False, blind=unreported, only_behind=not blind)


def _total(windows: Iterable[BlindWindow]) -> int:
    return sum(window.stop - window.start for window in windows)


def _unreported(
    windows: Iterable[BlindWindow], sent: SentNotices, horizon: int
) -> list[BlindWindow]:
    """The parts of these windows that have ended and are not reported yet."""
    return merge(
        BlindWindow(max(start, sent.blind_until), stop)
        for start, stop in windows
        if start > 0 and stop <= horizon  # time before the first coverage span is not reported
    )


def behind_text(found: Behind, zone: tzinfo) -> tuple[str, list[str]]:
    """(subject, sentences) of the notice that monitoring is behind."""
    return (
        f"Monitoring has been behind since {long(found.since, zone)}",
        [
            f"{found.reason} Sensors are not judged until monitoring has caught up, so silent "
            "sensors are not detected. A message follows when it has caught up."
        ],
    )


def blind_text(found: Notices, zone: tzinfo) -> tuple[str, list[str]]:
    """(subject, sentences) of the notice that monitoring was blind or behind."""
    windows = found.blind
    between = f"{long(windows[0].start, zone)} and {long(windows[-1].stop, zone)}"
    total = duration(_total(windows))
    if found.only_behind:
        return f"Monitoring was behind between {between}", [
            f"All heartbeats of these {total} are stored, and monitoring has caught up. A sensor "
            "that went silent and recovered in that time caused no alert."
        ]
    if len(windows) == 1:
        subject = f"Monitoring was blind between {between}"
        first = f"For {total}, heartbeats were not received or sensors were not judged."
    else:
        subject = f"Monitoring was blind {len(windows)} times between {between}, {total} in all"
        first = "In these times, heartbeats were not received or sensors were not judged."
    return subject, [
        f"{first} A sensor that was silent only then caused no alert. Monitoring has caught up "
        "with all heartbeats that it received."
    ]
