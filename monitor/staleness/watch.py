"""The sweep's watch over monitoring itself: what is to be told of blindness, and what was."""

from collections.abc import Sequence

from sqlalchemy import Connection

from monitor.incidents.telling import Telling
from monitor.model import SECOND
from monitor.outbox.wording import long
from monitor.staleness import notices
from monitor.staleness.blindness import Advance, Window
from monitor.staleness.notices import Manners, Notices, Told
from monitor.state import horizon
from monitor.state.horizon import Progress

_OWN_PAUSE = 30 * SECOND
"""Between two looks further apart this process did not run, or the machine slept."""


class Watch:
    """One leader's; what it told is in the state."""

    def __init__(self, telling: Telling, manners: Manners) -> None:
        self._telling, self._manners = telling, manners
        self._looked_at = self._since = 0

    def look(self, now: int) -> None:
        """Called at each sweep: after a pause of our own a standstill is none of others'."""
        if not 0 <= now - self._looked_at <= _OWN_PAUSE:
            self._since = now
        self._looked_at = now

    def judge(
        self, progress: Progress, reached: int, windows: Sequence[Window], now: int
    ) -> Notices:
        """What is to be told when judging has reached this horizon."""
        told = Told(progress.behind_since, progress.blind_told_until, progress.blind_told_at)
        return notices.decide(told, reached, windows, now, self._since, self._manners)

    def tell(
        self,
        connection: Connection,
        progress: Progress,
        reach: Advance,
        windows: Sequence[Window],
        now: int,
    ) -> None:
        """Owe the notices that are due after a sweep, in its transaction."""
        zone = self._telling.frame.zone
        for name in reach.lost:
            until = reach.sources[name].until
            subject = f"The host {name} has been written off"
            sentence = (
                f"Nothing of what it received after {long(until, zone)} has come to the store, "
                "and it is no longer waited for. What it still sends later is history."
            )
            self._telling.tell(connection, f"lost:{name}:{until}", subject, [sentence], now)
        found = self.judge(progress, reach.horizon, windows, now)
        if found.behind is not None:
            names = sorted(name for name, each in reach.sources.items() if each.stalled_for)
            reason = f"Nothing comes from {', '.join(names) or 'any host'}."
            self.tell_behind(connection, found, reason, now)
        if found.blind:
            subject, sentences = notices.blind_text(found.blind, zone, now)
            key = f"blind:{found.blind[0].start}:{found.blind[-1].stop}"
            self._telling.tell(connection, key, subject, sentences, now)
            horizon.record_told(connection, *found.told)

    def tell_behind(self, connection: Connection, found: Notices, reason: str, now: int) -> None:
        """Owe the notice that judging is behind."""
        since = found.told.behind_since
        subject, sentences = notices.behind_text(since, reason, self._telling.frame.zone, now)
        self._telling.tell(connection, f"behind:{since}", subject, sentences, now)
        horizon.record_told(connection, *found.told)
