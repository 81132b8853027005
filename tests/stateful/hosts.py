"""Simulated ingest hosts with their shippers."""

from collections.abc import Iterator
from dataclasses import dataclass, field

from monitor.model import Heartbeat, Seen
from monitor.store.interface import CoverageSpan
from monitor.store.sqlite import SqliteStore


@dataclass(eq=False)
class Attempt:
    """One heartbeat that was sent, whether or not a host accepted it."""

    mac: int
    time: int
    """The time at which it proves the sensor alive."""
    live: bool
    hosts: tuple["IngestHost", ...]
    """The hosts it was sent to, in this order, until one accepted it."""
    stored_at: int | None = None


@dataclass(eq=False)
class Gap:
    """Time without coverage from a host: (start, stop]; `stop` is None while it lasts."""

    start: int
    clean_stop: bool
    stop: int | None = None

    def holds(self, moment: int) -> bool:
        """Whether the gap contains `moment`."""
        return self.start < moment and (self.stop is None or moment <= self.stop)


@dataclass(eq=False)
class IngestHost:
    """One data directory: accepts heartbeats into its WAL and ships them."""

    name: str
    since: int | None
    """Start of continuous listening; None while it is stopped or refuses."""
    running: bool = True
    connected: bool = True
    refusing: bool = False
    pace: int | None = None
    """The number of heartbeats that it ships at once; None: all."""
    reached: int = 0
    """The end of its newest coverage in the store."""
    gaps: list[Gap] = field(default_factory=list)
    _wal: list[tuple[Heartbeat, Attempt]] = field(default_factory=list)
    _over: list[tuple[int, int]] = field(default_factory=list)

    @property
    def is_listening(self) -> bool:
        """Whether it answers a heartbeat with 2xx."""
        return self.running and not self.refusing

    @property
    def gap(self) -> Gap | None:
        """The open gap, if any."""
        return self.gaps[-1] if self.gaps and self.gaps[-1].stop is None else None

    def observed_since(self, moment: int) -> bool:
        """Whether it has listened without a break since `moment`."""
        return self.since is not None and self.since <= moment

    def receive(self, attempt: Attempt, now: int) -> None:
        """Add a heartbeat to the WAL, and answer 2xx."""
        assert self.is_listening
        self._wal.append((Heartbeat(attempt.mac, attempt.time, now, attempt.live), attempt))

    def refuse(self, now: int) -> None:
        """Answer 503 from now on."""
        if self.since is not None:
            self._over.append((self.since, now))
        self.refusing, self.since = True, None

    def accept(self, now: int) -> None:
        """Accept heartbeats again."""
        self.refusing, self.since = False, now

    def crash(self) -> None:
        """Crash: the WAL is on disk and kept; coverage not yet reported is lost."""
        self._over.clear()
        self.running, self.refusing, self.since = False, False, None

    def start(self, now: int) -> None:
        """Start to listen."""
        self.running, self.since = True, now

    def repair(self, now: int) -> None:
        """End every failure."""
        self.connected, self.pace = True, None
        if not self.running:
            self.start(now)
        elif self.refusing:
            self.accept(now)

    def stop_cleanly(self, store: SqliteStore, now: int) -> None:
        """Stop with a final coverage span. Without the store, or while refusing, it crashes."""
        since = self.since
        if self.connected and since is not None:
            self.pace = None
            self.ship(store, now)
            store.add_coverage(CoverageSpan(self.name, since, now, True))
            self.gaps.append(Gap(now, True))
        self.crash()

    def ship(self, store: SqliteStore, now: int) -> None:
        """Store the heartbeats in the WAL, or the oldest `pace` of them, and report coverage."""
        if self.running and self.connected:
            shipped = self._wal[: self.pace]
            del self._wal[: self.pace]
            # Another heartbeat with the same time of receipt may follow.
            until = self._wal[0][0].received - 1 if self._wal else now
            if shipped:
                beats = [beat for beat, _ in shipped]
                store.append(beats)
                store.announce(self.name, until, [Seen(b.mac, b.seen, b.live) for b in beats])
            for _, attempt in shipped:
                attempt.stored_at = now
            self._report_coverage(store, until, now)
        self._note_gap(now)

    def _report_coverage(self, store: SqliteStore, until: int, now: int) -> None:
        for start, stop in [*self._over, *([(self.since, now)] if self.since is not None else [])]:
            if start <= until:
                stop = min(stop, until)
                store.add_coverage(CoverageSpan(self.name, start, stop, False))
                if self.gap and stop > self.gap.start:
                    self.gap.stop = start if start > self.gap.start else stop
                self.reached = max(self.reached, stop)
        self._over = [span for span in self._over if span[1] > until]

    def _note_gap(self, now: int) -> None:
        if self.reached < now and self.gap is None:
            self.gaps.append(Gap(self.reached, False))

    def gaps_at(self, moment: int) -> Iterator[Gap]:
        """The gaps that contain a moment."""
        return (gap for gap in self.gaps if gap.holds(moment))
