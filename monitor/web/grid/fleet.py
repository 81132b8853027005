"""The fleet as the pages show it: the last-seen view, the registry and the open incidents."""

import logging
import secrets
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import NamedTuple

from sqlalchemy import Engine

from monitor.clock import Clock
from monitor.errors import StateUnavailable
from monitor.model import MINUTE, SECOND, Held
from monitor.staleness.last_seen import LastSeen
from monitor.staleness.notices import NO_SWEEP
from monitor.staleness.rules import SensorStatus, status
from monitor.staleness.sensor_cache import SensorCache
from monitor.state import horizon as horizon_rows
from monitor.state import incidents as incident_rows
from monitor.state import refusals, sensors, silences
from monitor.state.database import reading
from monitor.store.interface import Store, StoreError
from monitor.web import warnings
from monitor.web.grid.cursor import GridCursor, Turns
from monitor.web.grid.muted import Quiet

logger = logging.getLogger(__name__)

_REFRESH_EVERY = SECOND // 2
"""A heartbeat is shown within a second, of which a quarter may pass in the spool."""
_REFRESH_WHEN_BEHIND = SECOND // 10
_RETRY_AFTER = 5 * SECOND
_STALE_AFTER = 10 * SECOND
_REFILL_AFTER = 10 * MINUTE
"""After a longer pause a complete read is cheaper than reading all arrivals since then."""

_PATIENCE, _FIRST_PATIENCE = 1.0, 5.0
"""Seconds that a request waits for a refresh, in which it holds a thread."""

_UNREADABLE = "The sensors can't be read."
_STATE_PROBLEM = "The state database can't be read."
_STORE_PROBLEM = "The heartbeat store can't be read."
_SLOW_PROBLEM = "The heartbeat store or the state database is slow to answer."


class FleetUnavailable(Exception):
    """Nothing was read yet; the text gives the reason."""


class SensorEntry(NamedTuple):
    """One sensor as a page shows it; times and durations in ms."""

    mac: int
    name: str | None
    site: str | None
    status: SensorStatus
    last_seen: int | None
    threshold: int
    incident_since: int | None
    acknowledged_at: int | None
    labels: Mapping[str, str]
    held: Held | None
    """Silenced, or under maintenance."""
    thread: str | None
    """The thread of all messages about its open incident."""


class FleetChanges(NamedTuple):
    """The changes between a client's cursor and this one."""

    entries: list[SensorEntry]
    """In order of the MAC address."""
    forgotten: list[int]
    cursor: GridCursor
    reset: bool
    """`entries` is the whole fleet and replaces all that the client has."""
    now: int
    horizon: int
    """Sensors are judged up to this time; 0 if they never were."""
    hindrance: str
    """Why sweeps fail, as a sentence; empty while they succeed."""
    problem: str | None
    """Why this is an older view, as of `stale_since`."""
    stale_since: int | None
    warnings: Sequence[str] = ()
    """What else needs attention, as sentences."""


class Fleet:
    """One per process, filled by the first call and refreshed by later ones, at most twice a
    second.

    A separate thread reads; callers wait for it only briefly, and then get the previous view.
    """

    def __init__(
        self,
        store: Store,
        engine: Engine,
        clock: Clock,
        default_threshold: int,
        retention: int,
    ) -> None:
        """`default_threshold` and `retention` in ms."""
        self._engine, self._clock = engine, clock
        self._default_threshold, self._retention = default_threshold, retention
        self._view = LastSeen(store)
        self._registry = SensorCache(default_threshold)
        self._quiet = Quiet()
        self._threads: dict[int, str] = {}
        self._turns = Turns(secrets.token_hex(4))
        self._turn_of: dict[int, int] = {}
        self._unmarked: set[int] = set()
        self._cursor: GridCursor | None = None
        self._horizon = self._swept_at = 0
        self._hindrance = ""
        self._lock = threading.Lock()
        self._reader = ThreadPoolExecutor(1, "fleet")
        self._refreshing: Future[None] | None = None
        self._started_at = self._store_read_at = self._state_read_at = 0
        self._problem: str | None = None
        self._warnings: Sequence[str] = ()

    def changes(self, cursor: str | None) -> FleetChanges:
        """The changes since `cursor`; everything if it is None, invalid, too old, or ahead of what
        can be read. Raises FleetUnavailable."""
        since = GridCursor.parse(cursor)
        self._follow(since)
        now = self._clock.now()
        problem, stale_since = self._problem, min(self._store_read_at, self._state_read_at)
        reach, horizon = self._cursor, self._horizon
        if reach is None:
            raise FleetUnavailable(problem or _SLOW_PROBLEM)
        if problem is None and now - stale_since > _STALE_AFTER:
            problem = _SLOW_PROBLEM
        turn = self._first_unknown_turn(since, reach, problem)
        macs = self._changed_from(turn)
        shown = sorted(mac for mac in macs if self._shown(mac))
        return FleetChanges(
            entries=[self._entry(mac, now) for mac in shown],
            forgotten=[] if turn is None else sorted(macs.difference(shown)),
            cursor=reach,
            reset=turn is None,
            now=now,
            horizon=horizon,
            hindrance=self._hindrance or (NO_SWEEP if now - self._swept_at > _STALE_AFTER else ""),
            problem=problem,
            stale_since=stale_since if problem else None,
            warnings=self._warnings,
        )

    def _first_unknown_turn(
        self, since: GridCursor | None, reach: GridCursor, problem: str | None
    ) -> int | None:
        """The first turn that the client does not have; None if it needs everything."""
        if since is None:
            return None
        # While reading fails, a client of another worker can be ahead of this one.
        if since.is_ahead_of(reach) and not problem:
            return None
        with self._lock:
            return self._turns.unknown_from(since)

    def _changed_from(self, turn: int | None) -> set[int]:
        """The macs that changed in this turn or later; all macs for None."""
        # Copying a dict of ints is one step of the interpreter, so the reading thread may go on.
        if turn is None:
            return {*self._registry.sensors.copy(), *self._view.times.copy()}
        return {mac for mac, at in self._turn_of.copy().items() if at >= turn}

    def one(self, mac: int) -> FleetChanges:
        """This sensor alone, or none if it is not known. Raises FleetUnavailable."""
        latest = self.changes(str(self._cursor) if self._cursor else None)
        known = mac in self._registry.sensors or mac in self._view.times
        entries = [self._entry(mac, latest.now)] if known and self._shown(mac) else []
        return latest._replace(entries=entries, forgotten=[])

    def _shown(self, mac: int) -> bool:
        sensor = self._registry.sensors.get(mac)
        if sensor is None or sensor.forgotten_at is None:
            return True
        return self._view.times.get(mac, 0) > sensor.forgotten_at

    def _entry(self, mac: int, now: int) -> SensorEntry:
        sensor = self._registry.sensors.get(mac)
        incident = self._registry.open_incidents.get(mac)
        seen = self._view.times.get(mac)
        if seen is None and incident is not None:
            seen = incident.last_seen  # the store's retention may be over
        if sensor is None:
            threshold = self._default_threshold
            shown_status = status(seen, threshold, now)
            return SensorEntry(
                mac, None, None, shown_status, seen, threshold, None, None, {}, None, None
            )
        threshold = sensor.threshold or self._default_threshold
        is_down, monitored_since = incident is not None, sensor.monitored_since
        shown_status = status(seen, threshold, now, sensor.paused, is_down, monitored_since)
        since = incident.opened_at if incident is not None else None
        return SensorEntry(
            mac,
            sensor.name,
            sensor.site,
            shown_status,
            seen,
            threshold,
            since,
            incident.acknowledged_at if incident is not None else None,
            sensor.labels,
            self._quiet.holds.get(mac),
            self._threads.get(incident.group_id) if incident is not None else None,
        )

    def _follow(self, since: GridCursor | None) -> None:
        """Refresh the view if that is due, and wait for it briefly."""
        with self._lock:
            if self._refreshing is None and self._is_due(since):
                self._started_at = self._clock.now()
                self._refreshing = self._reader.submit(self._refresh)
            refreshing = self._refreshing
        if refreshing is not None:
            wait([refreshing], _FIRST_PATIENCE if self._cursor is None else _PATIENCE)

    def _is_due(self, since: GridCursor | None) -> bool:
        pause = _REFRESH_EVERY
        if self._problem is not None:
            pause = _RETRY_AFTER
        elif since is not None and self._cursor is not None and since.is_ahead_of(self._cursor):
            pause = _REFRESH_WHEN_BEHIND  # another worker has read more than this one
        return not 0 <= self._clock.now() - self._started_at < pause

    def _refresh(self) -> None:
        try:
            problem = self._read(self._started_at)
        except Exception:  # an internal error must not end the thread without a log entry
            logger.exception("the sensors can't be read")
            problem = _UNREADABLE
        with self._lock:
            self._problem = problem
            self._refreshing = None

    def _read(self, now: int) -> str | None:
        """Read changes; the problem, if any. The state is read first, so that it never depends on a
        heartbeat that this view has not read."""
        problem = None
        try:
            self._read_state(now)
            self._state_read_at = now
        except StateUnavailable as error:
            problem = self._hindered(_STATE_PROBLEM, error)
            if not self._state_read_at:
                return problem
        try:
            self._read_arrivals(now)
            self._store_read_at = now
        except StoreError as error:
            problem = self._hindered(_STORE_PROBLEM, error)
        if self._view.filled:
            self._end_turn()
        return problem

    def _hindered(self, problem: str, error: Exception) -> str:
        if self._problem != problem:
            logger.warning("%s %s", problem, error)
        return problem

    def _read_state(self, now: int) -> None:
        known = self._registry.version
        with reading(self._engine) as connection:
            progress = horizon_rows.progress(connection)
            rules = silences.in_force(connection, now, now)
            refused = refusals.recent_counts(connection, now)
        # Rows newer than the version just read are read again the next time.
        rows = list(sensors.newer(self._engine, known))
        incidents = list(incident_rows.newer(self._engine, known))
        self._registry.merge(rows, incidents, progress.version)
        self._unmarked.update(row.mac for row in rows)
        self._unmarked.update(row.mac for row in incidents)
        groups = {row.group_id for row in self._registry.open_incidents.values()}
        with reading(self._engine) as connection:
            new = incident_rows.threads(connection, groups - self._threads.keys())
        self._threads = {n: name for n, name in (self._threads | new).items() if n in groups}
        self._unmarked.update(self._quiet.update(rules, self._registry.sensors, rows, now))
        self._view.set_back(progress.reset_at, progress.reset_from, now)
        self._horizon, self._swept_at = progress.horizon, progress.swept_at
        self._hindrance = progress.hindrance
        self._warnings = warnings.refused(refused)

    def _read_arrivals(self, now: int) -> None:
        if not self._view.filled or now - self._store_read_at > _REFILL_AFTER:
            shown = [mac for mac in self._registry.sensors if self._shown(mac)]
            recent = now - self._registry.longest_threshold
            self._view.fill(recent, now - self._retention, shown, now)
            with self._lock:
                self._turns.begin(self._view.position, self._registry.version)
        self._unmarked.update(seen.mac for seen in self._view.refresh(now))

    def _end_turn(self) -> None:
        """End the turn: from now on, cursors include what it read."""
        with self._lock:
            turn = self._turns.add(self._view.position, self._registry.version)
        self._turn_of.update(dict.fromkeys(self._unmarked, turn))
        self._unmarked.clear()
        self._cursor = self._turns.latest()
