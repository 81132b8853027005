"""Sweeps of a large fleet on InfluxDB: the first, later ones, and an outage of 50,000 sensors."""

import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path

from sqlalchemy import func, select

from monitor.channels.interface import Message
from monitor.incidents.service import Alerting
from monitor.model import DAY, MINUTE, SECOND, Heartbeat, Seen
from monitor.staleness.sweep import Options, Sweep
from monitor.state import leases
from monitor.state.database import open_state, reading
from monitor.state.migrating import migrate
from monitor.state.tables import incident
from monitor.store.interface import CoverageSpan, Store
from tests import postgres
from tests.bench.table import RUNS, Row
from tests.delivering import delivery, watch

BEATS = 15 * SECOND
THRESHOLD = 10 * MINUTE
GROUP_WAIT = 30 * SECOND
INTERVAL = 5 * SECOND
GOAL = {100_000: 0.5, 1_000_000: 1.5}
FILL, LONGEST_DELAY = 60, 30
"""Goals in seconds: the first sweep; an outage message after deadline and group wait."""

FIRST = 0x020000000000
SILENT = 50_000
AHEAD = MINUTE
"""Time before the deadline at which the silent sensors are registered."""


def _now() -> int:
    return time.time_ns() // 1_000_000


def _timed(work: Callable[[], object]) -> float:
    begin = time.perf_counter()
    work()
    return time.perf_counter() - begin


class Fleet:
    """Sensors with a heartbeat a minute, and a leading scheduler."""

    def __init__(self, state_url: str, store: Store, size: int) -> None:
        self._store, self._size = store, size
        self.engine = open_state(state_url)
        migrate(self.engine)
        lease = leases.acquire(self.engine, "scheduler", "bench", DAY)
        assert lease
        self._lease = lease
        self._begin = _now() - THRESHOLD
        self._next = 0
        self.restart()

    def restart(self) -> None:
        """Replace the scheduler by a new one without any view."""
        options = Options(THRESHOLD, 15 * MINUTE, 90 * DAY)
        alerting = Alerting(("pager",), GROUP_WAIT, MINUTE)
        self._sweep = Sweep(self._store, self.engine, options, alerting, watch())

    def store_heartbeats(self, macs: Iterable[int], at: int | None = None) -> None:
        """Store heartbeats of these sensors, now or `at` a time."""
        listed = list(macs)
        for start in range(0, len(listed), 10_000):
            now = _now()
            moment = at or now
            beats = [Heartbeat(mac, moment, moment) for mac in listed[start : start + 10_000]]
            self._store.append(beats)
            self._store.announce("bench", now, [Seen(b.mac, b.time, True) for b in beats])
        self.report_coverage()

    def report_coverage(self) -> None:
        """Report coverage up to now."""
        self._store.add_coverage(CoverageSpan("bench", self._begin, _now(), False))

    def beat(self, count: int) -> None:
        """Store heartbeats of the next `count` sensors."""
        self.store_heartbeats(FIRST + (self._next + number) % self._size for number in range(count))
        self._next += count

    def sweep(self) -> float:
        """Run one sweep; its seconds."""
        return _timed(lambda: self._sweep.run(self._lease, _now()))

    def last_seen(self) -> float:
        """Seconds of a store query for all sensors of the last 10 minutes."""
        return _timed(lambda: self._store.last_seen(_now() - 10 * MINUTE))

    def opened(self) -> int:
        """The number of incidents."""
        with reading(self.engine) as connection:
            return int(connection.execute(select(func.count()).select_from(incident)).scalar_one())


class Pager:
    """A channel that records the time and the number of sensors of each message."""

    name = "pager"

    def __init__(self) -> None:
        self.messages: list[tuple[int, str]] = []

    def send(self, message: Message) -> None:
        """Record the message."""
        self.messages.append((_now(), message.subject))


def outage(fleet: Fleet, database: str) -> list[Row]:
    """Add 50,000 sensors whose last heartbeats were at one time, and sweep every 5 s."""
    pager, done = Pager(), threading.Event()
    deadline = _now() + AHEAD
    others = fleet.opened()
    fleet.store_heartbeats(range(FIRST - SILENT, FIRST), deadline - THRESHOLD)
    notifier = threading.Thread(target=delivery(fleet.engine, [pager]).run, args=(done.is_set,))
    notifier.start()
    sweeps, all_open = [], 0.0
    give_up = deadline + 4 * MINUTE
    while not pager.messages or not all_open:
        begin = _now()
        assert begin < give_up, f"opened {fleet.opened() - others}, messages {pager.messages}"
        fleet.report_coverage()
        sweeps.append(fleet.sweep())
        if not all_open and fleet.opened() >= others + SILENT:
            all_open = (_now() - deadline) / SECOND
        time.sleep(max(0, begin + INTERVAL - _now()) / SECOND)
    done.set()
    notifier.join()
    delay = (pager.messages[0][0] - deadline - GROUP_WAIT) / SECOND
    print(f"{database}: messages {[subject for _, subject in pager.messages]}", flush=True)
    what = f"{SILENT:,} silent at once, {database}"
    return [
        Row(f"{what}: incidents open after", "s", [all_open], [LONGEST_DELAY], most=LONGEST_DELAY),
        Row(
            f"{what}: message after (less the wait)",
            "s",
            [delay],
            [LONGEST_DELAY],
            most=LONGEST_DELAY,
        ),
        Row(f"{what}: longest sweep", "s", [max(sweeps)], [LONGEST_DELAY]),
    ]


def rows(directory: Path, store: Store, size: int) -> list[Row]:
    """Measure the sweeps after the first one, which fills the view and registers all sensors."""
    fleet = Fleet(f"sqlite:///{directory / 'state.sqlite'}", store, size)
    fleet.beat(size)
    registered = fleet.sweep()
    fleet.sweep()
    fleet.restart()
    filled = fleet.sweep()
    ours = []
    for _ in range(RUNS):
        fleet.beat(size * BEATS // MINUTE)
        ours.append(fleet.sweep())
    asked = [fleet.last_seen()]
    what = f"{size:,} sensors"
    found = [
        Row(f"{what}: first fill of a scheduler that starts", "s", [filled], asked, most=FILL),
        Row(f"{what}: fill and registration, SQLite", "s", [registered], asked),
        Row(f"sweep of {what}, 15 s of arrivals", "s", ours, asked, most=GOAL[size]),
    ]
    fleet.beat(size)
    found += outage(fleet, "SQLite")
    other = Fleet(postgres.fresh_database(), store, size)
    other.beat(size)
    registered = other.sweep()
    found.append(Row(f"{what}: fill and registration, PostgreSQL", "s", [registered], asked))
    return found + outage(other, "PostgreSQL")
