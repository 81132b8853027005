"""The last-seen view: mac -> newest heartbeat, updated from the arrival log."""

from collections.abc import Collection

from monitor.clock import HOST_TOLERANCE, SENSOR_TOLERANCE
from monitor.model import Seen
from monitor.store.interface import Arrivals, Cursor, Store


class LastSeen:
    """An in-memory view of one store. One thread calls its methods; any may read `times`."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._cursor: Cursor | None = None
        self.times: dict[int, int] = {}
        self._set_back = (0, 0)

    @property
    def position(self) -> int:
        """The position in the arrival log up to which it was read; 0 before `fill`."""
        return self._cursor.position if self._cursor else 0

    @property
    def filled(self) -> bool:
        """Whether `fill` has succeeded."""
        return self._cursor is not None

    def fill(
        self,
        recent: int,
        oldest: int,
        registered: Collection[int],
        now: int,
        position: int | None = None,
    ) -> None:
        """Reads all sensors seen since `recent`, and registered sensors seen since `oldest`.

        `position`: where the next `refresh` starts in the arrival log; None for its end. Raises
        StoreUnavailable; then the view is unchanged.
        """
        cursor = self._store.arrivals(None).cursor if position is None else Cursor(position)
        times = self._query(recent, None, now)
        missing = [mac for mac in registered if mac not in times]
        if missing and oldest < recent:
            times.update(self._query(oldest, missing, now))
        for mac, time in self.times.items():
            if times.get(mac, 0) < time:
                times[mac] = time
        self.times, self._cursor = times, cursor

    def rewind(self, position: int) -> None:
        """Makes the next `refresh` start at an earlier position in the arrival log."""
        self._cursor = Cursor(position)

    def set_back(self, at: int, since: int, now: int) -> None:
        """Notes that the clock was ahead: at `at` it was set back, from up to `since`. Heartbeats
        with a time between now and `since` were received before `at`."""
        if self._set_back == (at, since):
            return
        self._set_back = at, since
        for mac, time in self.times.items():
            if time > now:
                self.times[mac] = self._capped(time, now)

    def _query(self, since: int, macs: Collection[int] | None, now: int) -> dict[int, int]:
        """mac -> last seen, from the store. A time from a clock that was ahead proves nothing and
        hides later heartbeats, so for such sensors each heartbeat is read."""
        times = self._store.last_seen(since, macs)
        hidden = [mac for mac, time in times.items() if time > now + HOST_TOLERANCE]
        for mac, time in times.items():
            if time > now:
                known = self.times.get(mac) if time > now + HOST_TOLERANCE else None
                times[mac] = self._capped(time, now) if known is None else known
        if hidden:
            for beat in self._store.heartbeats(hidden, since, now + SENSOR_TOLERANCE):
                if times[beat.mac] < beat.seen <= now:
                    times[beat.mac] = beat.seen
        return times

    def _capped(self, time: int, now: int) -> int:
        """The latest possible true time of a heartbeat with a time in the future."""
        at, since = self._set_back
        return min(at, now) if at < time <= since else min(time, now)

    def refresh(self, now: int) -> list[Seen]:
        """Merges the arrivals since the last call and returns them.

        Times after `now` count as `now`, so a host with a fast clock can't keep a sensor up.
        """
        arrivals: Arrivals = self._store.arrivals(self._cursor)
        times = self.times
        for mac, time, _live in arrivals.seen:
            known = times.get(mac)
            if known is None or known < time:
                times[mac] = time if time <= now else now
        self._cursor = arrivals.cursor
        return arrivals.seen

    def confirm(self, macs: Collection[int], since: int, now: int) -> None:
        """Queries the store for these sensors and merges newer times."""
        for mac, time in self._query(since, macs, now).items():
            if self.times.get(mac, 0) < time:
                self.times[mac] = time

    def forget(self, mac: int) -> None:
        """Removes one sensor from the view."""
        self.times.pop(mac, None)
