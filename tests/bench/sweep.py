"""One sweep of a large fleet on InfluxDB with 15 s of arrivals, against a last-seen query."""

import time
from collections.abc import Callable
from pathlib import Path

from monitor.incidents.service import Alerting
from monitor.model import DAY, MINUTE, SECOND, Heartbeat, Seen
from monitor.staleness.sweep import Options, Sweep
from monitor.state import leases
from monitor.state.database import migrate, open_state
from monitor.store.interface import Pulse, Store
from tests.bench.table import RUNS, Row
from tests.delivering import watch

BEATS = 15 * SECOND
GOAL = {100_000: 0.5, 1_000_000: 1.5}


def _now() -> int:
    return time.time_ns() // 1_000_000


def _timed(work: Callable[[], object]) -> float:
    begin = time.perf_counter()
    work()
    return time.perf_counter() - begin


class Fleet:
    """Sensors that beat once a minute, and a scheduler that leads."""

    def __init__(self, directory: Path, store: Store, size: int) -> None:
        self._store, self._size = store, size
        self._engine = open_state(f"sqlite:///{directory / 'state.sqlite'}")
        migrate(self._engine)
        lease = leases.acquire(self._engine, "scheduler", "bench", DAY)
        assert lease
        self._lease = lease
        options = Options(10 * MINUTE, 15 * MINUTE, 90 * DAY)
        self._sweep = Sweep(store, self._engine, options, Alerting((), 0, MINUTE), watch())
        self._begin = _now()
        self._next = 0

    def beat(self, count: int) -> None:
        """The next `count` sensors report."""
        for start in range(0, count, 10_000):
            now = _now()
            beats = []
            for number in range(start, min(start + 10_000, count)):
                mac = 0x020000000000 + (self._next + number) % self._size
                beats.append(Heartbeat(mac, now, now))
            self._store.append(beats)
            self._store.announce("bench", now, [Seen(b.mac, b.time, True) for b in beats])
        self._next += count
        self._store.pulse(Pulse("bench", self._begin, _now(), False))

    def sweep(self) -> float:
        """Seconds of one sweep."""
        return _timed(lambda: self._sweep.run(self._lease, _now()))

    def last_seen(self) -> float:
        """Seconds of asking the store instead for everybody heard in the last 10 minutes."""
        return _timed(lambda: self._store.last_seen(_now() - 10 * MINUTE))


def rows(directory: Path, store: Store, size: int) -> list[Row]:
    """The first sweep fills the view and registers all; those after it are measured."""
    fleet = Fleet(directory, store, size)
    fleet.beat(size)
    fleet.sweep(), fleet.sweep()
    ours, theirs = [], []
    for _ in range(RUNS):
        fleet.beat(size * BEATS // MINUTE)
        ours.append(fleet.sweep())
        theirs.append(fleet.last_seen())
    what = f"sweep of {size:,} sensors, 15 s of arrivals"
    return [Row(what, "s", ours, theirs, most=GOAL[size])]
