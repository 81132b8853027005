"""The watch over monitoring itself: what is to be told of blindness, and what was."""

from collections.abc import Sequence

from sqlalchemy import Connection, Engine, select

from monitor.incidents.self_notices import SelfNotices
from monitor.model import SECOND
from monitor.outbox.wording import long
from monitor.staleness import notices
from monitor.staleness.blindness import Advance, BlindWindow
from monitor.staleness.notices import Behind, NoticeConfig, Told
from monitor.state import horizon
from monitor.state.database import database_now, reading, writing
from monitor.state.horizon import Progress

_OWN_PAUSE = 30 * SECOND
"""Between two looks further apart this process did not run, or the machine slept."""


class SelfMonitoring:
    """One process's; what it enqueued is in the state."""

    def __init__(self, telling: SelfNotices, manners: NoticeConfig) -> None:
        self._telling, self._manners = telling, manners
        self._looked_at = self._since = 0
        self._swept_at = self._unswept_since = 0

    def look(self, now: int) -> None:
        """Called at each sweep: after a pause of our own a standstill is none of others'."""
        if not 0 <= now - self._looked_at <= _OWN_PAUSE:
            self._since = now
        self._looked_at = now

    def look_out(self, engine: Engine, now: int) -> None:
        """Enqueue the notice that judging is behind when no sweep has succeeded for too long.

        For a process that does not sweep itself, called every few seconds. It compares `now` only
        with its own earlier looks, so its clock may be wrong. Raises StateUnavailable.
        """
        self.look(now)
        with reading(engine) as connection:
            progress = horizon.progress(connection)
        if progress.swept_at != self._swept_at or self._unswept_since < self._since:
            self._swept_at, self._unswept_since = progress.swept_at, now
        if self._behind(progress, now) is None or progress.behind_since:
            return
        with writing(engine) as connection:
            progress = horizon.progress(connection, lock=True)
            found, told = self._behind(progress, now), _told(progress)
            clocks = now, connection.execute(select(database_now(connection))).scalar_one()
            due = notices.is_due(told, max(clocks), self._manners)
            if found is not None and due and progress.swept_at == self._swept_at:
                # By the earlier clock, for notifiers wait until a message is due by theirs.
                self._tell_behind(connection, found, min(clocks))
                horizon.record_told(connection, *told._replace(behind_since=found.since))

    def _behind(self, progress: Progress, now: int) -> Behind | None:
        reached, after = progress.horizon or progress.swept_at, self._manners.behind_after
        return notices.behind(reached, progress.hindrance, self._unswept_since, now, after)

    def hindrance(self, reach: Advance, now: int) -> str:
        """Why a sweep could not judge up to this moment; "" when it could."""
        if now - reach.horizon <= self._manners.shortest:
            return ""
        names = sorted(name for name, each in reach.sources.items() if each.stalled_for)
        return f"No data is arriving from {', '.join(names) or 'any host'}."

    def tell(
        self, connection: Connection, reach: Advance, windows: Sequence[BlindWindow], now: int
    ) -> None:
        """Owe the notices that are due after a sweep, in its transaction, which has written the
        progress: what others enqueue meanwhile waits for it."""
        zone = self._telling.frame.zone
        for name in reach.lost:
            until = reach.sources[name].until
            subject = f"Monitoring no longer waits for the host {name}"
            sentence = (
                f"What it received after {long(until, zone)} is not in the store. What it "
                "sends from now on counts only as history."
            )
            self._telling.tell(connection, f"lost:{name}:{until}", subject, [sentence], now)
        progress = horizon.progress(connection)
        told = _told(progress)
        found = notices.decide(told, reach.horizon, windows, now, self._since, self._manners)
        if found.behind:
            behind = Behind(found.told.behind_since, progress.hindrance)
            self._tell_behind(connection, behind, now)
        if found.blind:
            subject, sentences = notices.over_text(found, zone, now)
            key = f"blind:{found.blind[0].start}:{found.blind[-1].stop}"
            self._telling.tell(connection, key, subject, sentences, now)
        if found.told != told:
            horizon.record_told(connection, *found.told)

    def _tell_behind(self, connection: Connection, found: Behind, now: int) -> None:
        subject, sentences = notices.behind_text(found, self._telling.frame.zone, now)
        self._telling.tell(connection, f"behind:{found.since}", subject, sentences, now)


def _told(progress: Progress) -> Told:
    return Told(progress.behind_since, progress.blind_told_until, progress.blind_told_at)
