"""The last-seen view: mac -> newest proof of life, kept current at the cost of what arrives."""

from collections.abc import Collection

from monitor.model import MINUTE, SECOND, Seen
from monitor.store.interface import Arrivals, Cursor, Store

_AHEAD = 2 * SECOND
"""So far two hosts' clocks may differ."""


class LastSeen:
    """An in-memory view of one store; one owner calls its methods, any thread may read `times`."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._cursor: Cursor | None = None
        self.times: dict[int, int] = {}
        self._set_back = (0, 0)

    @property
    def position(self) -> int:
        """How far the arrival log was read; 0 before `fill`."""
        return self._cursor.position if self._cursor else 0

    @property
    def filled(self) -> bool:
        """The view holds what the store knows."""
        return self._cursor is not None

    def fill(
        self,
        recent: int,
        oldest: int,
        registered: Collection[int],
        now: int,
        position: int | None = None,
    ) -> None:
        """Read everybody heard since `recent`, and registered sensors heard since `oldest`.

        `position`: where in the arrival log the next `refresh` begins, None for its end. Raises
        StoreUnavailable; the view is then as it was.
        """
        cursor = self._store.arrivals(None).cursor if position is None else Cursor(position)
        times = self._ask(recent, None, now)
        missing = [mac for mac in registered if mac not in times]
        if missing and oldest < recent:
            times.update(self._ask(oldest, missing, now))
        for mac, time in self.times.items():
            if times.get(mac, 0) < time:
                times[mac] = time
        self.times, self._cursor = times, cursor

    def rewind(self, position: int) -> None:
        """Let the next `refresh` read again from an earlier place in the arrival log."""
        self._cursor = Cursor(position)

    def set_back(self, at: int, since: int, now: int) -> None:
        """At `at` the clock was found to have gone ahead, up to `since`: whoever seems to have
        been heard between now and then was heard before `at`."""
        if self._set_back == (at, since):
            return
        self._set_back = at, since
        for mac, time in self.times.items():
            if time > now:
                self.times[mac] = self._believed(time, now)

    def _ask(self, since: int, macs: Collection[int] | None, now: int) -> dict[int, int]:
        """Last seen by the store. What a clock that was ahead wrote proves nothing, and hides
        what came later: of such sensors the heartbeats are read one by one."""
        times = self._store.last_seen(since, macs)
        hidden = [mac for mac, time in times.items() if time > now + _AHEAD]
        for mac, time in times.items():
            if time > now:
                known = self.times.get(mac) if time > now + _AHEAD else None
                times[mac] = self._believed(time, now) if known is None else known
        if hidden:
            for beat in self._store.heartbeats(hidden, since, now + MINUTE):
                if times[beat.mac] < beat.seen <= now:
                    times[beat.mac] = beat.seen
        return times

    def _believed(self, time: int, now: int) -> int:
        """A time in the future as the past it must have been."""
        at, since = self._set_back
        return min(at, now) if at < time <= since else min(time, now)

    def refresh(self, now: int) -> list[Seen]:
        """Merge what was announced since the last call and return it.

        No time is believed beyond `now`, so a host with a wrong clock can't keep a sensor alive.
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
        """Ask the store itself for these sensors and take over what is newer."""
        for mac, time in self._ask(since, macs, now).items():
            if self.times.get(mac, 0) < time:
                self.times[mac] = time

    def forget(self, mac: int) -> None:
        """Drop one sensor from the view."""
        self.times.pop(mac, None)
