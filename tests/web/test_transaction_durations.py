"""Pages hold transactions of the state only briefly, even with a large fleet.

A reader of SQLite blocks the sweep's commit, so pages read, end the transaction, and compute.
"""

import gc
import json
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, event

from monitor.clock import Clock
from monitor.model import DAY, HOUR, MINUTE, format_mac
from monitor.web.grid.fleet import Fleet, FleetChanges, FleetUnavailable
from tests.web.complete_app import CompleteApp, path_of
from tests.web.contexts import BASE
from tests.web.visitors import Visitor, logged_in

SENSORS = 100_000
SILENCES = 100
WINDOWS = 50
INCIDENTS = 2_000
LONGEST = 3.0
"""In units of `unit`, measured at the same time: a slow or busy machine must not fail the test."""

FIRST = 0x02_00_00_10_00_00
SITES = 200
UNIT = 400_000


def unit() -> float:
    """The CPU time (s) that this machine needs now for some fixed work."""
    started = time.thread_time()
    sorted(str(number) for number in range(UNIT))
    return time.thread_time() - started


class TransactionTimes:
    """The longest transaction of an engine during each request."""

    def __init__(self, complete_app: CompleteApp) -> None:
        self.asked = ""
        self.longest: dict[str, float] = {}
        self._begun = threading.local()
        event.listen(complete_app.engine, "begin", self._begin)
        for end in ("commit", "rollback"):
            event.listen(complete_app.engine, end, self._end)

    def _begin(self, _connection: Connection) -> None:
        self._begun.at = time.thread_time()

    def _end(self, _connection: Connection) -> None:
        held = time.thread_time() - self._begun.at
        self.longest[self.asked] = max(held, self.longest.get(self.asked, 0))

    @contextmanager
    def during(self, what: str) -> Iterator[None]:
        before = unit()
        self.asked = what
        yield
        self.asked = ""
        if what in self.longest:
            self.longest[what] /= max(before, unit())

    def too_long(self) -> dict[str, float]:
        return {what: held for what, held in self.longest.items() if held > LONGEST}


@pytest.fixture(scope="module", autouse=True)
def worker() -> Iterator[None]:
    """Garbage collection as in a worker: a collection takes longer than the transaction around
    it."""
    before = gc.get_threshold()
    gc.freeze()
    gc.set_threshold(100_000, 20, 50)
    yield
    gc.set_threshold(*before)
    gc.unfreeze()


@pytest.fixture(scope="module")
def complete_app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CompleteApp]:
    directory = Path(tmp_path_factory.mktemp("large"))
    site = CompleteApp(directory, BASE)
    fill(directory / "state.sqlite", Clock().now())
    yield site
    site.close()


@pytest.fixture(scope="module")
def visitor(complete_app: CompleteApp) -> Visitor:
    return logged_in(complete_app.app, "administrator")


@pytest.fixture(scope="module")
def held(complete_app: CompleteApp) -> TransactionTimes:
    return TransactionTimes(complete_app)


def fill(file: Path, now: int) -> None:
    """Write the rows of a large fleet with plain SQL, which saves a minute."""
    with closing(sqlite3.connect(file)) as raw, raw:
        raw.execute("PRAGMA synchronous = OFF")
        (version,) = raw.execute(
            "UPDATE service SET version = version + 1 RETURNING version"
        ).fetchone()
        raw.executemany(
            "INSERT INTO sensor (mac, name, site, labels, live, paused, version) "
            "VALUES (?, ?, ?, ?, 1, 0, ?)",
            (
                (FIRST + n, f"Sensor {n}", f"Site {n % SITES}", '{"floor": "3"}', version)
                for n in range(SENSORS)
            ),
        )
        raw.executemany(
            "INSERT INTO silence (matchers, starts_at, ends_at, comment, created_by, created_at) "
            "VALUES (?, ?, ?, 'why', 'operator', ?)",
            ((json.dumps(matchers_of(n)), now, now + DAY, now) for n in range(SILENCES)),
        )
        raw.executemany(
            "INSERT INTO maintenance (name, matchers, zone, start, stop, recurrence, created_by, "
            "created_at) VALUES (?, ?, 'Europe/Berlin', '2026-01-04T01:30', '2026-01-04T03:30', "
            "'FREQ=WEEKLY;BYDAY=SU', 'operator', ?)",
            ((f"Window {n}", json.dumps([f"site=Site {n}*"]), now) for n in range(WINDOWS)),
        )
        fill_incidents(raw, now, version)


def matchers_of(n: int) -> list[str]:
    """Matchers as users write them; a few must be compared with each sensor."""
    if n % 10 == 0:
        return [f"mac={format_mac(FIRST + n)[:11]}*"]
    return [f"site=Site {n}*"] if n % 2 else [f"site!=Site {n}", f"name=Sensor {n}*"]


def fill_incidents(raw: sqlite3.Connection, now: int, version: int) -> None:
    """Half of the incidents are open. Each group of a hundred has one message."""
    groups = range(1_000, 1_000 + INCIDENTS // 100)
    raw.executemany(
        "INSERT INTO alert_group (id, cohort, opened_at) VALUES (?, ?, ?)",
        ((group, f"site:Site {group}", now) for group in groups),
    )
    body = json.dumps({"subject": "100 sensors are silent"})
    raw.executemany(
        "INSERT INTO notification (id, key, group_id, channel, kind, state, created_at, attempts, "
        "next_attempt_at, body, frozen_at, finished_at) "
        "VALUES (?, ?, ?, 'x', 'down', 'sent', ?, 1, ?, ?, ?, ?)",
        ((group, f"key {group}", group, now, now, body, now, now) for group in groups),
    )
    raw.executemany(
        "INSERT INTO attempt (notification_id, at, result) VALUES (?, ?, 'sent')",
        ((group, now) for group in groups),
    )
    rows: list[tuple[Any, ...]] = []
    for n in range(INCIDENTS):
        closed_at = now if n % 2 else None
        rows.append(
            (
                1_000 + n,
                FIRST + n,
                now - HOUR,
                now - MINUTE,
                closed_at,
                closed_at,
                groups[n // 100],
                version,
            )
        )
    raw.executemany(
        "INSERT INTO incident (id, mac, last_seen, threshold, proven, opened_at, closed_at, "
        "recovered_at, closed_reason, group_id, version) "
        "VALUES (?, ?, ?, 600000, 1, ?, ?, ?, 'recovered', ?, ?)",
        rows,
    )
    raw.executemany(
        "INSERT INTO notification_incident (notification_id, incident_id) VALUES (?, ?)",
        ((row[6], row[0]) for row in rows),
    )


def filled(fleet: Fleet) -> FleetChanges:
    """All sensors, when the fleet has been read."""
    deadline = time.monotonic() + 60
    while True:
        with suppress(FleetUnavailable):
            return fleet.changes(None)
        assert time.monotonic() < deadline


def load(visitor: Visitor, page: str) -> None:
    """Open the page; a worker that has just started may not have read the fleet yet."""
    deadline = time.monotonic() + 60
    while visitor.get(page).status_code >= 500 and page != "/readyz":
        assert time.monotonic() < deadline, page


def test_pages_hold_no_long_transaction(
    complete_app: CompleteApp, visitor: Visitor, held: TransactionTimes
) -> None:
    pages = [path_of(rule) for rule in complete_app.rules() if "GET" in (rule.methods or set())]
    pages += [
        "/admin/maintenance?state=upcoming",
        "/admin/sensors?page=900",
        "/admin/sensors?q=nowhere",
        "/admin/silences?state=past",
        "/api/v1/ledger?limit=200",
        "/incidents/1500",
        "/incidents?q=nowhere&state=all",
        "/incidents?site=Site+7&state=all",
        f"/sensors/{format_mac(FIRST)}",
        f"/api/v1/sensors/{format_mac(FIRST)}/uptime",
    ]
    for page in pages:
        with held.during(page):
            load(visitor, page)
    assert held.longest.keys() >= {"/", "/admin/silences", "/incidents", "/metrics"}
    assert held.too_long() == {}


def test_changes_by_pages_hold_no_long_transaction(
    visitor: Visitor, held: TransactionTimes
) -> None:
    sensor = format_mac(FIRST + 7)
    tomorrow = datetime.now(UTC).date() + timedelta(1)
    times = {"start": f"{tomorrow}T00:00", "stop": f"{tomorrow}T01:00"}
    window = {"zone": "UTC", "repeats": "once", **times}
    numbers = [str(1_000 + n) for n in range(0, 200, 2)]
    changes: list[tuple[str, dict[str, Any]]] = [
        ("/admin/silences", {"matchers": "site=Site 9*", "lasts": str(2 * HOUR), "comment": "why"}),
        ("/admin/maintenance", {"name": "x", "matchers": "mac=*", **window}),
        ("/incidents/acknowledge", {"id": numbers}),
        ("/incidents/silence", {"id": numbers, "lasts": str(HOUR), "comment": "why"}),
        (f"/sensors/{sensor}/edit", {"name": "Another"}),
        (f"/sensors/{sensor}/pause", {}),
    ]
    for address, form in changes:
        with held.during(f"POST {address}"):
            answer = visitor.post(address, form)
            assert answer.status_code == 303, (address, answer.text[:2_000])
    assert held.too_long() == {}


def test_large_fleet_is_read_in_short_transactions(
    complete_app: CompleteApp, held: TransactionTimes
) -> None:
    fleet = Fleet(complete_app.store, complete_app.engine, Clock(), 10 * MINUTE, 90 * DAY)
    with held.during("first reading"):
        changes = filled(fleet)
    assert len(changes.entries) >= SENSORS
    silenced = sum(entry.held is not None for entry in changes.entries)
    assert silenced > SENSORS / 4
    assert held.too_long() == {}
