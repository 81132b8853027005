"""The staleness sweep: read what arrived, judge at the horizon, write incidents and their messages.

What is decided is one transaction, or several where it is much, the progress in the last of them.
Memory is a copy of the store and the state; only what a committed transaction says is kept, so a
sweep that fails anywhere is simply done again.
"""

import logging
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import astuple, dataclass, field, replace
from functools import partial
from typing import NamedTuple, TypeVar

from sqlalchemy import Connection, Engine

from monitor.clock import Clock
from monitor.incidents import service
from monitor.incidents.machine import Event
from monitor.incidents.service import Alerting
from monitor.incidents.sites import Sites
from monitor.model import DAY, MINUTE, SECOND
from monitor.outbox import notifications
from monitor.staleness import beginnings, endings
from monitor.staleness.blindness import (
    Advance,
    BlindWindow,
    ObservedTime,
    Source,
    SourceSpan,
    advance,
    stored_later,
)
from monitor.staleness.deadlines import Deadlines
from monitor.staleness.last_seen import LastSeen
from monitor.staleness.self_monitoring import SelfMonitoring
from monitor.staleness.sensor_cache import SensorCache
from monitor.state import horizon as horizon_rows
from monitor.state import incidents as incident_rows
from monitor.state import leases, sensors
from monitor.state.database import reading, writing
from monitor.state.horizon import Progress
from monitor.state.leases import Lease
from monitor.store.interface import Store

logger = logging.getLogger(__name__)

Row = TypeVar("Row")

_READ_ON_WITHIN = 10 * MINUTE
"""After a longer pause asking the store anew costs less than reading all that arrived since."""

_BLINDNESS_KEPT = 30 * DAY

_TOGETHER = 5_000
"""Rows in one transaction: about a second of PostgreSQL's time, so that others get their turn."""

_HELD_BACK = 1 * MINUTE
"""More than all transactions of one sweep take: so much later messages are due until the last."""

_AHEAD = 2 * SECOND
"""So far two hosts' clocks may differ."""


@dataclass(frozen=True, slots=True)
class Options:
    """What a sweep goes by; durations in ms."""

    threshold: int
    source_lost_after: int
    retention: int
    sites: Sites = field(default_factory=Sites)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one sweep wrote."""

    horizon: int
    registered: int
    opened: int
    closed: int


class _Step(NamedTuple):
    """A part of what a sweep writes."""

    rows: int
    write: Callable[[Connection, int], None]
    """Called with the connection and the version of the changes."""


class Sweep:
    """One process's sweeping; `watch` keeps a stand-by warm, `run` is the leader's."""

    def __init__(
        self,
        store: Store,
        engine: Engine,
        options: Options,
        alerting: Alerting,
        watch: SelfMonitoring,
    ) -> None:
        self._store, self._engine = store, engine
        self._options, self._alerting, self._watch = options, alerting, watch
        self._view = LastSeen(store)
        self._registry = SensorCache(options.threshold)
        self._heard: dict[int, tuple[int, bool]] = {}
        self._unseen: set[int] = set()
        self._deadlines: Deadlines | None = None
        self._led: Lease | None = None
        self._followed_at = 0
        self._swept_at = -1  # no sweep of this process has succeeded yet
        self._placed: dict[int, str] = {}
        self._read_from = 0

    def clock_offset(self, clock: Clock) -> int:
        """How far the store's clock is ahead of ours (ms). Raises StoreUnavailable."""
        return clock.offset(self._store.ping)

    def watch(self, now: int) -> None:
        """Follow the store and the registry without deciding. Raises StoreUnavailable,
        StateUnavailable."""
        progress, sources, _ = self._read_state(now)
        self._follow(progress, sources, now)
        self._led = None

    def run(self, lease: Lease, now: int) -> Outcome:
        """Sweep once. Raises StoreUnavailable, StateUnavailable, LeaseLost; nothing is then
        written and the next call makes up for it."""
        self._watch.look(now)
        progress, sources, windows = self._read_state(now)
        if max(progress.horizon, progress.swept_at, *(w.stop for w in windows)) > now + _AHEAD:
            self._set_back(lease, now)
            progress, sources, windows = self._read_state(now)
        if lease != self._led:
            self._take_over(progress, now)
            self._led = lease
        # Pulses first: what they vouch for is then surely among the arrivals read after them.
        spans = [
            SourceSpan(
                pulse.source, pulse.start, _vouched(pulse.until, progress, now), pulse.closing
            )
            for pulse in self._store.coverage(progress.horizon, now + DAY)
            if pulse.start <= now
        ]
        self._follow(progress, sources, now)
        reach = advance(
            progress.horizon,
            sources,
            spans,
            now - progress.swept_at,
            self._options.source_lost_after,
            now,
        )
        try:
            outcome = self._decide(lease, now, reach, sources, [*windows, *reach.blind])
        except BaseException:
            self._deadlines = None
            # It may have been held up for long: what came in meanwhile looked like the future and
            # was not believed, so it is read again.
            self._view.rewind(self._read_from)
            raise
        self._swept_at = now
        if reach.lost:
            logger.warning("no longer waiting for hosts that stopped: %s", ", ".join(reach.lost))
        return outcome

    def look_out(self, hindrance: str, now: int) -> None:
        """Record why this process could not sweep (""; it could, or stands by), and enqueue the
        notice that judging is behind once no process has swept for too long.

        Raises StateUnavailable.
        """
        if hindrance:
            with writing(self._engine) as connection:
                horizon_rows.record_hindrance(connection, hindrance)
        self._watch.look_out(self._engine, now)

    def _set_back(self, lease: Lease, now: int) -> None:
        """The clock was ahead when the state was written: judge from now on."""
        with writing(self._engine) as connection:
            leases.fence(connection, lease)
            horizon_rows.set_back(connection, now, sensors.next_version(connection))
        self._deadlines = None
        logger.warning("the clock was ahead; times in the future are treated as now")

    def _take_over(self, progress: Progress, now: int) -> None:
        """The former leader's last commit counts, not what this process read meanwhile."""
        self._deadlines = None
        self._placed = self._sites_by_rule()
        position = self._log_position(progress, now)
        was_last = progress.swept_at == self._swept_at
        if was_last or (position is None and now - self._followed_at < _READ_ON_WITHIN):
            # No one has swept since, or for long, and this process has followed the store by
            # itself: filling the view again would take as long as it did.
            is_news = self._registry.is_news
            self._heard = {m: heard for m, heard in self._heard.items() if is_news(m, *heard)}
            return
        self._heard.clear()
        if position is None:
            self._view = LastSeen(self._store)
        elif position < self._view.position:
            self._view.rewind(position)

    def _sites_by_rule(self) -> dict[int, str]:
        """mac -> site of registered sensors that have none; new ones get theirs at once."""
        site_of = self._options.sites.of
        unplaced = (mac for mac, sensor in self._registry.sensors.items() if not sensor.site)
        return {mac: site for mac in unplaced if (site := site_of(mac))}

    @staticmethod
    def _log_position(progress: Progress, now: int) -> int | None:
        """Where the last committed sweep ended in the arrival log; None if that is long ago."""
        return progress.arrival_position if now - progress.swept_at < _READ_ON_WITHIN else None

    def _read_state(self, now: int) -> tuple[Progress, dict[str, Source], list[BlindWindow]]:
        with reading(self._engine) as connection:
            progress = horizon_rows.progress(connection)
            rows = horizon_rows.sources(connection)
            since = now - _BLINDNESS_KEPT
            windows = [BlindWindow(*row) for row in horizon_rows.blind_windows(connection, since)]
        self._view.set_back(progress.reset_at, progress.reset_from, now)
        known = self._registry.version
        new, rewatch = self._registry.merge(
            sensors.newer(self._engine, known),
            incident_rows.newer(self._engine, known),
            progress.version,
        )
        if rewatch:
            self._deadlines = None
        elif self._deadlines is not None:
            for deadline, mac in self._deadlines_of(new):
                self._deadlines.push(deadline, mac)
        return progress, {key: Source(*row) for key, row in rows.items()}, windows

    def _follow(self, progress: Progress, sources: dict[str, Source], now: int) -> None:
        """Bring the last-seen view up to date and note who is news to the registry."""
        if not self._view.filled:
            position = self._log_position(progress, now)
            oldest = now - self._options.retention
            since = stored_later(min(progress.swept_at, progress.horizon), sources, now)
            recent = max(oldest, since - self._registry.longest_threshold)
            self._view.fill(recent, oldest, self._registry.sensors.keys(), now, position)
            if position is None:
                self._note_strangers(recent)
        self._read_from = self._view.position
        for mac, time, live in self._view.refresh(now):
            if self._registry.is_news(mac, time, live):
                first, was_live = self._heard.get(mac, (time, False))
                self._heard[mac] = (min(first, time), was_live or live)
            if mac in self._unseen:
                self._unseen.clear()
                self._deadlines = None
        self._followed_at = now

    def _note_strangers(self, since: int) -> None:
        """Sensors that were heard and that the state does not know, or not as live."""
        times, is_news = self._view.times, self._registry.is_news
        strangers = [mac for mac, time in times.items() if is_news(mac, time, True)]
        live = self._store.last_seen(since, strangers, live=True) if strangers else {}
        for mac in strangers:
            if is_news(mac, times[mac], mac in live):
                self._heard[mac] = (times[mac], mac in live)

    def _deadlines_of(self, macs: Iterable[int]) -> Iterable[tuple[int, int]]:
        """(earliest deadline, mac) of those among `macs` whose silence may open an incident."""
        times = self._view.times
        for mac in macs:
            if mac not in times:
                self._unseen.add(mac)
            elif self._registry.may_open(self._registry.sensors[mac]):
                yield times[mac] + self._registry.threshold(mac), mac

    def _decide(
        self,
        lease: Lease,
        now: int,
        reach: Advance,
        sources: dict[str, Source],
        windows: list[BlindWindow],
    ) -> Outcome:
        listening = ObservedTime(windows)
        if self._deadlines is None:
            self._deadlines = Deadlines(self._deadlines_of(self._registry.sensors))
        deadlines = self._deadlines
        times = self._view.times
        openings = beginnings.openings(
            self._store, self._view, self._registry, deadlines, reach.horizon, listening, now
        )
        fleet_wide = bool(openings) and beginnings.is_fleet_wide(
            self._registry, times, reach.horizon
        )
        closings = endings.closings(self._registry, times, reach.horizon, listening)
        moved = [*endings.moved(self._registry, times, closings).items()]
        placed = [*self._placed.items()]
        site_of, alerting = self._options.sites.of, self._alerting
        # Some may be registered already, by a sweep that failed half-way.
        new = [
            (mac, *heard)
            for mac, heard in self._heard.items()
            if self._registry.is_news(mac, *heard)
        ]
        rows = len(new) + len(placed) + len(moved) + len(closings) + len(openings)
        spread = rows > _TOGETHER
        if spread:
            # No message is frozen between two transactions: it would report a part only.
            alerting = replace(alerting, group_wait=alerting.group_wait + _HELD_BACK)
        steps = [
            *_steps(new, lambda some, c, v: sensors.register(c, some, v, site_of)),
            *_steps(placed, lambda some, c, v: sensors.place(c, dict(some), v)),
            *_steps(moved, lambda some, c, v: _move(c, some, v)),
            *_steps(closings, lambda some, c, v: service.close_all(c, some, alerting, now, v)),
            *_steps(
                openings,
                lambda some, c, v: service.open_all(c, some, alerting, now, v, fleet_wide),
            ),
        ]

        def record(connection: Connection) -> None:
            self._record(connection, reach, sources, now)
            self._watch.tell(connection, reach, windows, now)
            if spread:
                until = now + alerting.group_wait
                notifications.bring_forward(connection, now, until, _HELD_BACK)

        self._write(lease, steps, record)
        self._heard.clear()
        self._placed = {}
        for closing in closings:
            if closing.event in (Event.RECOVER, Event.CHANGE_THRESHOLD):
                mac = closing.incident.mac
                deadlines.push(times[mac] + self._registry.threshold(mac), mac)
        return Outcome(reach.horizon, len(new), len(openings), len(closings))

    def _write(
        self, lease: Lease, steps: Iterable[_Step], record: Callable[[Connection], None]
    ) -> None:
        """All in one transaction, or in several where that would be long.

        What is on record as judged and read is then decided, too: `record` is in the last one.
        """
        waiting = deque(steps)
        ended = False
        while not ended:
            with writing(self._engine) as connection:
                leases.fence(connection, lease)
                version = sensors.next_version(connection) if waiting else 0
                rows = 0
                while waiting and (not rows or rows + waiting[0].rows <= _TOGETHER):
                    step = waiting.popleft()
                    step.write(connection, version)
                    rows += step.rows
                ended = not waiting
                if ended:
                    record(connection)

    def _record(
        self, connection: Connection, reach: Advance, sources: dict[str, Source], now: int
    ) -> None:
        changed = {
            key: astuple(source)
            for key, source in reach.sources.items()
            if sources.get(key) != source
        }
        horizon_rows.record_sources(connection, changed)
        horizon_rows.record_blind_windows(connection, reach.blind)
        horizon_rows.record_progress(
            connection,
            reach.horizon,
            now,
            self._view.position,
            self._watch.hindrance(reach, now),
        )
        horizon_rows.forget_blind_windows(connection, now - self._options.retention)


def _steps(
    rows: Sequence[Row], write: Callable[[Sequence[Row], Connection, int], None]
) -> Iterator[_Step]:
    for start in range(0, len(rows), _TOGETHER):
        some = rows[start : start + _TOGETHER]
        yield _Step(len(some), partial(write, some))


def _move(connection: Connection, moved: Sequence[tuple[int, int]], version: int) -> None:
    changes = {number: {"last_seen": seen, "version": version} for number, seen in moved}
    incident_rows.change(connection, changes)


def _vouched(until: int, progress: Progress, now: int) -> int:
    """How far a pulse is believed: not beyond now, and not beyond the moment at which the clock
    was set back, if it was said by the clock that was ahead."""
    if until > now + _AHEAD and progress.reset_at and until <= progress.reset_from + _AHEAD:
        return progress.reset_at
    return min(until, now)
