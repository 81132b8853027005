"""Monitors monitoring itself, and enqueues notices that it was blind or is behind."""

from collections.abc import Sequence

from sqlalchemy import Connection, Engine, select

from monitor.incidents.self_notices import SelfNotices
from monitor.model import SECOND
from monitor.outbox.wording import long
from monitor.staleness import notices
from monitor.staleness.blindness import Advance, BlindWindow
from monitor.staleness.notices import Behind, NoticeConfig, SentNotices
from monitor.state import horizon
from monitor.state.database import database_now, reading, writing
from monitor.state.horizon import Progress

_OWN_PAUSE = 30 * SECOND
"""If two calls of `observe` are further apart (ms), this process did not run or the host was
suspended."""


class SelfMonitoring:
    """Each process has its own instance; the enqueued notices are in the state."""

    def __init__(self, notices: SelfNotices, config: NoticeConfig) -> None:
        self._notices, self._config = notices, config
        self._looked_at = self._since = 0
        self._swept_at = self._unswept_since = 0

    def observe(self, now: int) -> None:
        """Called at each sweep. After an interruption of this process, missing progress before it
        is not reported."""
        if not 0 <= now - self._looked_at <= _OWN_PAUSE:
            self._since = now
        self._looked_at = now

    def check_sweeps(self, engine: Engine, now: int) -> None:
        """Enqueues the notice that monitoring is behind if no sweep has succeeded for too long.

        Called every few seconds by a process that does not sweep. It compares `now` only with its
        own earlier calls, so its clock may be wrong. Raises StateUnavailable.
        """
        self.observe(now)
        with reading(engine) as connection:
            progress = horizon.progress(connection)
        if progress.swept_at != self._swept_at or self._unswept_since < self._since:
            self._swept_at, self._unswept_since = progress.swept_at, now
        if self._behind(progress, now) is None or progress.behind_since:
            return
        with writing(engine) as connection:
            progress = horizon.progress(connection, lock=True)
            found, sent = self._behind(progress, now), _sent_notices(progress)
            clocks = now, connection.execute(select(database_now(connection))).scalar_one()
            due = notices.is_due(sent, max(clocks), self._config)
            if found is not None and due and progress.swept_at == self._swept_at:
                # By the earlier clock: notifiers wait until a message is due by their clock.
                self._enqueue_behind(connection, found, min(clocks))
                horizon.record_notices(connection, *sent._replace(behind_since=found.since))

    def _behind(self, progress: Progress, now: int) -> Behind | None:
        reached, after = progress.horizon or progress.swept_at, self._config.behind_after
        return notices.behind(reached, progress.hindrance, self._unswept_since, now, after)

    def hindrance(self, reach: Advance, now: int) -> str:
        """Why a sweep could not judge up to `now`; "" if it could."""
        if now - reach.horizon <= self._config.shortest:
            return ""
        names = sorted(name for name, each in reach.sources.items() if each.stalled_for)
        return f"No data is arriving from {', '.join(names) or 'any host'}."

    def enqueue(
        self, connection: Connection, reach: Advance, windows: Sequence[BlindWindow], now: int
    ) -> None:
        """Enqueues the notices that are due after a sweep. Called in the sweep's transaction after
        it has written the progress, so that other processes wait with their notices."""
        zone = self._notices.frame.zone
        for name in reach.lost:
            until = reach.sources[name].until
            subject = f"Monitoring no longer waits for the host {name}"
            sentence = (
                f"Heartbeats that it received after {long(until, zone)} are not in the store. "
                "If it sends them later, they count only as history."
            )
            self._notices.enqueue(connection, f"lost:{name}:{until}", subject, [sentence], now)
        progress = horizon.progress(connection)
        sent = _sent_notices(progress)
        found = notices.decide(sent, reach.horizon, windows, now, self._since, self._config)
        if found.behind:
            behind = Behind(found.sent.behind_since, progress.hindrance)
            self._enqueue_behind(connection, behind, now)
        if found.blind:
            subject, sentences = notices.blind_text(found, zone)
            key = f"blind:{found.blind[0].start}:{found.blind[-1].stop}"
            self._notices.enqueue(connection, key, subject, sentences, now)
        if found.sent != sent:
            horizon.record_notices(connection, *found.sent)

    def _enqueue_behind(self, connection: Connection, found: Behind, now: int) -> None:
        subject, sentences = notices.behind_text(found, self._notices.frame.zone)
        self._notices.enqueue(connection, f"behind:{found.since}", subject, sentences, now)


def _sent_notices(progress: Progress) -> SentNotices:
    return SentNotices(progress.behind_since, progress.blind_told_until, progress.blind_told_at)
