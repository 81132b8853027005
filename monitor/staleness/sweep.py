"""The staleness sweep: reads arrivals, judges at the horizon, writes incidents and messages.

The results are written in one transaction, or in several if there are many; the last one has the
progress. The data in memory is a copy of the store and the state, so a sweep that failed at any
point can be repeated.
"""

import logging
from collections.abc import Iterable, Sequence
from dataclasses import astuple, dataclass, field, replace
from typing import NamedTuple

from sqlalchemy import Connection, Engine

from monitor.clock import HOST_TOLERANCE, Clock
from monitor.incidents import service
from monitor.incidents.machine import Event
from monitor.incidents.service import Alerting, Closing, Opening
from monitor.incidents.sites import Sites
from monitor.model import DAY, MINUTE
from monitor.outbox import notifications
from monitor.staleness import beginnings, endings
from monitor.staleness.batches import MOST_ROWS, Step, batches, write_all
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

_READ_ON_WITHIN = 10 * MINUTE
"""After a longer pause, querying the store is faster than reading all arrivals since then."""

_BLIND_WINDOWS_READ = 30 * DAY

_MESSAGE_DELAY = 1 * MINUTE
"""Longer than all transactions of one sweep. Messages are delayed by it until the last one."""


@dataclass(frozen=True, slots=True)
class Options:
    """Settings of a sweep; durations in ms."""

    threshold: int
    source_lost_after: int
    retention: int
    sites: Sites = field(default_factory=Sites)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one sweep wrote."""

    horizon: int
    registered: int
    opened: Sequence[int]  # MAC addresses
    closed: Sequence[int]


class _Decision(NamedTuple):
    """What one sweep changes, besides its progress."""

    new: list[tuple[int, int, bool]]
    """(mac, first seen, live) of sensors to register."""
    placed: list[tuple[int, str]]
    """(mac, site) of registered sensors that get their site from a rule."""
    moved: list[tuple[int, int]]
    """(incident id, newer last seen) of incidents that stay open."""
    closings: list[Closing]
    openings: list[Opening]
    fleet_wide: bool
    """Whether nearly all sensors are silent."""

    @property
    def rows(self) -> int:
        """The number of rows to write."""
        incidents = len(self.moved) + len(self.closings) + len(self.openings)
        return len(self.new) + len(self.placed) + incidents


class Sweep:
    """The sweeps of one process. The leader calls `run`, a standby calls `watch`."""

    def __init__(
        self,
        store: Store,
        engine: Engine,
        options: Options,
        alerting: Alerting,
        self_monitoring: SelfMonitoring,
    ) -> None:
        self._store, self._engine = store, engine
        self._options, self._alerting = options, alerting
        self._self_monitoring = self_monitoring
        self._view = LastSeen(store)
        self._registry = SensorCache(options.threshold)
        self._to_register: dict[int, tuple[int, bool]] = {}
        self._unseen: set[int] = set()
        self._deadlines: Deadlines | None = None
        self._lease: Lease | None = None
        self._followed_at = 0
        self._swept_at = -1  # no sweep of this process has succeeded yet
        self._placed: dict[int, str] = {}
        self._returned: endings.Returns = {}
        self._read_from = 0

    def clock_offset(self, clock: Clock) -> int:
        """The store's clock minus this host's clock (ms). Raises StoreUnavailable."""
        return clock.offset(self._store.ping)

    def watch(self, now: int) -> None:
        """Reads the store and the state without judging. Raises StoreUnavailable,
        StateUnavailable."""
        progress, sources, _ = self._read_state(now)
        self._follow(progress, sources, now)
        self._lease = None

    def run(self, lease: Lease, now: int) -> Outcome:
        """Sweeps once. Raises StoreUnavailable, StateUnavailable, LeaseLost; the next call then
        repeats the sweep."""
        self._self_monitoring.observe(now)
        progress, sources, windows = self._read_state(now)
        if (
            max(progress.horizon, progress.swept_at, *(w.stop for w in windows))
            > now + HOST_TOLERANCE
        ):
            self._set_back(lease, now)
            progress, sources, windows = self._read_state(now)
        if lease != self._lease:
            self._take_over(progress, now)
            self._lease = lease
        # Read coverage first: everything it covers is then among the arrivals read after it.
        spans = [
            SourceSpan(span.source, span.start, _trusted(span.until, progress, now), span.closing)
            for span in self._store.coverage(progress.horizon, now + DAY)
            if span.start <= now
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
            outcome = self._judge(lease, now, reach, sources, [*windows, *reach.blind])
        except BaseException:
            self._deadlines = None
            # The sweep may have been delayed for long. Arrivals after `now` were capped, so they
            # are read again.
            self._view.rewind(self._read_from)
            raise
        self._swept_at = now
        if reach.lost:
            logger.warning("no longer waiting for hosts that stopped: %s", ", ".join(reach.lost))
        return outcome

    def check_sweeps(self, hindrance: str, now: int) -> None:
        """Records why this process could not sweep, and enqueues the notice that monitoring is
        behind if no process has swept for too long.

        `hindrance` is "" if the process swept or is a standby. Raises StateUnavailable.
        """
        if hindrance:
            with writing(self._engine) as connection:
                horizon_rows.record_hindrance(connection, hindrance)
        self._self_monitoring.check_sweeps(self._engine, now)

    def _set_back(self, lease: Lease, now: int) -> None:
        """The clock was ahead when the state was written: limits its times to now."""
        with writing(self._engine) as connection:
            leases.fence(connection, lease)
            horizon_rows.set_back(connection, now, sensors.next_version(connection))
        self._deadlines = None
        logger.warning("the clock was ahead; times in the future are treated as now")

    def _take_over(self, progress: Progress, now: int) -> None:
        """Continues from the former leader's last commit."""
        self._deadlines = None
        self._placed = self._sites_by_rule()
        position = self._log_position(progress, now)
        was_last = progress.swept_at == self._swept_at
        if was_last or (position is None and now - self._followed_at < _READ_ON_WITHIN):
            # No other process has swept since, or for long, and this process has read all arrivals:
            # there is no need to fill the view again.
            self._to_register = dict(self._unregistered())
            return
        self._to_register.clear()
        if position is None:
            self._view = LastSeen(self._store)
        elif position < self._view.position:
            self._view.rewind(position)

    def _unregistered(self) -> list[tuple[int, tuple[int, bool]]]:
        """The entries of `_to_register` that the registry does not have yet."""
        must_register = self._registry.must_register
        return [(mac, seen) for mac, seen in self._to_register.items() if must_register(mac, *seen)]

    def _sites_by_rule(self) -> dict[int, str]:
        """mac -> site for registered sensors without one; new ones get it when registered."""
        site_of = self._options.sites.of
        unplaced = (mac for mac, sensor in self._registry.sensors.items() if not sensor.site)
        return {mac: site for mac in unplaced if (site := site_of(mac))}

    @staticmethod
    def _log_position(progress: Progress, now: int) -> int | None:
        """The last committed sweep's position in the arrival log; None if it is too old."""
        return progress.arrival_position if now - progress.swept_at < _READ_ON_WITHIN else None

    def _read_state(self, now: int) -> tuple[Progress, dict[str, Source], list[BlindWindow]]:
        with reading(self._engine) as connection:
            progress = horizon_rows.progress(connection)
            rows = horizon_rows.sources(connection)
            since = now - _BLIND_WINDOWS_READ
            windows = [BlindWindow(*row) for row in horizon_rows.blind_windows(connection, since)]
        self._view.set_back(progress.reset_at, progress.reset_from, now)
        known = self._registry.version
        new, changed = self._registry.merge(
            sensors.newer(self._engine, known),
            incident_rows.newer(self._engine, known),
            progress.version,
        )
        if changed:
            self._deadlines = None
        elif self._deadlines is not None:
            for deadline, mac in self._deadlines_of(new):
                self._deadlines.push(deadline, mac)
        return progress, {key: Source(*row) for key, row in rows.items()}, windows

    def _follow(self, progress: Progress, sources: dict[str, Source], now: int) -> None:
        """Updates the last-seen view, and collects sensors to register."""
        if not self._view.filled:
            position = self._log_position(progress, now)
            oldest = now - self._options.retention
            since = stored_later(min(progress.swept_at, progress.horizon), sources, now)
            recent = max(oldest, since - self._registry.longest_threshold)
            self._view.fill(recent, oldest, self._registry.sensors.keys(), now, position)
            if position is None:
                self._collect_unregistered(recent)
        self._read_from = self._view.position
        arrivals = self._view.refresh(now)
        self._returned = endings.returns(arrivals, self._registry)
        for mac, time, live in arrivals:
            if self._registry.must_register(mac, time, live):
                first, was_live = self._to_register.get(mac, (time, False))
                self._to_register[mac] = (min(first, time), was_live or live)
            if mac in self._unseen:
                self._unseen.clear()
                self._deadlines = None
        self._followed_at = now

    def _collect_unregistered(self, since: int) -> None:
        """Collects sensors in the view that the state does not have, or not as live."""
        times, must_register = self._view.times, self._registry.must_register
        candidates = [mac for mac, time in times.items() if must_register(mac, time, True)]
        live = self._store.last_seen(since, candidates, live=True) if candidates else {}
        for mac in candidates:
            if must_register(mac, times[mac], mac in live):
                self._to_register[mac] = (times[mac], mac in live)

    def _deadlines_of(self, macs: Iterable[int]) -> Iterable[tuple[int, int]]:
        """(earliest deadline, mac) of the sensors whose silence may open an incident."""
        times, registry = self._view.times, self._registry
        for mac in macs:
            if mac not in times:
                self._unseen.add(mac)
            elif registry.may_open(registry.sensors[mac]):
                yield registry.deadline(mac, times[mac]), mac

    def _judge(
        self,
        lease: Lease,
        now: int,
        reach: Advance,
        sources: dict[str, Source],
        windows: list[BlindWindow],
    ) -> Outcome:
        """Decides what changes at the new horizon, and writes it with the progress."""
        decision = self._decide(reach.horizon, ObservedTime(windows), now)
        in_parts = decision.rows > MOST_ROWS
        alerting = self._alerting
        if in_parts:
            # A message must not be frozen between two transactions: it would be incomplete.
            alerting = replace(alerting, group_wait=alerting.group_wait + _MESSAGE_DELAY)

        def record(connection: Connection) -> None:
            self._record(connection, reach, sources, now)
            self._self_monitoring.enqueue(connection, reach, windows, now)
            if in_parts:
                until = now + alerting.group_wait
                notifications.bring_forward(connection, now, until, _MESSAGE_DELAY)

        write_all(self._engine, lease, self._steps(decision, alerting, now), record)
        self._to_register.clear()
        self._placed = {}
        self._push_closed(decision.closings)
        return Outcome(
            reach.horizon,
            len(decision.new),
            [opening.sensor.mac for opening in decision.openings],
            [closing.incident.mac for closing in decision.closings],
        )

    def _decide(self, horizon: int, observed: ObservedTime, now: int) -> _Decision:
        """Judges all sensors at the horizon. Raises StoreUnavailable."""
        store, view, registry = self._store, self._view, self._registry
        if self._deadlines is None:
            self._deadlines = Deadlines(self._deadlines_of(registry.sensors))
        openings = beginnings.openings(
            store, view, registry, self._deadlines, horizon, observed, now, self._engine
        )
        fleet_wide = bool(openings) and beginnings.is_fleet_wide(registry, view.times, horizon)
        closings = endings.closings(registry, view.times, horizon, observed, self._returned)
        moved = endings.moved(registry, view.times, closings)
        return _Decision(
            # A sweep that failed later may have registered some of them already.
            new=[(mac, *seen) for mac, seen in self._unregistered()],
            placed=[*self._placed.items()],
            moved=[*moved.items()],
            closings=closings,
            openings=openings,
            fleet_wide=fleet_wide,
        )

    def _steps(self, decision: _Decision, alerting: Alerting, now: int) -> list[Step]:
        site_of, fleet_wide = self._options.sites.of, decision.fleet_wide
        return [
            *batches(decision.new, lambda rows, c, v: sensors.register(c, rows, v, site_of)),
            *batches(decision.placed, lambda rows, c, v: sensors.place(c, dict(rows), v)),
            *batches(decision.moved, lambda rows, c, v: _move(c, rows, v)),
            *batches(
                decision.closings,
                lambda rows, c, v: service.close_all(c, rows, alerting, now, v),
            ),
            *batches(
                decision.openings,
                lambda rows, c, v: service.open_all(c, rows, alerting, now, v, fleet_wide),
            ),
        ]

    def _push_closed(self, closings: Iterable[Closing]) -> None:
        """Gives sensors whose silence may open an incident again a new deadline."""
        if self._deadlines is None:
            return
        for closing in closings:
            mac = closing.incident.mac
            if closing.event is not Event.FORGET and not self._registry.sensors[mac].paused:
                self._deadlines.push(self._registry.deadline(mac, self._view.times[mac]), mac)

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
            self._self_monitoring.hindrance(reach, now),
        )
        horizon_rows.forget_blind_windows(connection, now - self._options.retention)


def _move(connection: Connection, moved: Sequence[tuple[int, int]], version: int) -> None:
    changes = {number: {"last_seen": seen, "version": version} for number, seen in moved}
    incident_rows.change(connection, changes)


def _trusted(until: int, progress: Progress, now: int) -> int:
    """The end of a coverage span, limited to now. If it is a time of the clock that was ahead, it
    is limited to the moment when that clock was set back."""
    in_future = until > now + HOST_TOLERANCE
    if in_future and progress.reset_at and until <= progress.reset_from + HOST_TOLERANCE:
        return progress.reset_at
    return min(until, now)
