"""Doors with their shippers, played by the test: who is heard there, and what the store is told."""

from collections.abc import Iterator
from dataclasses import dataclass, field

from monitor.model import Heartbeat, Seen
from monitor.store.interface import CoverageSpan
from monitor.store.sqlite import SqliteStore


@dataclass(eq=False)
class Try:
    """One heartbeat that was sent, whether or not anybody heard it."""

    mac: int
    time: int
    """The moment for which it proves the sensor alive."""
    live: bool
    doors: tuple["Door", ...]
    """Those it was sent to, in this order, until one took it."""
    stored_at: int | None = None


@dataclass(eq=False)
class Gap:
    """Time of which a door told the store nothing: (start, stop], `stop` None while it lasts."""

    start: int
    farewell: bool
    stop: int | None = None

    def holds(self, moment: int) -> bool:
        """Whether `moment` lies in it."""
        return self.start < moment and (self.stop is None or moment <= self.stop)


@dataclass(eq=False)
class Door:
    """One data directory: it takes heartbeats into its spool and ships them."""

    name: str
    since: int | None
    """Since when it listens without a break; None while it is stopped or refuses."""
    running: bool = True
    connected: bool = True
    refusing: bool = False
    pace: int | None = None
    """How many heartbeats it ships at once."""
    reached: int = 0
    """Up to here the store knows that it listened."""
    gaps: list[Gap] = field(default_factory=list)
    _spool: list[tuple[Heartbeat, Try]] = field(default_factory=list)
    _over: list[tuple[int, int]] = field(default_factory=list)

    @property
    def listens(self) -> bool:
        """Whether a heartbeat sent to it is answered by a 2xx."""
        return self.running and not self.refusing

    @property
    def gap(self) -> Gap | None:
        """The one that lasts."""
        return self.gaps[-1] if self.gaps and self.gaps[-1].stop is None else None

    def listened_since(self, moment: int) -> bool:
        """Without a break from there to now."""
        return self.since is not None and self.since <= moment

    def take(self, attempt: Try, now: int) -> None:
        """Into the spool; the sensor has its 2xx."""
        assert self.listens
        self._spool.append((Heartbeat(attempt.mac, attempt.time, now, attempt.live), attempt))

    def refuse(self, now: int) -> None:
        """Answer 503 from now on."""
        if self.since is not None:
            self._over.append((self.since, now))
        self.refusing, self.since = True, None

    def accept(self, now: int) -> None:
        """The first heartbeat it takes again."""
        self.refusing, self.since = False, now

    def crash(self) -> None:
        """What the spool holds is on disk; what was listened to and not told is forgotten."""
        self._over.clear()
        self.running, self.refusing, self.since = False, False, None

    def start(self, now: int) -> None:
        """Begin to listen."""
        self.running, self.since = True, now

    def repair(self, now: int) -> None:
        """Whatever was wrong is over."""
        self.connected, self.pace = True, None
        if not self.running:
            self.start(now)
        elif self.refusing:
            self.accept(now)

    def farewell(self, store: SqliteStore, now: int) -> None:
        """A clean stop; cut off from the store, or refusing, it is no better than a crash."""
        since = self.since
        if self.connected and since is not None:
            self.pace = None
            self.ship(store, now)
            store.add_coverage(CoverageSpan(self.name, since, now, True))
            self.gaps.append(Gap(now, True))
        self.crash()

    def ship(self, store: SqliteStore, now: int) -> None:
        """Give the store what the spool holds (or the oldest `pace` of it) and say so."""
        if self.running and self.connected:
            shipped = self._spool[: self.pace]
            del self._spool[: self.pace]
            # What has the time W may be followed by another of the same moment.
            until = self._spool[0][0].received - 1 if self._spool else now
            if shipped:
                beats = [beat for beat, _ in shipped]
                store.append(beats)
                store.announce(self.name, until, [Seen(b.mac, b.seen, b.live) for b in beats])
            for _, attempt in shipped:
                attempt.stored_at = now
            self._pulse(store, until, now)
        self._note_gap(now)

    def _pulse(self, store: SqliteStore, until: int, now: int) -> None:
        for start, stop in [*self._over, *([(self.since, now)] if self.since is not None else [])]:
            if start <= until:
                told = min(stop, until)
                store.add_coverage(CoverageSpan(self.name, start, told, False))
                if self.gap and told > self.gap.start:
                    self.gap.stop = start if start > self.gap.start else told
                self.reached = max(self.reached, told)
        self._over = [span for span in self._over if span[1] > until]

    def _note_gap(self, now: int) -> None:
        if self.reached < now and self.gap is None:
            self.gaps.append(Gap(self.reached, False))

    def gaps_at(self, moment: int) -> Iterator[Gap]:
        """Those that hold a moment."""
        return (gap for gap in self.gaps if gap.holds(moment))
